"""A statement in words: what stands on paper and in a table, in French or English.

Amounts in columns stand without their currency, which the heading names; those in the text stand with it.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final
from uuid import UUID

from babel.dates import format_date
from babel.numbers import format_decimal, get_currency_symbol

from kernel import ids, text
from kernel.clock import day_of
from kernel.money import Money, exponent
from receivables import sheets
from receivables.facts import CreditorCard
from receivables.ledger import EntryKind
from receivables.periods import Period
from receivables.sheets import Cell
from receivables.statements.reading import BankLine, Statement
from receivables.statements.views import Movement, StatementAccount, StatementView, UnusedCredit

Words = Mapping[str, str]
_LOCALES: Final = {"en": "en_GB", "fr": "fr_FR"}
NBSP: Final = "\u00a0"
_NARROW: Final = "\u202f"  # CLDR's space in French numbers; the wider one is known to every reader
_MAX_WORD: Final = 28  # longer ones may be broken: nothing runs out of its column
_MAX_TEXT: Final = 200

WORDS: Final[Mapping[str, Words]] = {
    "en": {
        "title": "Statement of account", "page": "Page", "opening": "Opening balance", "debits": "Charged",
        "credits": "Credited", "movements": "Movements", "date": "Date", "what": "Description", "due": "Due",
        "debit": "Debit", "credit": "Credit", "balance": "Balance", "open_items": "Open items", "invoice": "Item",
        "issued": "Issued", "late": "Late", "billed": "Amount", "open": "To pay", "open_total": "Total to pay",
        "unused": "Payments and credit notes not yet applied", "left": "Available", "unused_total": "Total available",
        "ageing": "Age of what is to pay", "pay_to": "Pay by transfer to", "nothing": "No movements in this period.",
        "closing": "Balance on {0}", "owed": "Balance due", "in_favour": "Balance in your favour", "even": "Balance",
        "period": "From {0} to {1}", "known": "As recorded up to {0}.", "days": "{0} days", "day": "1 day",
        "current": "Not due", "range": "{0}–{1} days", "over": "Over {0} days", "undated": "No due date",
        "invoice_opened": "Invoice {0}", "invoice_corrected": "Correction of invoice {0}",
        "invoice_voided": "Cancellation of invoice {0}", "credit_note_recorded": "Credit note {0}",
        "credit_note_corrected": "Correction of credit note {0}",
        "credit_note_voided": "Cancellation of credit note {0}", "receipt_recorded": "Payment received {0}",
        "receipt_reversed": "Payment returned {0}", "written_off": "Adjustment of invoice {0}",
        "write_off_reversed": "Adjustment reversed, invoice {0}", "charge_waived": "{1} waived {0}",
        "charge_booked": "{1} {0}", "interest": "Late payment interest", "compensation": "Recovery compensation",
        "fee": "Fee", "cost": "Cost", "instalment": "{0}, instalment {1}", "currency": "Currency",
        "creditor": "Creditor", "section": "Section", "number": "Number",
    },
    "fr": {
        "title": "Relevé de compte", "page": "Page", "opening": "Solde d’ouverture", "debits": "Débits de la période",
        "credits": "Crédits de la période", "movements": "Mouvements", "date": "Date", "what": "Libellé",
        "due": "Échéance", "debit": "Débit", "credit": "Crédit", "balance": "Solde",
        "open_items": "Sommes restant dues",
        "invoice": "Pièce", "issued": "Émise le", "late": "Retard", "billed": "Montant", "open": "Restant dû",
        "open_total": "Total restant dû", "unused": "Règlements et avoirs non affectés", "left": "Disponible",
        "unused_total": "Total disponible", "ageing": "Ancienneté des sommes dues", "pay_to": "Règlement par virement",
        "nothing": "Aucun mouvement sur la période.", "closing": "Solde au {0}", "owed": "Solde à votre charge",
        "in_favour": "Solde en votre faveur", "even": "Solde", "period": "Du {0} au {1}",
        "known": "Opérations enregistrées jusqu’au {0}.", "days": "{0} jours", "day": "1 jour",
        "current": "Non échu", "range": "{0}–{1} jours", "over": "Plus de {0} jours", "undated": "Sans échéance",
        "invoice_opened": "Facture {0}", "invoice_corrected": "Correction de la facture {0}",
        "invoice_voided": "Annulation de la facture {0}", "credit_note_recorded": "Avoir {0}",
        "credit_note_corrected": "Correction de l’avoir {0}", "credit_note_voided": "Annulation de l’avoir {0}",
        "receipt_recorded": "Règlement reçu {0}", "receipt_reversed": "Règlement retourné {0}",
        "written_off": "Régularisation de la facture {0}",
        "write_off_reversed": "Régularisation annulée, facture {0}", "charge_waived": "{1}, remise {0}",
        "charge_booked": "{1} {0}", "interest": "Intérêts de retard", "compensation": "Indemnité de recouvrement",
        "fee": "Frais", "cost": "Frais exposés", "instalment": "{0}, échéance {1}", "currency": "Devise",
        "creditor": "Créancier", "section": "Rubrique", "number": "Numéro",
    },
}  # fmt: skip
_IDS: Final = {
    "siren": "SIREN", "0002": "SIREN", "siret": "SIRET", "0009": "SIRET", "vat": "TVA", "duns": "DUNS", "gln": "GLN",
}  # fmt: skip


def document(statement: Statement, language: str, logos: Mapping[UUID, bytes]) -> dict[str, Any]:  # Any: JSON
    """Everything that the paper says, for the typesetter."""
    view, words = statement.view, WORDS[language]
    period = words["period"].format(_long(view.from_on, language), _long(view.to_on, language))
    authors = sorted({_plain(account.creditor_name) for account in view.accounts})
    return {
        "language": language,
        "words": dict(words),
        "title": f"{words['title']} – {_plain(view.debtor_name)}",
        "author": ", ".join(authors) or "–",
        "made_on": {"year": view.to_on.year, "month": view.to_on.month, "day": view.to_on.day},
        "footer": f"{words['title']} · {_plain(view.debtor_name)} · {period}",
        "debtor": _plain(view.debtor_name),
        "debtor_lines": _address(statement.debtor.address),
        "period": period,
        "accounts": [_account(statement, account, language, logos) for account in view.accounts],
    }


def _account(
    statement: Statement, account: StatementAccount, language: str, logos: Mapping[UUID, bytes]
) -> dict[str, Any]:  # Any: JSON
    view, words, currency = statement.view, WORDS[language], account.currency
    card = statement.creditors[ids.decode("crd", account.creditor_id)]

    def plain(amount_minor: int) -> str:
        return amount(amount_minor, currency, language)

    closing = "owed" if account.closing_minor > 0 else "in_favour" if account.closing_minor < 0 else "even"
    return {
        "creditor": _plain(account.creditor_name),
        "creditor_lines": [*_address(card.address), *_legal(card, language)],
        "logo": list(logos[card.id]) if card.id in logos else None,
        "currency": currency,
        "from": _short(view.from_on, language),
        "opening": money(account.opening_minor, currency, language),
        "debits": money(account.debit_minor, currency, language),
        "credits": money(account.credit_minor, currency, language),
        "closing_label": words[closing],
        "closing_money": money(abs(account.closing_minor), currency, language),
        "opening_plain": plain(account.opening_minor),
        "debits_plain": plain(account.debit_minor),
        "credits_plain": plain(account.credit_minor),
        "closing_plain": plain(account.closing_minor),
        "closing_day": words["closing"].format(_short(view.to_on, language)),
        "movements": [
            {
                "day": _short(row.effective_on, language),
                "what": described(row, words),
                "due": _short(row.due_on, language) if row.kind is EntryKind.INVOICE_OPENED else "",
                "debit": plain(row.amount_minor) if row.amount_minor > 0 else "",
                "credit": plain(-row.amount_minor) if row.amount_minor < 0 else "",
                "balance": plain(row.balance_minor),
            }
            for row in account.movements
        ],
        "items": list(_items(account, language)),
        "open_total": plain(account.open_minor + account.charges_minor),
        "unused": [
            {"what": _credit(row, words), "day": _short(row.effective_on, language), "left": plain(row.left_minor)}
            for row in account.unused
        ],
        "unused_total": plain(account.unused_minor),
        "periods": [
            {"label": label, "amount": plain(amount_minor)} for label, amount_minor in _ages(view, account, words)
        ],
        "bank": _bank(statement.banks.get((card.id, currency)), card),
        "note": words["known"].format(_long(day_of(view.as_known_at, card.zone), language)),
    }


def _items(account: StatementAccount, language: str) -> Iterator[dict[str, Any]]:  # Any: JSON
    words, currency = WORDS[language], account.currency
    for item in account.open_items:
        name = _plain(item.number)
        yield {
            "number": words["instalment"].format(name, item.place) if item.place > 1 else name,
            "issued": _short(item.issued_on, language),
            "due": _short(item.due_on, language),
            "late": _days(item.days_late, words),
            "is_late": item.days_late > 0,
            "billed": amount(item.amount_minor, currency, language),
            "open": amount(item.open_minor, currency, language),
        }
    for charge in account.open_charges:
        yield {
            "number": f"{words[charge.kind.value]} {_plain(charge.number or '')}".strip(),
            "issued": _short(charge.effective_on, language),
            "due": _short(charge.due_on, language),
            "late": "",
            "is_late": False,
            "billed": amount(charge.amount_minor, currency, language),
            "open": amount(charge.open_minor, currency, language),
        }


def table(statement: Statement, language: str) -> bytes:
    """The statement as CSV: every movement with its balance, then what is open and what is unused."""
    words = WORDS[language]
    return sheets.written(_table(statement.view, words), language)


def _table(view: StatementView, words: Words) -> Iterator[list[Cell]]:
    yield [
        words["section"], words["creditor"], words["currency"], words["date"], words["what"], words["due"],
        words["debit"], words["credit"], words["balance"],
    ]  # fmt: skip
    for account in view.accounts:
        name, currency = account.creditor_name, account.currency

        def cash(amount_minor: int, currency: str = currency) -> Money:
            return Money(amount_minor, currency)

        yield [words["opening"], name, currency, view.from_on, None, None, None, None, cash(account.opening_minor)]
        for row in account.movements:
            debit, credit = cash(max(row.amount_minor, 0)), cash(max(-row.amount_minor, 0))
            yield [
                words["movements"], name, currency, row.effective_on, described(row, words), row.due_on,
                debit if row.amount_minor > 0 else None, credit if row.amount_minor < 0 else None,
                cash(row.balance_minor),
            ]  # fmt: skip
        closing = cash(account.closing_minor)
        yield [words["closing"].format(view.to_on), name, currency, view.to_on, None, None, None, None, closing]
        for item in account.open_items:
            number = words["instalment"].format(item.number, item.place) if item.place > 1 else item.number
            open_ = cash(item.open_minor)
            yield [words["open_items"], name, currency, item.issued_on, number, item.due_on, open_, None, None]
        for charge in account.open_charges:
            what = f"{words[charge.kind.value]} {charge.number or ''}".strip()
            open_ = cash(charge.open_minor)
            yield [words["open_items"], name, currency, charge.effective_on, what, charge.due_on, open_, None, None]
        for left in account.unused:
            free = cash(left.left_minor)
            yield [words["unused"], name, currency, left.effective_on, _credit(left, words), None, None, free, None]


def described(row: Movement, words: Words) -> str:
    """What a movement was."""
    name = _plain(row.number or row.reference or "")
    charge = "" if row.charge_kind is None else words[row.charge_kind.value]
    return words[row.kind.value].format(name, charge).strip()


def _credit(row: UnusedCredit, words: Words) -> str:
    kind = EntryKind.CREDIT_NOTE_RECORDED if row.receipt_id is None else EntryKind.RECEIPT_RECORDED
    return words[kind.value].format(_plain(row.number or row.reference or "")).strip()


def _ages(view: StatementView, account: StatementAccount, words: Words) -> Iterator[tuple[str, int]]:
    for period, amount_minor in zip(view.periods, account.periods_minor, strict=True):
        yield _age(period, words), amount_minor
    if account.undated_minor:
        yield words["undated"], account.undated_minor


def _age(period: Period, words: Words) -> str:
    if period.from_days is None:
        return words["current"]
    if period.to_days is None:
        return words["over"].format(period.from_days - 1)
    return words["range"].format(period.from_days, period.to_days)


def _days(days: int, words: Words) -> str:
    return "" if days == 0 else words["day"] if days == 1 else words["days"].format(days)


def amount(amount_minor: int, currency: str, language: str) -> str:
    """An amount without its currency: `1 234,56` in French, `1,234.56` in English; never rounded."""
    decimals = exponent(currency)
    pattern = "#,##0." + "0" * decimals if decimals else "#,##0"
    number = format_decimal(Money(amount_minor, currency).major(), pattern, locale=_LOCALES[language])
    return number.replace(_NARROW, NBSP).replace("-", "\u2212")


def money(amount_minor: int, currency: str, language: str) -> str:
    """An amount with its currency: `1 234,56 €` in French, `€1,234.56` in English."""
    number, symbol = amount(abs(amount_minor), currency, language), get_currency_symbol(currency, _LOCALES[language])
    sign = "\u2212" if amount_minor < 0 else ""
    if language == "fr":
        return f"{sign}{number}{NBSP}{symbol}"
    return f"{sign}{symbol}{NBSP if symbol[-1:].isalpha() else ''}{number}"


def _short(value: date | None, language: str) -> str:
    return "" if value is None else format_date(value, "dd/MM/y", locale=_LOCALES[language])


def _long(value: date, language: str) -> str:
    written = format_date(value, "d MMMM y", locale=_LOCALES[language])
    return "1er" + written[1:] if language == "fr" and value.day == 1 else written


def _plain(value: str) -> str:
    """Text from outside on one line, without marks that turn the reading direction, its long words breakable."""
    visible = "".join(c for c in value if unicodedata.category(c) not in {"Cf", "Cs", "Co", "Cn"})
    words = text.clean(visible, _MAX_TEXT).split(" ")
    return " ".join("\u200b".join(_pieces(word)) for word in words)


def _pieces(word: str) -> Iterable[str]:
    return (word[place : place + _MAX_WORD] for place in range(0, max(len(word), 1), _MAX_WORD))


def _address(address: str | None) -> list[str]:
    return [line for line in map(_plain, (address or "").splitlines()[:8]) if line]


def _legal(card: CreditorCard, language: str) -> list[str]:
    """The numbers under which the creditor is registered, on one line; each once."""
    named: dict[str, str] = {}
    for identifier in card.identifiers:
        name = _IDS.get(identifier.scheme)
        if name is not None:
            named.setdefault("VAT" if name == "TVA" and language == "en" else name, _grouped(name, identifier.value))
    return [" · ".join(f"{name}{NBSP}{value}" for name, value in sorted(named.items()))] if named else []


def _grouped(name: str, value: str) -> str:
    packed = "".join(_plain(value).split())
    if name in {"SIREN", "SIRET"} and packed.isdigit():
        parts = [packed[place : place + 3] for place in range(0, min(len(packed), 9), 3)]
        return NBSP.join([*parts, *([packed[9:]] if packed[9:] else [])])
    return packed


def _bank(line: BankLine | None, card: CreditorCard) -> list[dict[str, str]]:
    """Where to pay: the account in this currency, else the creditor's own."""
    iban, bic = (card.iban, card.bic) if line is None else (line.iban, line.bic)
    if iban is None:
        return []
    packed = "".join(iban.split())
    grouped = NBSP.join(packed[place : place + 4] for place in range(0, len(packed), 4))
    named = [] if bic is None else [{"label": "BIC", "value": _plain(bic)}]
    return [{"label": "IBAN", "value": grouped}, *named]
