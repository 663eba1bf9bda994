"""What free text (BT-20) says of payment terms, in French, English and German, where it says one thing only.

Cautious by design: a duration, a day or a share that no pattern explains, or a second answer, and nothing is read.
What counts from a delivery, in working days or in months has no place in the grammar, and is not read either.
"""

import re
from decimal import Decimal
from typing import Final

from msgspec import Struct

from kernel.text import fold
from law.payment_terms.discounts import Discount, take_discounts
from law.payment_terms.grammar import MAX_PARTS, MIN_PARTS, EomReading, Part, Split, Term, Terms
from law.payment_terms.words import DATE, DAYS, EOM, PERCENT, day_of, number_of

MAX_READ: Final = 2000  # characters
_WHOLE: Final = Decimal(100)
# What is said of late payment, of property or of a debit is no term; it runs from a comma to the end of its clause.
_NOISE: Final = re.compile(
    r"(?:[,(:]|^| - )[^,(:;]{0,80}\b(?:penalit|penalt|retard|interet|indemnit|recouvrement|overdue|interest|late|"
    r"verzug|mahn|zinsen|reserve de propriete|eigentum|taux)[^;]*"
)
_DEBITED: Final = re.compile(r"prelev|lastschrift|direct debit|eingezogen|abgebucht|debited")
_NO_DISCOUNT: Final = re.compile(
    r"\b(?:pas d'|pas de |aucun |sans |no |kein |ohne |neant d')(?:early payment |cash |prompt payment )?"
    r"(?:escompte|discount|skonto)[^;,]*|\b(?:escompte|discount|skonto)[^;,\d]{0,60}(?:neant|aucun|none|0 ?%)"
)
_ABBREVIATED: Final = re.compile(r"\b(jrs?|j|d|tg|esc|fact)\.")
_CLAUSE: Final = re.compile(r"[\n;]|\.(?=\s|$)")
_SEGMENT: Final = re.compile(r"[,;+&]|\b(?:et|and|und|puis|then|dann)\b")
_REST: Final = re.compile(
    r"\b(?:le solde|solde|le reste|reste|the balance|balance|remaind\w*|remaining|rest|restbetrag)\b"
)
_AHEAD: Final = re.compile(
    r"\b(?:d'acompte|acompte|arrhes|a la commande|deposit|prepaid|prepayment|in advance|advance|down ?payment|"
    r"up ?front|on order|with order|anzahlung|bei (?:auftrag|bestellung)|vorkasse|d'avance)\b"
)

_THE_DAY: Final = (
    r"(?:,|\s)*(?:le|au|on the|the|am|den|zum)\s+(\d{1,2})(?:er|st|nd|rd|th|\.)?"
    r"(?![\d/.-]|\s*(?:jan|fe[bv]|mar|apr|avr|mai|may|jui|jun|jul|aou|aug|sep|oct|okt|nov|dec|dez))"
    r"(?:\s+(?:du mois(?: suivant)?|of the (?:following |next )?month|des (?:folge)?monats))?"
)
_NOT_NEXT: Final = r"(?!\s*(?:suivant|prochain|folgend))"
_OTHER_START: Final = re.compile(
    r"livraison|delivery|reception|receipt|lieferung|erhalt|ouvre|ouvrable|business|working|werktag|bankarbeit|commande|"
    r"order"
)
_AFTER_EOM: Final = re.compile(
    rf"{DAYS}\s*(?:a compter de|a partir de|apres|from|after|following|nach|ab)\s+(?:la |the |dem )?{EOM}"
    r"(?: d'emission| de facturation)?"
    rf"|{EOM}\s*(?:\+|plus)\s*(?:a )?{DAYS}"
)
_THEN_EOM: Final = re.compile(rf"{DAYS}\s*(?:nets?|date de facture)?,?\s*(?:puis|then|dann)\s+(?:a la |the )?{EOM}")
_EOM_THE: Final = re.compile(rf"{DAYS}\s*(?:nets?|net|netto)?\s*(?:a |au |en )?{EOM}{_THE_DAY}")
_DAYS_EOM: Final = re.compile(
    rf"{DAYS}\s*(?:nets?|net|netto|date de (?:la )?facture|ddf)?\s*(?:a |au |en |zum |bis |, )?{EOM}{_NOT_NEXT}"
)
_EOM_ALONE: Final = re.compile(
    rf"(?<![\d+] )(?:a |en |au |by |zum |bis )?(?:the )?{EOM}{_NOT_NEXT}(?!\s*[+]?\s*\d)(?:{_THE_DAY})?"
)
_DAYS: Final = re.compile(
    rf"(?:\b(?:nets?|netto|a|sous|dans(?: les| un delai de)?|within|in|innerhalb(?: von)?|binnen)\s+)*{DAYS}"
    r"(?:\s+(?:nets?|netto|net))?(?P<after>[^,;]{0,60})"
)
_NET: Final = re.compile(r"\b(?:(?:netto|nets?)\s*[:/]?|n\s*/)\s*(\d{1,3})\b(?!\s*[%/.,]\d)")
# The day that a number of days leads to ("30 Tage netto bis 04.04.2018"), and a day to pay without one.
_UNTIL: Final = re.compile(
    rf"\b(?:avant le|au plus tard le|soit(?: le)?|le|by|until|bis(?: zum| spatestens)?)\s+{DATE}"
)
_BY: Final = re.compile(
    r"(?:echeance|payable|a payer|regle|paiement|\bdue\b|\bpay\w*|zahlbar|fallig\w*|zahlung\w*|\bbis\b|\bby\b|avant le|"
    rf"au plus tard)(?:(?!\b(?:du|from|of|vom|ab|dated|since|depuis)\b)[^;\d]){{0,40}}?{DATE}"
)
_RECEIPT: Final = re.compile(
    r"\b(?:a|des|sur)\s+(?:la\s+)?reception(?:\s+de\s+(?:la\s+|votre\s+)?facture)?|\bcomptant\b|"
    r"\b(?:due |payable )?(?:up)?on receipt(?: of (?:the )?invoice)?|\bdue (?:immediately|now)|"
    r"\bimmediate(?:ly| payment)|\bsofort(?:ige)?(?: zahlbar| fallig)?(?: netto| ohne abzug)?|\bpaiement immediat"
)
_PREPAID: Final = re.compile(
    r"\bprepaid|\b(?:paid|payment|payable) in advance|\b(?:paye|payable|paiement|reglement)e? d'avance|"
    r"\bvor(?:aus)?kasse"
)
_NUMBER: Final = re.compile(r"\d")
_LEFT_OVER: Final = re.compile(
    rf"{DAYS}|{DATE}|%|\b(?:mois|months?|monate?n?|semaines?|weeks?|wochen?|eom|fdm|monatsende)\b|\ble \d{{1,2}}\b|"
    r"\d+ ?/ ?\d+|\b\d{1,3}\s*(?:ou|or|oder|to|a|-)(?=\s|$)"
)


class Reading(Struct, frozen=True):
    """What a text says. With `needs_eom_reading` it says "N days end of month", which has two readings."""

    terms: Terms | None = None
    discount: Discount | None = None
    needs_eom_reading: bool = False
    is_silent: bool = False  # nothing in it could be a term


class _Ambiguous(Exception):
    """The text may mean two things; `needs_eom_reading` where a stated reading would settle it."""

    def __init__(self, *, needs_eom_reading: bool = False) -> None:
        super().__init__()
        self.needs_eom_reading = needs_eom_reading


def read_text(text: str | None, eom_reading: EomReading | None = None) -> Reading:
    """The terms and the early-payment discount that a text states, as far as they are plain.

    >>> read_text("30% d'acompte, solde à 30 j").terms is not None
    True
    >>> read_text("45 jours fin de mois").needs_eom_reading
    True
    """
    left = _tidied(text or "")
    if not any(each.search(left) for each in (_NUMBER, _RECEIPT, _PREPAID, _EOM_ALONE)):
        return Reading(is_silent=True)
    if _DEBITED.search(left):
        return Reading()
    try:
        discount, left = take_discounts(left)
    except ValueError:  # two discounts, or one that may mean two things
        return Reading()
    try:
        return Reading(_split(left, eom_reading) or _single(left, eom_reading), discount)
    except _Ambiguous as ambiguous:
        return Reading(None, discount, ambiguous.needs_eom_reading)


def _tidied(text: str) -> str:
    """Clauses in lower case and without accents, without what is no term."""
    lines = [fold(line.replace("’", "'")) for line in text[:MAX_READ].splitlines()]
    plain = _ABBREVIATED.sub(r"\1", " ; ".join(line for line in lines if line))
    clauses = [_NOISE.sub(" ", _NO_DISCOUNT.sub(" ", clause)) for clause in _CLAUSE.split(plain)]
    return " ; ".join(clause.strip() for clause in clauses if clause.strip())


def _split(text: str, eom_reading: EomReading | None) -> Split | None:
    """Shares with a term each: "30% d'acompte, solde à 30 j"."""
    if not re.search(PERCENT, text):
        return None
    segments = [each.strip() for each in _SEGMENT.split(text) if each.strip()]
    if not MIN_PARTS <= len(segments) <= MAX_PARTS:
        raise _Ambiguous
    parts: list[Part] = []
    for place, segment in enumerate(segments):
        is_last = place == len(segments) - 1
        share = re.search(PERCENT, segment)
        if share is not None:
            said = segment[: share.start()] + " " + segment[share.end() :]
            parts.append(Part(_share_term(said, eom_reading), percent=number_of(share[1])))
        elif is_last and (rest := _REST.search(segment)):
            parts.append(Part(_share_term(segment[rest.end() :], eom_reading)))
        else:
            raise _Ambiguous
    stated = sum((part.percent or Decimal(0) for part in parts), Decimal(0))
    if stated > _WHOLE or (stated == _WHOLE) == any(part.percent is None for part in parts):
        raise _Ambiguous
    return Split(tuple(parts))


def _share_term(text: str, eom_reading: EomReading | None) -> Term:
    if _AHEAD.search(text) and not re.search(DAYS, text):
        return Term("prepaid")
    term = _single(text, eom_reading)
    if term is None:
        raise _Ambiguous
    return term


def _single(text: str, eom_reading: EomReading | None) -> Term | None:
    """The one term of a text, or none."""
    found, left = _counted(text, eom_reading)
    if found and (dated := _UNTIL.search(left)):
        found, left = [_on(dated[0])], left[: dated.start()] + " ; " + left[dated.end() :]
    elif not found:
        found, left = [_on(match[0]) for match in _BY.finditer(left)], _BY.sub(" ; ", left)
    if not found:
        for pattern, rule in ((_RECEIPT, Term("receipt")), (_PREPAID, Term("prepaid"))):
            if pattern.search(left):
                found.append(rule)
                left = pattern.sub(" ; ", left)
    if found and _LEFT_OVER.search(left):
        raise _Ambiguous
    if len(set(found)) > 1:
        raise _Ambiguous
    return found[0] if found else None


def _counted(text: str, eom_reading: EomReading | None) -> tuple[list[Term], str]:
    found: list[Term] = []
    left = text

    def take(pattern: re.Pattern[str]) -> list[re.Match[str]]:
        nonlocal left
        matches = list(pattern.finditer(left))
        if matches:
            left = pattern.sub(" ; ", left)
        return matches

    found += [Term("eom_net", int(match[1] or match[2])) for match in take(_AFTER_EOM)]
    found += [Term("net_eom", int(match[1])) for match in take(_THEN_EOM)]
    found += [Term("net_eom", int(match[1]), _day_of_month(match[2])) for match in take(_EOM_THE)]
    for match in take(_DAYS_EOM):
        if eom_reading is None:
            raise _Ambiguous(needs_eom_reading=True)
        found.append(Term("net_eom" if eom_reading == "net_eom" else "eom_net", int(match[1])))
    found += [Term("net_eom", 0, _day_of_month(match[1]) if match[1] else None) for match in take(_EOM_ALONE)]
    for match in take(_DAYS):
        if _OTHER_START.search(match["after"]):
            raise _Ambiguous
        left += f" ; {match['after']}"
        found.append(Term("net", int(match[1])))
    found += [Term("net", int(match[1])) for match in take(_NET)]
    return found, left


def _on(text: str) -> Term:
    day = day_of(text)
    if day is None:
        raise _Ambiguous
    return Term("on", on=day)


def _day_of_month(text: str) -> int:
    day = int(text)
    if not 1 <= day <= 31:  # noqa: PLR2004 -- the days of a month
        raise _Ambiguous
    return day
