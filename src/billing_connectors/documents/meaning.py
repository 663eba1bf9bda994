"""What an e-invoice means for receivables: its kind, its amounts, its day, and what deserves a look.

The rules of EN 16931 stand here once for both syntaxes. A fact that money or a date depends on is read exactly or
the document is refused; any other that cannot be read is left out, with a warning.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from msgspec import Struct

from billing_connectors.documents.canonical import (
    MAX_ID,
    MAX_LIST,
    Document,
    Instalment,
    Kind,
    Party,
    Preceding,
    Rejected,
)
from billing_connectors.documents.fields import Unreadable, amount_minor, currency_code, day, paragraph
from billing_connectors.documents.found import Figure, Found, Term
from billing_connectors.documents.parties import short
from billing_connectors.documents.type_codes import (
    ACCOUNTING_ONLY,
    CORRECTIONS,
    CREDIT_NOTES,
    FACTORED,
    INVOICES,
    SELF_BILLED,
)
from kernel.text import clean

# UNTDID 4461: direct debit, and SEPA direct debit.
_DEBITS: Final = frozenset({"49", "59"})


class Sums(Struct, frozen=True, kw_only=True):
    """The amounts of a document, none negative, and whether they were."""

    negative: bool
    total: int
    amount_due: int
    prepaid: int | None
    tax: int | None


def document_of(found: Found) -> Document:
    """The canonical document, or the reason why it cannot be one."""
    warnings = list(found.warnings)
    number = _number(found)
    issued_on = _issued_on(found)
    currency = _currency(found)
    kind = _kind(found, warnings)
    sums = _sums(found, currency, warnings)
    if sums.negative:  # a negative invoice credits; a credit note balances a negative invoice out by being negative
        kind = "credit_note" if kind == "invoice" else "invoice"
        if kind == "invoice":
            warnings.append("negative_credit_note")
    due_on, instalments = _due(found, currency, sums, warnings)
    if not found.buyer.name:
        raise Rejected("missing_buyer", "the document names no buyer", format=found.format)
    _warn(found, kind, issued_on, due_on, sums, warnings)
    return Document(
        kind=kind,
        format=found.format,
        number=number,
        issued_on=issued_on,
        due_on=due_on,
        due_on_source="document" if due_on else "none",
        currency=currency,
        total_minor=sums.total,
        amount_due_minor=sums.amount_due,
        amount_due_stated="amount_due_missing" not in warnings or sums.prepaid is not None,
        prepaid_minor=sums.prepaid,
        tax_minor=sums.tax,
        type_code=found.type_code,
        seller=found.seller,
        buyer=found.buyer,
        payee=_payee(found),
        instalments=instalments,
        payment_terms_text=paragraph(found.terms_texts),
        preceding=tuple(
            Preceding(clean(one.number, MAX_ID), _optional_day(one.issued_on)) for one in found.preceding[:MAX_LIST]
        ),
        purchase_order=short(found.purchase_order),
        buyer_reference=short(found.buyer_reference),
        remittance=short(found.remittance),
        direct_debit=_is_direct_debit(found),
        mandate_reference=short(found.mandate_reference),
        direct_debit_creditor_id=short(found.direct_debit_creditor_id),
        iban="".join((found.iban or "").split())[:MAX_ID] or None,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _number(found: Found) -> str:
    number = clean(found.number or "", MAX_ID + 1)
    if not number:
        raise Rejected("missing_number", "the document has no number", format=found.format)
    if len(number) > MAX_ID:  # cut, it could be the number of another invoice
        raise Rejected("bad_number", f"a number has at most {MAX_ID} characters", format=found.format)
    return number


def _issued_on(found: Found) -> date:
    if not found.issued_on:
        raise Rejected("missing_date", "the document has no issue date", format=found.format)
    try:
        return day(found.issued_on)
    except Unreadable as error:
        raise Rejected("bad_date", str(error), format=found.format) from error


def _currency(found: Found) -> str:
    if not found.currency:
        raise Rejected("missing_currency", "the document has no currency", format=found.format)
    try:
        return currency_code(found.currency)
    except Unreadable as error:
        raise Rejected("bad_currency", str(error), format=found.format) from error


def _kind(found: Found, warnings: list[str]) -> Kind:
    code = found.type_code
    if code is None:
        if found.is_credit_root is None:
            raise Rejected("missing_type", "nothing says whether this is an invoice", format=found.format)
        warnings.append("type_code_missing")
        return "credit_note" if found.is_credit_root else "invoice"
    if code in CREDIT_NOTES:
        return "credit_note"
    if code not in INVOICES:
        raise Rejected("not_an_invoice", f"documents of type {code[:10]} are no claim", format=found.format)
    if found.is_credit_root:
        warnings.append("type_code_differs")
        return "credit_note"
    return "invoice"


def _sums(found: Found, currency: str, warnings: list[str]) -> Sums:
    """Total (BT-112), amount due (BT-115) and what explains the difference."""
    prepaid = _optional(found.prepaid, currency, warnings)
    rounding = _optional(found.rounding, currency, warnings) or 0
    tax = _optional(found.tax, currency, warnings)
    total = _required(found.total, currency, found.format)
    due = _required(found.amount_due, currency, found.format)
    if total is None:
        net = _optional(found.net, currency, warnings)
        if net is not None and tax is not None:
            total = net + tax
        elif due is not None:
            total = due + (prepaid or 0) - rounding
        else:
            raise Rejected("missing_total", "the document states no total", format=found.format)
        warnings.append("total_missing")
    if due is None:
        due = total - (prepaid or 0) + rounding
        warnings.append("amount_due_missing")
    # A profile without prepaid amounts (MINIMUM) may well state a smaller amount due: nothing differs there.
    if (prepaid is not None and due != total - prepaid + rounding) or (prepaid is None and due > total + rounding):
        warnings.append("amount_due_differs")
    sign = -1 if total < 0 or (total == 0 and due < 0 and not prepaid) else 1
    if sign * due < 0:
        warnings.append("overpaid")
    if sign * due > sign * total:
        warnings.append("amount_due_above_total")
    return Sums(
        negative=sign < 0,
        total=sign * total,
        amount_due=max(sign * due, 0),
        prepaid=sign * prepaid if prepaid is not None and sign * prepaid >= 0 else None,
        tax=sign * tax if tax is not None and sign * tax >= 0 else None,
    )


def _pick(figures: Sequence[Figure], currency: str) -> Figure | None:
    """The figure in the document's currency; the others tell the same in the currency of the tax office."""
    own = [one for one in figures if (one.currency or currency).upper() == currency]
    return min(own, key=lambda one: one.currency is None) if own else None


def _required(figures: Sequence[Figure], currency: str, format_: str) -> int | None:
    if not figures:
        return None
    figure = _pick(figures, currency)
    if figure is None:
        raise Rejected("currency_conflict", f"an amount is not in {currency}", format=format_)
    try:
        return amount_minor(figure.text, currency)
    except Unreadable as error:
        raise Rejected("bad_amount", str(error), format=format_) from error


def _optional(figures: Sequence[Figure], currency: str, warnings: list[str]) -> int | None:
    figure = _pick(figures, currency)
    try:
        return amount_minor(figure.text, currency) if figure else None
    except Unreadable:
        warnings.append("amount_unreadable")
        return None


def _due(found: Found, currency: str, sums: Sums, warnings: list[str]) -> tuple[date | None, tuple[Instalment, ...]]:
    """The day on which all is due, and the parts where days and amounts are complete.

    Of several days without amounts the last one counts: nobody is chased for what may not be due yet.
    """
    parts = [*_parts(found.terms, currency, -1 if sums.negative else 1)]
    if len(parts) > 1 and sum(part.amount_minor for part in parts) == sums.amount_due:
        warnings.append("several_due_dates")
        ordered = sorted(parts, key=lambda part: part.due_on)
        return ordered[-1].due_on, tuple(ordered[:MAX_LIST]) if len(ordered) <= MAX_LIST else ()
    stated = [found.due_on] if found.due_on else [term.due_on for term in found.terms if term.due_on]
    days: set[date] = set()
    for text in stated:
        try:
            days.add(day(text))
        except Unreadable:
            warnings.append("due_date_unreadable")
    if len(days) > 1:
        warnings.append("several_due_dates")
    return max(days, default=None), ()


def _parts(terms: Iterable[Term], currency: str, sign: int) -> Iterable[Instalment]:
    for term in terms:
        due_on = _optional_day(term.due_on)
        if due_on is None or term.amount is None or _pick([term.amount], currency) is None:
            continue
        try:
            amount = sign * amount_minor(term.amount.text, currency)
        except Unreadable:
            continue
        if amount > 0:
            yield Instalment(due_on, amount)


def _optional_day(text: str | None) -> date | None:
    try:
        return day(text) if text else None
    except Unreadable:
        return None


def _is_direct_debit(found: Found) -> bool:
    return bool(_DEBITS & set(found.payment_means) or found.mandate_reference or found.debited_account)


def _payee(found: Found) -> Party | None:
    return found.payee if found.payee is not None and found.payee.name != found.seller.name else None


def _warn(  # noqa: PLR0917 -- each is one fact of the same document
    found: Found, kind: Kind, issued_on: date, due_on: date | None, sums: Sums, warnings: list[str]
) -> None:
    """Name what a person may want to look at before anyone is chased."""
    code = found.type_code or ""
    claims = kind == "invoice"
    checks = (
        ("due_date_missing", claims and due_on is None and sums.amount_due > 0),
        ("terms_in_text_only", claims and due_on is None and bool(found.terms_texts)),
        ("due_before_issue", claims and due_on is not None and due_on < issued_on),
        ("direct_debit_announced", _is_direct_debit(found)),
        ("payee_differs", _payee(found) is not None),
        ("self_billed", code in SELF_BILLED),
        ("factored", code in FACTORED),
        ("corrects_another", claims and code in CORRECTIONS),
        ("accounting_only", code == ACCOUNTING_ONLY),
        ("seller_missing", not found.seller.name and not found.seller.legal_ids),
        ("copy", found.is_copy),
        ("test_document", found.is_test),
    )
    warnings += [name for name, applies in checks if applies]
