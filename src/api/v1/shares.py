"""How money is to be allocated, as bodies say it."""

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from api.fields import IdText, PositiveMinor, body_id
from receivables.drafts import Share
from receivables.errors import (
    AllocationMismatch,
    ChargeNotFound,
    ExceedsBalance,
    InstalmentNotFound,
    InvoiceNotFound,
    InvoiceNotOpen,
    NotEnoughLeft,
)
from receivables.models import AllocationRule

MAX_SHARES = 100
ALLOCATING = (
    InvoiceNotFound, InstalmentNotFound, ChargeNotFound, NotEnoughLeft, ExceedsBalance, AllocationMismatch,
    InvoiceNotOpen,
)  # fmt: skip


class ShareIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much goes to one instalment, to one invoice's instalments (the earliest due first), or to one charge."""

    amount_minor: PositiveMinor
    instalment_id: IdText | None = None
    invoice_id: IdText | None = None
    charge_id: IdText | None = None


Rule = Literal["auto", "oldest_due", "fr_civil_code"]
Shares = Annotated[list[ShareIn], Meta(max_length=MAX_SHARES)] | Rule


class AllocationIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be settled: named shares, a rule by its name, or `auto` for the creditor's own rule."""

    allocations: Shares


class UnallocationIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which allocations are taken back; all of them where none is named."""

    allocation_ids: Annotated[list[IdText], Meta(min_length=1, max_length=MAX_SHARES)] | None = None


def shares_of(given: Sequence[ShareIn] | str, within: str = "") -> tuple[Share, ...] | Literal["auto"] | AllocationRule:
    """Read shares of a body."""
    if isinstance(given, str):
        return "auto" if given == "auto" else AllocationRule(given)
    return tuple(
        Share(
            amount_minor=share.amount_minor,
            instalment_id=_target(share.instalment_id, "ins", f"{within}allocations/{place}/instalment_id"),
            invoice_id=_target(share.invoice_id, "inv", f"{within}allocations/{place}/invoice_id"),
            charge_id=_target(share.charge_id, "chg", f"{within}allocations/{place}/charge_id"),
        )
        for place, share in enumerate(given)
    )


def _target(text: str | None, prefix: str, field: str) -> UUID | None:
    return None if text is None else body_id(text, prefix, field)
