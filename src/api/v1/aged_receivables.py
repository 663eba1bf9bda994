"""Aged receivables: what is open by how long it has been, on any day, as known at any instant."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final, Literal
from uuid import UUID

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import structs

from api.exchange import Exchange
from api.fields import id_filter
from api.files import CSV, Language, file_of, wants
from api.pages import Page
from api.problems import problems
from api.routes import needs
from api.v1.filters import AsKnownAt, CreditorFilter, CurrencyFilter, DebtorFilter, instant, our_day
from insights import sheets
from insights.ageing import Conversion, Question, Row, detail, report
from insights.views import AgedDebtor, AgedItem, AgedReport, AgedSummary, Credits, GroupBy
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import Fault, Invalid
from receivables.errors import DebtorNotFound
from receivables.open_items import After, Item
from receivables.periods import MAX_DAYS, MAX_PERIODS, Basis, Periods, explicit, regular
from storage.session import TenantSession

MAX_CSV_ROWS: Final = 10_000
MAX_RATES: Final = 60
_RATE: Final = re.compile(r"([A-Z]{3}):([0-9]{1,6}(?:\.[0-9]{1,6})?)")

AsOf = Annotated[
    date | None,
    QueryParameter(name="as_of", description="At the end of which day; without one today, where each creditor is."),
]
BasisChoice = Annotated[Basis, QueryParameter(name="basis", description="From which day amounts are aged.")]
CreditsChoice = Annotated[
    Credits,
    QueryParameter(
        name="credits",
        description="Money and credit notes that settle nothing yet: in columns of their own, taken off the youngest"
        " amounts, or off the oldest first.",
    ),
]
LengthDays = Annotated[
    int | None, QueryParameter(name="period_length_days", ge=1, le=366, description="How long a period is; 30.")
]
Count = Annotated[
    int | None,
    QueryParameter(
        name="period_count", ge=1, le=MAX_PERIODS - 2, description="How many periods before the last, open one; 3."
    ),
]
Bounds = Annotated[
    str | None,
    QueryParameter(
        name="bounds",
        min_length=1,
        max_length=100,
        pattern="^[0-9]+(,[0-9]+)*$",
        description="The last days of the periods instead, ascending: 15,30,60,90.",
    ),
]
Grouping = Annotated[GroupBy, QueryParameter(name="group_by", description="What one row stands for.")]
ConvertTo = Annotated[
    str | None,
    QueryParameter(
        name="convert_to",
        min_length=3,
        max_length=3,
        pattern="^[A-Z]{3}$",
        description="Also everything in this currency, by `rates`.",
    ),
]
Rates = Annotated[
    str | None,
    QueryParameter(
        name="rates",
        min_length=5,
        max_length=1_000,
        description="What one unit of each currency is worth in that of `convert_to`: USD:0.92,GBP:1.17.",
    ),
]
RatesOn = Annotated[date | None, QueryParameter(name="rates_on", description="Of which day the rates are.")]
ReportFormat = Annotated[
    Literal["json", "csv"] | None, QueryParameter(name="format", description="In place of the Accept header.")
]


class AgedReceivables(Controller):
    """Open amounts by age. The figures sum to the ledger to the cent, on every day."""

    path = "/v1/aged_receivables"
    tags = ["Insights"]

    @get(
        operation_id="listAgedReceivables",
        opt=needs("insights:read", media=(CSV,)),
        responses=problems(CursorInvalid),
    )
    async def index(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        page: NamedDependency[Page],
        exchange: NamedDependency[Exchange],
        *,
        as_of: AsOf = None,
        as_known_at: AsKnownAt = None,
        basis: BasisChoice = Basis.DUE_DATE,
        credits_: CreditsChoice = Credits.SEPARATE,
        length_days: LengthDays = None,
        count: Count = None,
        bounds: Bounds = None,
        group_by: Grouping = GroupBy.DEBTOR,
        creditor: CreditorFilter = None,
        debtor: DebtorFilter = None,
        currency: CurrencyFilter = None,
        convert_to: ConvertTo = None,
        rates: Rates = None,
        rates_on: RatesOn = None,
        language: Language = "en",
        format_: ReportFormat = None,
    ) -> AgedReport | Response[bytes]:
        """List aged receivables by debtor, creditor or currency, a row each, in the order of their ids.

        `totals` are those of all pages. Pages that follow see what the first one saw: what is recorded in between
        changes none of them. As CSV a page holds up to 10,000 rows; a `Link` leads to the next.
        """
        asked = Question(
            now=_seen_at(page, now),
            as_of=our_day(as_of, "as_of"),
            as_known_at=instant(as_known_at),
            basis=basis,
            periods=_periods(basis, length_days, count, bounds),
            credits=credits_,
            group_by=group_by,
            creditor_id=id_filter(creditor, "creditor", "crd"),
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            currency=currency,
            conversion=_conversion(convert_to, rates, rates_on),
        )
        as_csv = wants(exchange, format_) == CSV
        page = structs.replace(page, limit=MAX_CSV_ROWS) if as_csv else page
        found = await report(session, asked, after=_after(page, group_by), limit=page.fetch)
        shown = page.of(found.rows, lambda row: row.view, lambda row: _position(asked, row))
        if as_csv:
            return file_of(CSV, sheets.table(found.summary.terms, shown.data, language), "aged-receivables.csv")
        return AgedReport(
            terms=found.summary.terms,
            totals=found.summary.totals,
            converted=found.summary.converted,
            data=shown.data,
            has_more=shown.has_more,
            next_cursor=shown.next_cursor,
        )

    @get("/summary", operation_id="getAgedReceivablesSummary", opt=needs("insights:read"), responses=problems())
    async def summary(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        *,
        as_of: AsOf = None,
        as_known_at: AsKnownAt = None,
        basis: BasisChoice = Basis.DUE_DATE,
        credits_: CreditsChoice = Credits.SEPARATE,
        length_days: LengthDays = None,
        count: Count = None,
        bounds: Bounds = None,
        creditor: CreditorFilter = None,
        debtor: DebtorFilter = None,
        currency: CurrencyFilter = None,
        convert_to: ConvertTo = None,
        rates: Rates = None,
        rates_on: RatesOn = None,
    ) -> AgedSummary:
        """Read the totals alone, as a dashboard shows them."""
        asked = Question(
            now=now,
            as_of=our_day(as_of, "as_of"),
            as_known_at=instant(as_known_at),
            basis=basis,
            periods=_periods(basis, length_days, count, bounds),
            credits=credits_,
            group_by=GroupBy.CURRENCY,
            creditor_id=id_filter(creditor, "creditor", "crd"),
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            currency=currency,
            conversion=_conversion(convert_to, rates, rates_on),
        )
        return (await report(session, asked, after=None, limit=0)).summary

    @get(
        "/{debtor_id:str}",
        operation_id="getAgedReceivablesOfDebtor",
        opt=needs("insights:read"),
        responses=problems(DebtorNotFound, CursorInvalid),
    )
    async def read(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        page: NamedDependency[Page],
        debtor_id: FromPath[str],
        *,
        as_of: AsOf = None,
        as_known_at: AsKnownAt = None,
        basis: BasisChoice = Basis.DUE_DATE,
        credits_: CreditsChoice = Credits.SEPARATE,
        length_days: LengthDays = None,
        count: Count = None,
        bounds: Bounds = None,
        creditor: CreditorFilter = None,
        currency: CurrencyFilter = None,
    ) -> AgedDebtor:
        """Read what one debtor owes, instalment by instalment, the earliest due first.

        A debtor that was merged into another is answered with that one.
        """
        asked = Question(
            now=_seen_at(page, now),
            as_of=our_day(as_of, "as_of"),
            as_known_at=instant(as_known_at),
            basis=basis,
            periods=_periods(basis, length_days, count, bounds),
            credits=credits_,
            creditor_id=id_filter(creditor, "creditor", "crd"),
            debtor_id=ids.decode("dbt", debtor_id),
            currency=currency,
        )
        found = await detail(session, asked, after=_after_item(page), limit=page.fetch)
        shown = page.of(found.items, _view_of, lambda pair: _position_of(asked, pair))
        return AgedDebtor(
            terms=found.terms,
            debtor_id=ids.encode("dbt", found.debtor_id),
            name=found.name,
            totals=found.totals,
            data=shown.data,
            has_more=shown.has_more,
            next_cursor=shown.next_cursor,
        )


def _view_of(pair: tuple[Item, AgedItem]) -> AgedItem:
    return pair[1]


# A position says at which instant the first page looked, so that all pages are of one picture.
def _seen_at(page: Page, now: datetime) -> datetime:
    return now if page.after is None else datetime.fromisoformat(page.after[0])


def _position(asked: Question, row: Row) -> list[str]:
    return [asked.now.isoformat(), row.key.hex if isinstance(row.key, UUID) else row.key]


def _after(page: Page, group_by: GroupBy) -> UUID | str | None:
    if page.after is None:
        return None
    return page.after[1] if group_by is GroupBy.CURRENCY else UUID(hex=page.after[1])


def _position_of(asked: Question, pair: tuple[Item, AgedItem]) -> list[str]:
    after = pair[0].position
    return [asked.now.isoformat(), after.due_on.isoformat(), after.instalment_id.hex]


def _after_item(page: Page) -> After | None:
    if page.after is None:
        return None
    return After(date.fromisoformat(page.after[1]), UUID(hex=page.after[2]))


def _periods(basis: Basis, length_days: int | None, count: int | None, bounds: str | None) -> Periods:
    if bounds is None:
        return regular(basis, length_days=length_days or 30, count=count or 3)
    if length_days is not None or count is not None:
        raise _invalid("bounds", "bounds, or the length and number of periods")
    days = tuple(int(part) for part in bounds.split(",") if len(part) <= len(str(MAX_DAYS)))
    if (
        len(days) != bounds.count(",") + 1
        or list(days) != sorted(set(days))
        or not 1 <= days[0] <= days[-1] <= MAX_DAYS
    ):
        raise _invalid("bounds", f"days from 1 to {MAX_DAYS}, ascending, each once")
    if len(days) > MAX_PERIODS - 2:
        raise _invalid("bounds", f"at most {MAX_PERIODS - 2} bounds")
    return explicit(basis, days)


def _conversion(convert_to: str | None, rates: str | None, rates_on: date | None) -> Conversion | None:
    if convert_to is None and rates is None and rates_on is None:
        return None
    if convert_to is None or rates is None or rates_on is None:
        raise _invalid("convert_to", "convert_to, rates and rates_on come together: nothing is converted silently")
    found: dict[str, Decimal] = {}
    for part in rates.split(",")[: MAX_RATES + 1]:
        match = _RATE.fullmatch(part)
        if match is None or match[1] in found or match[1] == convert_to or not Decimal(match[2]):
            raise _invalid("rates", "each other currency once with a rate above 0: USD:0.92,GBP:1.17")
        found[match[1]] = Decimal(match[2])
    if len(found) > MAX_RATES:
        raise _invalid("rates", f"at most {MAX_RATES} rates")
    return Conversion(currency=convert_to, rates=found, rates_on=rates_on)


def _invalid(parameter: str, message: str) -> Invalid:
    return Invalid(errors=[Fault(pointer=f"/query/{parameter}", code="invalid_value", message=message)])
