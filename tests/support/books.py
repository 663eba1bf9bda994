"""FEC files for tests: entries in a few words, written in any of the forms that tools write."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from msgspec import Struct

COLUMNS: Final = (
    "JournalCode", "JournalLib", "EcritureNum", "EcritureDate", "CompteNum", "CompteLib", "CompAuxNum", "CompAuxLib",
    "PieceRef", "PieceDate", "EcritureLib", "Debit", "Credit", "EcritureLet", "DateLet", "ValidDate", "Montantdevise",
    "Idevise",
)  # fmt: skip
JOURNALS: Final = {"VE": "Ventes", "BQ": "Banque", "AN": "A nouveaux", "OD": "Operations diverses"}
NAME: Final = "903821654FEC20261231.txt"


class Half(Struct, frozen=True, kw_only=True):
    """One line of an entry; `minor` is positive for a debit."""

    account: str
    minor: int
    code: str = ""
    name: str = ""
    letter: str = ""
    lettered_on: str = ""
    foreign: str = ""
    currency: str = ""


class Write(Struct):
    """Writes entries line by line."""

    rows: list[dict[str, str]] = []
    count: int = 0

    def entry(
        self, journal: str, day: str, piece: str, *halves: Half, piece_on: str | None = None, label: str = ""
    ) -> None:
        """One entry; what its halves do not balance the test sees to."""
        self.count += 1
        for half in halves:
            self.rows.append(
                {
                    "JournalCode": journal,
                    "JournalLib": JOURNALS.get(journal, journal),
                    "EcritureNum": f"{journal}{self.count:05}",
                    "EcritureDate": day,
                    "CompteNum": half.account,
                    "CompteLib": "Compte",
                    "CompAuxNum": half.code,
                    "CompAuxLib": half.name or (f"Client {half.code}" if half.code else ""),
                    "PieceRef": piece,
                    "PieceDate": piece_on or day,
                    "EcritureLib": label or piece,
                    "Debit": major(max(half.minor, 0)),
                    "Credit": major(max(-half.minor, 0)),
                    "EcritureLet": half.letter,
                    "DateLet": half.lettered_on,
                    "ValidDate": day,
                    "Montantdevise": half.foreign,
                    "Idevise": half.currency,
                }
            )

    def sale(self, code: str, piece: str, day: str, minor: int, letter: str = "", **more: str) -> None:
        """An invoice, or with a negative amount a credit note: VAT of a fifth included."""
        tax = minor // 6
        self.entry(
            "VE", day, piece, Half(account="411000", minor=minor, code=code, letter=letter, **more),
            Half(account="706000", minor=tax - minor), Half(account="445710", minor=-tax),
        )  # fmt: skip

    def paid(self, code: str, day: str, minor: int, letter: str = "", piece: str = "VIR", **more: str) -> None:
        """Money from a debtor; with a negative amount, money that went back."""
        self.entry(
            "BQ", day, piece, Half(account="512000", minor=minor),
            Half(account="411000", minor=-minor, code=code, letter=letter, **more),
        )  # fmt: skip

    def carried(self, code: str, piece: str, day: str, minor: int, letter: str = "", *, piece_on: str | None) -> None:
        """One open item of last year."""
        self.entry(
            "AN", day, piece, Half(account="411000", minor=minor, code=code, letter=letter),
            Half(account="110000", minor=-minor), piece_on=piece_on, label=f"A nouveau {piece}",
        )  # fmt: skip

    def content(
        self, *, separator: str = "|", encoding: str = "utf-8", sided: bool = False, newline: str = "\r\n",
        columns: Sequence[str] = COLUMNS,
    ) -> bytes:  # fmt: skip
        """The file."""
        names = list(columns)
        rows = self.rows
        if sided:
            names = [{"Debit": "Montant", "Credit": "Sens"}.get(name, name) for name in names]
            rows = [
                row | {"Montant": row["Debit"] if row["Debit"] != "0,00" else row["Credit"],
                       "Sens": "D" if row["Debit"] != "0,00" else "C"}
                for row in rows
            ]  # fmt: skip
        lines = [separator.join(names), *(separator.join(row[name] for name in names) for row in rows)]
        return newline.join([*lines, ""]).encode(encoding)


def books() -> Write:
    """Empty books."""
    return Write(rows=[])


def major(minor: int) -> str:
    """An amount as the FEC writes it."""
    return f"{minor // 100},{minor % 100:02}"


def day(text: str) -> date:
    """AAAAMMJJ."""
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))
