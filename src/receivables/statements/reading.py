"""Read a statement from the ledger: a dozen statements, whatever the number of movements."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Row, TextClause, text

from kernel import ids
from kernel.clock import day_of
from kernel.errors import Fault, Invalid
from receivables.errors import DebtorNotFound
from receivables.facts import CreditorCard, DebtorCard, billing_contacts, creditor_cards, debtor_cards
from receivables.ledger import ChargeKind, EntryKind
from receivables.merges import groups_of, roots_of
from receivables.open_items import Item, open_items
from receivables.periods import UNDATED, USUAL
from receivables.seeing import Scope, bound, filled, narrowed, seen
from receivables.statements.errors import StatementTooLong
from receivables.statements.views import (
    Movement,
    OpenCharge,
    OpenItem,
    StatementAccount,
    StatementView,
    UnusedCredit,
)
from receivables.views import encoded
from storage.session import TenantSession, tenant_of

MAX_LINES: Final = 5_000
MAX_ACCOUNTS: Final = 200
USUAL_DAYS: Final = 90
LANGUAGES: Final = ("en", "fr")
Account = tuple[UUID, str]


class StatementOf(Struct, frozen=True, kw_only=True):
    """Whose statement, of which days, as known when."""

    debtor_id: UUID
    now: datetime
    from_on: date | None = None  # 90 days before the end
    to_on: date | None = None  # today, where the creditor is
    as_known_at: datetime | None = None
    creditor_id: UUID | None = None
    currency: str | None = None


class Statement(Struct, frozen=True, kw_only=True):
    """A statement with whose and for whom it is, as a document needs it."""

    view: StatementView
    debtor: DebtorCard
    creditors: Mapping[UUID, CreditorCard]
    banks: Mapping[Account, "BankLine"]  # where each account is paid
    logo_ids: Mapping[UUID, UUID]  # blobs of creditors


class BankLine(Struct, frozen=True):
    """A creditor's default account in a currency."""

    iban: str
    bic: str | None


async def statement(session: TenantSession, asked: StatementOf) -> Statement:
    """What passed in the period, and what was open at its end.

    Raises DebtorNotFound, Invalid where the period ends before it begins, StatementTooLong.
    """
    root_id = (await roots_of(session, [asked.debtor_id])).get(asked.debtor_id)
    if root_id is None:
        raise DebtorNotFound
    group = tuple((await groups_of(session, [root_id]))[root_id])
    known_at = min(asked.as_known_at or asked.now, asked.now)
    first = Scope(
        as_of=date.max, known_at=known_at, debtor_ids=group, creditor_id=asked.creditor_id, currency=asked.currency
    )
    parties = await _rows(session, _PARTIES, first, {"rows": MAX_ACCOUNTS})
    cards = await creditor_cards(session, {row.creditor_id for row in parties})
    to_on = asked.to_on or min((day_of(asked.now, card.zone) for card in cards.values()), default=asked.now.date())
    from_on = asked.from_on or to_on - timedelta(days=USUAL_DAYS)
    if from_on > to_on:
        raise Invalid(errors=[Fault(pointer="/query/from", code="invalid_value", message="not after the last day")])
    scope = Scope(
        as_of=to_on, known_at=known_at, debtor_ids=group, creditor_id=asked.creditor_id, currency=asked.currency
    )
    lines = await _lines(session, scope, from_on)
    debtor = (await debtor_cards(session, [root_id]))[root_id]
    contacts = (await billing_contacts(session, [root_id])).get(root_id, [])
    accounts = tuple(
        lines.account(cards[creditor_id], currency, to_on) for creditor_id, currency in sorted(lines.openings)
    )
    preferred = [
        *(contact.language for contact in contacts[:1]), debtor.language, *(card.language for card in cards.values()),
    ]  # fmt: skip
    view = StatementView(
        debtor_id=ids.encode("dbt", root_id),
        debtor_name=debtor.name,
        from_on=from_on,
        to_on=to_on,
        as_known_at=known_at,
        language=next((each for each in preferred if each in LANGUAGES), LANGUAGES[0]),
        periods=USUAL.described(),
        accounts=tuple(account for account in accounts if _says_something(account)),
    )
    stationery = await _rows(session, _STATIONERY, scope, {"ids": list(cards)})
    return Statement(
        view=view,
        debtor=debtor,
        creditors=cards,
        banks={(row.id, row.currency): BankLine(row.iban, row.bic) for row in stationery if row.iban is not None},
        logo_ids={row.id: row.logo_id for row in stationery if row.logo_id is not None},
    )


def _says_something(account: StatementAccount) -> bool:
    return bool(account.movements or account.opening_minor or account.open_minor or account.unused_minor)


Found = Sequence[Row[Any]]  # Any: a row's columns


class _Lines(Struct, frozen=True, kw_only=True):
    """What was read, by account."""

    openings: Mapping[Account, int]
    movements: Mapping[Account, Found]
    items: Mapping[Account, list[Item]]
    charges: Mapping[Account, Found]
    unused: Mapping[Account, Found]

    def account(self, card: CreditorCard, currency: str, to_on: date) -> StatementAccount:
        """One account of the statement."""
        key = (card.id, currency)
        opening_minor = self.openings[key]
        movements = _running(self.movements.get(key, ()), opening_minor)
        items, charges = self.items.get(key, []), self.charges.get(key, ())
        amounts = [0] * (USUAL.count + 1)
        for item in items:
            amounts[USUAL.place_of(None if item.due_on is None else (to_on - item.due_on).days)] += item.open_minor
        open_minor, charges_minor = sum(amounts), sum(row.open for row in charges)
        closing_minor = movements[-1].balance_minor if movements else opening_minor
        return StatementAccount(
            creditor_id=ids.encode("crd", card.id),
            creditor_name=card.name,
            currency=currency,
            opening_minor=opening_minor,
            debit_minor=sum(max(each.amount_minor, 0) for each in movements),
            credit_minor=sum(max(-each.amount_minor, 0) for each in movements),
            closing_minor=closing_minor,
            movements=movements,
            open_minor=open_minor,
            overdue_minor=sum(amounts[1:UNDATED]),
            charges_minor=charges_minor,
            unused_minor=open_minor + charges_minor - closing_minor,
            periods_minor=tuple(amounts[:UNDATED]),
            undated_minor=amounts[UNDATED],
            open_items=tuple(_item(item, to_on) for item in items),
            open_charges=tuple(_charge(row) for row in charges),
            unused=tuple(_unused(row) for row in self.unused.get(key, ())),
        )


async def _lines(session: TenantSession, scope: Scope, from_on: date) -> _Lines:
    rows = {"from_on": from_on, "rows": MAX_LINES + 1}
    openings = await _rows(session, _OPENINGS, scope, rows | {"rows": MAX_ACCOUNTS})
    movements = await _rows(session, _MOVEMENTS, scope, rows)
    items = await open_items(session, scope, after=None, limit=MAX_LINES + 1)
    charges = await _rows(session, _CHARGES, scope, rows)
    unused = await _rows(session, _UNUSED, scope, rows)
    if any(len(each) > MAX_LINES for each in (movements, items, charges, unused)):
        raise StatementTooLong(f"More than {MAX_LINES} lines.")
    by_account: dict[Account, list[Item]] = {}
    for item in items:
        by_account.setdefault((item.creditor_id, item.currency), []).append(item)
    return _Lines(
        openings={(row.creditor_id, row.currency): row.opening for row in openings},
        movements=_by_account(movements),
        items=by_account,
        charges=_by_account(charges),
        unused=_by_account(unused),
    )


def _by_account(rows: Iterable[Row[Any]]) -> dict[Account, Found]:  # Any: a row's columns
    """Rows come sorted by account."""
    return {key: list(own) for key, own in groupby(rows, key=lambda row: (row.creditor_id, row.currency))}


def _running(rows: Found, opening_minor: int) -> tuple[Movement, ...]:
    found: list[Movement] = []
    balance_minor = opening_minor
    for row in rows:
        balance_minor += row.amount
        found.append(
            Movement(
                effective_on=row.effective_on,
                known_at=row.known_at,
                kind=EntryKind(row.kind),
                number=row.number,
                reference=row.reference,
                charge_kind=None if row.charge_kind is None else ChargeKind(row.charge_kind),
                invoice_id=encoded("inv", row.invoice_id),
                credit_note_id=encoded("crn", row.credit_note_id),
                receipt_id=encoded("rcp", row.receipt_id),
                charge_id=encoded("chg", row.charge_id),
                write_off_id=encoded("wof", row.write_off_id),
                due_on=row.due_on,
                amount_minor=row.amount,
                balance_minor=balance_minor,
            )
        )
    return tuple(found)


def _item(item: Item, to_on: date) -> OpenItem:
    return OpenItem(
        invoice_id=ids.encode("inv", item.invoice_id),
        instalment_id=ids.encode("ins", item.instalment_id),
        number=item.number,
        place=item.place,
        issued_on=item.issued_on,
        due_on=item.due_on,
        days_late=0 if item.due_on is None else max((to_on - item.due_on).days, 0),
        amount_minor=item.amount_minor,
        open_minor=item.open_minor,
    )


def _charge(row: Row[Any]) -> OpenCharge:  # Any: a row's columns
    return OpenCharge(
        charge_id=ids.encode("chg", row.charge_id),
        kind=ChargeKind(row.kind),
        number=row.number,
        effective_on=row.effective_on,
        due_on=row.due_on,
        amount_minor=row.amount,
        open_minor=row.open,
    )


def _unused(row: Row[Any]) -> UnusedCredit:  # Any: a row's columns
    return UnusedCredit(
        receipt_id=encoded("rcp", row.receipt_id),
        credit_note_id=encoded("crn", row.credit_note_id),
        number=row.number,
        reference=row.reference,
        effective_on=row.effective_on,
        amount_minor=row.amount,
        left_minor=row.remaining,
    )


async def _rows(
    session: TenantSession, statement: str, scope: Scope, values: Mapping[str, Any]
) -> Found:  # Any: as SQL
    asked = _statement(statement, scope.creditor_id is not None, scope.currency is not None)
    return (await session.execute(asked, {**bound(scope, tenant_of(session)), **values})).all()


@lru_cache(maxsize=64)
def _statement(statement: str, by_creditor: bool, by_currency: bool) -> TextClause:  # noqa: FBT001 - parts of a cache key
    parts = {"narrowed": narrowed(by_creditor, True, by_currency), **seen(days="one")}
    return text(filled(statement, parts))


_STATIONERY: Final = """
select c.id, c.logo_id, b.currency, b.iban, b.bic from app.creditor c
left join app.bank_account b on b.tenant_id = :tenant_id and b.creditor_id = c.id and b.is_default
  and b.archived_at is null
where c.tenant_id = :tenant_id and c.id = any(cast(:ids as uuid[]))
"""
_PARTIES: Final = """
select distinct e.creditor_id from app.ledger_entry e
where e.tenant_id = :tenant_id and <entry seen><narrowed> limit :rows
"""
_OPENINGS: Final = """
select e.creditor_id, e.currency,
       cast(coalesce(sum(e.amount_minor) filter (where e.effective_on < cast(:from_on as date)), 0) as bigint)
         as opening
from app.ledger_entry e
where e.tenant_id = :tenant_id and <entry seen><narrowed>
group by e.creditor_id, e.currency order by e.creditor_id, e.currency limit :rows
"""
# The entries of one document, booked at once on one day, are one movement: an invoice's instalments are one invoice.
_MOVEMENTS: Final = """
with movement as (
  select e.creditor_id, e.currency, e.effective_on, e.known_at, e.kind, e.invoice_id, e.credit_note_id, e.receipt_id,
         e.charge_id, e.write_off_id, cast(sum(e.amount_minor) as bigint) as amount, min(e.due_on) as due_on,
         min(cast(e.id as text)) as first_id
  from app.ledger_entry e
  where e.tenant_id = :tenant_id and <entry seen><narrowed> and e.effective_on >= cast(:from_on as date)
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
  having sum(e.amount_minor) <> 0
)
select m.*, coalesce(v.number, n.number) as number, r.reference, c.kind as charge_kind
from movement m
left join app.write_off w on w.tenant_id = :tenant_id and w.id = m.write_off_id
left join app.charge c on c.tenant_id = :tenant_id and c.id = m.charge_id
left join app.invoice v on v.tenant_id = :tenant_id and v.id = coalesce(m.invoice_id, w.invoice_id, c.invoice_id)
left join app.credit_note n on n.tenant_id = :tenant_id and n.id = m.credit_note_id
left join app.receipt r on r.tenant_id = :tenant_id and r.id = m.receipt_id
order by m.creditor_id, m.currency, m.effective_on, m.first_id limit :rows
"""
_CHARGES: Final = """
with owed as (
  select e.creditor_id, e.currency, e.charge_id, cast(sum(e.amount_minor) as bigint) as amount
  from app.ledger_entry e
  where e.tenant_id = :tenant_id and e.charge_id is not null and <entry seen><narrowed>
  group by 1, 2, 3
)
select o.creditor_id, o.currency, o.charge_id, o.amount, o.amount - coalesce(s.settled, 0) as open, c.kind,
       c.effective_on, c.due_on, v.number
from owed o
cross join lateral (
  select cast(sum(a.amount_minor) as bigint) as settled from app.allocation a
  where a.tenant_id = :tenant_id and a.charge_id = o.charge_id and <allocation seen>
) s
join app.charge c on c.tenant_id = :tenant_id and c.id = o.charge_id
left join app.invoice v on v.tenant_id = :tenant_id and v.id = c.invoice_id
where o.amount > coalesce(s.settled, 0)
order by o.creditor_id, o.currency, c.due_on, o.charge_id limit :rows
"""
_UNUSED: Final = """
with source as (
  select e.creditor_id, e.currency, e.receipt_id, e.credit_note_id, cast(-sum(e.amount_minor) as bigint) as amount,
         min(e.effective_on) as effective_on
  from app.ledger_entry e
  where e.tenant_id = :tenant_id and (e.receipt_id is not null or e.credit_note_id is not null)
    and e.instalment_id is null and e.write_off_id is null and <entry seen><narrowed>
  group by 1, 2, 3, 4
)
select m.*, m.amount - coalesce(s.used, 0) as remaining, n.number, r.reference
from source m
cross join lateral (
  select cast(sum(a.amount_minor) as bigint) as used from app.allocation a
  where a.tenant_id = :tenant_id and <allocation seen>
    and (a.receipt_id = m.receipt_id or a.credit_note_id = m.credit_note_id)
) s
left join app.credit_note n on n.tenant_id = :tenant_id and n.id = m.credit_note_id
left join app.receipt r on r.tenant_id = :tenant_id and r.id = m.receipt_id
where m.amount > coalesce(s.used, 0)
order by m.creditor_id, m.currency, m.effective_on, coalesce(m.receipt_id, m.credit_note_id) limit :rows
"""
