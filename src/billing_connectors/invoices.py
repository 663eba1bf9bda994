"""Bring in a batch's invoices: open the new ones, and let the known ones learn what is said of them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec import structs

from billing_connectors import statements
from billing_connectors.batches import Batch, Identity, Item, faults_of
from billing_connectors.comparing import Known
from billing_connectors.merging import (
    Reading,
    Statement,
    facts_of,
    invoice_change,
    is_ledger,
    reading_of,
    with_reading,
)
from kernel import ids
from receivables.changes import named
from receivables.corrections import correct_loaded, draft_from
from receivables.drafts import InvoiceChange, NewInvoice
from receivables.errors import InvoiceNumberTaken
from receivables.invoices import open_invoices
from receivables.models import DocumentState
from receivables.posting import Posting
from receivables.views import InvoiceView


async def bring_invoices(batch: Batch, known: Mapping[Identity, Known]) -> None:
    """Open or correct the batch's open invoices; one whose number was taken meanwhile stays open for another look."""
    items = batch.open_items("invoice")
    kept = await _open(batch, [item for item in items if item.identity not in known])
    kept |= await _correct(batch, {item.place: known[item.identity] for item in items if item.identity in known})
    await statements.keep_documents(batch.session, kept)


async def _open(batch: Batch, items: Sequence[Item]) -> dict[UUID, Statement]:
    kept: dict[UUID, Statement] = {}
    said = [with_reading(Statement(is_origin=True), item.reading_name, reading_of(item.document)) for item in items]
    news = [_new(item, statement) for item, statement in zip(items, said, strict=True)]
    for item, statement, outcome in zip(items, said, await open_invoices(batch.session, news, batch.now), strict=True):
        if outcome.view is not None:
            item.object_id = ids.decode("inv", outcome.view.id)
            kept[item.object_id] = statement
            _warn(item, outcome.view)
            item.settle("imported")
        elif outcome.error is not None and not isinstance(outcome.error, InvoiceNumberTaken):
            item.settle("rejected", outcome.error.code, faults_of(outcome.error))
    return kept


def _new(item: Item, statement: Statement) -> NewInvoice:
    document = item.document
    if item.creditor_id is None or item.debtor_id is None:
        raise RuntimeError("an invoice is brought in after its parties")
    facts = facts_of(statement, document.total_minor)
    return NewInvoice(
        creditor_id=item.creditor_id,
        debtor_id=item.debtor_id,
        number=document.number,
        issued_on=document.issued_on,
        currency=document.currency,
        total_minor=document.total_minor,
        prepaid_minor=facts.settled_minor,
        due_on=facts.due_on,
        due_on_source=facts.due_on_source,
        instalments=facts.instalments,
        purchase_order=facts.purchase_order,
        payment_terms=facts.payment_terms,
        direct_debit_on=facts.direct_debit_on,
        source=facts.source,
        source_rank=facts.source_rank,
    )


async def _correct(batch: Batch, known: Mapping[str, Known]) -> dict[UUID, Statement]:
    """Correct known invoices, by the place of the document that names them; their debtors are locked."""
    items = [item for item in batch.open_items("invoice") if item.place in known]
    if not items:
        return {}
    posting = Posting(batch.session, batch.now)
    await posting.load(invoice_ids=[known[item.place].id for item in items])
    readings = {item.place: _reading(posting, known[item.place].id, item) for item in items}
    items = [item for item in items if not _is_over(posting, known[item.place].id, item)]
    refused = await _apply(posting, items, known, readings)
    again = [item for item in items if item.place in refused]
    for item in again:  # what we have settled ourselves is more than the document leaves room for
        readings[item.place] = structs.replace(readings[item.place], left_minor=None, instalments=())
    refused = await _apply(posting, again, known, readings)
    kept: dict[UUID, Statement] = {}
    for item in items:
        invoice_id = known[item.place].id
        if item.place in refused:
            item.settle("quarantined", "conflicting_amount", refused[item.place])
            continue
        after = _after(known[item.place], item, readings[item.place])
        if after != known[item.place].statement:
            kept[invoice_id] = after
        _warn(item, posting.view(invoice_id))
        changed = item.told or posting.view(invoice_id) != posting.before(invoice_id)
        item.settle("updated" if changed else "unchanged")
    return kept


async def _apply(
    posting: Posting, items: Sequence[Item], known: Mapping[str, Known], readings: Mapping[str, Reading]
) -> dict[str, str]:
    """Write what the readings change; answers the places of those that were refused, with the reason in words."""
    changes: dict[UUID, InvoiceChange] = {}
    for item in items:
        entry = known[item.place]
        draft = draft_from(posting.invoices[entry.id], posting.lines_of(entry.id))
        change = invoice_change(draft, entry.statement, _after(entry, item, readings[item.place]))
        if named(change):
            changes[entry.id] = change
    outcomes = await correct_loaded(posting, changes)
    places = {known[item.place].id: item.place for item in items}
    return {
        places[invoice_id]: faults_of(outcome.error)
        for invoice_id, outcome in outcomes.items()
        if outcome.error is not None
    }


def _after(known: Known, item: Item, reading: Reading) -> Statement:
    return with_reading(known.statement, item.reading_name, reading)


def _reading(posting: Posting, invoice_id: UUID, item: Item) -> Reading:
    row = posting.invoices[invoice_id]
    return reading_of(item.document, allocated_minor=row.total_minor - row.prepaid_minor - row.balance_minor)


def _is_over(posting: Posting, invoice_id: UUID, item: Item) -> bool:
    """A void or written-off invoice stays so, whatever a source still says of it."""
    if posting.invoices[invoice_id].document is DocumentState.OPEN:
        return False
    item.warnings.append("document_not_open")
    item.settle("updated" if item.told else "unchanged")
    return True


def _warn(item: Item, view: InvoiceView) -> None:
    """Name what the document says otherwise than the invoice has it in the end."""
    document = item.document
    left_minor = view.balance_minor if is_ledger(document.format) else view.total_minor - view.prepaid_minor
    if document.amount_due_stated and left_minor != document.amount_due_minor:
        item.warnings.append("amount_due_differs")
    if document.due_on is not None and not document.instalments and view.due_on != document.due_on:
        item.warnings.append("due_date_differs")
