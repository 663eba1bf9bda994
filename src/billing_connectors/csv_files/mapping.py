"""What the columns of a CSV mean: declared in JSON, or one of the mappings that come with the package."""

import importlib.resources
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from kernel.errors import Invalid
from kernel.text import fold
from receivables.currencies import CURRENCIES

MAX_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 500
BUILT_IN: Final = ("generic", "journal-des-ventes")

Field = Literal[
    "number",
    "issued_on",
    "due_on",
    "total",
    "amount_due",
    "paid",
    "tax",
    "currency",
    "kind",
    "external_id",
    "buyer_name",
    "buyer_code",
    "buyer_siren",
    "buyer_siret",
    "buyer_vat",
    "buyer_contact",
    "buyer_email",
    "buyer_phone",
    "buyer_address",
    "buyer_postcode",
    "buyer_city",
    "buyer_country",
    "buyer_language",
    "seller_name",
    "seller_siren",
    "seller_vat",
    "preceding_number",
    "purchase_order",
    "buyer_reference",
    "remittance",
    "payment_method",
    "payment_terms",
]
RowKind = Literal["invoice", "credit_note", "ignored"]
DateOrder = Literal["day_first", "month_first", "year_first"]
Header = Annotated[str, Meta(min_length=1, max_length=100)]
_NOT_WORDS: Final = re.compile(r"[^0-9a-z]+")
_CURRENCY_WORDS: Final = frozenset({"eur", "euro", "euros"})


class UnknownMapping(Invalid):
    """There is no CSV mapping of this name."""

    code = "unknown_mapping"
    remedy = "Name a built-in mapping (generic, journal-des-ventes) or a JSON file."


class BadMapping(Invalid):
    """The CSV mapping cannot be used."""

    code = "bad_mapping"
    remedy = "Correct the mapping; docs and examples show the form."


class CsvMapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in which column of a CSV, and how its dates and amounts are written.

    Headers are compared without case, accents and punctuation. Where several columns of a file mean the same field,
    the one declared first counts. What is `auto` is taken from the file, and where the file leaves an amount open
    ("1,234") the row is refused rather than guessed.
    """

    columns: dict[Header, Field]
    delimiter: Literal["auto", ";", ",", "\t", "|"] = "auto"
    encoding: Literal["auto", "utf-8", "utf-16", "windows-1252", "iso-8859-1", "iso-8859-15"] = "auto"
    decimal: Literal["auto", ",", "."] = "auto"
    # ISO dates are always read; `auto` is day first unless the file shows that it cannot be.
    dates: Literal["auto"] | DateOrder = "auto"
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None  # where the row states none
    assumed_currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None  # likewise, with a warning on each row
    kinds: dict[Header, RowKind] = {}  # what the kind column says, compared as headers are
    sign: Literal["by_sign", "by_kind"] = "by_sign"  # whether a negative total makes a credit note
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] | None = None  # of a buyer without one
    language: Annotated[str, Meta(pattern="^[a-z]{2}$")] | None = None


def find_mapping(name_or_file: str) -> CsvMapping:
    """The mapping that a command names: a built-in one, or a JSON file."""
    if not name_or_file.endswith(".json"):
        return built_in(name_or_file)
    try:
        with Path(name_or_file).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnknownMapping(f"{name_or_file} cannot be read") from error
    return from_json(content)


def built_in(name: str) -> CsvMapping:
    """A mapping that comes with the package."""
    if name not in BUILT_IN:
        raise UnknownMapping(f"there is no mapping {name[:60]!r}; there are {', '.join(BUILT_IN)}")
    file = importlib.resources.files("billing_connectors.csv_files") / "mappings" / f"{name}.json"
    return from_json(file.read_bytes())


def from_json(content: bytes) -> CsvMapping:
    """A mapping from its JSON, checked."""
    if len(content) > MAX_BYTES:
        raise BadMapping(f"a mapping has at most {MAX_BYTES} bytes")
    try:
        mapping = msgspec.json.decode(content, type=CsvMapping)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMapping(str(error)) from error
    if len(mapping.columns) > MAX_HEADERS or len(mapping.kinds) > MAX_HEADERS:
        raise BadMapping(f"a mapping names at most {MAX_HEADERS} headers")
    unknown = {mapping.currency, mapping.assumed_currency} - {None} - CURRENCIES
    if unknown:
        raise BadMapping(f"{', '.join(sorted(map(str, unknown)))} is no currency")
    for declared in (mapping.columns, mapping.kinds):
        _check_distinct(declared)
    missing = missing_fields(set(mapping.columns.values()))
    if missing:
        raise BadMapping(f"no column is declared for {' and '.join(missing)}")
    return mapping


def _check_distinct(declared: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for word, meaning in declared.items():
        key = comparable(word)
        if not key or seen.setdefault(key, meaning) != meaning:
            raise BadMapping(f"{word!r} means nothing, or two things")


def missing_fields(fields: set[Field]) -> list[str]:
    """What a file must have and these fields do not give: each entry names the field, or the choice of fields."""
    needed: tuple[tuple[Field, ...], ...] = (
        ("number",),
        ("issued_on",),
        ("total", "amount_due"),
        ("buyer_name", "buyer_code"),
    )
    return [" or ".join(choice) for choice in needed if not fields.intersection(choice)]


def comparable(header: str) -> str:
    """The form in which headers and kinds are compared.

    >>> comparable("Montant T.T.C. (EUR)")
    'montant t t c'
    """
    words = _NOT_WORDS.sub(" ", fold(header)).split()
    while len(words) > 1 and words[-1] in _CURRENCY_WORDS:
        words.pop()
    return " ".join(words)
