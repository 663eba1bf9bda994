"""Money changes hands: allocations made and undone, balances with them, and the events that tell of both."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import or_, select

from kernel import ids
from receivables import access, ledger
from receivables.errors import (
    AllocationMismatch,
    InstalmentNotFound,
    InvoiceNotFound,
    InvoiceNotOpen,
)
from receivables.events import (
    AllocationMade,
    AllocationUndone,
    CreditNoteAllocated,
    CreditNoteUnallocated,
    InvoicePaymentUpdated,
    InvoiceReopened,
    InvoiceSettled,
    ReceiptAllocated,
    ReceiptUnallocated,
)
from receivables.ledger import Entry
from receivables.merges import roots_of
from receivables.models import Allocation, CreditNote, DocumentState, Instalment, Invoice, Receipt, Reversal
from receivables.views import AllocationView, CreditNoteView, InvoiceView, ReceiptView
from storage.bulk import insert_rows
from storage.events import emit
from storage.session import TenantSession, tenant_of

Source = Receipt | CreditNote
InvoiceEvent = type[InvoicePaymentUpdated] | type[InvoiceSettled] | type[InvoiceReopened]

_COLUMNS: Final = (
    "tenant_id", "id", "version", "receipt_id", "credit_note_id", "invoice_id", "instalment_id", "debtor_id",
    "amount_minor", "undoes_id", "effective_on", "known_at",
)  # fmt: skip


class Posting:
    """What one command does to balances, under the debtors' locks.

    It loads the invoices, changes balances in memory as allocations are made and undone, and at the end writes the
    allocations and tells of each changed object once.
    """

    def __init__(self, session: TenantSession, now: datetime) -> None:
        self.session = session
        self.now = now
        self.invoices: dict[UUID, Invoice] = {}
        self.instalments: dict[UUID, Instalment] = {}
        self.made: list[Allocation] = []
        self.entries: list[Entry] = []
        self._lines: dict[UUID, list[Instalment]] = {}
        self._before: dict[UUID, InvoiceView] = {}
        self._sources: dict[UUID, tuple[Source, ReceiptView | CreditNoteView]] = {}

    async def load(self, *, invoice_ids: Iterable[UUID] = (), instalment_ids: Iterable[UUID] = ()) -> None:
        """Read invoices, by their own ids or an instalment's, each with all its instalments."""
        wanted, lines = set(invoice_ids), set(instalment_ids)
        tenant_id = tenant_of(self.session)
        own = select(Instalment.invoice_id).where(Instalment.tenant_id == tenant_id, Instalment.id.in_(lines))
        statement = (
            select(Invoice)
            .where(Invoice.tenant_id == tenant_id, or_(Invoice.id.in_(wanted), Invoice.id.in_(own)))
            .execution_options(populate_existing=True)
        )
        rows = await self.session.scalars(statement)  # bounded: by the ids asked for
        found = {row.id: row for row in rows if row.id not in self.invoices}
        self._lines |= await access.instalments(self.session, found)
        self.invoices |= found
        for invoice_id, row in found.items():
            self.instalments |= {line.id: line for line in self._lines[invoice_id]}
            self._before[invoice_id] = InvoiceView.of(row, self._lines[invoice_id])
        if wanted - self.invoices.keys():
            raise InvoiceNotFound
        if lines - self.instalments.keys():
            raise InstalmentNotFound

    def lines_of(self, invoice_id: UUID) -> list[Instalment]:
        """The instalments of a loaded invoice, in order."""
        return self._lines[invoice_id]

    def before(self, invoice_id: UUID) -> InvoiceView:
        """An invoice as it was when it was loaded."""
        return self._before[invoice_id]

    def view(self, invoice_id: UUID) -> InvoiceView:
        """An invoice as it is now."""
        return InvoiceView.of(self.invoices[invoice_id], self._lines[invoice_id])

    async def check_targets(self, source: Source, instalment_ids: Iterable[UUID]) -> None:
        """Refuse what the source may not settle: of another creditor, debtor or currency, or no longer open."""
        targets = [self.invoices[self.instalments[each].invoice_id] for each in instalment_ids]
        strangers = {target.debtor_id for target in targets} - {source.debtor_id}
        roots = await roots_of(self.session, {*strangers, source.debtor_id}) if strangers else {}
        for target in targets:
            if (target.creditor_id, target.currency) != (source.creditor_id, source.currency):
                raise AllocationMismatch
            if target.debtor_id in strangers and roots[target.debtor_id] != roots[source.debtor_id]:
                raise AllocationMismatch
            if target.document is not DocumentState.OPEN:
                raise InvoiceNotOpen

    def settle(self, source: Source, instalment_id: UUID, amount_minor: int, effective_on: date) -> None:
        """Use some of a source for an instalment; both have that much, or it is a bug of the caller's."""
        self._watch(source)
        line = self.instalments[instalment_id]
        invoice = self.invoices[line.invoice_id]
        if not 0 < amount_minor <= min(left_of(source), line.balance_minor):
            raise ValueError("neither a source nor a balance falls below nothing")
        self._move(source, line, amount_minor)
        self.made.append(self._row(source, line, amount_minor, max(effective_on, invoice.issued_on), undoes=None))

    def undo(self, source: Source, allocation: Allocation, effective_on: date) -> None:
        """Take one allocation back, to the cent; its invoice is loaded."""
        self._watch(source)
        line = self.instalments[allocation.instalment_id]
        self._move(source, line, -allocation.amount_minor)
        day = max(effective_on, allocation.effective_on)
        self.made.append(self._row(source, line, -allocation.amount_minor, day, undoes=allocation.id))

    def _move(self, source: Source, line: Instalment, amount_minor: int) -> None:
        line.balance_minor -= amount_minor
        self.invoices[line.invoice_id].balance_minor -= amount_minor
        if isinstance(source, Receipt):
            source.unapplied_minor -= amount_minor
        else:
            source.remaining_minor -= amount_minor

    def _row(
        self, source: Source, line: Instalment, amount_minor: int, effective_on: date, *, undoes: UUID | None
    ) -> Allocation:
        return Allocation(
            tenant_id=tenant_of(self.session),
            id=ids.new_id(),
            version=1,
            receipt_id=source.id if isinstance(source, Receipt) else None,
            credit_note_id=source.id if isinstance(source, CreditNote) else None,
            invoice_id=line.invoice_id,
            instalment_id=line.id,
            debtor_id=line.debtor_id,
            amount_minor=amount_minor,
            undoes_id=undoes,
            effective_on=effective_on,
            known_at=self.now,
        )

    def _watch(self, source: Source) -> None:
        if source.id not in self._sources:
            self._sources[source.id] = source, view_of(source)

    async def write(self) -> None:
        """Write the allocations and the ledger's entries; their source is in the database by now."""
        await self.session.flush()
        await ledger.write(self.session, self.entries)
        self.entries.clear()
        rows = [[getattr(row, name) for name in _COLUMNS] for row in self.made]
        await insert_rows(self.session, Allocation, _COLUMNS, rows)

    def tell(self) -> None:
        """One event for each changed object: the sources, the allocations, the invoices whose balance moved."""
        for source, before in self._sources.values():
            self._tell_source(source, before)
        for row in self.made:
            view = AllocationView.of(row, self.invoices[row.invoice_id].currency)
            kind = AllocationMade if row.undoes_id is None else AllocationUndone
            emit(self.session, kind(view, None, self.now))
        for invoice_id in self.invoices:
            self._tell_payment(invoice_id)

    def told(self, object_id: UUID) -> None:
        """The caller has told of this source or invoice itself."""
        self._sources.pop(object_id, None)
        if object_id in self.invoices:
            self._before[object_id] = self.view(object_id)

    def _tell_source(self, source: Source, before: ReceiptView | CreditNoteView) -> None:
        was = before.unapplied_minor if isinstance(before, ReceiptView) else before.remaining_minor
        if left_of(source) == was:
            return
        source.version += 1
        after, less = view_of(source), left_of(source) < was
        if isinstance(before, ReceiptView) and isinstance(after, ReceiptView):
            kind = ReceiptAllocated if less else ReceiptUnallocated
            emit(self.session, kind(after, before, self.now))
        elif isinstance(before, CreditNoteView) and isinstance(after, CreditNoteView):
            kind = CreditNoteAllocated if less else CreditNoteUnallocated
            emit(self.session, kind(after, before, self.now))

    def _tell_payment(self, invoice_id: UUID) -> None:
        row, before = self.invoices[invoice_id], self._before[invoice_id]
        kind = payment_event(before.balance_minor, row.balance_minor)
        if kind is None:
            return
        row.version += 1
        after = self._before[invoice_id] = self.view(invoice_id)
        emit(self.session, kind(after, before, self.now))


def payment_event(was_minor: int, is_minor: int) -> InvoiceEvent | None:
    """What a change of balance means; None when it has not changed."""
    if was_minor == is_minor:
        return None
    if is_minor == 0:
        return InvoiceSettled
    return InvoiceReopened if was_minor == 0 else InvoicePaymentUpdated


def left_of(source: Source) -> int:
    """What a receipt or credit note has left to use."""
    return source.unapplied_minor if isinstance(source, Receipt) else source.remaining_minor


def view_of(source: Source, reversal: Reversal | None = None) -> ReceiptView | CreditNoteView:
    """A receipt or credit note as the world sees it."""
    return ReceiptView.of(source, reversal) if isinstance(source, Receipt) else CreditNoteView.of(source)
