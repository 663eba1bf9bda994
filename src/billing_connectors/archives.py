"""Files in a zip archive: one after the other, one level of archives in it, everything bounded.

What an archive says of its sizes is not believed: each entry is inflated up to its bound and no further. Names are
shown and never used as paths.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from billing_connectors.documents.canonical import Refusal
from kernel.text import clean
from storage.blobs import MAX_BYTES

MAX_ENTRIES: Final = 1_000  # of an archive with those inside it
MAX_INFLATED: Final = 200 * 1024 * 1024  # of all entries together
MAX_NESTED: Final = 20 * 1024 * 1024  # bytes of an archive in an archive, both kept in memory
MAX_NAME: Final = 200
FORMAT: Final = "zip"
_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
# What makes a zip another kind of file: an office document, an application, an electronic book.
_OTHERS: Final = frozenset({"[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF", "AndroidManifest.xml"})
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_CHUNK: Final = 1 << 16
_ENCRYPTED: Final = 0x1
_DEPTH: Final = 1


class Entry(Struct, frozen=True):
    """A file of an archive, or why it is not read."""

    name: str  # below the archive's own, with "/" between
    content: bytes = b""
    refusal: Refusal | None = None


def looks_like_zip(content: bytes) -> bool:
    """Whether the file is a zip archive."""
    return content.startswith(_MAGIC)


def entries(content: bytes) -> Iterator[Entry]:
    """The files in an archive, in its order; what cannot be read says why, and the others are read."""
    yield from _Reader().read(content, "", _DEPTH)


class _Reader:
    """What is left of the bounds, over an archive and those in it."""

    def __init__(self) -> None:
        self._entries = MAX_ENTRIES
        self._bytes = MAX_INFLATED

    def read(self, content: bytes, above: str, depth: int) -> Iterator[Entry]:
        try:
            archive = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RecursionError) as error:
            yield _refused(above, "unreadable", f"the archive cannot be read: {type(error).__name__}")
            return
        with archive:
            infos = archive.infolist()
            if _OTHERS & {info.filename for info in infos}:
                yield _refused(above, "unsupported_format", "a zip of another kind of file, such as an office document")
                return
            for info in infos:
                if info.is_dir() or _is_hidden(info.filename):
                    continue
                if self._entries == 0:
                    yield _refused(above, "too_large", f"an archive is read up to {MAX_ENTRIES} files")
                    return
                self._entries -= 1
                yield from self._entry(archive, info, above, depth)
                if self._bytes <= 0:
                    yield _refused(above, "too_large", f"an archive is inflated up to {MAX_INFLATED} bytes")
                    return

    def _entry(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, above: str, depth: int) -> Iterator[Entry]:
        name = f"{above}/{shown(info.filename)}" if above else shown(info.filename)
        if info.flag_bits & _ENCRYPTED:
            yield _refused(name, "encrypted", "the entry asks for a password")
            return
        if info.compress_type not in _METHODS:
            yield _refused(name, "unreadable", "the entry is compressed in an unusual way")
            return
        try:
            content = self._inflate(archive, info)
        except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError) as error:
            yield _refused(name, "unreadable", f"the entry cannot be read: {type(error).__name__}")
            return
        if content is None:
            yield _refused(name, "too_large", f"a file is read up to {MAX_BYTES} bytes")
        elif not looks_like_zip(content):
            yield Entry(name, content)
        elif depth == 0 or len(content) > MAX_NESTED:
            yield _refused(name, "too_complex", "archives are read one level deep")
        else:
            yield from self.read(content, name, depth - 1)

    def _inflate(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | None:
        limit = min(MAX_BYTES, self._bytes)
        parts: list[bytes] = []
        size = 0
        with archive.open(info) as file:
            while part := file.read(_CHUNK):
                size += len(part)
                if size > limit:
                    self._bytes -= size
                    return None
                parts.append(part)
        self._bytes -= size
        return b"".join(parts)


def shown(name: str) -> str:
    """A name from outside, fit to be told: its last part, without what could move a terminal or a path."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    printable = "".join(character if character.isprintable() else "?" for character in clean(last, MAX_NAME))
    return printable if printable.strip(". ") else "unnamed"


def _is_hidden(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return parts[0] == "__MACOSX" or parts[-1].startswith(".")


def _refused(name: str, reason: str, detail: str) -> Entry:
    return Entry(name, refusal=Refusal(reason=reason, detail=detail, format=FORMAT))
