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
    ChargeNotFound,
    InstalmentNotFound,
    InvoiceNotFound,
    InvoiceNotOpen,
)
from receivables.events import (
    AllocationMade,
    AllocationUndone,
    ChargePaymentUpdated,
    CreditNoteAllocated,
    CreditNoteUnallocated,
    InvoicePaymentUpdated,
    InvoiceReopened,
    InvoiceSettled,
    ReceiptAllocated,
    ReceiptUnallocated,
)
from receivables.ledger import Charge, Entry, WriteOff
from receivables.ledger_views import ChargeView
from receivables.merges import roots_of
from receivables.models import Allocation, AllocationRule, CreditNote, DocumentState, Instalment, Invoice, Receipt
from receivables.views import AllocationView, CreditNoteView, InvoiceView, ReceiptView
from storage.bulk import insert_rows
from storage.events import emit
from storage.session import TenantSession, tenant_of

Source = Receipt | CreditNote | WriteOff
Target = Instalment | Charge
InvoiceEvent = type[InvoicePaymentUpdated] | type[InvoiceSettled] | type[InvoiceReopened]

_COLUMNS: Final = (
    "tenant_id", "id", "version", "receipt_id", "credit_note_id", "write_off_id", "invoice_id", "instalment_id",
    "charge_id", "debtor_id", "amount_minor", "undoes_id", "rule", "effective_on", "known_at",
)  # fmt: skip


class Posting:
    """What one command does to balances, under the debtors' locks.

    It loads invoices and charges, changes balances in memory as allocations are made and undone, and at the end
    writes the allocations and the ledger's entries and tells of each changed object once.
    """

    def __init__(self, session: TenantSession, now: datetime, *, changes: bool = True) -> None:
        """With `changes=False` it is only for looking: what was before is not kept."""
        self.session = session
        self.now = now
        self._changes = changes
        self.invoices: dict[UUID, Invoice] = {}
        self.instalments: dict[UUID, Instalment] = {}
        self.charges: dict[UUID, Charge] = {}
        self.made: list[Allocation] = []
        self.entries: list[Entry] = []
        self.given_up: list[WriteOff] = []  # written with the rest: what they name may not be there before
        self._lines: dict[UUID, list[Instalment]] = {}
        self._before: dict[UUID, InvoiceView] = {}
        self._charged: dict[UUID, ChargeView] = {}
        self._sources: dict[UUID, tuple[Receipt | CreditNote, ReceiptView | CreditNoteView]] = {}

    async def load(
        self,
        *,
        invoice_ids: Iterable[UUID] = (),
        instalment_ids: Iterable[UUID] = (),
        charge_ids: Iterable[UUID] = (),
    ) -> None:
        """Read invoices, by their own ids or an instalment's, each with all its instalments; and charges."""
        wanted, lines, charges = set(invoice_ids), set(instalment_ids), set(charge_ids)
        if (wanted - self.invoices.keys()) or (lines - self.instalments.keys()):
            await self._load_invoices(wanted, lines)
        if charges - self.charges.keys():
            await self._load_charges(charges)
        if wanted - self.invoices.keys():
            raise InvoiceNotFound
        if lines - self.instalments.keys():
            raise InstalmentNotFound
        if charges - self.charges.keys():
            raise ChargeNotFound

    async def _load_invoices(self, wanted: set[UUID], lines: set[UUID]) -> None:
        tenant_id = tenant_of(self.session)
        own = select(Instalment.invoice_id).where(Instalment.tenant_id == tenant_id, Instalment.id.in_(lines))
        named = or_(Invoice.id.in_(wanted), Invoice.id.in_(own)) if lines else Invoice.id.in_(wanted)
        statement = (
            select(Invoice)
            .where(Invoice.tenant_id == tenant_id, named, Invoice.id.not_in(self.invoices.keys()))
            .execution_options(populate_existing=True)
        )
        found = {row.id: row for row in await self.session.scalars(statement)}  # bounded: by the ids asked for
        self._lines |= await access.instalments(self.session, found)
        self.invoices |= found
        for invoice_id, row in found.items():
            self.instalments |= {line.id: line for line in self._lines[invoice_id]}
            if self._changes:
                self._before[invoice_id] = InvoiceView.of(row, self._lines[invoice_id])

    async def _load_charges(self, wanted: set[UUID]) -> None:
        missing = wanted - self.charges.keys()
        statement = (
            select(Charge)
            .where(Charge.tenant_id == tenant_of(self.session), Charge.id.in_(missing))
            .execution_options(populate_existing=True)
        )
        for row in await self.session.scalars(statement):  # bounded: by the ids asked for
            self.charges[row.id] = row
            self._charged[row.id] = ChargeView.of(row)

    def lines_of(self, invoice_id: UUID) -> list[Instalment]:
        """The instalments of a loaded invoice, in order."""
        return self._lines[invoice_id]

    def before(self, invoice_id: UUID) -> InvoiceView:
        """An invoice as it was when it was loaded."""
        return self._before[invoice_id]

    def view(self, invoice_id: UUID) -> InvoiceView:
        """An invoice as it is now."""
        return InvoiceView.of(self.invoices[invoice_id], self._lines[invoice_id])

    def target(self, target_id: UUID) -> Target:
        """A loaded instalment or charge."""
        return self.instalments.get(target_id) or self.charges[target_id]

    async def check_targets(self, source: Source, target_ids: Iterable[UUID]) -> None:
        """Refuse what the source may not settle: of another creditor, debtor or currency, or no longer open."""
        targets = await self.check_owners(source, target_ids)
        if any(isinstance(target, Invoice) and target.document is not DocumentState.OPEN for target in targets):
            raise InvoiceNotOpen

    async def check_owners(self, source: Source, target_ids: Iterable[UUID]) -> list[Invoice | Charge]:
        """Refuse what is of another creditor, debtor or currency than the source."""
        targets: list[Invoice | Charge] = [
            self.charges.get(each) or self.invoices[self.instalments[each].invoice_id] for each in target_ids
        ]
        strangers = {target.debtor_id for target in targets} - {source.debtor_id}
        roots = await roots_of(self.session, {*strangers, source.debtor_id}) if strangers else {}
        for target in targets:
            if (target.creditor_id, target.currency) != (source.creditor_id, source.currency):
                raise AllocationMismatch
            if target.debtor_id in strangers and roots[target.debtor_id] != roots[source.debtor_id]:
                raise AllocationMismatch
        return targets

    def settle(
        self,
        source: Source,
        target_id: UUID,
        amount_minor: int,
        effective_on: date,
        *,
        rule: AllocationRule | None = None,
    ) -> None:
        """Use some of a source for an instalment or charge; both have that much, or it is a bug of the caller's."""
        self._watch(source)
        target = self.target(target_id)
        if not 0 < amount_minor <= min(left_of(source), target.balance_minor):
            raise ValueError("neither a source nor a balance falls below nothing")
        self._move(source, target, amount_minor)
        day = max(effective_on, self.first_day(target))
        self.made.append(self._row(source, target, amount_minor, day, rule=rule))

    def first_day(self, target: Target) -> date:
        """The day from which an instalment or charge is owed: nothing settles it before."""
        return target.effective_on if isinstance(target, Charge) else self.invoices[target.invoice_id].issued_on

    def undo(self, source: Source, allocation: Allocation, effective_on: date) -> None:
        """Take one allocation back, to the cent; what it settled is loaded."""
        self._watch(source)
        target = self.target(allocation.instalment_id or allocation.charge_id or allocation.id)
        self._move(source, target, -allocation.amount_minor)
        day = max(effective_on, allocation.effective_on)
        row = self._row(source, target, -allocation.amount_minor, day, rule=allocation.rule)
        row.undoes_id = allocation.id
        self.made.append(row)

    def _move(self, source: Source, target: Target, amount_minor: int) -> None:
        target.balance_minor -= amount_minor
        if isinstance(target, Instalment):
            invoice = self.invoices[target.invoice_id]
            invoice.balance_minor -= amount_minor
            if amount_minor < 0 and invoice.document is DocumentState.WRITTEN_OFF:
                invoice.document = DocumentState.OPEN  # something is owed again: it is no longer given up as a whole
        if isinstance(source, Receipt):
            source.unapplied_minor -= amount_minor
        elif isinstance(source, CreditNote):
            source.remaining_minor -= amount_minor

    def _row(
        self, source: Source, target: Target, amount_minor: int, effective_on: date, *, rule: AllocationRule | None
    ) -> Allocation:
        return Allocation(
            tenant_id=tenant_of(self.session),
            id=ids.new_id(),
            version=1,
            receipt_id=source.id if isinstance(source, Receipt) else None,
            credit_note_id=source.id if isinstance(source, CreditNote) else None,
            write_off_id=source.id if isinstance(source, WriteOff) else None,
            invoice_id=target.invoice_id if isinstance(target, Instalment) else None,
            instalment_id=target.id if isinstance(target, Instalment) else None,
            charge_id=target.id if isinstance(target, Charge) else None,
            debtor_id=target.debtor_id,
            amount_minor=amount_minor,
            undoes_id=None,
            rule=rule,
            effective_on=effective_on,
            known_at=self.now,
        )

    def _watch(self, source: Source) -> None:
        if not isinstance(source, WriteOff) and source.id not in self._sources:
            self._sources[source.id] = source, view_of(source)

    async def write(self) -> None:
        """Write the allocations and the ledger's entries; what they name is in the database by now."""
        self.session.add_all(self.given_up)
        await self.session.flush()
        await ledger.write(self.session, self.entries)
        rows = [[getattr(row, name) for name in _COLUMNS] for row in self.made]
        await insert_rows(self.session, Allocation, _COLUMNS, rows)
        self.entries.clear()
        self.made.clear()
        self.given_up.clear()

    def tell(self) -> None:
        """One event for each changed object: the sources, the allocations, the debts whose balance moved."""
        for source, before in self._sources.values():
            self._tell_source(source, before)
        for row in self.made:
            view = AllocationView.of(row, self._currency(row))
            kind = AllocationMade if row.undoes_id is None else AllocationUndone
            emit(self.session, kind(view, None, self.now))
        for invoice_id in self.invoices:
            self._tell_payment(invoice_id)
        for charge_id, charge in self.charges.items():
            self._tell_charge(charge_id, charge)

    def told(self, object_id: UUID) -> None:
        """The caller has told of this source, invoice or charge itself."""
        self._sources.pop(object_id, None)
        if object_id in self.invoices:
            self._before[object_id] = self.view(object_id)
        if object_id in self.charges:
            self._charged[object_id] = ChargeView.of(self.charges[object_id])

    def _currency(self, row: Allocation) -> str:
        charge = self.charges.get(row.charge_id) if row.charge_id is not None else None
        return charge.currency if charge is not None else self.invoices[row.invoice_id or row.id].currency

    def _tell_source(self, source: Receipt | CreditNote, before: ReceiptView | CreditNoteView) -> None:
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
            if self._lines_of_view(before) == {line.id: line.balance_minor for line in self._lines[invoice_id]}:
                return
            kind = InvoicePaymentUpdated  # the same in all, laid out otherwise over its instalments
        row.version += 1
        after = self._before[invoice_id] = self.view(invoice_id)
        emit(self.session, kind(after, before, self.now))

    def _lines_of_view(self, view: InvoiceView) -> dict[UUID, int]:
        shown = {ids.decode("ins", line.id): line.balance_minor for line in view.instalments}
        return {line.id: shown.get(line.id, 0) for line in self._lines[ids.decode("inv", view.id)]}

    def _tell_charge(self, charge_id: UUID, charge: Charge) -> None:
        before = self._charged[charge_id]
        if before.balance_minor == charge.balance_minor:
            return
        charge.version += 1
        after = self._charged[charge_id] = ChargeView.of(charge)
        emit(self.session, ChargePaymentUpdated(after, before, self.now))


def payment_event(was_minor: int, is_minor: int) -> InvoiceEvent | None:
    """What a change of balance means; None when it has not changed."""
    if was_minor == is_minor:
        return None
    if is_minor == 0:
        return InvoiceSettled
    return InvoiceReopened if was_minor == 0 else InvoicePaymentUpdated


def left_of(source: Source) -> int:
    """What a receipt or credit note has left to use; a write-off is as large as what it settles."""
    if isinstance(source, Receipt):
        return source.unapplied_minor
    return source.remaining_minor if isinstance(source, CreditNote) else source.amount_minor


def view_of(source: Receipt | CreditNote) -> ReceiptView | CreditNoteView:
    """A receipt or credit note as the world sees it."""
    return ReceiptView.of(source) if isinstance(source, Receipt) else CreditNoteView.of(source)
