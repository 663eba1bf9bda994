"""Write-offs: debts that are given up, and asked for again when that is reversed."""

from datetime import date, datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api.fields import IdText, Note, PositiveMinor, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import Problem, problem_of, problems
from api.resources import ApiSettings
from api.routes import needs
from api.v1.filters import CreditorFilter, DebtorFilter, InvoiceFilterId
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables import access, lists
from receivables.drafts import NewWriteOff
from receivables.errors import (
    ExceedsBalance,
    InstalmentNotFound,
    InvoiceNotFound,
    InvoiceNotOpen,
    NothingOpen,
    WriteOffNotFound,
    WriteOffNotStanding,
)
from receivables.ledger import Standing, WriteOffReason
from receivables.ledger_views import WriteOffView
from receivables.lists import WriteOffFilter
from receivables.outcomes import Outcome
from receivables.write_offs import MAX_BATCH, reverse_write_off, write_off, write_off_many
from storage.session import TenantSession


class WriteOffIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of an invoice is given up: all that is left of it or of one instalment, unless an amount is named.

    An invoice that is lost as a whole (`bad_debt`, `insolvency`, `time_barred`, `other`) becomes `written_off`.
    """

    invoice_id: IdText
    reason: WriteOffReason
    instalment_id: IdText | None = None
    amount_minor: PositiveMinor | None = None
    note: Note | None = None
    effective_on: date | None = None  # the creditor's today unless given


class WriteOffsIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Debts to be given up, each on its own account."""

    write_offs: Annotated[list[WriteOffIn], Meta(min_length=1, max_length=MAX_BATCH)]


class WriteOffItem(Struct, kw_only=True):
    """What became of one item: the write-off, or the problem that it alone would have been answered with."""

    status: int
    write_off: WriteOffView | None
    problem: Problem | None


class WriteOffsOut(Struct, kw_only=True):
    """What became of each item, in order."""

    data: list[WriteOffItem]


class WriteOffs(Controller):
    """A write-off settles instalments as money does; its amount never changes."""

    path = "/v1/write_offs"
    tags = ["Write-offs"]

    @post(
        operation_id="createWriteOff",
        opt=needs("write_offs:write", key="required"),
        responses=problems(InvoiceNotFound, InstalmentNotFound, InvoiceNotOpen, NothingOpen, ExceedsBalance),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[WriteOffIn]
    ) -> WriteOffView:
        """Give up a debt, or part of one."""
        return await write_off(session, _new(data), now)

    @post(
        "/batch",
        operation_id="createWriteOffs",
        status_code=207,
        opt=needs("write_offs:write", key="required"),
        responses=problems(),
    )
    async def batch(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        settings: NamedDependency[ApiSettings],
        data: JSONBody[WriteOffsIn],
    ) -> WriteOffsOut:
        """Give up to 100 debts up; one that is refused does not stop the others."""
        news = [_new(item, f"write_offs/{place}/") for place, item in enumerate(data.write_offs)]
        outcomes = await write_off_many(session, news, now)
        return WriteOffsOut(data=[_item(outcome, settings) for outcome in outcomes])

    @get(operation_id="listWriteOffs", opt=needs("write_offs:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        debtor: DebtorFilter = None,
        creditor: CreditorFilter = None,
        invoice: InvoiceFilterId = None,
        reason: Annotated[WriteOffReason | None, QueryParameter(name="reason")] = None,
        in_state: Annotated[Standing | None, QueryParameter(name="state")] = None,
    ) -> PageOf[WriteOffView]:
        """List write-offs, the newest first."""
        wanted = WriteOffFilter(
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            creditor_id=id_filter(creditor, "creditor", "crd"),
            invoice_id=id_filter(invoice, "invoice", "inv"),
            reason=reason,
            state=in_state,
        )
        rows = await lists.write_offs(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("wof", view.id).hex])

    @get(
        "/{write_off_id:str}",
        operation_id="getWriteOff",
        opt=needs("write_offs:read"),
        responses=problems(WriteOffNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], write_off_id: FromPath[str]) -> WriteOffView:
        """Read one write-off."""
        return WriteOffView.of(await access.write_off(session, ids.decode("wof", write_off_id)))

    @post(
        "/{write_off_id:str}/reverse",
        operation_id="reverseWriteOff",
        status_code=200,
        opt=needs("write_offs:write", key="required"),
        responses=problems(WriteOffNotFound, WriteOffNotStanding, PreconditionFailed),
    )
    async def reverse(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        write_off_id: FromPath[str],
    ) -> WriteOffView:
        """Ask for what was given up again; an invoice that was written off is open again."""
        wanted = ids.decode("wof", write_off_id)
        return await reverse_write_off(session, wanted, now, expected_version=expected_version)


def _new(data: WriteOffIn, within: str = "") -> NewWriteOff:
    line = data.instalment_id
    return NewWriteOff(
        invoice_id=body_id(data.invoice_id, "inv", f"{within}invoice_id"),
        reason=data.reason,
        instalment_id=None if line is None else body_id(line, "ins", f"{within}instalment_id"),
        amount_minor=data.amount_minor,
        note=data.note,
        effective_on=data.effective_on,
    )


def _item(outcome: Outcome[WriteOffView], settings: ApiSettings) -> WriteOffItem:
    if outcome.error is not None:
        problem = problem_of(outcome.error, settings.public_url)
        return WriteOffItem(status=outcome.error.status, write_off=None, problem=problem)
    return WriteOffItem(status=201, write_off=outcome.view, problem=None)
