"""Bring in a batch's credit notes, as invoices are: what is left of one settles the invoices that it names."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from billing_connectors import references, statements
from billing_connectors.batches import Batch, Identity, Item, faults_of
from billing_connectors.comparing import Known
from billing_connectors.documents.canonical import Preceding
from billing_connectors.merging import (
    Statement,
    credit_note_change,
    facts_of,
    is_ledger,
    reading_of,
    references_of,
    with_reading,
)
from kernel import ids
from receivables import access
from receivables.changes import named
from receivables.credit_notes import create_credit_notes, update_credit_note
from receivables.drafts import NewCreditNote
from receivables.errors import AmountBelowAllocated, CreditNoteNumberTaken
from receivables.models import DocumentState
from receivables.views import CreditNoteView


async def bring_credit_notes(batch: Batch, known: Mapping[Identity, Known]) -> None:
    """Record or correct the batch's open credit notes; one whose number was taken meanwhile stays open."""
    items = batch.open_items("credit_note")
    kept = await _create(batch, [item for item in items if item.identity not in known])
    for item in items:
        if item.identity in known:
            kept |= await _correct(batch, item, known[item.identity])
    await statements.keep_documents(batch.session, kept)


async def _create(batch: Batch, items: Sequence[Item]) -> dict[UUID, Statement]:
    kept: dict[UUID, Statement] = {}
    said = [with_reading(Statement(is_origin=True), item.reading_name, reading_of(item.document)) for item in items]
    news = [_new(item, statement) for item, statement in zip(items, said, strict=True)]
    outcomes = await create_credit_notes(batch.session, news, batch.now)
    for item, statement, outcome in zip(items, said, outcomes, strict=True):
        if outcome.view is not None:
            item.object_id = ids.decode("crn", outcome.view.id)
            kept[item.object_id] = statement
            item.settle("imported")
        elif outcome.error is not None and not isinstance(outcome.error, CreditNoteNumberTaken):
            item.settle("rejected", outcome.error.code, faults_of(outcome.error))
    await references.expect(batch.session, {note_id: references_of(statement) for note_id, statement in kept.items()})
    return kept


def _new(item: Item, statement: Statement) -> NewCreditNote:
    document = item.document
    if item.creditor_id is None or item.debtor_id is None:
        raise RuntimeError("a credit note is brought in after its parties")
    facts = facts_of(statement, document.total_minor)
    return NewCreditNote(
        creditor_id=item.creditor_id,
        debtor_id=item.debtor_id,
        number=document.number,
        issued_on=document.issued_on,
        currency=document.currency,
        total_minor=document.total_minor,
        used_minor=facts.settled_minor,
        source=facts.source,
        source_rank=facts.source_rank,
    )


async def _correct(batch: Batch, item: Item, known: Known) -> dict[UUID, Statement]:
    row = await access.credit_note(batch.session, known.id, lock=True)
    if row.document is not DocumentState.OPEN:
        item.warnings.append("document_not_open")
        item.settle("updated" if item.told else "unchanged")
        return {}
    allocated_minor = row.total_minor - row.used_minor - row.remaining_minor
    reading = reading_of(item.document, allocated_minor=allocated_minor)
    after = with_reading(known.statement, item.reading_name, reading)
    change = credit_note_change(row, known.statement, after)
    view = CreditNoteView.of(row)
    if named(change):
        try:
            view = await update_credit_note(batch.session, known.id, change, batch.now)
        except AmountBelowAllocated:  # raised before anything was written
            item.warnings.append("amount_due_differs")
            item.settle("updated" if item.told else "unchanged")
            return {}
        item.told = item.told or bool(named(change))
    _warn(item, view)
    item.settle("updated" if item.told else "unchanged")
    new = references_of(after) - references_of(known.statement) if known.statement.is_origin else set[Preceding]()
    await references.expect(batch.session, {known.id: new})
    return {known.id: after} if after != known.statement else {}


def _warn(item: Item, view: CreditNoteView) -> None:
    document = item.document
    left_minor = view.remaining_minor if is_ledger(document.format) else view.total_minor - view.used_minor
    if document.amount_due_stated and left_minor != document.amount_due_minor:
        item.warnings.append("amount_due_differs")
