"""Find the invoices, credit notes, receipts and returns in the lines of the receivable accounts, and what settles what.

Pure. Every line belongs to one piece or to a transfer that nets out, so that for each debtor invoices less credit
notes, less receipts, plus returns, are the balance of the accounts, to the cent.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from msgspec import Struct, structs

from billing_connectors.documents.canonical import MAX_ID
from billing_connectors.fec.lettering import Piece, PieceKind, Settled, groups_of, lettering_of, match_returns, set_off
from billing_connectors.fec.parsing import Books, Entry, Line

_COLLECTIVE: Final = ("413", "416", "4191")
_CREDIT: Final = re.compile(r"(?:AV|AVOIR|NC|CN)(?![A-Z])", re.IGNORECASE)


class Found(Struct, frozen=True):
    """Everything in the books about receivables."""

    pieces: list[Piece]
    settled: list[Settled]
    balances: dict[str, int]  # by debtor, in the currency of the books
    aliases: dict[str, str]  # other accounts of the same debtor
    names: dict[str, str]
    exchanged: dict[str, int]  # by debtor: what only rates of exchange have moved, which nobody owes
    warnings: list[str]


def find_pieces(books: Books) -> Found:
    """What the books hold."""
    books = _in_one_currency(books)
    transfers, aliases = _transfers(books)
    exchanged = _exchanged(books)
    transfers |= exchanged
    shared = _shared_pieces(books, transfers, aliases)
    groups: dict[tuple[object, ...], list[Line]] = {}
    for line in books.lines:
        if line.number not in transfers and line.amount_minor:
            groups.setdefault(_key(books, line, aliases), []).append(line)
    pieces: list[Piece] = []
    owners: dict[int, int] = {}
    for lines in groups.values():
        owners.update(dict.fromkeys((line.number for line in lines), len(pieces)))
        pieces.append(_piece(books, lines, aliases, shared))
    lettering = lettering_of(books, transfers)
    returned = match_returns(pieces, {owner: lettering.get(number) for number, owner in owners.items()})
    numbers: set[tuple[str, str, int]] = set()
    for piece in pieces:
        _name_apart(piece, numbers)
    _precede(pieces)
    settled = [*returned, *set_off(books, pieces, owners, lettering, {one.target for one in returned})]
    for one in settled:
        pieces[one.source].left_minor -= one.amount_minor
        pieces[one.target].left_minor -= one.amount_minor
    return Found(
        pieces,
        settled,
        _balances(books.lines, aliases),
        aliases,
        {aliases.get(line.code, line.code): line.name for line in reversed(books.lines)},
        _balances([line for line in books.lines if line.number in exchanged], aliases),
        list(books.warnings),
    )


def _in_one_currency(books: Books) -> Books:
    """Where a group of the lettering mixes currencies, it is read in that of the books, in which it was lettered."""
    mixed: set[int] = set()
    differences = _exchanged(books)
    for lines in groups_of(books):
        if len({line.currency for line in lines if line.number not in differences}) > 1:
            mixed.update(line.number for line in lines)
    if not mixed:
        return books
    lines = [structs.replace(each, currency=None) if each.number in mixed else each for each in books.lines]
    return structs.replace(books, lines=lines)


def _exchanged(books: Books) -> set[int]:
    """Lines in the books' currency that only take a gain or loss of exchange off a debt in another."""
    foreign = {line.code for line in books.lines if line.currency is not None}
    found: set[int] = set()
    for line in books.lines:
        entry = books.entries[line.entry]
        plain = entry.exchanged and not entry.sold and not entry.moved_money
        if plain and line.currency is None and line.code in foreign:
            found.add(line.number)
    return found


def _key(books: Books, line: Line, aliases: dict[str, str]) -> tuple[object, ...]:
    """What makes lines one piece: kind, debtor, reference, day; money moves line by line."""
    kind = _kind(books, line)
    code = aliases.get(line.code, line.code)
    if kind in {"receipt", "return"}:
        return kind, code, line.number
    return kind, code, line.piece or line.entry, line.piece_on, line.currency


def _kind(books: Books, line: Line) -> PieceKind:
    entry = _nature(books, line)
    owes = line.amount_minor > 0
    if line.entry[0] in books.openings:
        if owes:
            return "invoice"
        return "credit_note" if _is_credit(line) else "receipt"
    if entry.moved_money:
        if owes and entry.sold:
            return "invoice"
        return "return" if owes else "receipt"
    return "invoice" if owes else "credit_note"


def _nature(books: Books, line: Line) -> Entry:
    """What the entry is, by its other accounts; an entry of receivables alone is what its journal is."""
    entry = books.entries[line.entry]
    if entry.sold or entry.moved_money or entry.lost or entry.exchanged:
        return entry
    return books.journals.get(line.entry[0], entry)


def _is_credit(line: Line) -> bool:
    """Whether a carried credit is a credit note rather than money: by what it calls itself."""
    words = f"{line.piece} {line.label}".casefold()
    return _CREDIT.match(line.piece) is not None or "avoir" in words or "credit note" in words


def _piece(books: Books, lines: Sequence[Line], aliases: dict[str, str], shared: frozenset[str]) -> Piece:
    first = lines[0]
    kind = _kind(books, first)
    code = aliases.get(first.code, first.code)
    foreign = first.currency is not None
    book_minor = abs(sum(line.amount_minor for line in lines))
    amount_minor = abs(sum(line.foreign_minor for line in lines)) if foreign else book_minor
    number = first.piece or f"{first.entry[0]}-{first.entry[1]}"
    if first.piece in shared and kind in {"invoice", "credit_note"}:
        number = f"{number} {code}"
    piece = Piece(
        kind=kind,
        code=code,
        name=first.name,
        number=number[:MAX_ID],
        day=first.piece_on if kind in {"invoice", "credit_note"} else first.entry[2],
        currency=first.currency or books.currency,
        amount_minor=amount_minor,
        book_minor=book_minor,
        left_minor=amount_minor,
        place=first.number,
        entry=first.entry[1] or str(first.number),
        carried=first.entry[0] in books.openings,
        named=bool(first.piece) and first.piece not in shared,
        piece=first.piece,
        piece_on=first.piece_on,
        reference=f"{first.piece} {first.label}".strip(),
    )
    entry = _nature(books, first)
    given_up = kind == "credit_note" and entry.lost and not entry.sold
    unsold = kind == "invoice" and not entry.sold and not piece.carried
    piece.warnings += [
        name
        for name, applies in (
            ("carried_over", piece.carried),
            ("piece_shared", first.piece in shared),
            ("piece_missing", not first.piece),
            ("given_up_in_books", given_up),
            ("debit_without_sale", unsold),
        )
        if applies
    ]
    return piece


def _name_apart(piece: Piece, numbers: set[tuple[str, str, int]]) -> None:
    """Two documents of one year that bear one reference: the later gets the number of its entry beside it."""
    if piece.kind not in {"invoice", "credit_note"}:
        return
    key = (piece.kind, piece.number, piece.day.year)
    if key in numbers:
        piece.number = f"{piece.number} ({piece.entry})"[:MAX_ID]
        piece.warnings.append("piece_repeated")
        if (piece.kind, piece.number, piece.day.year) in numbers:
            piece.number = f"{piece.number} L{piece.place}"[-MAX_ID:]
    numbers.add((piece.kind, piece.number, piece.day.year))


def _precede(pieces: Sequence[Piece]) -> None:
    """A credit that bears the number of an invoice takes that invoice back (an entry reversed, an "extourne")."""
    billed = {(piece.code, piece.number) for piece in pieces if piece.kind == "invoice"}
    for piece in pieces:
        if piece.kind == "credit_note" and (piece.code, piece.number) in billed:
            piece.preceding = piece.number
            piece.warnings.append("entry_reversed")


def _shared_pieces(books: Books, transfers: set[int], aliases: dict[str, str]) -> frozenset[str]:
    """References that several debtors' documents bear, such as that of a month's sales or "A NOUVEAU"."""
    codes: dict[tuple[PieceKind, str], set[str]] = {}
    for line in books.lines:
        kind = _kind(books, line)
        if line.piece and line.number not in transfers and kind in {"invoice", "credit_note"}:
            codes.setdefault((kind, line.piece), set()).add(aliases.get(line.code, line.code))
    return frozenset(piece for (_, piece), found in codes.items() if len(found) > 1)


def _transfers(books: Books) -> tuple[set[int], dict[str, str]]:
    """Lines that only move a debt between accounts (to bills, to doubtful debts), and the accounts that are one debtor.

    An entry of receivable accounts alone that nets to nothing moves; between two debtors' own accounts it does not:
    one of them owes more by it and the other less.
    """
    by_entry: dict[tuple[str, str, date], list[Line]] = {}
    for line in books.lines:
        by_entry.setdefault(line.entry, []).append(line)
    moved: set[int] = set()
    aliases: dict[str, str] = {}
    for key, lines in by_entry.items():
        entry = books.entries[key]
        if entry.sold or entry.moved_money or entry.lost or entry.exchanged or key[0] in books.openings:
            continue
        if len(lines) < 2 or sum(line.amount_minor for line in lines):  # noqa: PLR2004 -- from one account to another
            continue
        own = {line.code for line in lines if not (line.code == line.account and line.account.startswith(_COLLECTIVE))}
        renamed = {line.code: line.name for line in lines}
        if len(own) > 1 and len(set(renamed.values())) == 1:  # 411ACME and 416ACME without auxiliary accounts
            main = min(own, key=lambda code: (not code.startswith("411"), code))
            aliases.update(dict.fromkeys(own - {main}, main))
            own = {main}
        if len(own) == 1:
            moved.update(line.number for line in lines)
    return moved, aliases


def _balances(lines: Iterable[Line], aliases: dict[str, str]) -> dict[str, int]:
    """What each debtor owes by the books: debits less credits on the receivable accounts."""
    sums: dict[str, int] = {}
    for line in lines:
        code = aliases.get(line.code, line.code)
        sums[code] = sums.get(code, 0) + line.amount_minor
    return sums
