"""Types of input fields, bounded; NUL is refused and NFC made for all text when the body is read."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta

from kernel import ids
from kernel.errors import Fault, Invalid
from kernel.money import MAX_MINOR

MAX_INT: Final = 2**53 - 1

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
Note = Annotated[str, Meta(max_length=2000)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=255)]
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern="^[A-Z]{3}$")]  # lengths: `$` admits a newline
Country = Annotated[str, Meta(min_length=2, max_length=2, pattern="^[A-Z]{2}$")]
Language = Annotated[str, Meta(min_length=2, max_length=2, pattern="^[a-z]{2}$")]
AmountMinor = Annotated[int, Meta(ge=0, le=MAX_MINOR)]
PositiveMinor = Annotated[int, Meta(ge=1, le=MAX_MINOR)]
Instant = Annotated[datetime, Meta(tz=True)]  # RFC 3339 with an offset
ID: Final = "^[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}$"
IdText = Annotated[str, Meta(min_length=30, max_length=30, pattern=ID)]


# What each noun's ids begin with: `debtor_id` in a body, `{debtor_id}` in a path and `debtor` in a query are dbt_….
PREFIXES: Final = {
    "account": "acc", "tenant": "ten", "key": "key", "creditor": "crd", "debtor": "dbt", "contact": "ctc",
    "invoice": "inv", "instalment": "ins", "credit_note": "crn", "receipt": "rcp", "reversal": "rev",
    "allocation": "alc", "hold": "hld", "handling": "hnd", "task": "tsk", "policy": "pol", "course": "crs",
    "notice": "ntc", "message": "msg", "opt_out": "opt", "endpoint": "whe", "delivery": "dlv", "event": "evt",
    "job": "job", "document": "doc", "inbox": "inb", "intake": "itk", "charge": "chg", "write_off": "wof",
    "ledger_entry": "lge", "upload": "upl", "mapping": "imm", "import": "imp", "bank_account": "bac", "match": "dmt",
    "conflict": "cfl", "into": "dbt",
    "parent": "dbt",
}  # fmt: skip


def pattern_of(name: str) -> str:
    """The pattern of the ids that a field, a path parameter or a filter of this name holds."""
    prefix = PREFIXES.get(name.removesuffix("s").removesuffix("_id"))
    return ID if prefix is None else ID.replace("[a-z]{3}", prefix)


def id_filter(text: str | None, parameter: str, prefix: str | None = None) -> UUID | None:
    """Read the id of a filter; raises Invalid for text that is the id of no such thing."""
    if text is None:
        return None
    found = ids.read(prefix or text.rpartition("_")[0], text)
    if found is None:
        raise Invalid(errors=[Fault(pointer=f"/query/{parameter}", code="invalid_value", message="not such an id")])
    return found


def body_id(text: str, prefix: str, field: str) -> UUID:
    """Read the id of a body's field; raises Invalid for text that is the id of no such thing."""
    found = ids.read(prefix, text)
    if found is None:
        raise Invalid(errors=[Fault(pointer=f"/body/{field}", code="invalid_value", message="not such an id")])
    return found
