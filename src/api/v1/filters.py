"""Query parameters that several lists share."""

from datetime import MAXYEAR, MINYEAR, UTC, date, datetime
from typing import Annotated

from litestar.params import QueryParameter

from api.fields import ID
from kernel.errors import Fault, Invalid
from receivables.checking import FIRST_DAY, LAST_DAY

DebtorFilter = Annotated[str | None, QueryParameter(name="debtor", pattern=ID, description="Only of this debtor.")]
CreditorFilter = Annotated[
    str | None, QueryParameter(name="creditor", pattern=ID, description="Only of this creditor.")
]
InvoiceFilterId = Annotated[str | None, QueryParameter(name="invoice", pattern=ID, description="Only of this invoice.")]
CurrencyFilter = Annotated[
    str | None,
    QueryParameter(
        name="currency", min_length=3, max_length=3, pattern="^[A-Z]{3}$", description="Only in this currency."
    ),
]
ExternalIdFilter = Annotated[
    str | None,
    QueryParameter(name="external_id", min_length=1, max_length=255, description="The caller's own name of it."),
]
NumberFilter = Annotated[
    str | None,
    QueryParameter(name="number", min_length=1, max_length=100, description="Numbers that begin like this."),
]
IssuedFrom = Annotated[date | None, QueryParameter(name="issued_on[gte]")]
IssuedTo = Annotated[date | None, QueryParameter(name="issued_on[lte]")]
DueFrom = Annotated[date | None, QueryParameter(name="due_on[gte]")]
DueTo = Annotated[date | None, QueryParameter(name="due_on[lte]")]
EffectiveFrom = Annotated[date | None, QueryParameter(name="effective_on[gte]")]
EffectiveTo = Annotated[date | None, QueryParameter(name="effective_on[lte]")]


def our_day(value: date | None, parameter: str) -> date | None:
    """A parameter that is a day on which anything can have been; raises Invalid for another."""
    if value is not None and not FIRST_DAY <= value <= LAST_DAY:
        message = f"a day from {FIRST_DAY} to {LAST_DAY}"
        raise Invalid(errors=[Fault(pointer=f"/query/{parameter}", code="invalid_value", message=message)])
    return value


AsKnownAt = Annotated[
    datetime | None,
    QueryParameter(name="as_known_at", description="With what had been recorded by this instant; else everything."),
]


def instant(value: datetime | None) -> datetime | None:
    """A parameter that is an instant, in UTC; raises Invalid for a local time and for no time of ours."""
    if value is None:
        return None
    if value.tzinfo is None or value.year in {MINYEAR, MAXYEAR}:  # there an offset may lead out of all calendars
        message = "an instant with its offset: 2026-03-31T18:00:00Z"
        raise Invalid(errors=[Fault(pointer="/query/as_known_at", code="invalid_value", message=message)])
    return value.astimezone(UTC)
