"""The pure rules of documents and money: what an invoice must be, what a correction makes of it, what money settles."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from msgspec import structs

from kernel.text import MAX_NOTE
from receivables.checking import MAX_EXTERNAL_ID, MAX_NUMBER, Faults
from receivables.drafts import InvoiceChange, Line, NewCreditNote, NewInvoice
from receivables.models import DueOnSource
from receivables.taxes import check_exchange_rate, check_taxes

D = TypeVar("D", NewInvoice, NewCreditNote)

MAX_INSTALMENTS: Final = 120
MAX_REFERENCE: Final = 200
MAX_SOURCE: Final = 60
MAX_DUE_BEFORE_ISSUE: Final = timedelta(days=366)  # an advance may be due before its invoice; a typo by years may not
_FILLED: Final = (
    "external_id", "purchase_order", "payment_terms", "direct_debit_on", "contract", "project", "delivery_note",
    "buyer_reference", "exchange_rate",
)  # fmt: skip
_BEST_FIRST: Final = (DueOnSource.DOCUMENT, DueOnSource.TERMS, DueOnSource.DEFAULT, DueOnSource.NONE)


def checked_invoice(new: NewInvoice) -> NewInvoice:
    """The invoice in our form, its amount due laid out in instalments. Raises Invalid with every fault."""
    faults = Faults()
    faults.currency("/currency", new.currency)
    faults.day("/issued_on", new.issued_on)
    faults.day("/direct_debit_on", new.direct_debit_on)
    faults.amount("/total_minor", new.total_minor)
    faults.amount("/prepaid_minor", new.prepaid_minor)
    if new.prepaid_minor > new.total_minor:
        faults.add("/prepaid_minor", "exceeds_total", "no more can be prepaid than the total")
    lines = new.instalments or (Line(amount_minor=new.total_minor - new.prepaid_minor, due_on=new.due_on),)
    due_on = first_due(lines)
    if new.instalments:
        _check_lines(faults, new, due_on)
    _check_due(faults, new, lines)
    _check_discounts(faults, lines)
    source = _due_source(new.due_on_source, due_on)
    clean = structs.replace(
        new,
        number=faults.line("/number", new.number, MAX_NUMBER),
        external_id=faults.optional_line("/external_id", new.external_id, MAX_EXTERNAL_ID),
        purchase_order=faults.optional_line("/purchase_order", new.purchase_order, MAX_REFERENCE),
        payment_terms=faults.lines("/payment_terms", new.payment_terms, MAX_NOTE),
        contract=faults.optional_line("/contract", new.contract, MAX_REFERENCE),
        project=faults.optional_line("/project", new.project, MAX_REFERENCE),
        delivery_note=faults.optional_line("/delivery_note", new.delivery_note, MAX_REFERENCE),
        buyer_reference=faults.optional_line("/buyer_reference", new.buyer_reference, MAX_REFERENCE),
        exchange_rate=check_exchange_rate(faults, new.exchange_rate, new.currency),
        taxes=check_taxes(faults, new.taxes, new.total_minor, new.currency),
        source=faults.line("/source", new.source, MAX_SOURCE),
        due_on=due_on,
        due_on_source=source,
        instalments=lines,
    )
    faults.stop()
    return clean


def first_due(lines: Sequence[Line]) -> date | None:
    """The day from which an invoice can be late: the earliest of its instalments."""
    return min((line.due_on for line in lines if line.due_on is not None), default=None)


def _check_lines(faults: Faults, new: NewInvoice, due_on: date | None) -> None:
    if len(new.instalments) > MAX_INSTALMENTS:
        faults.add("/instalments", "too_many", f"at most {MAX_INSTALMENTS} instalments")
    due_minor = new.total_minor - new.prepaid_minor
    for place, line in enumerate(new.instalments):
        faults.amount(f"/instalments/{place}/amount_minor", line.amount_minor)
    if sum(line.amount_minor for line in new.instalments) != due_minor:
        faults.add("/instalments", "sum", f"instalments add up to the total less what is prepaid: {due_minor}")
    if new.due_on is not None and new.due_on != due_on:
        faults.add("/due_on", "differs", "with instalments, due_on is the earliest of their days, or left out")


def _check_due(faults: Faults, new: NewInvoice, lines: Sequence[Line]) -> None:
    for place, line in enumerate(lines):
        pointer = f"/instalments/{place}/due_on" if new.instalments else "/due_on"
        faults.day(pointer, line.due_on)
        if line.due_on is not None and new.issued_on - line.due_on > MAX_DUE_BEFORE_ISSUE:
            faults.add(pointer, "before_issue", "this day is more than a year before the invoice was issued")


def _check_discounts(faults: Faults, lines: Sequence[Line]) -> None:
    for place, line in enumerate(lines):
        pointer = f"/instalments/{place}"
        faults.day(f"{pointer}/discount_until", line.discount_until)
        if (line.discount_minor is None) != (line.discount_until is None):
            faults.add(pointer, "discount", "a discount has an amount and a last day, or neither")
        elif line.discount_minor is not None and not 0 < line.discount_minor < line.amount_minor:
            faults.add(f"{pointer}/discount_minor", "discount", "a discount is a part of its instalment")


def _due_source(given: DueOnSource | None, due_on: date | None) -> DueOnSource:
    if due_on is None:
        return DueOnSource.NONE
    return DueOnSource.DOCUMENT if given in {None, DueOnSource.NONE} else given or DueOnSource.DOCUMENT


def checked_credit_note(new: NewCreditNote) -> NewCreditNote:
    """The credit note in our form. Raises Invalid with every fault."""
    faults = Faults()
    faults.currency("/currency", new.currency)
    faults.day("/issued_on", new.issued_on)
    faults.amount("/total_minor", new.total_minor)
    faults.amount("/used_minor", new.used_minor)
    if new.used_minor > new.total_minor:
        faults.add("/used_minor", "exceeds_total", "no more can be used than the total")
    clean = structs.replace(
        new,
        number=faults.line("/number", new.number, MAX_NUMBER),
        external_id=faults.optional_line("/external_id", new.external_id, MAX_EXTERNAL_ID),
        source=faults.line("/source", new.source, MAX_SOURCE),
    )
    faults.stop()
    return clean


def revised(known: NewInvoice, changes: dict[str, Any]) -> NewInvoice:  # Any: the fields of an InvoiceChange
    """What a correction makes of an invoice. Raises Invalid with every fault.

    An invoice of one instalment follows its due date and total; where there are several, the correction names them.
    """
    new = same_year(known, structs.replace(known, **changes))
    if "instalments" not in changes:
        if len(known.instalments) == 1:
            only = structs.replace(
                known.instalments[0], due_on=new.due_on, amount_minor=new.total_minor - new.prepaid_minor
            )
            new = structs.replace(new, instalments=_fitting([only]) if only.discount_minor is not None else ())
        elif new.due_on != known.due_on:
            faults = Faults()
            faults.add("/due_on", "instalments_needed", "the invoice has several instalments: send them all")
            faults.stop()
    elif "due_on" not in changes:
        new = structs.replace(new, due_on=None)
    if "taxes" not in changes and new.total_minor != known.total_minor:
        new = structs.replace(new, taxes=())  # those of the old total
    if "due_on" in changes and "due_on_source" not in changes:
        new = structs.replace(new, due_on_source=None)
    return checked_invoice(new)


def same_year(known: D, new: D) -> D:
    """The corrected document, issued in the year that identifies it. Raises Invalid."""
    if new.issued_on.year != known.issued_on.year:
        faults = Faults()
        faults.add("/issued_on", "other_year", "the year of issue is part of what identifies the document")
        faults.stop()
    return new


def merged(known: NewInvoice, read: NewInvoice) -> InvoiceChange:
    """What a source's reading changes about an invoice that is known already; both are in our form.

    It never empties a field. A source as rich as the best one so far corrects, a poorer one only fills what is missing.
    """
    richer = read.source_rank >= known.source_rank
    changes: dict[str, Any] = {}  # Any: the fields of an InvoiceChange
    if richer and read.issued_on != known.issued_on and read.issued_on.year == known.issued_on.year:
        changes["issued_on"] = read.issued_on
    for name in _FILLED:
        value, had = getattr(read, name), getattr(known, name)
        if value is not None and value != had and (richer or had is None):
            changes[name] = value
    if richer and (read.total_minor, read.prepaid_minor) != (known.total_minor, known.prepaid_minor):
        changes |= {"total_minor": read.total_minor, "prepaid_minor": read.prepaid_minor}
    agrees = richer or read.total_minor == known.total_minor  # else its taxes are those of another total
    if read.taxes and read.taxes != known.taxes and agrees and (richer or not known.taxes):
        changes["taxes"] = read.taxes
    lines = _better_lines(known, read, richer=richer)
    if lines != known.instalments:
        changes["instalments"] = lines
    if first_due(lines) != known.due_on:
        changes |= {"due_on": first_due(lines), "due_on_source": read.due_on_source}
    if changes and read.source_rank > known.source_rank:
        changes |= {"source": read.source, "source_rank": read.source_rank}
    return InvoiceChange(**changes)


def _better_lines(known: NewInvoice, read: NewInvoice, *, richer: bool) -> tuple[Line, ...]:
    """The instalments after a reading: its split where it knows one, its day where that is better than ours."""
    due_minor = read.total_minor - read.prepaid_minor if richer else known.total_minor - known.prepaid_minor
    lines = known.instalments
    fits = sum(line.amount_minor for line in read.instalments) == due_minor
    if fits and len(read.instalments) > 1 and (richer or len(lines) == 1) and _days_better(known, read, richer=richer):
        return _keeping_discounts(read.instalments, lines)
    lines = relaid(lines, due_minor)
    if len(lines) != 1 or len(read.instalments) != 1:
        return _fitting(lines)
    (line,), (theirs,) = lines, read.instalments
    if _days_better(known, read, richer=richer):
        line = structs.replace(line, due_on=read.due_on)
    if theirs.discount_minor is not None and (richer or line.discount_minor is None):
        line = structs.replace(line, discount_minor=theirs.discount_minor, discount_until=theirs.discount_until)
    return _fitting([line])


def _keeping_discounts(read: tuple[Line, ...], known: Sequence[Line]) -> tuple[Line, ...]:
    """A source that says nothing of a discount leaves the one that is known where the line is the same."""
    same = {(line.amount_minor, line.due_on): line for line in known if line.discount_minor is not None}
    return tuple(
        line if line.discount_minor is not None else same.get((line.amount_minor, line.due_on), line) for line in read
    )


def _fitting(lines: Sequence[Line]) -> tuple[Line, ...]:
    """A discount that is no longer a part of its instalment is gone."""
    return tuple(
        structs.replace(line, discount_minor=None, discount_until=None)
        if line.discount_minor is not None and line.discount_minor >= line.amount_minor
        else line
        for line in lines
    )


def _days_better(known: NewInvoice, read: NewInvoice, *, richer: bool) -> bool:
    if read.due_on is None or known.due_on is None:
        return read.due_on is not None
    ranks = {source: place for place, source in enumerate(_BEST_FIRST)}
    theirs, ours = (ranks[each.due_on_source or DueOnSource.NONE] for each in (read, known))
    return richer and theirs <= ours


def relaid(lines: tuple[Line, ...], due_minor: int) -> tuple[Line, ...]:
    """Lay another amount due over the same days: what is less was paid on the first ones, what is more is due last."""
    change = due_minor - sum(line.amount_minor for line in lines)
    laid = list(lines)
    if change > 0:
        laid[-1] = structs.replace(laid[-1], amount_minor=laid[-1].amount_minor + change)
    for place, line in enumerate(laid):
        if change >= 0:
            break
        part = min(-change, line.amount_minor)
        laid[place] = structs.replace(line, amount_minor=line.amount_minor - part)
        change += part
    return tuple(laid)


def oldest_first(amount_minor: int, balances: Sequence[tuple[UUID, int]]) -> list[tuple[UUID, int]]:
    """Settle instalments with an amount, in the order given, until it is used up.

    >>> oldest_first(150, [(UUID(int=1), 100), (UUID(int=2), 100)])
    [(UUID('00000000-0000-0000-0000-000000000001'), 100), (UUID('00000000-0000-0000-0000-000000000002'), 50)]
    """
    parts: list[tuple[UUID, int]] = []
    left = amount_minor
    for instalment_id, balance_minor in balances:
        if left <= 0:
            break
        part = min(left, balance_minor)
        if part > 0:
            parts.append((instalment_id, part))
            left -= part
    return parts
