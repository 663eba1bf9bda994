"""Allocations: which money, credit note or write-off settles which debt. Undoing one is a row of its own."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.fields import ID, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.filters import InvoiceFilterId
from kernel import ids
from kernel.cursors import CursorInvalid
from receivables import queries
from receivables.queries import AllocationFilter
from receivables.views import AllocationView
from storage.session import TenantSession

ReceiptFilterId = Annotated[str | None, QueryParameter(name="receipt", pattern=ID)]
CreditNoteFilterId = Annotated[str | None, QueryParameter(name="credit_note", pattern=ID)]
WriteOffFilterId = Annotated[str | None, QueryParameter(name="write_off", pattern=ID)]
ChargeFilterId = Annotated[str | None, QueryParameter(name="charge", pattern=ID)]


class Allocations(Controller):
    """The ledger's entries: append-only."""

    path = "/v1/allocations"
    tags = ["Receipts"]

    @get(operation_id="listAllocations", opt=needs("receipts:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        receipt: ReceiptFilterId = None,
        credit_note: CreditNoteFilterId = None,
        write_off: WriteOffFilterId = None,
        invoice: InvoiceFilterId = None,
        charge: ChargeFilterId = None,
    ) -> PageOf[AllocationView]:
        """List allocations and what undid them, the newest first."""
        wanted = AllocationFilter(
            receipt_id=id_filter(receipt, "receipt", "rcp"),
            credit_note_id=id_filter(credit_note, "credit_note", "crn"),
            write_off_id=id_filter(write_off, "write_off", "wof"),
            invoice_id=id_filter(invoice, "invoice", "inv"),
            charge_id=id_filter(charge, "charge", "chg"),
        )
        rows = await queries.allocations(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("alc", view.id).hex])
