"""Take the embedded files out of a PDF, within stated sizes.

The only module that touches pypdf. `facturx.get_xml_from_pdf` does the same with an XML parser that is not hardened
and without a bound on what an attachment inflates to.
"""

import io
import logging
from collections.abc import Iterator
from typing import Final

from msgspec import Struct
from pypdf import Configuration, PdfReader, apply_configuration
from pypdf.errors import LimitReachedError
from pypdf.generic import ArrayObject, DictionaryObject, PdfObject, StreamObject

from billing_connectors.documents.canonical import Rejected

MAX_BYTES: Final = 50 * 1024 * 1024
MAX_INFLATED: Final = 20 * 1024 * 1024  # of one stream, as of one XML file
MAX_FILES: Final = 50
MAX_TREE_NODES: Final = 200
_MAGIC: Final = b"%PDF-"
_MAGIC_WITHIN: Final = 1024  # readers accept other bytes before the header
_FILE_NAMES: Final = ("/UF", "/F")
# What writers of e-invoices use. The text encodings of PDF cost pypdf a hundred bytes of memory for each of theirs.
_FILTERS: Final = frozenset({"/FlateDecode", "/Fl"})
_LIMITS: Final = Configuration(
    maximum_declared_stream_length=MAX_BYTES,
    array_based_stream_maximum_output_length=MAX_INFLATED,
    lzw_maximum_output_length=MAX_INFLATED,
    run_length_maximum_output_length=MAX_INFLATED,
    zlib_maximum_output_length=MAX_INFLATED,
    brotli_maximum_output_length=MAX_INFLATED,
    zlib_maximum_recovery_input_length=1_000_000,
    stream_filters_maximum_length=4,
    stream_decoding_work_maximum_length=2 * MAX_INFLATED,
    jbig2dec_binary=None,  # no other program is started for a stranger's file
)

# pypdf tells of each oddity of a file; here the verdict tells, and strangers' bytes stay out of the log.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


class Attachment(Struct, frozen=True):
    """A file embedded in a PDF."""

    name: str
    content: bytes


def looks_like_pdf(content: bytes) -> bool:
    """Whether a PDF header stands near the start."""
    return _MAGIC in content[:_MAGIC_WITHIN]


def attachments(content: bytes) -> list[Attachment]:
    """The embedded XML files, or the reason why this PDF is not read."""
    if len(content) > MAX_BYTES:
        raise Rejected("too_large", f"a PDF is read up to {MAX_BYTES} bytes", format="pdf")
    try:
        with apply_configuration(_LIMITS):
            return _embedded(content)
    except (Rejected, MemoryError):
        raise
    except LimitReachedError as error:
        raise Rejected("too_large", "the PDF goes beyond a limit", format="pdf") from error
    except Exception as error:  # a broken PDF makes pypdf raise almost anything
        raise Rejected("unreadable", f"the PDF cannot be read: {type(error).__name__}", format="pdf") from error


def _embedded(content: bytes) -> list[Attachment]:
    reader = PdfReader(io.BytesIO(content), root_object_recovery_limit=1_000)
    if reader.is_encrypted and not reader.decrypt(""):  # many are encrypted for printing only, without a password
        raise Rejected("encrypted", "the PDF asks for a password", format="pdf")
    found: list[Attachment] = []
    inflated = 0
    for name, stream in _streams(reader.root_object):
        if not name.lower().endswith(".xml"):
            continue
        filters = _resolved(stream.get("/Filter"))
        if not _FILTERS.issuperset(filters if isinstance(filters, ArrayObject) else [filters] if filters else []):
            raise Rejected("unreadable", "an embedded file has an unusual encoding", format="pdf")
        data = stream.get_data()
        inflated += len(data)
        if inflated > 2 * MAX_INFLATED:
            raise Rejected("too_large", "the embedded files are too large", format="pdf")
        found.append(Attachment(name, data))
    return found


def _streams(catalog: DictionaryObject) -> Iterator[tuple[str, StreamObject]]:
    """The embedded files of the name tree and those associated with the document, each once, as the standard has it."""
    seen: set[int] = set()
    for count, specification in enumerate(_specifications(catalog)):
        if count >= MAX_FILES:
            return
        files = _resolved(specification.get("/EF"))
        if not isinstance(files, DictionaryObject):
            continue
        names = (_resolved(specification.get(key)) for key in _FILE_NAMES)
        name = next((one for one in names if isinstance(one, str)), "")
        for key in _FILE_NAMES:
            stream = _resolved(files.get(key))
            if isinstance(stream, StreamObject):
                if id(stream) not in seen:
                    seen.add(id(stream))
                    yield name, stream
                break


def _specifications(catalog: DictionaryObject) -> Iterator[DictionaryObject]:
    names = _resolved(catalog.get("/Names"))
    nodes = [_resolved(names.get("/EmbeddedFiles"))] if isinstance(names, DictionaryObject) else []
    for _ in range(MAX_TREE_NODES):
        if not nodes:
            break
        node = nodes.pop(0)
        if not isinstance(node, DictionaryObject):
            continue
        yield from _dictionaries(_resolved(node.get("/Names")))
        kids = _resolved(node.get("/Kids"))
        if isinstance(kids, ArrayObject):
            nodes.extend(_resolved(kid) for kid in list(kids)[:MAX_TREE_NODES])
    yield from _dictionaries(_resolved(catalog.get("/AF")))


def _dictionaries(items: PdfObject | None) -> Iterator[DictionaryObject]:
    if isinstance(items, ArrayObject):
        for item in items:
            entry = _resolved(item)
            if isinstance(entry, DictionaryObject):
                yield entry


def _resolved(item: PdfObject | None) -> PdfObject | None:
    return item.get_object() if item is not None else None
