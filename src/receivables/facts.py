"""What a decision about debts needs to know, for many of them in a constant number of queries.

Debtors are roots here: what was merged into one debtor is one debtor.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from receivables import identifiers
from receivables.identifiers import Identifier
from receivables.models import DebtorKind, DocumentState, DueOnSource
from storage.session import TenantSession, tenant_of

MAX_OPEN: Final = 10_000


class DebtFacts(Struct, frozen=True, kw_only=True):
    """One instalment with all that is known about its debt."""

    instalment_id: UUID
    invoice_id: UUID
    creditor_id: UUID
    debtor_id: UUID  # the root
    place: int
    number: str
    issued_on: date
    due_on: date | None
    due_on_source: DueOnSource
    currency: str
    amount_minor: int
    balance_minor: int
    total_minor: int  # of the invoice
    document: DocumentState
    direct_debit_on: date | None
    known_at: datetime
    debtor_kind: DebtorKind
    insolvent_on: date | None
    creditor_zone: str
    creditor_language: str
    creditor_country: str
    debtor_zone: str | None
    debtor_language: str | None
    debtor_country: str | None
    provisional_minor: int  # money in process: allocated to this instalment, or to nothing yet
    unapplied_minor: int  # of creditor, debtor and currency: money and credit notes that nobody has allocated


class BillingContact(Struct, frozen=True, kw_only=True):
    """Whom reminders go to."""

    contact_id: UUID
    debtor_id: UUID  # the root
    name: str | None
    email: str
    language: str | None
    zone: str | None


class CreditorCard(Struct, frozen=True, kw_only=True):
    """Who writes: what a letter says of the creditor."""

    id: UUID
    name: str
    zone: str
    language: str
    country: str
    address: str | None
    reply_to: str | None
    iban: str | None
    bic: str | None
    identifiers: tuple[Identifier, ...]


class DebtorCard(Struct, frozen=True, kw_only=True):
    """Who is written to: what a letter says of the debtor."""

    id: UUID
    kind: DebtorKind
    name: str
    zone: str | None
    language: str | None
    country: str | None
    address: str | None


class _Cash(Struct, frozen=True):
    provisional_minor: int = 0
    unapplied_minor: int = 0


async def debt_facts(session: TenantSession, instalment_ids: Iterable[UUID]) -> dict[UUID, DebtFacts]:
    """The facts of each instalment, in three queries; one that does not exist is absent."""
    values = {"tenant_id": tenant_of(session), "ids": list(instalment_ids)}
    rows = (await session.execute(_INSTALMENTS, values)).all()
    if not rows:
        return {}
    debtors = await _debtors(session, {row.debtor_id for row in rows})
    cash = await _cash(session, {debtor.id for debtor in debtors.values()})
    found: dict[UUID, DebtFacts] = {}
    for row in rows:
        debtor = debtors[row.debtor_id]
        money = cash.get((debtor.id, row.creditor_id, row.currency), _Cash())
        found[row.id] = DebtFacts(
            instalment_id=row.id,
            invoice_id=row.invoice_id,
            creditor_id=row.creditor_id,
            debtor_id=debtor.id,
            place=row.place,
            number=row.number,
            issued_on=row.issued_on,
            due_on=row.due_on,
            due_on_source=DueOnSource(row.due_on_source),
            currency=row.currency,
            amount_minor=row.amount_minor,
            balance_minor=row.balance_minor,
            total_minor=row.total_minor,
            document=DocumentState(row.document),
            direct_debit_on=row.direct_debit_on,
            known_at=row.known_at,
            debtor_kind=debtor.kind,
            insolvent_on=debtor.insolvent_on,
            creditor_zone=row.zone,
            creditor_language=row.language,
            creditor_country=row.country,
            debtor_zone=debtor.zone,
            debtor_language=debtor.language,
            debtor_country=debtor.country,
            provisional_minor=money.provisional_minor + row.provisional_minor,
            unapplied_minor=money.unapplied_minor,
        )
    return found


_INSTALMENTS: Final = text("""
select i.id, i.invoice_id, i.debtor_id, i.place, i.due_on, i.amount_minor, i.balance_minor,
       v.creditor_id, v.number, v.issued_on, v.due_on_source, v.currency, v.total_minor, v.document, v.direct_debit_on,
       v.known_at, c.zone, c.language, c.country,
       case when i.balance_minor = i.amount_minor then 0 else coalesce((
         select cast(sum(a.amount_minor) as bigint) from app.allocation a
         join app.receipt r on r.tenant_id = a.tenant_id and r.id = a.receipt_id and r.state = 'provisional'
         where a.tenant_id = :tenant_id and a.instalment_id = i.id), 0) end as provisional_minor
from app.instalment i
join app.invoice v on v.tenant_id = :tenant_id and v.id = i.invoice_id
join app.creditor c on c.tenant_id = :tenant_id and c.id = v.creditor_id
where i.tenant_id = :tenant_id and i.id = any(cast(:ids as uuid[]))
""")  # bounded: by the instalments asked for


class _Debtor(Struct, frozen=True):
    id: UUID
    kind: DebtorKind
    insolvent_on: date | None
    zone: str | None
    language: str | None
    country: str | None


async def _debtors(session: TenantSession, debtor_ids: Iterable[UUID]) -> dict[UUID, _Debtor]:
    values = {"tenant_id": tenant_of(session), "ids": list(debtor_ids)}
    return {
        row.start_id: _Debtor(row.id, DebtorKind(row.kind), row.insolvent_on, row.zone, row.language, row.country)
        for row in await session.execute(_DEBTORS, values)
    }


_DEBTORS: Final = text("""
with recursive up as (
  select d.id as start_id, d.id, d.merged_into_id, d.insolvent_on, 1 as depth
  from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
  union all
  select up.start_id, d.id, d.merged_into_id, least(up.insolvent_on, d.insolvent_on), up.depth + 1
  from up join app.debtor d on d.tenant_id = :tenant_id and d.id = up.merged_into_id
  where up.depth < 32
)
select up.start_id, r.id, r.kind, up.insolvent_on, r.zone, r.language, r.country
from up join app.debtor r on r.tenant_id = :tenant_id and r.id = up.id
where up.merged_into_id is null
""")  # bounded: by the debtors asked for


async def _cash(session: TenantSession, roots: Iterable[UUID]) -> dict[tuple[UUID, UUID, str], _Cash]:
    values = {"tenant_id": tenant_of(session), "ids": list(roots)}
    return {
        (row.root_id, row.creditor_id, row.currency): _Cash(row.provisional, row.unapplied)
        for row in await session.execute(_CASH, values)
    }


_CASH: Final = text("""
with recursive member as (
  select d.id as root_id, d.id from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
  union
  select m.root_id, d.id from member m join app.debtor d on d.tenant_id = :tenant_id and d.merged_into_id = m.id
), money as (
  select m.root_id, r.creditor_id, r.currency, r.unapplied_minor as unapplied,
         case when r.state = 'provisional' then r.unapplied_minor else 0 end as provisional
  from member m join app.receipt r on r.tenant_id = :tenant_id and r.debtor_id = m.id
  where r.unapplied_minor > 0
  union all
  select m.root_id, n.creditor_id, n.currency, n.remaining_minor, 0
  from member m join app.credit_note n on n.tenant_id = :tenant_id and n.debtor_id = m.id
  where n.remaining_minor > 0
)
select root_id, creditor_id, currency,
       cast(sum(unapplied) as bigint) as unapplied, cast(sum(provisional) as bigint) as provisional
from money group by root_id, creditor_id, currency
""")  # bounded: by the debtors asked for, their creditors and currencies


async def open_instalments_of(
    session: TenantSession, debtor_ids: Iterable[UUID], *, limit: int = MAX_OPEN
) -> list[UUID]:
    """The instalments of these debtors (and of who was merged into them) on which something is to pay."""
    values = {"tenant_id": tenant_of(session), "ids": list(debtor_ids), "rows": limit}
    return list((await session.execute(_OPEN, values)).scalars())


_OPEN: Final = text("""
with recursive member as (
  select d.id from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
  union
  select d.id from member m join app.debtor d on d.tenant_id = :tenant_id and d.merged_into_id = m.id
)
select i.id from member m
join app.instalment i on i.tenant_id = :tenant_id and i.debtor_id = m.id and i.balance_minor > 0
order by i.due_on nulls last, i.id limit :rows
""")


async def billing_contacts(session: TenantSession, roots: Iterable[UUID]) -> dict[UUID, list[BillingContact]]:
    """Whom reminders of each debtor go to, the first contact first; a debtor without one is absent."""
    values = {"tenant_id": tenant_of(session), "ids": list(roots)}
    found: dict[UUID, list[BillingContact]] = {}
    for row in await session.execute(_CONTACTS, values):
        contact = BillingContact(
            contact_id=row.id,
            debtor_id=row.root_id,
            name=row.name,
            email=row.email,
            language=row.language,
            zone=row.zone,
        )
        found.setdefault(row.root_id, []).append(contact)
    return found


_CONTACTS: Final = text("""
with recursive member as (
  select d.id as root_id, d.id from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
  union
  select m.root_id, d.id from member m join app.debtor d on d.tenant_id = :tenant_id and d.merged_into_id = m.id
)
select m.root_id, k.id, k.name, k.email, k.language, k.zone
from member m join app.contact k on k.tenant_id = :tenant_id and k.debtor_id = m.id
where k.billing and k.archived_at is null and k.email is not null
order by k.is_primary and k.debtor_id = m.root_id desc, k.is_primary desc, k.position, k.id
""")  # bounded: by the contacts of the debtors asked for


async def creditor_cards(session: TenantSession, creditor_ids: Iterable[UUID]) -> dict[UUID, CreditorCard]:
    """What letters say of these creditors."""
    wanted = list(creditor_ids)
    rows = await session.execute(_CREDITORS, {"tenant_id": tenant_of(session), "ids": wanted})
    held = await identifiers.held_by(session, identifiers.CREDITORS, wanted)
    return {
        row.id: CreditorCard(
            id=row.id,
            name=row.name,
            zone=row.zone,
            language=row.language,
            country=row.country,
            address=row.address,
            reply_to=row.reply_to,
            iban=row.iban,
            bic=row.bic,
            identifiers=held[row.id],
        )
        for row in rows
    }


_CREDITORS: Final = text("""
select c.id, c.name, c.zone, c.language, c.country, c.address, c.reply_to, c.iban, c.bic
from app.creditor c where c.tenant_id = :tenant_id and c.id = any(cast(:ids as uuid[]))
""")  # bounded: by the creditors asked for


async def debtor_cards(session: TenantSession, debtor_ids: Iterable[UUID]) -> dict[UUID, DebtorCard]:
    """What letters say of these debtors."""
    rows = await session.execute(_CARDS, {"tenant_id": tenant_of(session), "ids": list(debtor_ids)})
    return {
        row.id: DebtorCard(
            id=row.id,
            kind=DebtorKind(row.kind),
            name=row.name,
            zone=row.zone,
            language=row.language,
            country=row.country,
            address=row.address,
        )
        for row in rows
    }


_CARDS: Final = text("""
select d.id, d.kind, d.name, d.zone, d.language, d.country, d.address
from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
""")  # bounded: by the debtors asked for
