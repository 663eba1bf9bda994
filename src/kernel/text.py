"""Text from outside: bounded, NFC, without NUL; names folded for search."""

import unicodedata
from typing import Final

MAX_NAME: Final = 200
MAX_NOTE: Final = 2000


def clean(text: str, limit: int) -> str:
    """Bring text from a file or a tool into our form: NFC, no control characters, one line, bounded."""
    normal = unicodedata.normalize("NFC", text)
    spaced = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in normal)
    return " ".join(spaced.split())[:limit]


def fold(text: str) -> str:
    """The form in which names are compared and searched by prefix: lower case, no accents, single spaces.

    >>> fold("  Société  Générale ")
    'societe generale'
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).split())
