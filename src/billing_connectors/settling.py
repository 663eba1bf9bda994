"""Settle a conflict in one call: one side is kept, or both are, or two debtors become one; then the document comes in.

The import's own pipeline brings the document in, so that what follows is what would have followed had there been no
conflict. Where the sides would still contradict each other nothing is written.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import Struct, structs
from sqlalchemy import text

from billing_connectors import disagreeing, recording
from billing_connectors.batches import Batch, Item
from billing_connectors.disagreeing import TABLE, Came, KnownSide, Sides
from billing_connectors.documents.canonical import MAX_ID, Document
from billing_connectors.errors import ConflictNotFound, ConflictNotOpen, ConflictUnresolved
from billing_connectors.legal_ids import stated_by
from billing_connectors.models import ConflictRow, ConflictState, ImportedDocument
from billing_connectors.recording import ACCEPTED, Origin
from billing_connectors.views import ConflictDetail, ConflictField, ConflictSide, ConflictView
from kernel import ids
from kernel.errors import Fault, Invalid
from receivables import access, links, merging
from receivables.changes import expect
from receivables.corrections import update_invoice, void_invoice
from receivables.credit_notes import update_credit_note, void_credit_note
from receivables.drafts import CreditNoteChange, InvoiceChange
from receivables.errors import AmountBelowAllocated, CreditNoteNotOpen, InvoiceNotOpen
from receivables.events import CreditNoteUpdated, InvoiceUpdated
from receivables.identifiers import DEBTORS, owners
from receivables.links import Link
from receivables.merges import roots_of
from receivables.models import CreditNote, DocumentState, Invoice, VoidReason
from receivables.views import CreditNoteView, InvoiceView
from storage.blobs import PostgresBlobs
from storage.encryption import KeyRing, place_of
from storage.events import emit
from storage.session import TenantSession, tenant_of

Keep = Literal["known", "incoming", "both_distinct", "merge_debtors"]
MAX_BULK: Final = 100
MAX_SUFFIX: Final = 99


class Resolution(Struct, frozen=True, kw_only=True):
    """How a conflict is settled."""

    keep: Keep
    debtor_id: UUID | None = None  # who the buyer is, where that is the question
    number: str | None = None  # of both_distinct: what the incoming document is called here
    force: bool = False  # of merge_debtors: although their legal ids contradict each other


async def read(session: TenantSession, keys: KeyRing, conflict_id: UUID) -> ConflictDetail:
    """Both sides of a conflict, field by field. Raises ConflictNotFound."""
    row = await _one(session, conflict_id)
    sides = await _sides(session, keys, row)
    view = ConflictView.of(row)
    if sides is None:
        return ConflictDetail(conflict=view, known=None, incoming=None, fields=(), candidates=())
    incoming = await session.get(ImportedDocument, (row.tenant_id, row.document_id))
    line = int(row.place) if row.place else None
    document, known = sides.document, sides.known
    return ConflictDetail(
        conflict=view,
        known=None
        if known is None
        else ConflictSide(
            source=known.source,
            document_id=None if known.document_id is None else ids.encode("doc", known.document_id),
            line=None,
            stated_on=known.issued_on,
            known_at=known.known_at,
        ),
        incoming=ConflictSide(
            source=document.format,
            document_id=ids.encode("doc", row.document_id),
            line=line,
            stated_on=document.issued_on,
            known_at=None if incoming is None else incoming.recorded_at,
        ),
        fields=_fields(document, known),
        candidates=tuple(ids.encode("dbt", each) for each in sides.candidates),
    )


def _fields(document: Document, known: KnownSide | None) -> tuple[ConflictField, ...]:
    theirs = {
        "number": document.number,
        "issued_on": document.issued_on.isoformat(),
        "due_on": None if document.due_on is None else document.due_on.isoformat(),
        "currency": document.currency,
        "total_minor": str(document.total_minor),
        "left_minor": str(document.amount_due_minor) if document.amount_due_stated else None,
        "debtor_name": document.buyer.name or None,
        "debtor_ids": " ".join(f"{one.scheme}:{one.value}" for one in stated_by(document.buyer)) or None,
    }
    ours = dict.fromkeys(theirs)
    if known is not None:
        ours = {
            "number": known.number,
            "issued_on": known.issued_on.isoformat(),
            "due_on": None if known.due_on is None else known.due_on.isoformat(),
            "currency": known.currency,
            "total_minor": str(known.total_minor),
            "left_minor": str(known.left_minor),
            "debtor_name": known.debtor_name or None,
            "debtor_ids": " ".join(f"{one.scheme}:{one.value}" for one in known.debtor_ids) or None,
        }
    return tuple(
        ConflictField(
            name=name,
            known=ours[name],
            incoming=value,
            differs=known is not None and None not in {ours[name], value} and ours[name] != value,
        )
        for name, value in theirs.items()
    )


async def resolve(  # the options by name
    session: TenantSession,
    keys: KeyRing,
    conflict_id: UUID,
    how: Resolution,
    now: datetime,
    *,
    expected_version: int | None = None,
) -> ConflictView:
    """Settle one conflict.

    Raises Invalid, ConflictNotFound, ConflictNotOpen, ConflictUnresolved, DebtorNotFound, and for merge_debtors what
    merging raises.
    """
    await recording.serialise(session)  # as every import does, before any debtor is locked
    (row,) = await disagreeing.load(session, [conflict_id], lock=True) or [None]
    if row is None:
        raise ConflictNotFound
    expect(row.version, expected_version)
    if row.state is not ConflictState.OPEN:
        raise ConflictNotOpen
    sides = await _sides(session, keys, row)
    if sides is None:
        raise ConflictUnresolved("what the document said has been erased")
    if how.keep == "known":
        await _set_aside(session, row, sides)
    else:
        item = await _prepared(session, row, sides, how, now)
        await _bring_in(Batch(session, keys, now, [item]), row, sides.came)
        if how.keep == "both_distinct" and row.object_id is not None and item.object_id is not None:
            await _lead(session, row, sides, item.object_id)
    if row.state is ConflictState.OPEN:  # the pipeline has closed it where it took the document by its own name
        return await disagreeing.resolve_row(session, row, how.keep, now)
    row.resolution = how.keep
    return ConflictView.of(row)


async def resolve_many(
    session: TenantSession,
    keys: KeyRing,
    conflict_ids: Sequence[UUID],
    keep: Literal["known", "incoming"],
    now: datetime,
) -> list[ConflictView]:
    """Settle conflicts alike, all of them or none. Raises what resolve raises."""
    return [await resolve(session, keys, each, Resolution(keep=keep), now) for each in conflict_ids]


async def _one(session: TenantSession, conflict_id: UUID) -> ConflictRow:
    found = await disagreeing.load(session, [conflict_id])
    if not found:
        raise ConflictNotFound
    return found[0]


async def _sides(session: TenantSession, keys: KeyRing, row: ConflictRow) -> Sides | None:
    """Both sides, unless their key was destroyed."""
    wanted = (row.tenant_id, row.id, row.key_version)
    key = (await keys.of_versions(session, [wanted])).get(wanted)
    return (
        None
        if key is None
        else msgspec.json.decode(key.open(row.sealed, place_of(row.tenant_id, TABLE, row.id)), type=Sides)
    )


async def _set_aside(session: TenantSession, row: ConflictRow, sides: Sides) -> None:
    """The known side is right: the document, and an export that goes on saying the same, say nothing any more."""
    values = {"tenant_id": row.tenant_id, "id": row.document_id, "status": recording.SET_ASIDE}
    await session.execute(_MARK, values)
    if row.object_id is not None and row.place:
        await _lead(session, row, sides, row.object_id)


_MARK: Final = text("update app.imported_document set status = :status where tenant_id = :tenant_id and id = :id")


async def _lead(session: TenantSession, row: ConflictRow, sides: Sides, object_id: UUID) -> None:
    """From now on the document's name in its source leads to this object; its present content is known."""
    name = f"{row.creditor_id}/{sides.document.issued_on.year}/{sides.document.number}"
    known = await links.linked(session, row.source, row.kind, [name])
    if name not in known or known[name].object_id == object_id or known[name].object_id != row.object_id:
        await links.link(session, row.source, row.kind, [Link(name, object_id, sides.said)])


async def _prepared(session: TenantSession, row: ConflictRow, sides: Sides, how: Resolution, now: datetime) -> Item:
    """The document on its way in, with nothing left of what it contradicts."""
    item = Item(place=row.place, document=sides.document, said=sides.said)
    item.belong_to(row.creditor_id)
    if how.debtor_id is not None:
        item.chosen_debtor_id = (await access.debtor(session, how.debtor_id)).id
    if how.keep == "both_distinct":
        await _tell_apart(session, row, item, how.number)
    elif how.keep == "merge_debtors":
        item.chosen_debtor_id = await _merge(session, row, sides, now, force=how.force)
    elif row.reason == "debtor_ambiguous" and how.debtor_id is None:
        fault = Fault(pointer="/debtor_id", code="required", message="say which debtor the buyer is")
        raise Invalid(errors=[fault])
    elif row.object_id is not None:
        await _give_way(session, row, sides.document, now)
    return item


async def _tell_apart(session: TenantSession, row: ConflictRow, item: Item, number: str | None) -> None:
    """Two documents, or two debtors: the incoming one gets a number, or a debtor, of its own."""
    item.is_itself = True
    if row.object_id is None:
        item.is_new_debtor = item.chosen_debtor_id is None
        return
    number = number or await _free_number(session, row, item.document)
    if number == row.number:
        raise Invalid(errors=[Fault(pointer="/number", code="taken", message="the known document has this number")])
    item.document = structs.replace(item.document, number=number)
    item.belong_to(row.creditor_id)


async def _merge(session: TenantSession, row: ConflictRow, sides: Sides, now: datetime, *, force: bool) -> UUID:
    """Make those one of whom the buyer may be any; the eldest stays the root. Answers whom the document is of."""
    found = set(sides.candidates)
    if row.debtor_id is not None:
        named = await owners(session, DEBTORS, stated_by(sides.document.buyer))
        found |= {row.debtor_id, *named.values()}
    roots = sorted(set((await roots_of(session, found)).values()))
    if not roots or (len(roots) == 1 and row.debtor_id is None):
        raise ConflictUnresolved("there are no two debtors to be merged")
    for member in roots[1:]:
        await merging.merge(session, member, roots[0], now, force=force)
    return row.debtor_id or roots[0]


async def _give_way(session: TenantSession, row: ConflictRow, document: Document, now: datetime) -> None:
    """Change or replace the known document, so that nothing of it contradicts the incoming one."""
    if row.object_id is None:
        return
    is_invoice = row.kind == "invoice"
    load = access.invoice if is_invoice else access.credit_note
    known = await load(session, row.object_id, lock=True)
    try:
        if row.reason in {"conflicting_debtor", "conflicting_names"} or known.currency != document.currency:
            await _replace(session, known, now)
        elif known.total_minor != document.total_minor:
            if isinstance(known, Invoice):
                await update_invoice(session, known.id, InvoiceChange(total_minor=document.total_minor), now)
            else:
                await update_credit_note(session, known.id, CreditNoteChange(total_minor=document.total_minor), now)
    except (AmountBelowAllocated, InvoiceNotOpen, CreditNoteNotOpen) as refusal:
        raise ConflictUnresolved(refusal.title()) from refusal
    await session.flush()


async def _replace(session: TenantSession, known: Invoice | CreditNote, now: datetime) -> None:
    """Void the known document and let it step aside: a number is one document's, and this one's is the other's."""
    if known.document is not DocumentState.OPEN:
        raise InvoiceNotOpen if isinstance(known, Invoice) else CreditNoteNotOpen
    number = await _free(session, known, known.number)
    if isinstance(known, Invoice):
        lines = (await access.instalments(session, [known.id]))[known.id]
        before = InvoiceView.of(known, lines)
        known.number, known.version = number, known.version + 1
        emit(session, InvoiceUpdated(InvoiceView.of(known, lines), before, now))
        await session.flush()
        await void_invoice(session, known.id, VoidReason.REPLACED, now)
    else:
        was = CreditNoteView.of(known)
        known.number, known.version = number, known.version + 1
        emit(session, CreditNoteUpdated(CreditNoteView.of(known), was, now))
        await session.flush()
        await void_credit_note(session, known.id, VoidReason.REPLACED, now)


async def _free_number(session: TenantSession, row: ConflictRow, document: Document) -> str:
    if row.object_id is None:
        return document.number
    load = access.invoice if row.kind == "invoice" else access.credit_note
    return await _free(session, await load(session, row.object_id), document.number)


async def _free(session: TenantSession, known: Invoice | CreditNote, number: str) -> str:
    """A number beside another one that no document of the creditor bears in that year: F-1~2."""
    tries = [f"{number[: MAX_ID - 3]}~{place}" for place in range(2, MAX_SUFFIX + 1)]
    table = "invoice" if isinstance(known, Invoice) else "credit_note"
    values = {
        "tenant_id": tenant_of(session),
        "creditor_id": known.creditor_id,
        "year": known.issue_year,
        "numbers": tries,
    }
    taken = set((await session.execute(_TAKEN[table], values)).scalars())
    free = next((each for each in tries if each not in taken), None)
    if free is None:
        raise ConflictUnresolved("too many documents of one number")
    return free


_NUMBERS: Final = """
select v.number from app.{table} v where v.tenant_id = :tenant_id and v.creditor_id = :creditor_id
  and v.issue_year = :year and v.number = any(cast(:numbers as text[]))
"""
_TAKEN: Final = {  # bounded: by the numbers asked for
    table: text(_NUMBERS.replace("{table}", table)) for table in ("invoice", "credit_note")
}


async def _bring_in(batch: Batch, row: ConflictRow, came: Came) -> None:
    """Let the document in by the import's own way. Raises ConflictUnresolved where it would be quarantined again."""
    origin = Origin(
        digest=came.digest, content=b"", is_export=bool(row.place), blob_id=came.blob_id, id=came.id,
        import_id=came.import_id,
    )  # fmt: skip
    await recording.bring_in(batch, origin, PostgresBlobs(batch.keys))
    (item,) = batch.items
    if item.status not in ACCEPTED:
        raise ConflictUnresolved(f"{item.reason}: {item.detail}" if item.detail else item.reason or "")
    values = {"tenant_id": row.tenant_id, "id": row.document_id, "status": item.status}
    await batch.session.execute(_MARK, values)  # a row of an export that says nothing new has no row written for it
