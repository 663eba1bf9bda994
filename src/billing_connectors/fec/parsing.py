"""Read a FEC: its columns by name, its lines exactly, its balance; a file that does not balance is not read.

Article A47 A-1 of the LPF gives eighteen columns, tab or `|` between them, days as AAAAMMJJ and a decimal comma, and
`Montant` with `Sens` in place of `Debit` and `Credit`. Real files vary in encoding, in the case and the order of the
header, in quotes and in columns that follow (those of the BNC and BA forms): what is plain is read.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Final

from msgspec import Struct

from billing_connectors.documents.canonical import MAX_ID, MAX_NAME, Rejected
from billing_connectors.documents.fields import Unreadable, amount_minor, calendar_day
from kernel.text import clean, fold
from receivables.currencies import CURRENCIES

FORMAT: Final = "fec"
MAX_LINES: Final = 1_000_000
MAX_LINE: Final = 20_000  # characters
_SAMPLE: Final = 65_536
_SEPARATORS: Final = ("\t", "|", ";")
_REQUIRED: Final = ("journalcode", "ecriturenum", "ecrituredate", "comptenum", "pieceref")
_COLUMNS: Final = frozenset(
    (
        *_REQUIRED, "journallib", "comptelib", "compauxnum", "compauxlib", "piecedate", "ecriturelib", "debit",
        "credit", "montant", "sens", "ecriturelet", "datelet", "validdate", "montantdevise", "idevise", "idclient",
    )
)  # fmt: skip
_SIDES: Final = {"d": 1, "debit": 1, "+1": 1, "1": 1, "+": 1, "c": -1, "credit": -1, "-1": -1, "-": -1}
_NAMED: Final = re.compile(r"(\d{9})fec(\d{8})", re.ASCII | re.IGNORECASE)
_DAY: Final = re.compile(r"(\d{4})[-/]?(\d{2})[-/]?(\d{2})", re.ASCII)
_DAY_FIRST: Final = re.compile(r"(\d{2})[-/.](\d{2})[-/.](\d{4})", re.ASCII)
_SPACES: Final = re.compile(r"[\s\u00a0\u202f]+")
_DOTTED: Final = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+", re.ASCII)  # thousands, or three decimals: nobody knows
_RECEIVABLE: Final = ("411", "413", "416", "4191")
_C1: Final = frozenset(range(0x80, 0xA0))


class Line(Struct, frozen=True, kw_only=True):
    """One line on a receivable account; `amount_minor` is positive where the debtor owes more."""

    number: int  # in the file, from 1
    entry: tuple[str, str, date]  # journal, number, day
    account: str
    code: str  # the debtor's: the auxiliary account, else the account
    name: str
    piece: str
    piece_on: date
    label: str
    amount_minor: int  # in the currency of the books
    letter: str
    lettered_on: str
    currency: str | None = None  # a foreign one, with
    foreign_minor: int = 0  # its amount, of the same sign


class Entry(Struct):
    """What the other accounts of one entry are, which says what the entry is."""

    sold: bool = False  # revenue, or the VAT collected on it
    moved_money: bool = False  # bank, cash
    lost: bool = False  # a charge: what was given up
    exchanged: bool = False  # a gain or loss of exchange
    balance_minor: int = 0


class Books(Struct, kw_only=True):
    """What a FEC says about receivables."""

    lines: list[Line]
    entries: dict[tuple[str, str, date], Entry]
    journals: dict[str, Entry]  # by code: what the entries of a journal are made of together
    openings: frozenset[str]  # journals that carry last year's balances over
    begins_on: date
    siren: str | None = None  # of the file's name
    ends_on: date | None = None
    currency: str = "EUR"
    warnings: list[str] = []


def names_fec(name: str) -> tuple[str, date | None] | None:
    """The SIREN and the closing day of a file name `<SIREN>FEC<AAAAMMJJ>.txt`, where it is one.

    >>> names_fec("123456789FEC20261231.txt")
    ('123456789', datetime.date(2026, 12, 31))
    """
    match = _NAMED.search(name.replace("\\", "/").rsplit("/", 1)[-1])
    if match is None:
        return None
    try:
        return match[1], _day(match[2])
    except Unreadable:
        return match[1], None


def looks_like_fec(content: bytes) -> bool:
    """Whether the first line is the header of a FEC."""
    try:
        head = content[:_SAMPLE].decode(encoding_of(content[:_SAMPLE], cut=True), errors="replace")
    except LookupError:
        return False
    first = next((line for line in head.splitlines() if line.strip()), "")
    names = {_plain(cell) for separator in _SEPARATORS for cell in first.split(separator)}
    return len(names & {"journalcode", "ecriturenum", "ecrituredate", "comptenum", "pieceref"}) >= len(_REQUIRED) - 1


def encoding_of(content: bytes, *, cut: bool = False) -> str:
    """UTF-8 where the bytes are (to their end, unless they are a cut sample), else cp1252 or ISO-8859-15."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        if cut and error.reason == "unexpected end of data" and error.end == len(content):  # within a character
            return "utf-8-sig"
        return "cp1252" if _C1 & set(content) else "iso-8859-15"
    return "utf-8-sig"


def read_fec(content: bytes, name: str = "", *, currency: str = "EUR") -> Books:
    """The receivables of a FEC; raises Rejected where it cannot be read or does not balance."""
    try:
        text = content.decode(encoding_of(content))
    except UnicodeDecodeError as error:
        raise Rejected("bad_encoding", "the text is in none of the encodings of a FEC", format=FORMAT) from error
    if "\0" in text:
        raise Rejected("bad_encoding", "the text holds NUL characters", format=FORMAT)
    return _Reader(text, currency).books(names_fec(name))


class _Reader:
    """Reads the lines of one file."""

    def __init__(self, text: str, currency: str) -> None:
        self._lines = enumerate(io.StringIO(text, newline=None), start=1)
        self._currency = currency
        self._places: Mapping[str, int] = {}
        self._separator = "|"
        self._entries: dict[tuple[str, str, date], Entry] = {}
        self._journals: dict[str, Entry] = {}
        self._labels: dict[str, str] = {}
        self._number = 0

    def books(self, named: tuple[str, date | None] | None) -> Books:
        self._header()
        found = [line for cells in self._rows() if (line := self._line(cells)) is not None]
        if not self._entries:
            raise Rejected("empty_file", "the file has a header and no entry", format=FORMAT)
        total_minor = sum(entry.balance_minor for entry in self._entries.values())
        if total_minor:
            raise Rejected("unbalanced", f"debits exceed credits by {total_minor} minor units", format=FORMAT)
        begins_on = min(entry[2] for entry in self._entries)
        return Books(
            lines=found,
            entries=self._entries,
            journals=self._journals,
            openings=frozenset(code for code, label in self._labels.items() if _is_opening(code, label)),
            begins_on=begins_on,
            siren=named[0] if named else None,
            ends_on=named[1] if named else None,
            currency=self._currency,
            warnings=["entry_unbalanced"] if any(entry.balance_minor for entry in self._entries.values()) else [],
        )

    def _header(self) -> None:
        for number, line in self._lines:
            if line.strip():
                self._number = number
                break
        else:
            raise Rejected("empty_file", "the file has no content", format=FORMAT)
        self._separator = max(_SEPARATORS, key=line.count)
        names = [_plain(cell) for cell in line.split(self._separator)]
        self._places = {name: place for place, name in enumerate(names) if name in _COLUMNS}
        missing = [name for name in _REQUIRED if name not in self._places]
        if not {"debit", "credit"} <= self._places.keys() and not {"montant", "sens"} <= self._places.keys():
            missing.append("debit, credit")
        if missing:
            raise Rejected("missing_columns", f"the header has no {', '.join(missing)}", format=FORMAT)

    def _rows(self) -> Iterator[Sequence[str]]:
        for number, line in self._lines:
            self._number = number
            if not line.strip():
                continue
            if number > MAX_LINES or len(line) > MAX_LINE:
                raise Rejected("too_large", f"a FEC is read up to {MAX_LINES} lines", format=FORMAT)
            yield [_unquoted(cell) for cell in line.rstrip("\n").split(self._separator)]

    def _line(self, cells: Sequence[str]) -> Line | None:
        account = self._text(cells, "comptenum")
        journal = self._text(cells, "journalcode")
        if not account or len(cells) <= max(self._places[name] for name in _REQUIRED):
            raise self._refused("malformed_row", "the line has too few columns")
        key = (journal, self._text(cells, "ecriturenum"), self._day_at(cells, "ecrituredate"))
        entry = self._entries.setdefault(key, Entry())
        book_minor = self._amount(cells)
        entry.balance_minor += book_minor
        self._labels.setdefault(journal, self._text(cells, "journallib"))
        if not account.startswith(_RECEIVABLE):
            for each in (entry, self._journals.setdefault(journal, Entry())):
                _learn(each, account)
            return None
        aux = self._text(cells, "compauxnum") or self._text(cells, "idclient")
        piece_day = self._text(cells, "piecedate")
        currency, foreign_minor = self._foreign(cells, book_minor)
        return Line(
            number=self._number,
            entry=key,
            account=clean(account, MAX_ID),
            code=clean(aux or account, MAX_ID),
            name=clean(self._text(cells, "compauxlib") or self._text(cells, "comptelib") or aux or account, MAX_NAME),
            piece=clean(self._text(cells, "pieceref"), MAX_ID),
            piece_on=self._day_at(cells, "piecedate") if piece_day else key[2],
            label=clean(self._text(cells, "ecriturelib"), MAX_NAME),
            amount_minor=book_minor,
            letter=clean(self._text(cells, "ecriturelet"), MAX_ID),
            lettered_on=self._text(cells, "datelet"),
            currency=currency,
            foreign_minor=foreign_minor,
        )

    def _text(self, cells: Sequence[str], name: str) -> str:
        place = self._places.get(name, len(cells))
        return cells[place].strip() if place < len(cells) else ""

    def _day_at(self, cells: Sequence[str], name: str) -> date:
        text = self._text(cells, name)
        try:
            return _day(text)
        except Unreadable as error:
            raise self._refused("bad_date", f"{name}: {error}") from error

    def _amount(self, cells: Sequence[str]) -> int:
        """Positive for a debit."""
        if "debit" in self._places:
            return self._minor(cells, "debit", self._currency) - self._minor(cells, "credit", self._currency)
        side = _SIDES.get(fold(self._text(cells, "sens")))
        if side is None:
            raise self._refused("bad_amount", "sens is neither D nor C")
        return side * self._minor(cells, "montant", self._currency)

    def _minor(self, cells: Sequence[str], name: str, currency: str) -> int:
        text = _SPACES.sub("", self._text(cells, name))
        if not text:
            return 0
        plain = text.replace(".", "").replace(",", ".") if "," in text else text
        if "," not in text and _DOTTED.fullmatch(text):
            raise self._refused("bad_amount", f"{name}: {text[:40]!r} has thousands or three decimals")
        try:
            return amount_minor(plain, currency)
        except Unreadable as error:
            raise self._refused("bad_amount", f"{name}: {error}") from error

    def _foreign(self, cells: Sequence[str], book_minor: int) -> tuple[str | None, int]:
        """The amount in a foreign currency, with the sign of the line; nothing where the books' own is named."""
        code = self._text(cells, "idevise").upper()
        if code not in CURRENCIES or code == self._currency:
            return None, 0
        stated_minor = abs(self._minor(cells, "montantdevise", code))
        if not stated_minor:
            return None, 0
        return code, stated_minor if book_minor >= 0 else -stated_minor

    def _refused(self, reason: str, detail: str) -> Rejected:
        return Rejected(reason, f"line {self._number}: {detail}", format=FORMAT)


def _learn(entry: Entry, account: str) -> None:
    if account.startswith(("666", "766", "656", "756")):
        entry.exchanged = True
    elif account.startswith(("7", "4457", "487")):
        entry.sold = True
    elif account.startswith("5"):
        entry.moved_money = True
    elif account.startswith("6"):
        entry.lost = True


def _is_opening(code: str, label: str) -> bool:
    words = fold(label)
    return (
        code.upper() in {"AN", "ANO", "ANV", "RAN", "RN", "AAN", "ANC", "OUV", "REP"}
        or "nouveau" in words
        or "ouverture" in words
        or "opening" in words
    )


def _plain(cell: str) -> str:
    return re.sub(r"[^a-z]", "", fold(cell.lstrip("\ufeff")))


def _unquoted(cell: str) -> str:
    stripped = cell.strip()
    if len(stripped) > 1 and stripped[0] == stripped[-1] == '"':
        return stripped[1:-1].replace('""', '"')
    return stripped


def _day(text: str) -> date:
    if match := _DAY.fullmatch(text):
        return calendar_day(int(match[1]), int(match[2]), int(match[3]))
    if match := _DAY_FIRST.fullmatch(text):
        return calendar_day(int(match[3]), int(match[2]), int(match[1]))
    raise Unreadable(f"{text[:40]!r} is no day")
