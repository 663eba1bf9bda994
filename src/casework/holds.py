"""Holds: dated reasons not to chase. They are set, changed, released, or end by themselves."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, structs
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from casework import access
from casework.errors import HoldNotOpen
from casework.events import HoldChanged, HoldEnded, HoldReleased, HoldSet
from casework.models import Hold, HoldReason, HoldSource, OnEnd
from casework.tasks import NewTask, open_tasks
from casework.views import HoldView
from kernel import ids
from kernel.text import MAX_NOTE
from receivables import access as receivables
from receivables.changes import copy_to, draft_of, expect, named
from receivables.checking import Faults
from receivables.locks import lock_debtors
from storage.clocks import forget_due, make_due
from storage.events import emit
from storage.registry import ticks
from storage.session import TenantSession, tenant_of

ENDS: Final = "hold.ends"
_COLUMNS: Final = (
    "tenant_id", "id", "version", "debtor_id", "invoice_id", "instalment_id", "amount_minor", "reason", "source",
    "source_id", "note", "starts_at", "ends_at", "on_end", "ended_at", "known_at",
)  # fmt: skip


class NewHold(Struct, frozen=True, kw_only=True):
    """A hold to set on the narrowest of debtor, invoice and instalment that is named."""

    debtor_id: UUID | None = None
    invoice_id: UUID | None = None
    instalment_id: UUID | None = None
    amount_minor: int | None = None  # in the invoice's currency; none holds the whole
    reason: HoldReason = HoldReason.MANUAL
    source: HoldSource = HoldSource.USER
    source_id: UUID | None = None
    note: str | None = None
    starts_at: datetime | None = None  # at once unless given
    ends_at: datetime | None = None
    on_end: OnEnd = OnEnd.RESUME


class HoldChange(Struct, frozen=True, kw_only=True):
    """What changes about a hold."""

    amount_minor: int | UnsetType | None = UNSET
    reason: HoldReason | UnsetType = UNSET
    note: str | UnsetType | None = UNSET
    ends_at: datetime | UnsetType | None = UNSET
    on_end: OnEnd | UnsetType = UNSET


async def set_hold(session: TenantSession, new: NewHold, now: datetime) -> HoldView:
    """Hold a target; a source that has set its hold already gets that one.

    Raises Invalid, DebtorNotFound, InvoiceNotFound, InstalmentNotFound.
    """
    debtor_id, invoice_id = await _target(session, new)
    new = _checked(structs.replace(new, debtor_id=debtor_id, invoice_id=invoice_id), now)
    await lock_debtors(session, [debtor_id])
    row = Hold(tenant_id=tenant_of(session), id=ids.new_id(), version=1, ended_at=None, known_at=now)
    copy_to(row, new, NewHold.__struct_fields__)
    known = await _insert(session, row)
    if known is not None:
        return HoldView.of(known)
    view = HoldView.of(row)
    emit(session, HoldSet(view, None, now))
    if row.ends_at is not None:
        await make_due(session, ENDS, [(row.id, row.ends_at)])
    return view


async def change_hold(
    session: TenantSession, hold_id: UUID, change: HoldChange, now: datetime, *, expected_version: int | None = None
) -> HoldView:
    """Change what the change names; the same again changes nothing. Raises Invalid, HoldNotOpen."""
    hold = await access.hold(session, hold_id, lock=True)
    expect(hold.version, expected_version)
    _refuse_ended(hold, now)
    before = HoldView.of(hold)
    new = _checked(structs.replace(draft_of(NewHold, hold), **named(change)), now)
    copy_to(hold, new, ("amount_minor", "reason", "note", "ends_at", "on_end"))
    if HoldView.of(hold) == before:
        return before
    hold.version += 1
    after = HoldView.of(hold)
    emit(session, HoldChanged(after, before, now))
    if hold.ends_at is not None:
        await make_due(session, ENDS, [(hold.id, hold.ends_at)])
    else:
        await forget_due(session, ENDS, [hold.id])
    return after


async def release(
    session: TenantSession, hold_id: UUID, now: datetime, *, expected_version: int | None = None
) -> HoldView:
    """End the hold now; one that has not begun never begins. Raises HoldNotOpen."""
    hold = await access.hold(session, hold_id, lock=True)
    expect(hold.version, expected_version)
    _refuse_ended(hold, now)
    before = HoldView.of(hold)
    hold.ends_at, hold.ended_at, hold.version = max(now, hold.starts_at), now, hold.version + 1
    after = HoldView.of(hold)
    emit(session, HoldReleased(after, before, now))
    await forget_due(session, ENDS, [hold.id])
    return after


@ticks(ENDS)
async def end_holds(session: TenantSession, object_ids: Sequence[UUID], now: datetime) -> None:
    """Tell of holds whose time has come, and open the tasks that they ask for; run twice, it tells once."""
    rows = await _holds(session, object_ids)
    await lock_debtors(session, {row.debtor_id for row in rows})
    tasks: list[NewTask] = []
    for hold in await _holds(session, object_ids):
        if hold.ended_at is not None or hold.ends_at is None or hold.ends_at > now:
            continue  # released, or moved to a later day, since it came due
        before = HoldView.of(hold)
        hold.ended_at, hold.version = now, hold.version + 1
        emit(session, HoldEnded(HoldView.of(hold), before, hold.ends_at))
        if hold.on_end is OnEnd.TASK:
            tasks.append(_task(hold))
    await open_tasks(session, tasks, now)


async def _target(session: TenantSession, new: NewHold) -> tuple[UUID, UUID | None]:
    """The debtor to lock and the invoice, from the narrowest target that is named."""
    faults = Faults()
    if new.instalment_id is not None:
        line = await receivables.instalment(session, new.instalment_id)
        debtor_id, invoice_id = line.debtor_id, line.invoice_id
    elif new.invoice_id is not None:
        debtor_id, invoice_id = (await receivables.invoice(session, new.invoice_id)).debtor_id, new.invoice_id
    elif new.debtor_id is not None:
        return new.debtor_id, None
    else:
        faults.add("/debtor_id", "required", "name a debtor, an invoice or an instalment")
        faults.stop()
        raise AssertionError
    if new.invoice_id not in {None, invoice_id}:
        faults.add("/invoice_id", "differs", "the instalment is of another invoice")
    if new.debtor_id not in {None, debtor_id}:
        faults.add("/debtor_id", "differs", "the invoice is of another debtor")
    faults.stop()
    return debtor_id, invoice_id


def _checked(new: NewHold, now: datetime) -> NewHold:
    """The hold in our form, with its beginning; its invoice is known by now. Raises Invalid."""
    faults = Faults()
    starts_at = (new.starts_at or now).astimezone(UTC)
    ends_at = None if new.ends_at is None else new.ends_at.astimezone(UTC)
    if new.amount_minor is not None:
        faults.amount("/amount_minor", new.amount_minor, low=1)
        if new.invoice_id is None:
            faults.add("/amount_minor", "without_invoice", "an amount is held on an invoice or an instalment")
    if ends_at is not None and ends_at <= max(now, starts_at):
        faults.add("/ends_at", "not_later", "a hold ends after it starts and after now; release it to end it now")
    clean = structs.replace(new, starts_at=starts_at, ends_at=ends_at, note=faults.lines("/note", new.note, MAX_NOTE))
    faults.stop()
    return clean


def _refuse_ended(hold: Hold, now: datetime) -> None:
    if hold.ended_at is not None or (hold.ends_at is not None and hold.ends_at <= now):
        raise HoldNotOpen


async def _insert(session: TenantSession, row: Hold) -> Hold | None:
    """Write a hold; answers the one that its source has set before instead."""
    values = {name: getattr(row, name) for name in _COLUMNS}
    statement = insert(Hold).values(values).on_conflict_do_nothing().returning(Hold.id)
    if (await session.execute(statement)).scalar_one_or_none() is not None:
        return None
    known = select(Hold).where(
        Hold.tenant_id == row.tenant_id, Hold.source == row.source, Hold.source_id == row.source_id
    )
    return (await session.execute(known)).scalar_one()


async def _holds(session: TenantSession, hold_ids: Sequence[UUID]) -> list[Hold]:
    await session.flush()
    statement = (
        select(Hold)
        .where(Hold.tenant_id == tenant_of(session), Hold.id.in_(hold_ids))
        .order_by(Hold.ends_at, Hold.id)
        .execution_options(populate_existing=True)
    )
    return list(await session.scalars(statement))  # bounded: by the ids asked for


def _task(hold: Hold) -> NewTask:
    return NewTask(
        kind="hold_ended",
        subject_id=hold.id,
        title="A hold has ended: decide how to go on",
        debtor_id=hold.debtor_id,
        invoice_id=hold.invoice_id,
        detail=hold.note,
    )
