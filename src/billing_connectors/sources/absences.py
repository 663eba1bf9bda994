"""What follows when a document is in its source no more, and when it comes back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs

from billing_connectors.sources.models import Absence
from billing_connectors.sources.ports import Gone
from billing_connectors.sources.records import Known, Name
from casework import access as cases
from casework.holds import NewHold, release, set_hold
from casework.models import HoldReason, HoldSource
from casework.tasks import NewTask, open_tasks
from kernel import ids
from receivables import access
from receivables.corrections import void_invoice
from receivables.models import DocumentState, VoidReason
from storage.session import TenantSession

_TITLES: Final = {
    Absence.DELETED: "was deleted in its source: void it, or chase it on",
    Absence.MERGED: "was merged with another document in its source: void it, or chase it on",
    Absence.GONE: "is no longer found in its source: void it, or chase it on",
    Absence.UNAUTHORISED_SCOPE: "can no longer be read in its source: connect it again, or release the hold",
}


async def left(session: TenantSession, gone: Mapping[Name, tuple[Gone, Known]], now: datetime) -> dict[Name, Known]:
    """Void what its source has voided; hold anything else that is owed, and ask. Answers what is to be kept."""
    kept: dict[Name, Known] = {}
    for name, (each, before) in gone.items():
        after = structs.replace(
            before, absence=each.absence, revision=each.revision if each.revision is not None else before.revision
        )
        if before.object_id is not None and before.absence is None and each.kind == "invoice":
            after = structs.replace(after, hold_id=await _stop(session, before.object_id, each.absence, now))
        kept[name] = after
    return kept


async def _stop(session: TenantSession, invoice_id: UUID, absence: Absence, now: datetime) -> UUID | None:
    """Nobody is chased for it; answers the hold that says so."""
    invoice = await access.invoice(session, invoice_id, lock=True)
    if invoice.document is not DocumentState.OPEN:
        return None
    if absence is Absence.VOIDED:
        await void_invoice(session, invoice_id, VoidReason.CANCELLED, now)
        return None
    if invoice.balance_minor == 0:
        return None
    new = NewHold(
        invoice_id=invoice_id, reason=HoldReason.DATA_ERROR, source=HoldSource.IMPORT, source_id=ids.new_id(),
        note=absence.value,
    )  # fmt: skip
    hold = await set_hold(session, new, now)
    task = NewTask(
        kind="invoice_gone", subject_id=invoice_id, invoice_id=invoice_id, debtor_id=invoice.debtor_id,
        title=f"Invoice {invoice.number} {_TITLES[absence]}",
    )  # fmt: skip
    await open_tasks(session, [task], now)
    return ids.decode("hld", hold.id)


async def returned(session: TenantSession, back: Mapping[Name, Known], now: datetime) -> dict[Name, Known]:
    """Documents that are in their source again are chased again."""
    kept: dict[Name, Known] = {}
    for name, row in back.items():
        if row.hold_id is not None and (await cases.hold(session, row.hold_id)).ended_at is None:
            await release(session, row.hold_id, now)
        kept[name] = structs.replace(row, hold_id=None)
    return kept
