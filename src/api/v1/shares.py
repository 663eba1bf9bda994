"""How money is to be allocated, as bodies say it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.fields import IdText, PositiveMinor, body_id
from receivables.drafts import Share

MAX_SHARES = 100


class ShareIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much goes to one instalment, or to one invoice's instalments, the earliest due first."""

    amount_minor: PositiveMinor
    instalment_id: IdText | None = None
    invoice_id: IdText | None = None


Shares = Annotated[list[ShareIn], Meta(max_length=MAX_SHARES)] | Literal["auto"]


class AllocationIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be settled: named shares, or `auto` for the oldest due first."""

    allocations: Shares


class UnallocationIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which allocations are taken back; all of them where none is named."""

    allocation_ids: Annotated[list[IdText], Meta(min_length=1, max_length=MAX_SHARES)] | None = None


def shares_of(given: Sequence[ShareIn] | str) -> tuple[Share, ...] | Literal["auto"]:
    """Read shares of a body."""
    if isinstance(given, str):
        return "auto"
    return tuple(
        Share(
            amount_minor=share.amount_minor,
            instalment_id=None
            if share.instalment_id is None
            else body_id(share.instalment_id, "ins", f"allocations/{place}/instalment_id"),
            invoice_id=None
            if share.invoice_id is None
            else body_id(share.invoice_id, "inv", f"allocations/{place}/invoice_id"),
        )
        for place, share in enumerate(given)
    )
