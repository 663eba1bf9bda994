"""The forms that a FEC takes, what it refuses, and that its pieces are its balance to the cent."""

import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_connectors.documents.canonical import Rejected
from billing_connectors.fec.lettering import Piece
from billing_connectors.fec.parsing import encoding_of, looks_like_fec, names_fec, read_fec
from billing_connectors.fec.pieces import Found, find_pieces
from support.books import COLUMNS, NAME, Half, Write, books

SIGNS = {"invoice": 1, "return": 1, "credit_note": -1, "receipt": -1}


def _found(written: Write) -> Found:
    return find_pieces(read_fec(written.content(), NAME))


def _one(found: Found, number: str) -> Piece:
    (piece,) = [each for each in found.pieces if each.number == number]
    return piece


def _sample() -> Write:
    written = books()
    written.sale("C1", "FA-1", "20260105", 12000, "A", name="Société Générale d'Œuvres")
    written.paid("C1", "20260210", 12000, "A")
    written.sale("C2", "FA-2", "20260301", 60099)
    return written


@pytest.mark.parametrize("separator", ["|", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "iso-8859-15", "cp1252", "utf-16"])
@pytest.mark.parametrize("sided", [True, False])
def test_every_form_reads_the_same(separator: str, encoding: str, *, sided: bool) -> None:
    content = _sample().content(separator=separator, encoding=encoding, sided=sided)
    assert looks_like_fec(content)
    read = read_fec(content, NAME)
    plain = read_fec(_sample().content(), NAME)
    assert find_pieces(read) == find_pieces(plain)
    assert read.lines[0].name == "Société Générale d'Œuvres"
    assert (read.siren, read.ends_on) == ("903821654", date(2026, 12, 31))


def test_headers_vary_in_case_order_and_length() -> None:
    content = _sample().content()
    head, _, rest = content.partition(b"\r\n")
    for other in (
        head.lower(),
        head.upper(),
        head.replace(b"JournalCode", b'"Journal Code"'),
        head + b"|DateRglt|ModeRglt",
    ):
        assert find_pieces(read_fec(other + b"\r\n" + rest)) == find_pieces(read_fec(content))
    turned = _sample().content(columns=COLUMNS[::-1])
    assert find_pieces(read_fec(turned)) == find_pieces(read_fec(content))
    short = _sample().content(columns=COLUMNS[:16])  # nothing foreign: tools leave the columns out
    assert find_pieces(read_fec(short)) == find_pieces(read_fec(content))


@pytest.mark.parametrize(
    ("amount", "minor"),
    [("1200,00", 120000), ("1 200,00", 120000), ("1\u202f200,00", 120000), ("1.200,00", 120000), ("1200.00", 120000),
     ("1200", 120000), ("1200,5", 120050), ("-1200,00", -120000)],
)  # fmt: skip
def test_amounts_are_read_exactly(amount: str, minor: int) -> None:
    content = f"{'|'.join(COLUMNS)}\nVE|V|1|20260105|411000|C|C1|N|F1|20260105|L|{amount}|0,00||||\n"
    content += f"VE|V|1|20260105|706000|C|||F1|20260105|L|0,00|{amount}||||\n"
    assert [line.amount_minor for line in read_fec(content.encode()).lines] == [minor]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ((b"12000", b""), None),
        ((b"120,00|0,00|A", b"121,00|0,00|A"), "unbalanced"),
        ((b"120,00|0,00|A", b"abc|0,00|A"), "bad_amount"),
        ((b"120,00|0,00|A", b"1.200|0,00|A"), "bad_amount"),
        ((b"120,00|0,00|A", b"120,001|0,00|A"), "bad_amount"),
        ((b"20260105|411000", b"20260231|411000"), "bad_date"),
        ((b"20260105|411000", b"|411000"), "bad_date"),
        ((b"PieceRef", b"Piece"), "missing_columns"),
        ((b"|Debit|", b"|Sens|"), "missing_columns"),
        ((b"FA-1", b"FA\x00-1"), "bad_encoding"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(changes: tuple[bytes, bytes], reason: str | None) -> None:
    content = _sample().content().replace(*changes, 1)
    if reason is None:
        read_fec(content)
        return
    with pytest.raises(Rejected) as caught:
        read_fec(content)
    assert caught.value.refusal.reason == reason


def test_an_empty_file_and_a_bare_header_hold_no_books() -> None:
    for content in (b"", b"\r\n", books().content()):
        with pytest.raises(Rejected) as caught:
            read_fec(content)
        assert caught.value.refusal.reason == "empty_file"


def test_a_truncated_file_does_not_balance() -> None:
    lines = _sample().content().splitlines(keepends=True)
    for end in (len(lines) - 1, len(lines) - 2, 3, 5):
        with pytest.raises(Rejected) as caught:
            read_fec(b"".join(lines[:end]))
        assert caught.value.refusal.reason == "unbalanced"
    with pytest.raises(Rejected):
        read_fec(b"".join(lines)[:-70])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (NAME, ("903821654", date(2026, 12, 31))),
        ("exports/2026/903821654fec20261231.TXT", ("903821654", date(2026, 12, 31))),
        ("C:\\FEC\\903821654FEC20261231_v2.txt", ("903821654", date(2026, 12, 31))),
        ("903821654FEC20261399.txt", ("903821654", None)),
        ("FEC2026.txt", None),
    ],
)
def test_the_name_says_whose_books(name: str, expected: object) -> None:
    assert names_fec(name) == expected


def test_encodings_are_told_apart() -> None:
    assert encoding_of("Hé".encode()) == "utf-8-sig"
    assert encoding_of("Hé".encode("iso-8859-15")) == "iso-8859-15"
    assert encoding_of("œuvre".encode("cp1252")) == "cp1252"


def test_one_piece_of_several_lines_is_one_invoice() -> None:
    written = books()
    written.entry("VE", "20260105", "FA-1", Half(account="411000", minor=4000, code="C1", letter="A"),
                  Half(account="411000", minor=8000, code="C1", letter="B"),
                  Half(account="706000", minor=-12000))  # fmt: skip
    written.paid("C1", "20260201", 4000, "A")
    written.paid("C1", "20260301", 3000, "B")
    found = _found(written)
    assert (_one(found, "FA-1").amount_minor, _one(found, "FA-1").left_minor) == (12000, 5000)


def test_letters_are_used_again_across_accounts_and_days() -> None:
    written = books()
    for code in ("C1", "C2"):
        written.sale(code, f"FA-{code}", "20260105", 12000, "A", lettered_on="20260210")
        written.paid(code, "20260210", 12000, "A", lettered_on="20260210")
    written.sale("C1", "FA-3", "20260601", 5000, "A", lettered_on="20260710")
    written.paid("C1", "20260710", 5000, "A", lettered_on="20260710")
    found = _found(written)
    assert {piece.left_minor for piece in found.pieces} == {0}
    assert len(found.settled) == 3


def test_a_deposit_waits_as_money_until_its_invoice() -> None:
    written = books()
    written.entry("BQ", "20260105", "ACPT", Half(account="512000", minor=2000),
                  Half(account="419100", minor=-2000, code="C1", letter="A"))  # fmt: skip
    written.entry("VE", "20260201", "FA-1", Half(account="411000", minor=10000, code="C1"),
                  Half(account="419100", minor=2000, code="C1", letter="A"),
                  Half(account="706000", minor=-12000))  # fmt: skip
    found = _found(written)
    assert (_one(found, "FA-1").amount_minor, _one(found, "FA-1").left_minor) == (12000, 10000)
    assert found.balances == {"C1": 10000}


def test_a_reference_of_several_debtors_names_nobody() -> None:
    written = books()
    written.sale("C1", "VENTES 01", "20260131", 1000)
    written.sale("C2", "VENTES 01", "20260131", 2000)
    written.sale("C1", "FA-9", "20260131", 500)
    written.sale("C1", "FA-9", "20260228", 700)
    numbers = [piece.number for piece in _found(written).pieces]
    assert len(set(numbers)) == 4
    assert {"VENTES 01 C1", "VENTES 01 C2", "FA-9"} < set(numbers)


def test_debts_passed_between_debtors_are_owed_by_the_other() -> None:
    written = books()
    written.sale("C1", "FA-1", "20260105", 12000)
    written.entry("OD", "20260301", "REPRISE", Half(account="411000", minor=-12000, code="C1"),
                  Half(account="411000", minor=12000, code="C2"))  # fmt: skip
    found = _found(written)
    assert found.balances == {"C1": 0, "C2": 12000}
    assert _sums(found) == found.balances


def _sums(found: Found) -> dict[str, int]:
    sums = dict.fromkeys(found.balances, 0)
    for piece in found.pieces:
        sums[piece.code] += SIGNS[piece.kind] * piece.book_minor
    return {code: sums[code] + found.exchanged.get(code, 0) for code in sums}


CODES = st.sampled_from(["C1", "C2", "C3"])
DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 31)).map(lambda day: f"{day:%Y%m%d}")
LETTERS = st.sampled_from(["", "", "A", "B", "AA"])
PIECES = st.sampled_from(["FA-1", "FA-2", "FA-3", "AV-1", "VIR", ""])
MINOR = st.integers(-50_000, 50_000).filter(bool)
ENTRIES = st.lists(
    st.tuples(st.sampled_from(["sale", "paid", "carried", "moved", "lost"]), CODES, PIECES, DAYS, MINOR, LETTERS),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(ENTRIES)
def test_any_books_come_out_at_their_balance(entries: list[tuple[str, str, str, str, int, str]]) -> None:
    written = books()
    written.sale("C1", "FA-0", "20260101", 100)
    for kind, code, piece, on, minor, letter in entries:
        if kind == "sale":
            written.sale(code, piece, on, minor, letter)
        elif kind == "paid":
            written.paid(code, on, minor, letter, piece)
        elif kind == "carried":
            written.carried(code, piece, "20260101", minor, letter, piece_on=None)
        elif kind == "moved":
            written.entry("OD", on, piece, Half(account="411000", minor=-minor, code=code, letter=letter),
                          Half(account="416000", minor=minor, code=code))  # fmt: skip
        else:
            written.entry("OD", on, piece, Half(account="654000", minor=minor),
                          Half(account="411000", minor=-minor, code=code, letter=letter))  # fmt: skip
    found = _found(written)
    assert _sums(found) == found.balances
    assert min(piece.left_minor for piece in found.pieces) >= 0
    left = dict.fromkeys(found.balances, 0)
    for piece in found.pieces:
        left[piece.code] += SIGNS[piece.kind] * piece.left_minor
    assert left == found.balances  # what the lettering leaves is the balance too
    documents = [piece for piece in found.pieces if piece.kind in {"invoice", "credit_note"}]
    assert len({(each.kind, each.number, each.day.year) for each in documents}) == len(documents)


def test_books_made_to_be_slow_are_read_in_time() -> None:
    written = books()
    for place in range(15_000):
        written.sale("C1", f"F{place}", "20260105", 100 + place, "A")
        written.paid("C1", "20260210", 50, "A")
        written.paid("C1", "20260211", -50, "A")
    content = written.content()
    begun = time.perf_counter()
    found = find_pieces(read_fec(content))
    assert time.perf_counter() - begun < 10
    assert _sums(found) == found.balances
