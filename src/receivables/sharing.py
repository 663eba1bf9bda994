"""Which debts an amount goes to: the shares that a caller names, or what a rule makes of it."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final
from uuid import UUID

from sqlalchemy import text

from kernel.money import MAX_MINOR
from receivables import access
from receivables.checking import Faults
from receivables.drafts import Auto, Share
from receivables.errors import ExceedsBalance, NotEnoughLeft
from receivables.imputation import Debt, Parts, spread
from receivables.ledger import ChargeKind
from receivables.merges import groups_of
from receivables.models import AllocationRule, CreditNote, Instalment, Receipt
from receivables.posting import Posting, left_of
from receivables.rules import oldest_first
from storage.session import TenantSession, tenant_of

MAX_SHARES: Final = 1_000
MAX_DEBTS: Final = 10_000


async def rule_of(
    session: TenantSession, creditor_id: UUID, shares: Sequence[Share] | Auto | AllocationRule
) -> AllocationRule | None:
    """The rule that chooses the debts; None where the caller names them. `auto` is the creditor's own rule."""
    if isinstance(shares, AllocationRule):
        return shares
    if shares == "auto":
        return (await access.creditor(session, creditor_id)).allocation_rule
    return None


async def parts_for(
    posting: Posting,
    source: Receipt | CreditNote,
    root_id: UUID,
    shares: Sequence[Share] | Auto | AllocationRule,
    rule: AllocationRule | None,
) -> Parts:
    """What each instalment or charge gets, loaded and checked to be the source's to settle.

    Raises Invalid, InvoiceNotFound, InstalmentNotFound, ChargeNotFound, AllocationMismatch, InvoiceNotOpen,
    NotEnoughLeft, ExceedsBalance.
    """
    if rule is not None:
        parts = await _by_rule(posting.session, source, root_id, rule)
        charges = await charge_ids_among(posting.session, [target_id for target_id, _ in parts])
        lines = [target_id for target_id, _ in parts if target_id not in charges]
        await posting.load(instalment_ids=lines, charge_ids=charges)
        return parts
    if isinstance(shares, str):
        raise TypeError("a rule is resolved before its parts are asked for")
    _check(shares)
    if not shares:
        return []
    await posting.load(
        invoice_ids={share.invoice_id for share in shares if share.invoice_id is not None},
        instalment_ids={share.instalment_id for share in shares if share.instalment_id is not None},
        charge_ids={share.charge_id for share in shares if share.charge_id is not None},
    )
    parts = _laid(posting, shares)
    await posting.check_targets(source, [target_id for target_id, _ in parts])
    if sum(amount_minor for _, amount_minor in parts) > left_of(source):
        raise NotEnoughLeft
    for target_id, amount_minor in _together(parts).items():
        if amount_minor > posting.target(target_id).balance_minor:
            raise ExceedsBalance
    return parts


def _together(parts: Parts) -> dict[UUID, int]:
    sums: dict[UUID, int] = {}
    for target_id, amount_minor in parts:
        sums[target_id] = sums.get(target_id, 0) + amount_minor
    return sums


def _check(shares: Sequence[Share]) -> None:
    faults = Faults()
    if len(shares) > MAX_SHARES:
        faults.add("/allocations", "too_many", f"at most {MAX_SHARES} allocations at once")
    for place, share in enumerate(shares):
        faults.amount(f"/allocations/{place}/amount_minor", share.amount_minor, low=1)
        if sum(each is not None for each in (share.invoice_id, share.instalment_id, share.charge_id)) != 1:
            faults.add(f"/allocations/{place}", "target", "name one invoice, one instalment or one charge")
    faults.stop()


def _laid(posting: Posting, shares: Sequence[Share]) -> Parts:
    """Lay an invoice's share over its instalments; what exceeds them stays on the last, to be refused there."""
    parts: Parts = []
    taken: dict[UUID, int] = {}
    for share in shares:
        if share.invoice_id is None:
            given = [(share.instalment_id or share.charge_id or UUID(int=0), share.amount_minor)]
        else:
            lines = sorted(posting.lines_of(share.invoice_id), key=_when_due)
            free = [(line.id, line.balance_minor - taken.get(line.id, 0)) for line in lines]
            given = oldest_first(share.amount_minor, free)
            over = share.amount_minor - sum(amount_minor for _, amount_minor in given)
            if over:
                given.append((lines[-1].id, over))
        for target_id, amount_minor in given:
            taken[target_id] = taken.get(target_id, 0) + amount_minor
        parts += given
    return parts


def _when_due(line: Instalment) -> tuple[bool, str, int]:
    return line.due_on is None, "" if line.due_on is None else line.due_on.isoformat(), line.place


def day_of_source(source: Receipt | CreditNote) -> date:
    """The day on which money came, or a credit note was issued."""
    return source.effective_on if isinstance(source, Receipt) else source.issued_on


async def _by_rule(session: TenantSession, source: Receipt | CreditNote, root_id: UUID, rule: AllocationRule) -> Parts:
    amount_minor = left_of(source)
    if amount_minor <= 0:
        return []
    named = source.named_invoice_ids if isinstance(source, Receipt) else []
    debts = await open_debts(session, source, root_id, amount_minor=amount_minor, named=named)
    return spread(rule, amount_minor, debts, day_of_source(source), named)[:MAX_SHARES]


async def open_debts(
    session: TenantSession,
    source: Receipt | CreditNote,
    root_id: UUID,
    *,
    amount_minor: int = 2 * MAX_MINOR,
    named: Sequence[UUID] = (),
    also: Iterable[UUID] = (),
) -> list[Debt]:
    """The open debts that an amount can reach: the oldest until it is used up, those named, and every charge.

    `also` are instalments and charges that are wanted even where nothing is left of them.
    """
    group = (await groups_of(session, [root_id]))[root_id]
    values = {
        "tenant_id": tenant_of(session),
        "debtors": group,
        "creditor_id": source.creditor_id,
        "currency": source.currency,
        "amount": amount_minor,
        "named": list(named),
        "also": list(also),
        "rows": MAX_DEBTS + 1,
    }
    debts = [
        Debt(
            id=row.id, balance_minor=row.balance_minor, due_on=row.due_on, issued_on=row.issued_on,
            invoice_id=row.invoice_id, number=row.number, place=row.place,
        )
        for row in await session.execute(_OPEN, values)
    ]  # fmt: skip
    return debts + [
        Debt(
            id=row.id, balance_minor=row.balance_minor, due_on=row.due_on, issued_on=row.effective_on,
            invoice_id=row.invoice_id, kind=ChargeKind(row.kind), number=row.external_id or "",
        )
        for row in await session.execute(_CHARGES, values)
    ]  # fmt: skip


# `before` is what is owed before those that are as old: where it reaches the amount, nothing is left for them.
_OPEN: Final = text("""
select o.id, o.balance_minor, o.due_on, o.issued_on, o.invoice_id, o.number, o.place from (
  select i.id, i.balance_minor, i.due_on, v.issued_on, i.invoice_id, v.number, i.place,
         sum(i.balance_minor) over (order by i.due_on nulls last, v.issued_on)
         - sum(i.balance_minor) over (partition by i.due_on, v.issued_on) as before
  from app.instalment i
  join app.invoice v on v.tenant_id = i.tenant_id and v.id = i.invoice_id
  where i.tenant_id = :tenant_id and i.debtor_id = any(cast(:debtors as uuid[]))
    and (i.balance_minor > 0 or i.id = any(cast(:also as uuid[])))
    and v.creditor_id = :creditor_id and v.currency = :currency and v.document = 'open'
) o
where o.before < :amount or o.invoice_id = any(cast(:named as uuid[]))
order by o.due_on nulls last, o.issued_on, o.number, o.place limit :rows
""")
_CHARGES: Final = text("""
select c.id, c.balance_minor, c.due_on, c.effective_on, c.invoice_id, c.kind, c.external_id from app.charge c
where c.tenant_id = :tenant_id and c.debtor_id = any(cast(:debtors as uuid[]))
  and (c.balance_minor > 0 or c.id = any(cast(:also as uuid[])))
  and c.creditor_id = :creditor_id and c.currency = :currency
order by c.due_on, c.id limit :rows
""")


async def charge_ids_among(session: TenantSession, target_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these are charges; the others are instalments."""
    wanted = list(target_ids)
    if not wanted:
        return set()
    values = {"tenant_id": tenant_of(session), "ids": wanted}
    return set((await session.execute(_AMONG, values)).scalars())


_AMONG: Final = text(
    "select c.id from app.charge c where c.tenant_id = :tenant_id and c.id = any(cast(:ids as uuid[]))"
)  # bounded: by the ids asked for
