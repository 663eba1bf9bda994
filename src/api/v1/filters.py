"""Query parameters that several lists share."""

from datetime import MAXYEAR, MINYEAR, UTC, date, datetime
from typing import Annotated

from litestar.params import QueryParameter

from api.fields import ID
from kernel.errors import Fault, Invalid

DebtorFilter = Annotated[str | None, QueryParameter(name="debtor", pattern=ID, description="Only of this debtor.")]
CreditorFilter = Annotated[
    str | None, QueryParameter(name="creditor", pattern=ID, description="Only of this creditor.")
]
InvoiceFilterId = Annotated[str | None, QueryParameter(name="invoice", pattern=ID, description="Only of this invoice.")]
CurrencyFilter = Annotated[
    str | None, QueryParameter(name="currency", pattern="^[A-Z]{3}$", description="Only in this currency.")
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
