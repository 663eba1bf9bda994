"""Balances on any day, as known at any instant: computed from the ledger's entries and allocations, never from caches.

What counts is what has its effect up to `as_of` and was known up to `as_known_at`. Money that by today's knowledge
paid a debt before that debt existed (its issue day was corrected, say) was unapplied until then.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from kernel.clock import day_of
from receivables import access
from receivables.errors import DebtorNotFound
from receivables.merges import group_of
from storage.session import TenantSession, tenant_of

MAX_ACCOUNTS: Final = 1_000


class InstalmentBalance(Struct, frozen=True, kw_only=True):
    """An instalment on that day."""

    instalment_id: str
    due_on: date | None
    amount_minor: int
    settled_minor: int  # by money, credit notes and write-offs
    balance_minor: int


class ChargeBalance(Struct, frozen=True, kw_only=True):
    """A charge of the invoice on that day."""

    charge_id: str
    amount_minor: int  # less what was waived
    settled_minor: int
    balance_minor: int


class InvoiceBalance(Struct, frozen=True, kw_only=True):
    """What was to pay of an invoice on a day, as known at an instant. Charges stand beside it."""

    invoice_id: str
    as_of: date
    as_known_at: datetime
    currency: str
    amount_minor: int
    settled_minor: int
    balance_minor: int
    overdue_minor: int
    instalments: tuple[InstalmentBalance, ...]
    charges_minor: int
    charges: tuple[ChargeBalance, ...]


class AccountBalance(Struct, frozen=True, kw_only=True):
    """What a debtor owed one creditor in one currency.

    `balance_minor` is what is open, with charges, less unapplied money and credit: the sum of the ledger's entries.
    """

    creditor_id: str
    currency: str
    as_of: date
    open_minor: int
    overdue_minor: int  # of `open_minor`
    charges_minor: int
    unapplied_minor: int
    credit_minor: int
    balance_minor: int


class DebtorBalance(Struct, frozen=True, kw_only=True):
    """What a debtor, with everybody merged into it, owed: an account for each creditor and currency."""

    debtor_id: str
    as_known_at: datetime
    accounts: tuple[AccountBalance, ...]


async def invoice_balance(
    session: TenantSession, invoice_id: UUID, now: datetime, *, as_of: date | None, as_known_at: datetime | None
) -> InvoiceBalance:
    """One invoice on a day (the creditor's today), as known at an instant (now). Raises InvoiceNotFound."""
    invoice = await access.invoice(session, invoice_id)
    creditor = await access.creditor(session, invoice.creditor_id)
    day, known_at = as_of or day_of(now, creditor.zone), as_known_at or now
    values = {"tenant_id": tenant_of(session), "invoice_id": invoice_id, "as_of": day, "known_at": known_at}
    lines = (await session.execute(_INVOICE, values)).all()
    charges = (await session.execute(_INVOICE_CHARGES, values)).all()
    return InvoiceBalance(
        invoice_id=ids.encode("inv", invoice_id),
        as_of=day,
        as_known_at=known_at,
        currency=invoice.currency,
        amount_minor=sum(line.amount for line in lines),
        settled_minor=sum(line.settled for line in lines),
        balance_minor=sum(line.amount - line.settled for line in lines),
        overdue_minor=sum(
            line.amount - line.settled for line in lines if line.due_on is not None and line.due_on < day
        ),
        instalments=tuple(
            InstalmentBalance(
                instalment_id=ids.encode("ins", line.id),
                due_on=line.due_on,
                amount_minor=line.amount,
                settled_minor=line.settled,
                balance_minor=line.amount - line.settled,
            )
            for line in lines
        ),
        charges_minor=sum(charge.amount - charge.settled for charge in charges),
        charges=tuple(
            ChargeBalance(
                charge_id=ids.encode("chg", charge.id),
                amount_minor=charge.amount,
                settled_minor=charge.settled,
                balance_minor=charge.amount - charge.settled,
            )
            for charge in charges
        ),
    )


async def debtor_balance(
    session: TenantSession, debtor_id: UUID, now: datetime, *, as_of: date | None, as_known_at: datetime | None
) -> DebtorBalance:
    """A debtor's accounts on a day (each creditor's today), as known at an instant (now). Raises DebtorNotFound."""
    group = await group_of(session, debtor_id)
    if not group:
        raise DebtorNotFound
    known_at = as_known_at or now
    return DebtorBalance(
        debtor_id=ids.encode("dbt", debtor_id),
        as_known_at=known_at,
        accounts=await _accounts(session, group, now, as_of, known_at),
    )


async def _accounts(
    session: TenantSession, group: Sequence[UUID], now: datetime, as_of: date | None, known_at: datetime
) -> tuple[AccountBalance, ...]:
    values = {
        "tenant_id": tenant_of(session), "debtors": list(group), "now": now, "as_of": as_of, "known_at": known_at,
        "rows": MAX_ACCOUNTS,
    }  # fmt: skip
    return tuple(
        AccountBalance(
            creditor_id=ids.encode("crd", row.creditor_id),
            currency=row.currency,
            as_of=row.as_of,
            open_minor=row.open,
            overdue_minor=row.overdue,
            charges_minor=row.charges,
            unapplied_minor=row.unapplied,
            credit_minor=row.credit,
            balance_minor=row.balance,
        )
        for row in await session.execute(_ACCOUNTS, values)
    )


_INVOICE: Final = text("""
with line as (
  select e.instalment_id as id, sum(e.amount_minor) filter (where e.effective_on <= :as_of) as amount,
         min(e.effective_on) as first_on,
         (array_agg(e.due_on order by e.known_at desc, e.id desc))[1] as due_on
  from app.ledger_entry e
  where e.tenant_id = :tenant_id and e.invoice_id = :invoice_id and e.instalment_id is not null
    and e.known_at <= :known_at
  group by e.instalment_id
), settled as (
  select a.instalment_id as id, sum(a.amount_minor) as amount from app.allocation a
  where a.tenant_id = :tenant_id and a.invoice_id = :invoice_id and a.effective_on <= :as_of
    and a.known_at <= :known_at
  group by a.instalment_id
)
select l.id, l.due_on, cast(coalesce(l.amount, 0) as bigint) as amount,
       cast(least(coalesce(s.amount, 0), coalesce(l.amount, 0)) as bigint) as settled
from line l join app.instalment i on i.tenant_id = :tenant_id and i.id = l.id
left join settled s on s.id = l.id
where l.first_on <= :as_of
order by i.place
""")  # bounded: by the instalments of one invoice
_INVOICE_CHARGES: Final = text("""
with owed as (
  select e.charge_id as id, sum(e.amount_minor) as amount from app.ledger_entry e
  where e.tenant_id = :tenant_id and e.invoice_id = :invoice_id and e.charge_id is not null
    and e.effective_on <= :as_of and e.known_at <= :known_at
  group by e.charge_id
)
select o.id, cast(o.amount as bigint) as amount, cast(coalesce(s.amount, 0) as bigint) as settled
from owed o
left join lateral (
  select sum(a.amount_minor) as amount from app.allocation a
  where a.tenant_id = :tenant_id and a.charge_id = o.id and a.effective_on <= :as_of and a.known_at <= :known_at
) s on true
order by o.id
""")  # bounded: by the charges of one invoice

# Each entry and allocation that counts, reduced to what it is about; then one line for each object, then the account.
# An allocation counts for what it settles and against what it uses, where these belong to the debtor asked for: with
# merged debtors they may be of two who are one.
_ACCOUNTS: Final = text("""
with day as (
  select c.id as creditor_id, coalesce(cast(:as_of as date), cast(timezone(c.zone, :now) as date)) as on_day
  from app.creditor c where c.tenant_id = :tenant_id
), known as (
  select e.creditor_id, e.currency, e.instalment_id, e.charge_id, e.receipt_id, e.credit_note_id, e.write_off_id,
         e.amount_minor, e.due_on, e.effective_on, e.known_at, e.id, d.on_day
  from app.ledger_entry e join day d on d.creditor_id = e.creditor_id
  where e.tenant_id = :tenant_id and e.debtor_id = any(cast(:debtors as uuid[])) and e.known_at <= :known_at
), line as (
  select creditor_id, currency, on_day, instalment_id as id,
         coalesce(sum(amount_minor) filter (where effective_on <= on_day), 0) as amount,
         (array_agg(due_on order by known_at desc, id desc))[1] as due_on
  from known where instalment_id is not null group by 1, 2, 3, 4
), charged as (
  select creditor_id, currency, on_day, charge_id as id, sum(amount_minor) as amount
  from known where charge_id is not null and effective_on <= on_day group by 1, 2, 3, 4
), source as (
  select creditor_id, currency, on_day, receipt_id is not null as is_cash, coalesce(receipt_id, credit_note_id) as id,
         -sum(amount_minor) as amount
  from known where effective_on <= on_day and (receipt_id is not null or credit_note_id is not null)
  group by 1, 2, 3, 4, 5
), part as (
  select l.creditor_id, l.currency, greatest(l.amount - s.sum, 0) as open,
         case when l.due_on < l.on_day then greatest(l.amount - s.sum, 0) else 0 end as overdue, 0 as charges,
         greatest(s.sum - l.amount, 0) as unapplied, 0 as credit
  from line l cross join lateral (
    select coalesce(sum(a.amount_minor), 0) from app.allocation a
    where a.tenant_id = :tenant_id and a.instalment_id = l.id and a.effective_on <= l.on_day
      and a.known_at <= :known_at) s(sum)
  union all
  select c.creditor_id, c.currency, 0, 0, c.amount - s.sum, 0, 0
  from charged c cross join lateral (
    select coalesce(sum(a.amount_minor), 0) from app.allocation a
    where a.tenant_id = :tenant_id and a.charge_id = c.id and a.effective_on <= c.on_day
      and a.known_at <= :known_at) s(sum)
  union all
  select m.creditor_id, m.currency, 0, 0, 0, case when m.is_cash then m.amount - s.sum else 0 end,
         case when m.is_cash then 0 else m.amount - s.sum end
  from source m cross join lateral (
    select coalesce(sum(a.amount_minor), 0) from app.allocation a
    where a.tenant_id = :tenant_id and (m.is_cash and a.receipt_id = m.id or not m.is_cash and a.credit_note_id = m.id)
      and a.effective_on <= m.on_day and a.known_at <= :known_at) s(sum)
)
select p.creditor_id, p.currency, d.on_day as as_of, cast(sum(p.open) as bigint) as open,
       cast(sum(p.overdue) as bigint) as overdue, cast(sum(p.charges) as bigint) as charges,
       cast(sum(p.unapplied) as bigint) as unapplied, cast(sum(p.credit) as bigint) as credit,
       cast(sum(p.open + p.charges - p.unapplied - p.credit) as bigint) as balance
from part p join day d on d.creditor_id = p.creditor_id
group by p.creditor_id, p.currency, d.on_day
order by p.creditor_id, p.currency limit :rows
""")
