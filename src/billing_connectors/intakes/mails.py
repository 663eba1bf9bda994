"""The files of a mail: its attachments, those of mails within it, and never its text."""

import email
import email.policy
from email.message import Message
from itertools import islice
from typing import Final

from msgspec import Struct

from billing_connectors.archives import shown

MAX_PARTS: Final = 500
MAX_FILES: Final = 100
MAX_FILE: Final = 50 * 1024 * 1024
# What may be a document though no name says so; of anything else the name must be given.
_UNNAMED: Final = frozenset({"application/pdf", "application/xml", "text/xml", "application/zip"})
_NEVER: Final = frozenset({"image", "audio", "video", "font"})  # logos and signatures


class File(Struct, frozen=True):
    """One attachment."""

    name: str
    content: bytes


def files_of(content: bytes) -> list[File]:
    r"""The attachments of a mail, in its order, at most MAX_FILES; none where it cannot be read.

    >>> files_of(b"Subject: nothing\r\n\r\nhello")
    []
    """
    try:
        message = email.message_from_bytes(content, policy=email.policy.compat32)
        found = (_file(part, place) for place, part in enumerate(islice(message.walk(), MAX_PARTS)))
        return list(islice((each for each in found if each is not None), MAX_FILES))
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError, KeyError):
        return []  # what the parser trips over is no mail of an accounting tool


def identity_of(content: bytes) -> bytes:
    """What stays the same when one mail is delivered twice: its id and its body, not the marks of its way."""
    head, _, body = content.partition(b"\r\n\r\n" if b"\r\n\r\n" in content[:1_000_000] else b"\n\n")
    message_id = next(
        (line for line in head.split(b"\n") if line[:11].lower() == b"message-id:"),
        b"",
    )
    return message_id.strip() + b"\0" + body if message_id else content


def headers_of(content: bytes) -> dict[str, list[str]]:
    """The first header lines of a mail, by lower-case name."""
    head = content[:200_000].replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("latin-1")
    found: dict[str, list[str]] = {}
    for line in head.split("\n"):
        name, colon, value = line.partition(":")
        if colon and not line.startswith((" ", "\t")):
            found.setdefault(name.strip().lower(), []).append(value.strip())
    return found


def _file(part: Message, place: int) -> File | None:
    if part.is_multipart() or part.get_content_maintype() in _NEVER:
        return None
    name = part.get_filename()
    if not name and part.get_content_type() not in _UNNAMED:
        return None
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes) or not payload or len(payload) > MAX_FILE:
        return None
    return File(shown(name) if name else f"part-{place}", payload)
