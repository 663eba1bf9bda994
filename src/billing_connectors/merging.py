"""What several sources say of one document, merged: the richest statement of each fact counts, in whatever order.

Pure. Every reading is kept beside the others, and what the document is follows from their set alone; so a poorer
document never erases what a richer one said, a blank is filled by any, and the order of arrival does not matter.
A fact that somebody has changed by other means since (it is no longer what the readings made it) is left alone.
"""

import re
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from typing import Any, Final

from msgspec import Struct

from billing_connectors.documents.canonical import Document, Preceding
from billing_connectors.documents.fields import Unreadable, calendar_day
from receivables.drafts import CreditNoteChange, InvoiceChange, Line, NewInvoice
from receivables.models import CreditNote, DueOnSource
from receivables.rules import MAX_DUE_BEFORE_ISSUE, first_due, relaid

LEDGER: Final = "csv"  # what an accounting tool exports: it states what is left to pay today, not on the day of issue
BOOKS: Final = "fec"  # the entries of its accounts: documents with the money that settled them
TOOL: Final = "tool:"  # and the key of its source: an accounting tool that is read itself
MAX_READINGS: Final = 50  # of one document; beyond, the poorest are forgotten
# How rich a source is. A full e-invoice is the document itself; a CSV is a listing of it; MINIMUM is an accounting
# aid that its own standard does not call an invoice. What a program says through the API ranks above all (100).
_RANKS: Final = {
    "facturx-extended": 80, "facturx-extended-ctc-fr": 80, "facturx-en16931": 80, "cii": 80, "ubl-invoice": 80,
    "ubl-creditnote": 80, "facturx-basic": 70, "facturx-basicwl": 60, LEDGER: 50, BOOKS: 48, "facturx": 45,
    "facturx-minimum": 40,
}  # fmt: skip
_POOREST: Final = 40
_TOOL: Final = 55
_SURENESS: Final = {DueOnSource.NONE: 0, DueOnSource.DEFAULT: 1, DueOnSource.TERMS: 2, DueOnSource.DOCUMENT: 3}
_DAY: Final = re.compile(r"(?<!\d)(?:(\d{1,2})[./-](\d{1,2})[./-](\d{4})|(\d{4})-(\d{2})-(\d{2}))(?!\d)", re.ASCII)
_DEBIT_WITHIN: Final = timedelta(days=400)  # of the issue: a day further off in a text is another day's


class Reading(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one source says of one invoice or credit note; None is what it does not say."""

    source: str
    rank: int
    issued_on: date
    total_minor: int | None = None
    left_minor: int | None = None  # to pay, or of a credit note to use
    allocated_minor: int = 0  # of the ledger: what we had settled ourselves by then, so it is in `left_minor` too
    due_on: date | None = None
    due_on_source: DueOnSource = DueOnSource.DOCUMENT
    instalments: tuple[tuple[date, int], ...] = ()
    purchase_order: str | None = None
    payment_terms: str | None = None
    direct_debit: bool = False
    direct_debit_on: date | None = None
    preceding: tuple[Preceding, ...] = ()  # of a credit note: the invoices that it settles


class Statement(Struct, frozen=True):
    """Every reading of one document, by the name that it has in its source."""

    readings: dict[str, Reading] = {}
    is_origin: bool = False  # the document came to us by an import, so that its amounts are the readings'


class Facts(Struct, frozen=True, kw_only=True):
    """What a document is, as its readings have it together."""

    issued_on: date | None
    settled_minor: int  # before we knew it: the prepaid part of an invoice, the used part of a credit note
    instalments: tuple[Line, ...]
    due_on: date | None
    due_on_source: DueOnSource
    purchase_order: str | None
    payment_terms: str | None
    direct_debit_on: date | None
    source: str
    source_rank: int


def rank_of(source: str) -> int:
    """How rich a source is."""
    return _RANKS.get(source, _TOOL if source.startswith(TOOL) else _POOREST)


def is_ledger(source: str) -> bool:
    """Whether a source keeps accounts: it states what is left to pay today, not on the day of issue."""
    return source in {LEDGER, BOOKS} or source.startswith(TOOL)


def reading_of(document: Document, *, allocated_minor: int = 0) -> Reading:
    """What a document says that receivables keep; `allocated_minor` is what we have settled of it ourselves."""
    claims = document.kind == "invoice"
    days = (document.due_on, *(part.due_on for part in document.instalments))
    # A day long before the issue is a slip of the pen, and nobody is chased by it.
    usable = claims and all(day is None or document.issued_on - day <= MAX_DUE_BEFORE_ISSUE for day in days)
    return Reading(
        source=document.format,
        rank=rank_of(document.format),
        issued_on=document.issued_on,
        total_minor=None if "total_missing" in document.warnings else document.total_minor,
        left_minor=document.amount_due_minor if document.amount_due_stated else None,
        allocated_minor=allocated_minor if is_ledger(document.format) else 0,
        due_on=(document.due_on or document.due_on_computed) if usable else None,
        due_on_source=DueOnSource(document.due_on_source) if document.due_on_computed else DueOnSource.DOCUMENT,
        instalments=tuple((part.due_on, part.amount_minor) for part in document.instalments) if usable else (),
        purchase_order=document.purchase_order if claims else None,
        payment_terms=document.payment_terms_text if claims else None,
        direct_debit=document.direct_debit and claims,
        direct_debit_on=_debit_day(document) if document.direct_debit and claims else None,
        preceding=() if claims else document.preceding,
    )


def _debit_day(document: Document) -> date | None:
    """The day that the text announces for a direct debit, where it names one day only."""
    days: set[date] = set()
    for match in _DAY.finditer(document.payment_terms_text or ""):
        numbers = (match[3], match[2], match[1]) if match[3] else (match[4], match[5], match[6])
        try:
            days.add(calendar_day(int(numbers[0]), int(numbers[1]), int(numbers[2])))
        except Unreadable:
            return None
    day = days.pop() if len(days) == 1 else None
    return day if day is not None and document.issued_on <= day <= document.issued_on + _DEBIT_WITHIN else None


def with_reading(statement: Statement, name: str, reading: Reading) -> Statement:
    """The statement with what a source says now under a name; what it said before under that name is gone."""
    readings = {**statement.readings, name: reading}
    if len(readings) > MAX_READINGS:
        kept = sorted(readings.items(), key=lambda pair: (-pair[1].rank, pair[0]))
        readings = dict(kept[:MAX_READINGS])
    return Statement(readings, statement.is_origin)


def total_of(statement: Statement, known_minor: int) -> int:
    """The total: what any reading states, else as much as is known or was ever left to pay."""
    readings = statement.readings.values()
    stated = [each.total_minor for each in readings if each.total_minor is not None]
    if stated:
        return max(stated)  # they agree: one that does not is quarantined
    return max([known_minor, *(each.left_minor + each.allocated_minor for each in readings if each.left_minor)])


def states_total(statement: Statement) -> bool:
    """Whether any reading says what the total is."""
    return any(each.total_minor is not None for each in statement.readings.values())


def references_of(statement: Statement) -> set[Preceding]:
    """The invoices that a credit note names in any reading."""
    return {named for each in statement.readings.values() for named in each.preceding}


def facts_of(statement: Statement, total_minor: int) -> Facts:
    """What the readings together make of a document of this total."""
    readings = statement.readings.values()
    # Of several statements of what is left the smallest counts: nobody is chased for more than a source says is open.
    settled_minor = max((settled_of(each, total_minor) for each in readings), default=0)
    lines, due_on, due_on_source = _schedule(readings, total_minor - settled_minor)
    first = first_due(lines)
    debit_day = _best(readings, "direct_debit_on") or (due_on if any(each.direct_debit for each in readings) else None)
    source, rank = max(((each.source, each.rank) for each in readings), key=_by_rank, default=("", 0))
    return Facts(
        issued_on=_best(readings, "issued_on"),
        settled_minor=settled_minor,
        instalments=lines,
        due_on=first,
        due_on_source=DueOnSource.NONE if first is None else due_on_source,
        purchase_order=_best(readings, "purchase_order"),
        payment_terms=_best(readings, "payment_terms"),
        direct_debit_on=debit_day,
        source=source,
        source_rank=rank,
    )


def settled_of(reading: Reading, total_minor: int) -> int:
    """How much of the total was settled without us, as one reading has it."""
    if reading.left_minor is None:
        return 0
    return min(max(total_minor - reading.left_minor - reading.allocated_minor, 0), total_minor)


def _schedule(readings: Iterable[Reading], due_minor: int) -> tuple[tuple[Line, ...], date | None, DueOnSource]:
    """The instalments that the best dated reading gives, over the amount due, the last of its days, and its source.

    A day that a field states counts before one that follows from terms, then the richer source. Of equally rich ones
    that with several days counts, then the later day: nobody is chased for what may not be due.
    """
    dated = [each for each in readings if each.due_on is not None]
    if not dated:
        return (Line(amount_minor=due_minor),), None, DueOnSource.NONE
    best = max(dated, key=lambda each: (_SURENESS[each.due_on_source], each.rank, each.instalments, each.due_on))
    if not best.instalments:
        return (Line(amount_minor=due_minor, due_on=best.due_on),), best.due_on, best.due_on_source
    lines = tuple(Line(amount_minor=amount_minor, due_on=day) for day, amount_minor in best.instalments)
    return relaid(lines, due_minor), best.due_on, best.due_on_source


def _best(readings: Iterable[Reading], field: str) -> Any:  # Any: each field has its own type
    """A field as the richest reading that has it says; of equally rich ones the greater, which is as good as any."""
    said = [(each.rank, getattr(each, field)) for each in readings if getattr(each, field) is not None]
    return max(said)[1] if said else None


def _by_rank(pair: tuple[str, int]) -> tuple[int, str]:
    return pair[1], pair[0]


def invoice_change(known: NewInvoice, before: Statement, after: Statement) -> InvoiceChange:
    """What another reading changes about a known invoice.

    Of one that came by other means (the API, a person) only the blanks are filled, and no amount is touched.
    """
    ours = before.is_origin
    was = facts_of(before, known.total_minor)
    total_minor = total_of(after, known.total_minor) if ours and not states_total(before) else known.total_minor
    now = facts_of(after, total_minor)
    changes: dict[str, Any] = {}  # Any: the fields of an InvoiceChange
    for name in ("issued_on", "purchase_order", "payment_terms", "direct_debit_on"):
        had, made, says = getattr(known, name), getattr(was, name), getattr(now, name)
        if had == made and says is not None:
            changes[name] = says
    changes["total_minor"] = total_minor
    own_amount = ours and known.prepaid_minor == was.settled_minor
    changes["prepaid_minor"] = prepaid_minor = now.settled_minor if own_amount else known.prepaid_minor
    if _is_made_by(known.instalments, was.instalments):
        lines, changes["due_on"], changes["due_on_source"] = now.instalments, now.due_on, now.due_on_source
    else:
        lines, changes["due_on"], changes["due_on_source"] = known.instalments, known.due_on, known.due_on_source
    changes["instalments"] = relaid(lines, total_minor - prepaid_minor)
    if ours:
        changes |= {"source": now.source, "source_rank": now.source_rank}
    return InvoiceChange(**{name: value for name, value in changes.items() if value != getattr(known, name)})


def _is_made_by(known: Collection[Line], made: Collection[Line]) -> bool:
    """Whether instalments are what the readings made them; of a single one only the day is asked."""
    if len(known) == len(made) == 1:
        return [line.due_on for line in known] == [line.due_on for line in made]
    return list(known) == list(made)


def credit_note_change(known: CreditNote, before: Statement, after: Statement) -> CreditNoteChange:
    """What another reading changes about a known credit note; as for an invoice."""
    if not before.is_origin:
        return CreditNoteChange()
    was = facts_of(before, known.total_minor)
    total_minor = known.total_minor if states_total(before) else total_of(after, known.total_minor)
    now = facts_of(after, total_minor)
    changes: dict[str, Any] = {  # Any: the fields of a CreditNoteChange
        "total_minor": total_minor, "source": now.source, "source_rank": now.source_rank,
    }  # fmt: skip
    if known.issued_on == was.issued_on:
        changes["issued_on"] = now.issued_on
    if known.used_minor == was.settled_minor:
        changes["used_minor"] = now.settled_minor
    return CreditNoteChange(**{name: value for name, value in changes.items() if value != getattr(known, name)})
