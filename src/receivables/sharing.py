"""Which instalments an amount goes to: the shares that a caller names, or the oldest due first."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import text

from receivables.checking import Faults
from receivables.drafts import Auto, Share
from receivables.errors import ExceedsBalance, NotEnoughLeft
from receivables.merges import groups_of
from receivables.models import CreditNote, Instalment, Receipt
from receivables.posting import Posting, left_of
from receivables.rules import oldest_first
from storage.session import TenantSession, tenant_of

MAX_SHARES: Final = 1_000
Parts = list[tuple[UUID, int]]  # instalment and amount


async def parts_for(
    posting: Posting, source: Receipt | CreditNote, root_id: UUID, shares: Sequence[Share] | Auto
) -> Parts:
    """What each instalment gets, loaded and checked to be the source's to settle.

    Raises Invalid, InvoiceNotFound, InstalmentNotFound, AllocationMismatch, InvoiceNotOpen, NotEnoughLeft,
    ExceedsBalance.
    """
    if shares == "auto":
        parts = await _oldest(posting.session, source, root_id)
        await posting.load(instalment_ids=[instalment_id for instalment_id, _ in parts])
        return parts
    _check(shares)
    if not shares:
        return []
    by_invoice = {share.invoice_id for share in shares if share.invoice_id is not None}
    by_instalment = {share.instalment_id for share in shares if share.instalment_id is not None}
    await posting.load(invoice_ids=by_invoice, instalment_ids=by_instalment)
    parts = _spread(posting, shares)
    await posting.check_targets(source, [instalment_id for instalment_id, _ in parts])
    if sum(amount_minor for _, amount_minor in parts) > left_of(source):
        raise NotEnoughLeft
    for instalment_id, amount_minor in _together(parts).items():
        if amount_minor > posting.instalments[instalment_id].balance_minor:
            raise ExceedsBalance
    return parts


def _together(parts: Parts) -> dict[UUID, int]:
    sums: dict[UUID, int] = {}
    for instalment_id, amount_minor in parts:
        sums[instalment_id] = sums.get(instalment_id, 0) + amount_minor
    return sums


def _check(shares: Sequence[Share]) -> None:
    faults = Faults()
    if len(shares) > MAX_SHARES:
        faults.add("/allocations", "too_many", f"at most {MAX_SHARES} allocations at once")
    for place, share in enumerate(shares):
        faults.amount(f"/allocations/{place}/amount_minor", share.amount_minor, low=1)
        if (share.invoice_id is None) == (share.instalment_id is None):
            faults.add(f"/allocations/{place}", "target", "name one invoice or one instalment")
    faults.stop()


def _spread(posting: Posting, shares: Sequence[Share]) -> Parts:
    """Lay an invoice's share over its instalments; what exceeds them stays on the last, to be refused there."""
    parts: Parts = []
    taken: dict[UUID, int] = {}
    for share in shares:
        if share.instalment_id is not None:
            given = [(share.instalment_id, share.amount_minor)]
        else:
            lines = sorted(posting.lines_of(share.invoice_id or UUID(int=0)), key=_when_due)
            free = [(line.id, line.balance_minor - taken.get(line.id, 0)) for line in lines]
            given = oldest_first(share.amount_minor, free)
            over = share.amount_minor - sum(amount_minor for _, amount_minor in given)
            if over:
                given.append((lines[-1].id, over))
        for instalment_id, amount_minor in given:
            taken[instalment_id] = taken.get(instalment_id, 0) + amount_minor
        parts += given
    return parts


def _when_due(line: Instalment) -> tuple[bool, str, int]:
    return line.due_on is None, "" if line.due_on is None else line.due_on.isoformat(), line.place


async def _oldest(session: TenantSession, source: Receipt | CreditNote, root_id: UUID) -> Parts:
    group = (await groups_of(session, [root_id]))[root_id]
    values = {
        "tenant_id": tenant_of(session),
        "debtors": group,
        "creditor_id": source.creditor_id,
        "currency": source.currency,
        "amount": left_of(source),
        "rows": MAX_SHARES,
    }
    rows = await session.execute(_OLDEST, values)
    return oldest_first(left_of(source), [(row.id, row.balance_minor) for row in rows])


_OLDEST: Final = text("""
select o.id, o.balance_minor from (
  select i.id, i.balance_minor, i.due_on, v.issued_on,
         sum(i.balance_minor) over (order by i.due_on nulls last, v.issued_on, i.id) - i.balance_minor as before
  from app.instalment i
  join app.invoice v on v.tenant_id = i.tenant_id and v.id = i.invoice_id
  where i.tenant_id = :tenant_id and i.debtor_id = any(cast(:debtors as uuid[])) and i.balance_minor > 0
    and v.creditor_id = :creditor_id and v.currency = :currency and v.document = 'open'
) o
where o.before < :amount order by o.due_on nulls last, o.issued_on, o.id limit :rows
""")
