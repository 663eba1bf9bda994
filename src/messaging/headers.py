"""Header values in the form in which they travel: RFC 2047 words, mailboxes, folding.

The library's own headers take most of the time of making a mail and cut long links into encoded words; and its check
against line breaks lets one at the end of a value pass.
"""

import re
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.policy import Policy
from typing import Any, Final

_MAX_WORD: Final = 64  # characters of an encoded word: with the longest name of a header before it, a line holds 76
_MAX_LINE: Final = 76  # where a line can be broken
_FRAME: Final = len("=?utf-8?q??=")
_PLAIN: Final = re.compile(r"[A-Za-z0-9!*+/-]")  # what a word may hold unencoded, also in a name


class WireHeader(UnstructuredHeader, BaseHeader):
    """A header whose value is written as it travels; it is broken at spaces only, and a token never."""

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:  # Any: as the library declares it
        if not value.isprintable():
            raise ValueError("a header's value is one line of printable characters")
        kwds["parse_tree"] = cls.value_parser("")
        kwds["decoded"] = value

    def fold(self, *, policy: Policy) -> str:
        first, *rest = str(self).split(" ")
        lines, line = list[str](), f"{self.name}: {first}"
        for token in rest:
            if len(line) + 1 + len(token) > _MAX_LINE:
                lines.append(line)
                line = ""
            line += f" {token}"
        return policy.linesep.join([*lines, line]) + policy.linesep


# Every header that we write is in its final form.
WIRE_HEADERS: Final = HeaderRegistry(default_class=WireHeader, use_default_map=False)


def words(text: str) -> str:
    """Text of one line as header words: as it is where it is plain ASCII, else encoded throughout."""
    if text.isascii() and text.isprintable() and "=?" not in text:
        return text
    encoded, word = list[str](), ""
    for character in text:
        piece = _written(character)
        if len(word) + len(piece) > _MAX_WORD - _FRAME:
            encoded.append(word)
            word = ""
        word += piece
    return " ".join(f"=?utf-8?q?{word}?=" for word in [*encoded, word])


def mailbox(name: str, address: str) -> str:
    """`Name <local@domain>`, the name quoted or encoded where it must be."""
    local, _, domain = address.rpartition("@")
    written = words(name)
    if written == name:
        return str(Address(name, local, domain))
    return f"{written} <{Address('', local, domain)}>"


def _written(character: str) -> str:
    if character == " ":
        return "_"
    return character if _PLAIN.match(character) else "".join(f"={byte:02X}" for byte in character.encode())
