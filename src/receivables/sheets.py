"""Tables as CSV for people: opened by a double click they are read right, and nothing in them is run.

In French cells are parted by semicolons and decimals by a comma, as spreadsheets of that language expect; else by
commas and points. The text is UTF-8 with a byte order mark, without which spreadsheets take it for another encoding.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from kernel.money import Money

Cell = str | int | date | Money | None
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # also the full-width ones


def written(rows: Iterable[Sequence[Cell]], language: str) -> bytes:
    """The rows as one file. Amounts are in major units without a currency, days as 2026-03-31."""
    french = language == "fr"
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";" if french else ",", lineterminator="\r\n")
    for row in rows:
        writer.writerow([_cell(cell, french=french) for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8")


def _cell(cell: Cell, *, french: bool) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Money):
        plain = f"{cell.major():f}"
        return plain.replace(".", ",") if french else plain
    if isinstance(cell, str):
        return _text(cell)
    return str(cell)


def _text(cell: str) -> str:
    """Text that a spreadsheet would take for a formula begins with an apostrophe (OWASP, CSV injection)."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
