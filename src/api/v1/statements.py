"""Statements of account: every movement of a period with its balance, and what is open at its end."""

from contextlib import suppress
from datetime import date, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.exchange import Exchange
from api.fields import id_filter
from api.files import CSV, PDF, file_of, wants
from api.gateway import close
from api.problems import problems
from api.resources import Resources
from api.routes import needs
from api.v1.filters import AsKnownAt, CreditorFilter, CurrencyFilter, instant, our_day
from kernel import ids
from kernel.errors import NotFound
from receivables.errors import DebtorNotFound
from receivables.statements.errors import DocumentNotMade, StatementTooLong
from receivables.statements.pressing import pdf
from receivables.statements.reading import Statement, StatementOf, statement
from receivables.statements.views import StatementView
from receivables.statements.wording import table
from storage.session import TenantSession

MAX_LOGOS: Final = 20
MAX_LOGO_BYTES: Final = 500_000
FromDay = Annotated[
    date | None, QueryParameter(name="from", description="The first day; 90 days before the last unless given.")
]
ToDay = Annotated[
    date | None, QueryParameter(name="to", description="The last day; today, where the creditor is, unless given.")
]
Reader = Annotated[
    Literal["en", "fr"] | None,
    QueryParameter(name="language", description="Of a file; else that in which the debtor is written to."),
]
StatementFormat = Annotated[
    Literal["json", "csv", "pdf"] | None, QueryParameter(name="format", description="In place of the Accept header.")
]


class Statements(Controller):
    """What passed between a debtor and its creditors."""

    path = "/v1/debtors/{debtor_id:str}/statement"
    tags = ["Debtors"]

    @get(
        operation_id="getStatement",
        opt=needs("statements:read", media=(CSV, PDF)),
        responses=problems(DebtorNotFound, StatementTooLong, DocumentNotMade),
    )
    async def read(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        exchange: NamedDependency[Exchange],
        resources: NamedDependency[Resources],
        debtor_id: FromPath[str],
        *,
        from_on: FromDay = None,
        to_on: ToDay = None,
        as_known_at: AsKnownAt = None,
        creditor: CreditorFilter = None,
        currency: CurrencyFilter = None,
        language: Reader = None,
        format_: StatementFormat = None,
    ) -> StatementView | Response[bytes]:
        """Read a debtor's statement of account, as data, as a PDF or as a table.

        One account for each creditor and currency: the opening balance, every movement with the balance after it, the
        closing balance, and what was open and what was unused on the last day. The closing balance of a period is the
        opening balance of the next. A PDF of the same data is the same to the byte.
        """
        asked = StatementOf(
            debtor_id=ids.decode("dbt", debtor_id),
            now=now,
            from_on=our_day(from_on, "from"),
            to_on=our_day(to_on, "to"),
            as_known_at=instant(as_known_at),
            creditor_id=id_filter(creditor, "creditor", "crd"),
            currency=currency,
        )
        found = await statement(session, asked)
        wanted, reader = wants(exchange, format_), language or found.view.language
        name = f"statement-{found.view.debtor_id}-{found.view.to_on}"
        if wanted == CSV:
            return file_of(CSV, table(found, reader), f"{name}.csv")
        if wanted == PDF:
            logos = await _logos(session, resources, found)
            await close(exchange, keep=True)  # nobody waits for paper with a connection in hand
            return file_of(PDF, await pdf(found, reader, logos=logos), f"{name}.pdf")
        return found.view


async def _logos(session: TenantSession, resources: Resources, found: Statement) -> dict[UUID, bytes]:
    """The creditors' logos; one that cannot be read any more is left out."""
    logos: dict[UUID, bytes] = {}
    if resources.blobs is None:
        return logos
    for creditor_id, blob_id in list(found.logo_ids.items())[:MAX_LOGOS]:
        with suppress(NotFound):
            content = await resources.blobs.get(session, blob_id)
            if len(content) <= MAX_LOGO_BYTES:
                logos[creditor_id] = content
    return logos
