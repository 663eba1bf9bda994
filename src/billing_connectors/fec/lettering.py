"""What the lettering of the accounts sets off: which money and which credit notes settle which invoices. Pure."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Literal

from msgspec import Struct, field

from billing_connectors.fec.parsing import Books, Line

PieceKind = Literal["invoice", "credit_note", "receipt", "return"]


class Piece(Struct, kw_only=True):
    """One document or movement of money. Amounts are positive; `kind` gives the direction."""

    kind: PieceKind
    code: str
    name: str
    number: str
    day: date  # of the document, or on which the money came or went
    currency: str
    amount_minor: int = 0
    book_minor: int = 0  # in the currency of the books
    left_minor: int = 0  # what the lettering leaves
    place: int = 0  # the first of its lines
    entry: str = ""  # the number of its entry
    carried: bool = False  # from last year, by the opening journal
    named: bool = False  # by a reference of its own, which no other debtor's document bears
    piece: str = ""  # the reference as the line bears it, and
    piece_on: date  # its day
    reference: str = ""
    preceding: str | None = None  # of a credit note that takes an invoice of this number back
    warnings: list[str] = field(default_factory=list[str])


class Settled(Struct, frozen=True):
    """So much of one piece sets another off, as the lettering has it."""

    source: int  # places in `Found.pieces`: a credit note, a receipt, a return
    target: int  # an invoice; of a return, the receipt that went back or the credit note that was paid out
    amount_minor: int


class _Groups:
    """Lines that belong together, joined pair by pair."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}

    def root(self, one: int) -> int:
        path: list[int] = []
        while (parent := self._parents.get(one, one)) != one:
            path.append(one)
            one = parent
        self._parents.update(dict.fromkeys(path, one))
        return one

    def join(self, lines: Iterable[int]) -> None:
        found = iter(lines)
        first = self.root(next(found))
        for one in found:
            self._parents[self.root(one)] = first


def groups_of(books: Books) -> list[list[Line]]:
    """The groups of the lettering: account, debtor and letter; by the day of lettering where that alone balances.

    Letters are used again: on other accounts, in other years, and by some tools within one year.
    """
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in books.lines:
        if line.letter:
            groups.setdefault((line.account, line.code, line.letter), []).append(line)
    found: list[list[Line]] = []
    for lines in groups.values():
        days: dict[str, list[Line]] = {}
        for line in lines:
            days.setdefault(line.lettered_on, []).append(line)
        parts = list(days.values())
        if len(parts) > 1 and all(sum(line.amount_minor for line in part) == 0 for part in parts):
            found += parts
        else:
            found.append(lines)
    return found


def lettering_of(books: Books, transfers: Collection[int]) -> dict[int, int]:
    """The group of each lettered line: groups meet through the entries that only move a debt between accounts."""
    groups = _Groups()
    lettered = groups_of(books)
    for lines in lettered:
        groups.join(line.number for line in lines)
    by_entry: dict[tuple[str, str, date], list[int]] = {}
    for line in books.lines:
        if line.number in transfers and not books.entries[line.entry].exchanged:
            by_entry.setdefault(line.entry, []).append(line.number)
    for numbers in by_entry.values():
        groups.join(numbers)
    return {line.number: groups.root(line.number) for lines in lettered for line in lines}


def match_returns(pieces: Sequence[Piece], groups: Mapping[int, int | None]) -> list[Settled]:
    """Give each sum of money that went back its receipt, or the credit note that it paid out.

    Of the same lettering and amount; not lettered, the debtor's latest receipt of that amount. What finds none is
    owed again: it becomes an invoice in its own name.
    """
    waiting: dict[tuple[object, ...], list[int]] = {}
    order = sorted(range(len(pieces)), key=lambda place: (pieces[place].day, pieces[place].kind == "return", place))
    found: list[Settled] = []
    for place in order:
        piece = pieces[place]
        key = (piece.code, piece.amount_minor, piece.currency, groups.get(place))
        if piece.kind == "receipt" or (piece.kind == "credit_note" and groups.get(place) is not None):
            waiting.setdefault((piece.kind, *key), []).append(place)
        elif piece.kind == "return":
            fitting = waiting.get(("receipt", *key)) or waiting.get(("credit_note", *key))
            if fitting:
                found.append(Settled(place, fitting.pop(), piece.amount_minor))
            else:
                piece.kind = "invoice"
                piece.warnings.append("debit_without_sale")
    return found


def set_off(
    books: Books,
    pieces: Sequence[Piece],
    owners: Mapping[int, int],
    lettering: Mapping[int, int],
    returned: Collection[int],
) -> list[Settled]:
    """Set off within each group of the lettering: what names the other, what fits it, then the oldest."""
    members: dict[int, list[Line]] = {}
    for line in sorted(books.lines, key=_age):
        owner = owners.get(line.number)
        if owner is not None and line.number in lettering and owner not in returned and pieces[owner].kind != "return":
            members.setdefault(lettering[line.number], []).append(line)
    sums: dict[tuple[int, int], int] = {}
    for lines in members.values():
        for source, target, amount_minor in _within(lines, pieces, owners):
            sums[source, target] = sums.get((source, target), 0) + amount_minor
    return [Settled(source, target, amount_minor) for (source, target), amount_minor in sums.items()]


def _age(line: Line) -> tuple[date, date, int]:
    return line.piece_on, line.entry[2], line.number


def _within(lines: Sequence[Line], pieces: Sequence[Piece], owners: Mapping[int, int]) -> list[tuple[int, int, int]]:
    left = {line.number: amount_of(line) for line in lines}
    made: list[tuple[int, int, int]] = []
    owing = [line for line in lines if pieces[owners[line.number]].kind == "invoice"]
    for kind in ("credit_note", "receipt"):
        sources = [line for line in lines if pieces[owners[line.number]].kind == kind]
        for names, wants in _WAYS:
            waiting: dict[object, deque[Line]] = {}
            for line in owing:
                if left[line.number]:
                    waiting.setdefault((pieces[owners[line.number]].currency, wants(line)), deque()).append(line)
            for source in sources:
                currency = pieces[owners[source.number]].currency
                for name in names(source):
                    _take(source, waiting.get((currency, name), deque()), left, owners, made)
    return made


def _take(
    source: Line,
    targets: deque[Line],
    left: dict[int, int],
    owners: Mapping[int, int],
    made: list[tuple[int, int, int]],
) -> None:
    while targets and left[source.number]:
        target = targets[0]
        amount_minor = min(left[source.number], left[target.number])
        left[source.number] -= amount_minor
        left[target.number] -= amount_minor
        if amount_minor:
            made.append((owners[source.number], owners[target.number], amount_minor))
        if not left[target.number]:
            targets.popleft()


def amount_of(line: Line) -> int:
    """The amount of a line in its own currency, without its sign."""
    return abs(line.foreign_minor if line.currency is not None else line.amount_minor)


_Way = tuple[Callable[[Line], Collection[object]], Callable[[Line], object]]
_WAYS: tuple[_Way, ...] = (
    (lambda source: [each for each in (source.piece, *source.label.split()) if each], lambda line: line.piece),
    (lambda source: [amount_of(source)], amount_of),
    (lambda _source: [None], lambda _line: None),
)
