"""Debtors: who owes. Their e-mail address is a billing contact without a name."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import structs
from sqlalchemy import text

from kernel import ids
from kernel.errors import AppError
from kernel.text import MAX_NAME, fold
from receivables import access, beside, candidates, contacts, identifiers, owing, parents
from receivables.changes import copy_to, draft_of, expect, flush, named
from receivables.checking import MAX_EXTERNAL_ID, MAX_TEXT, Faults
from receivables.drafts import DebtorChange, NewContact, NewDebtor
from receivables.errors import DebtorErased, DebtorOwes, ExternalIdTaken, ParentInvalid
from receivables.events import DebtorArchived, DebtorCreated, DebtorRestored, DebtorUpdated
from receivables.identifiers import DEBTORS, Identifier
from receivables.locks import lock_debtors
from receivables.merges import group_of
from receivables.models import Debtor
from receivables.outcomes import Outcome
from receivables.party_views import Beside
from receivables.views import DebtorView
from storage.events import emit
from storage.session import TenantSession, tenant_of

_COLUMNS: Final = (
    "external_id", "kind", "name", "language", "zone", "country", "address", "email", "phone", "payment_terms",
    "parent_id",
)  # fmt: skip
_REFUSALS: Final = {"uq_debtor_external_id": ExternalIdTaken}


async def create_debtor(session: TenantSession, new: NewDebtor, now: datetime) -> DebtorView:
    """Make a debtor known. Raises Invalid, ExternalIdTaken, IdentifierTaken, ParentInvalid."""
    return (await create_debtors(session, [new], now))[0].get()


async def create_debtors(
    session: TenantSession, news: Sequence[NewDebtor], now: datetime, *, strict: bool = True
) -> list[Outcome[DebtorView]]:
    """Make many debtors known in few statements; each has its own outcome, in order.

    Without `strict`, legal ids with wrong check digits are taken, as documents bear them. Raises IdentifierTaken when a
    legal id is another debtor's: look them up first (`identifiers.owners`).
    """
    drafts = [_draft(session, new, strict=strict) for new in news]
    lost = await parents.missing(session, [new.parent_id for _, new in drafts if new.parent_id is not None])
    drafts = [(ParentInvalid() if new.parent_id in lost else row, new) for row, new in drafts]
    rows = [row for row, _ in drafts if not isinstance(row, AppError)]
    written = await _insert(session, rows)
    created = [(row, new) for row, new in drafts if not isinstance(row, AppError) and row.id in written]
    given = [(row.id, each) for row, new in created for each in new.identifiers]
    await identifiers.give(session, DEBTORS, given)
    await beside.write(session, {row.id: (new.addresses, new.labels) for row, new in created}, fresh=True)
    await candidates.write_keys(session, [(row, new.addresses) for row, new in created], fresh=True)
    for row, new in created:
        emit(session, DebtorCreated(DebtorView.of(row, _beside(new)), None, now))
    mailboxes = [NewContact(debtor_id=row.id, email=row.email) for row, _ in created if row.email is not None]
    await contacts.add(session, mailboxes, now)
    return [_outcome(row, new, written) for row, new in drafts]


async def update_debtor(
    session: TenantSession,
    debtor_id: UUID,
    change: DebtorChange,
    now: datetime,
    *,
    expected_version: int | None = None,
    strict: bool = True,
) -> DebtorView:
    """Change what the change names; the same again changes nothing.

    Raises what create_debtor raises, DebtorNotFound, DebtorErased. `strict` as in create_debtors.
    """
    changes = named(change)
    if changes.get("parent_id") is not None:
        await parents.serialise(session)
        await lock_debtors(session, [debtor_id, *await parents.known(session, [changes["parent_id"]])])
    row = await access.debtor(session, debtor_id, lock=True)
    expect(row.version, expected_version)
    if row.erased_at is not None:
        raise DebtorErased
    held = (await beside.of(session, [debtor_id]))[debtor_id]
    before = DebtorView.of(row, held)
    insolvent_on = changes.pop("insolvent_on", row.insolvent_on)
    known = draft_of(NewDebtor, row, identifiers=held.identifiers, addresses=held.addresses, labels=held.labels)
    new = _checked(structs.replace(known, **changes), insolvent_on, held=held.identifiers, strict=strict)
    if new.parent_id is not None and new.parent_id != row.parent_id:
        await parents.check(session, debtor_id, new.parent_id)
    copy_to(row, new, _COLUMNS)
    row.insolvent_on, row.name_folded = insolvent_on, fold(new.name)
    after = _beside(new)
    if DebtorView.of(row, after) == before:
        return before
    row.version += 1
    await flush(session, _REFUSALS)
    if after.identifiers != held.identifiers:
        await identifiers.replace(session, DEBTORS, debtor_id, after.identifiers)
    if (after.addresses, after.labels) != (held.addresses, held.labels):
        await beside.write(session, {debtor_id: (after.addresses, after.labels)})
    if candidates.keys_of(row, after.addresses) != candidates.keys_of_view(before):
        await candidates.write_keys(session, [(row, after.addresses)])
    view = DebtorView.of(row, after)
    emit(session, DebtorUpdated(view, before, now))
    if view.email != before.email:
        await contacts.follow_email(session, debtor_id, before.email, view.email, now)
    return view


async def archive_debtor(
    session: TenantSession, debtor_id: UUID, now: datetime, *, expected_version: int | None = None
) -> DebtorView:
    """Put a debtor aside who owes nothing; twice is once. Raises DebtorNotFound, DebtorOwes."""
    row = await access.debtor(session, debtor_id, lock=True)
    expect(row.version, expected_version)
    before = await access.debtor_view(session, debtor_id)
    if row.archived_at is not None:
        return before
    if await owing.is_open(session, await group_of(session, debtor_id)):
        raise DebtorOwes
    row.archived_at, row.version = now, row.version + 1
    after = await access.debtor_view(session, debtor_id)
    emit(session, DebtorArchived(after, before, now))
    return after


async def restore_debtor(
    session: TenantSession, debtor_id: UUID, now: datetime, *, expected_version: int | None = None
) -> DebtorView:
    """Bring an archived debtor back; twice is once. Raises DebtorNotFound, DebtorErased."""
    row = await access.debtor(session, debtor_id, lock=True)
    expect(row.version, expected_version)
    before = await access.debtor_view(session, debtor_id)
    if row.archived_at is None:
        return before
    if row.erased_at is not None:
        raise DebtorErased
    row.archived_at, row.version = None, row.version + 1
    after = await access.debtor_view(session, debtor_id)
    emit(session, DebtorRestored(after, before, now))
    return after


def _beside(new: NewDebtor) -> Beside:
    return Beside(new.identifiers, new.addresses, new.labels)


def _draft(session: TenantSession, new: NewDebtor, *, strict: bool) -> tuple[Debtor | AppError, NewDebtor]:
    try:
        clean = _checked(new, strict=strict)
    except AppError as error:
        return error, new
    row = Debtor(
        tenant_id=tenant_of(session), id=ids.new_id(), version=1, name_folded=fold(clean.name), archived_at=None,
        erased_at=None, insolvent_on=None, merged_into_id=None, group_version=0,
    )  # fmt: skip
    copy_to(row, clean, _COLUMNS)
    return row, clean


def _outcome(row: Debtor | AppError, new: NewDebtor, written: set[UUID]) -> Outcome[DebtorView]:
    if isinstance(row, AppError):
        return Outcome("refused", error=row)
    if row.id not in written:
        return Outcome("refused", error=ExternalIdTaken(new.external_id or ""))
    return Outcome("created", DebtorView.of(row, _beside(new)))


async def _insert(session: TenantSession, rows: Sequence[Debtor]) -> set[UUID]:
    """Insert debtors; those whose external_id another one has are left out."""
    if not rows:
        return set()
    values = {
        "tenant_id": tenant_of(session),
        "ids": [row.id for row in rows],
        "kinds": [row.kind.value for row in rows],
        "folded": [row.name_folded for row in rows],
        "parents": [row.parent_id for row in rows],
        **{name: [getattr(row, name) for row in rows] for name in _TEXTS},
    }
    return set((await session.execute(_INSERT, values)).scalars())


_TEXTS: Final = ("external_id", "name", "language", "zone", "country", "address", "email", "phone", "payment_terms")
_INSERT: Final = text("""
insert into app.debtor
  (tenant_id, id, version, kind, name_folded, parent_id, external_id, name, language, zone, country, address, email,
   phone, payment_terms)
select :tenant_id, u.id, 1, u.kind, u.folded, u.parent_id, u.external_id, u.name, u.language, u.zone, u.country,
       u.address, u.email, u.phone, u.payment_terms
from unnest(cast(:ids as uuid[]), cast(:kinds as text[]), cast(:folded as text[]), cast(:parents as uuid[]),
            cast(:external_id as text[]), cast(:name as text[]), cast(:language as text[]), cast(:zone as text[]),
            cast(:country as text[]), cast(:address as text[]), cast(:email as text[]), cast(:phone as text[]),
            cast(:payment_terms as text[]))
  as u(id, kind, folded, parent_id, external_id, name, language, zone, country, address, email, phone, payment_terms)
order by u.external_id
on conflict do nothing returning id
""")


def _checked(
    new: NewDebtor, insolvent_on: date | None = None, *, held: Sequence[Identifier] = (), strict: bool
) -> NewDebtor:
    faults = Faults()
    faults.day("/insolvent_on", insolvent_on)
    faults.zone("/zone", new.zone)
    faults.language("/language", new.language)
    faults.country("/country", new.country)
    addresses, labels = beside.check(faults, new.addresses, new.labels)
    clean = structs.replace(
        new,
        name=faults.line("/name", new.name, MAX_NAME),
        address=faults.lines("/address", new.address, MAX_TEXT),
        addresses=addresses,
        email=faults.email("/email", new.email),
        phone=faults.phone("/phone", new.phone),
        payment_terms=faults.optional_line("/payment_terms", new.payment_terms, MAX_NAME),
        labels=labels,
        external_id=faults.optional_line("/external_id", new.external_id, MAX_EXTERNAL_ID),
        identifiers=identifiers.check(faults, "/identifiers", new.identifiers, strict=strict, held=held),
    )
    faults.stop()
    return clean
