"""Find or make the debtors of a batch, and let them learn what its documents say of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select, text

from billing_connectors import buyer_facts, statements
from billing_connectors.batches import Batch, Identity, Item, faults_of
from billing_connectors.documents.canonical import Party
from billing_connectors.legal_ids import french_vat, identifying
from billing_connectors.matching import NEVER, Buyer, Directory, Known, Match, account_code
from billing_connectors.merging import LEDGER, rank_of
from kernel import ids
from kernel.text import fold
from receivables import candidates, debtors, links
from receivables.identifiers import DEBTORS, Identifier, held_by, is_right, owners
from receivables.likeness import Card
from receivables.links import Link
from receivables.locks import lock_debtors
from receivables.merges import roots_of
from receivables.models import Debtor
from receivables.suggestions import thresholds
from storage.session import TenantSession, tenant_of

_KIND: Final = "debtor"
MAX_NAMESAKES: Final = 5_000


class _Found(Struct):
    """A debtor of the batch: its documents, in order, and the legal ids that they bring."""

    items: list[Item]
    identifiers: list[Identifier]
    is_new: bool


async def bring_debtors(batch: Batch, billed: Mapping[Identity, UUID]) -> None:
    """Give each open item its debtor; `billed` has the debtors of documents that are known, by their identity.

    The debtors that were known are locked afterwards.
    """
    items = batch.open_items()
    buyers = {id(item): _buyer(item) for item in items}
    chosen = {item.chosen_debtor_id for item in items if item.chosen_debtor_id is not None}
    directory = await _load(batch.session, list(buyers.values()), {*billed.values(), *chosen})
    await _look_around(
        batch.session,
        directory,
        [buyers[id(item)] for item in items if not directory.is_known(buyers[id(item)], billed.get(item.identity))],
    )
    found: dict[UUID, _Found] = {}
    for item in sorted(items, key=lambda each: _sureness(buyers[id(each)], billed.get(each.identity))):
        match = _decided(item) or directory.match(buyers[id(item)], billed.get(item.identity))
        if any(not is_right(one) for one in buyers[id(item)].identifiers) and match.reason is None:
            item.warnings.append("identifier_invalid")
        if match.reason is not None:
            item.candidates = match.candidates
            item.settle("quarantined", match.reason)
        else:
            _assign(item, match, directory, buyers[id(item)], found)
    known = {debtor_id: each for debtor_id, each in found.items() if not each.is_new}
    await lock_debtors(batch.session, known)
    await _create(batch, {debtor_id: each for debtor_id, each in found.items() if each.is_new})
    await _teach(batch, known)
    await _link_codes(batch, items)


def _decided(item: Item) -> Match | None:
    """What a person has said of the buyer."""
    if item.chosen_debtor_id is not None:
        return Match(item.chosen_debtor_id)
    return Match() if item.is_new_debtor else None


def _sureness(buyer: Buyer, billed_id: UUID | None) -> int:
    """Who is known for certain goes first, so that the others can be known by them."""
    return 0 if buyer.identifiers else 1 if billed_id is not None else 2


def _assign(item: Item, match: Match, directory: Directory, buyer: Buyer, found: dict[UUID, _Found]) -> None:
    debtor_id = match.debtor_id
    if debtor_id is None:
        debtor_id = ids.new_id()  # until the debtor is made
        directory.add(debtor_id, buyer)
        found[debtor_id] = _Found([], [], is_new=True)
    if match.warning is not None:
        item.warnings.append(match.warning)
    item.debtor_id = debtor_id
    entry = found.setdefault(debtor_id, _Found([], [], is_new=False))
    new = directory.learn(debtor_id, buyer)
    entry.items.append(item)
    entry.identifiers.extend(new)
    item.told = bool(new)


def _buyer(item: Item) -> Buyer:
    party = item.document.buyer
    code = party.account_code
    return Buyer(
        name=fold(party.name),
        identifiers=identifying(party),
        code=account_code(item.creditor_id, code) if code and item.creditor_id else None,
        country=party.country,
        card=_card(party),
    )


def _card(party: Party) -> Card:
    street = next((line for line in reversed(party.address_lines) if line.strip()), None)
    return Card(
        name=party.name,
        country=party.country,
        postcode=party.postcode,
        street=street,
        email=party.email,
        phone=party.phone,
    )


async def _look_around(session: TenantSession, directory: Directory, buyers: Sequence[Buyer]) -> None:
    """Load who is alike the buyers whom nothing surer tells, where the tenant links by likeness at all."""
    rule = await thresholds(session) if buyers else None
    if rule is None or rule.link_score >= NEVER:
        return
    cards = {ids.new_id(): card for card in {buyer.card for buyer in buyers}}
    found = await candidates.find(session, cards)
    around = await candidates.load(session, {each for one in found.values() for each in one.debtor_ids})
    living = {key: each for key, each in around.items() if not each.is_gone}
    roots, coded = await roots_of(session, living), await _codes_of(session, living)
    known = [
        Known(
            key, roots[key], fold(each.card.name), each.card.country, set(each.card.identifiers), coded.get(key, set()),
            each.card,
        )
        for key, each in living.items()
    ]  # fmt: skip
    crowded = {key for one in found.values() for key in one.crowded}
    directory.extend(known, crowded=crowded, link_score=rule.link_score)


async def _load(session: TenantSession, buyers: Sequence[Buyer], also: set[UUID]) -> Directory:
    """The debtors that any of these buyers can be."""
    forms = {form for buyer in buyers for form in buyer.identifiers}
    by_form = await owners(session, DEBTORS, forms | {french_vat(form) for form in forms if form.scheme == "siren"})
    branches = await _of_branches(session, [form.value for form in forms if form.scheme == "siren"])
    codes = {buyer.code for buyer in buyers if buyer.code is not None}
    by_code = await links.linked(session, LEDGER, _KIND, codes)
    named = await _named(session, {buyer.name for buyer in buyers})
    wanted = {*by_form.values(), *branches, *(link.object_id for link in by_code.values()), *named, *also}
    if not wanted:
        return Directory()
    statement = select(Debtor.id, Debtor.name_folded, Debtor.country).where(
        Debtor.tenant_id == tenant_of(session), Debtor.id.in_(wanted)
    )
    rows = {row.id: row for row in await session.execute(statement)}  # bounded: by the debtors wanted
    held, roots = await held_by(session, DEBTORS, rows), await roots_of(session, rows)
    coded = await _codes_of(session, rows)
    return Directory(
        Known(each.id, roots[each.id], each.name_folded, each.country, set(held[each.id]), coded.get(each.id, set()))
        for each in rows.values()
    )


async def _of_branches(session: TenantSession, sirens: Sequence[str]) -> set[UUID]:
    """Who is known by nothing but the SIRET of a branch of these companies."""
    return set((await session.execute(_BRANCHES, {"tenant_id": tenant_of(session), "sirens": list(sirens)})).scalars())


# A SIRET is the SIREN and five digits; digits of one length sort the same in every collation.
_BRANCHES: Final = text("""
select distinct i.debtor_id from unnest(cast(:sirens as text[])) as u(siren)
join app.debtor_identifier i on i.tenant_id = :tenant_id and i.scheme = 'siret'
  and i.value between u.siren || '00000' and u.siren || '99999'
""")  # bounded: by the companies asked for


async def _named(session: TenantSession, names: set[str]) -> set[UUID]:
    statement = select(Debtor.id).where(Debtor.tenant_id == tenant_of(session), Debtor.name_folded.in_(names))
    return set(await session.scalars(statement.order_by(Debtor.id).limit(MAX_NAMESAKES)))


async def _codes_of(session: TenantSession, debtor_ids: Iterable[UUID]) -> dict[UUID, set[str]]:
    values = {"tenant_id": tenant_of(session), "ids": list(debtor_ids), "source": LEDGER, "kind": _KIND}
    found: dict[UUID, set[str]] = {}
    for row in await session.execute(_CODES, values):
        found.setdefault(row.object_id, set()).add(row.external_id)
    return found


_CODES: Final = text("""
select l.object_id, l.external_id from app.source_link l
where l.tenant_id = :tenant_id and l.object_id = any(cast(:ids as uuid[])) and l.source = :source and l.kind = :kind
""")  # bounded: by the debtors asked for


async def _create(batch: Batch, found: dict[UUID, _Found]) -> None:
    """Make the new debtors; their items get the real ids."""
    said = [_heard(buyer_facts.Statement(), each.items) for each in found.values()]
    news = [
        buyer_facts.new_debtor(words, tuple(each.identifiers)) for words, each in zip(said, found.values(), strict=True)
    ]
    outcomes = await debtors.create_debtors(batch.session, news, batch.now, strict=False)
    kept: dict[UUID, buyer_facts.Statement] = {}
    for words, each, outcome in zip(said, found.values(), outcomes, strict=True):
        made = None if outcome.view is None else ids.decode("dbt", outcome.view.id)
        for item in each.items:
            item.debtor_id, item.told = made, True
            if outcome.error is not None:
                item.settle("rejected", "bad_buyer", faults_of(outcome.error))
        if made is not None:
            kept[made] = words
    await statements.keep_debtors(batch.session, batch.keys, kept)


async def _teach(batch: Batch, found: dict[UUID, _Found]) -> None:
    """Let known debtors learn what the documents say of them."""
    if not found:
        return
    session = batch.session
    before = await statements.of_debtors(session, batch.keys, found)
    after = {debtor_id: _heard(before[debtor_id], each.items) for debtor_id, each in found.items()}
    statement = select(Debtor).where(Debtor.tenant_id == tenant_of(session), Debtor.id.in_(found))
    fresh = statement.execution_options(populate_existing=True)
    rows = [row for row in await session.scalars(fresh) if row.erased_at is None]  # bounded: by the batch's debtors
    held = await held_by(session, DEBTORS, found)
    for row in rows:
        new = tuple(found[row.id].identifiers)
        change = buyer_facts.debtor_change(row, held[row.id], before[row.id], after[row.id], new)
        if change is not None:
            await debtors.update_debtor(session, row.id, change, batch.now, strict=False)
            for item in found[row.id].items:
                item.told = item.told or _says_more(item, before[row.id])
        else:
            for item in found[row.id].items:
                item.told = False
    living = {row.id for row in rows}
    new_words = {key: words for key, words in after.items() if key in living and words != before[key]}
    await statements.keep_debtors(session, batch.keys, new_words)


def _says_more(item: Item, known: buyer_facts.Statement) -> bool:
    return _heard(known, [item]).values() != known.values()


def _heard(statement: buyer_facts.Statement, items: Iterable[Item]) -> buyer_facts.Statement:
    for item in items:
        document = item.document
        statement = buyer_facts.with_word(statement, document.buyer, rank_of(document.format), document.issued_on)
    return statement


async def _link_codes(batch: Batch, items: Sequence[Item]) -> None:
    """Remember the account codes, the last one named for each."""
    named = {
        account_code(item.creditor_id, item.document.buyer.account_code): item.debtor_id
        for item in items
        if item.creditor_id and item.debtor_id and item.document.buyer.account_code
    }
    await links.link(batch.session, LEDGER, _KIND, [Link(code, debtor_id) for code, debtor_id in named.items()])
