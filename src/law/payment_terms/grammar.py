"""The grammar of payment terms, in writing and as values.

`net:N` (N days after the invoice), `net_eom:N` (then the end of that month: reading A of "N jours fin de mois"),
`eom_net:N` (the end of the invoice's month, then N days: reading B), `net_eom:N@D` and `eom_net:N@D` (then day D of
the month that follows), `on:2026-05-15`, `receipt`, `prepaid`, and `split:30%=receipt,rest=net:30` of these.
"""

import re
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

EomReading = Literal["net_eom", "eom_net"]  # A: the days, then the end of the month; B: the end of the month, then
Rule = Literal["net", "net_eom", "eom_net", "on", "receipt", "prepaid"]

MAX_DAYS: Final = 720
MIN_PARTS: Final = 2
MAX_PARTS: Final = 12
LAST_DAY: Final = 31
_WHOLE: Final = Decimal(100)
_COUNTED: Final = re.compile(r"(net|net_eom|eom_net):(\d{1,3})(?:@(\d{1,2}))?", re.ASCII)
_ON: Final = re.compile(r"on:(\d{4}-\d{2}-\d{2})", re.ASCII)
_SHARE: Final = re.compile(r"(\d{1,2}(?:\.\d{1,4})?)%|(\d{1,16})", re.ASCII)
_READINGS: Final[dict[str, EomReading]] = {"a": "net_eom", "net_eom": "net_eom", "b": "eom_net", "eom_net": "eom_net"}


class BadTerms(ValueError):
    """The text is no payment terms of the grammar."""


class Term(Struct, frozen=True, order=True):
    """When one amount is due. `days` counts from the invoice, `day_of_month` is the day of the month after the end."""

    rule: Rule
    days: int = 0
    day_of_month: int | None = None
    on: date | None = None


class Part(Struct, frozen=True):
    """A share of a split: a per cent, an amount in minor units, or (neither) what the others leave."""

    term: Term
    percent: Decimal | None = None
    amount_minor: int | None = None


class Split(Struct, frozen=True):
    """Several amounts, each with its own term; what rounding leaves goes to the last."""

    parts: tuple[Part, ...]


Terms = Term | Split


def eom_reading_of(text: str | None) -> EomReading | None:
    """The reading of "fin de mois" that a creditor has stated: `net_eom` or A, `eom_net` or B; else none."""
    return _READINGS.get((text or "").strip().lower())


def parse(text: str) -> Terms:
    """Terms in the grammar's own writing; raises BadTerms.

    >>> parse("net_eom:45@10")
    Term(rule='net_eom', days=45, day_of_month=10, on=None)
    """
    plain = text.strip()
    if plain.startswith("split:"):
        return _split(plain.removeprefix("split:"))
    return _term(plain)


def written(terms: Terms) -> str:
    """Terms in the grammar's own writing, which `parse` reads back.

    >>> written(Term("net", 30))
    'net:30'
    """
    if isinstance(terms, Split):
        return "split:" + ",".join(f"{_share(part)}={written(part.term)}" for part in terms.parts)
    if terms.rule == "on":
        return f"on:{terms.on}"
    if terms.rule in {"receipt", "prepaid"}:
        return terms.rule
    return f"{terms.rule}:{terms.days}" + (f"@{terms.day_of_month}" if terms.day_of_month else "")


def _share(part: Part) -> str:
    if part.percent is not None:
        return f"{part.percent.normalize():f}%"
    return "rest" if part.amount_minor is None else str(part.amount_minor)


def _term(text: str) -> Term:
    if text in {"receipt", "prepaid"}:
        return Term("receipt" if text == "receipt" else "prepaid")
    if on := _ON.fullmatch(text):
        try:
            return Term("on", on=date.fromisoformat(on[1]))
        except ValueError as error:
            raise BadTerms(f"{text!r} names no day") from error
    counted = _COUNTED.fullmatch(text)
    if counted is None:
        raise BadTerms(f"{text[:60]!r} is no payment term")
    rule, days, day = counted[1], int(counted[2]), int(counted[3]) if counted[3] else None
    if days > MAX_DAYS:
        raise BadTerms(f"a term has at most {MAX_DAYS} days")
    if day is not None and (rule == "net" or not 1 <= day <= LAST_DAY):
        raise BadTerms("a day of the month follows an end of month, and is between 1 and 31")
    if rule == "net_eom":
        return Term("net_eom", days, day)
    return Term("eom_net", days, day) if rule == "eom_net" else Term("net", days)


def _split(text: str) -> Split:
    pieces = text.split(",")
    if not MIN_PARTS <= len(pieces) <= MAX_PARTS:
        raise BadTerms(f"a split has {MIN_PARTS} to {MAX_PARTS} parts")
    parts = tuple(_part(piece, is_last=place == len(pieces) - 1) for place, piece in enumerate(pieces))
    percents = sum((part.percent or Decimal(0) for part in parts), Decimal(0))
    has_rest = any(part.percent is None and part.amount_minor is None for part in parts)
    if percents > _WHOLE or (has_rest and percents == _WHOLE):
        raise BadTerms("the parts are more than the whole")
    if not has_rest and (percents != _WHOLE or any(part.amount_minor is not None for part in parts)):
        raise BadTerms("the parts are not the whole: end with rest=…")
    return Split(parts)


def _part(text: str, *, is_last: bool) -> Part:
    share, found, term = text.partition("=")
    if not found:
        raise BadTerms("a part is share=term")
    if share.strip() == "rest":
        if not is_last:
            raise BadTerms("the rest is the last part")
        return Part(_term(term.strip()))
    match = _SHARE.fullmatch(share.strip())
    if match is None:
        raise BadTerms(f"{share[:20]!r} is no share: 30%, an amount in minor units, or rest")
    if match[1] is not None:
        return Part(_term(term.strip()), percent=Decimal(match[1]))
    return Part(_term(term.strip()), amount_minor=int(match[2]))
