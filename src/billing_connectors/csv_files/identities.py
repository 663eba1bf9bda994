"""Who buys and who sells, from the cells of a row."""

import re
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace
from stdnum.fr import siren, siret

from billing_connectors.csv_files.mapping import CsvMapping, Field
from billing_connectors.documents.canonical import MAX_ID, Party
from billing_connectors.documents.fields import email_address
from billing_connectors.documents.parties import identifiers, party
from kernel.text import clean

Text = Callable[[Field], str]
_SEPARATORS: Final = re.compile(r"[\s.\-\u00a0\u202f]+")
_VAT: Final = re.compile(r"[A-Z]{2}[0-9A-Z+*]{2,13}", re.ASCII)
_BETWEEN_ADDRESSES: Final = re.compile(r"[;,\s]+")
_SIREN_SCHEME: Final = "0002"
_SIRET_SCHEME: Final = "0009"
# Words for the countries that a French export names in full most often; a code is taken as it stands.
_COUNTRIES: Final = {
    "france": "FR", "belgique": "BE", "suisse": "CH", "luxembourg": "LU", "allemagne": "DE", "espagne": "ES",
    "italie": "IT", "pays-bas": "NL", "portugal": "PT", "royaume-uni": "GB", "belgium": "BE", "switzerland": "CH",
    "germany": "DE", "spain": "ES", "italy": "IT", "netherlands": "NL", "united kingdom": "GB",
}  # fmt: skip
_LANGUAGES: Final = {"francais": "fr", "français": "fr", "french": "fr", "anglais": "en", "english": "en"}


def buyer(text: Text, mapping: CsvMapping, warnings: list[str]) -> Party:
    """The debtor to be, by name or, where the file has none, by the code that the creditor gives it."""
    ids: list[tuple[str, str]] = []
    _add_french(ids, text("buyer_siren"), warnings)
    _add_french(ids, text("buyer_siret"), warnings)
    _add_vat(ids, text("buyer_vat"), warnings)
    code = clean(text("buyer_code"), MAX_ID) or None
    stated = text("buyer_email")
    address = next((one for one in _BETWEEN_ADDRESSES.split(stated) if email_address(one)), None)
    if stated and address is None:
        warnings.append("email_unreadable")
    country = text("buyer_country")
    language = text("buyer_language")
    found = party(
        registered_name=text("buyer_name") or code,
        trading_name=None,
        legal_ids=ids,
        endpoint=None,
        contact_name=text("buyer_contact"),
        email=address,
        phone=text("buyer_phone"),
        address_lines=text("buyer_address").splitlines(),
        postcode=text("buyer_postcode"),
        city=text("buyer_city"),
        country=_COUNTRIES.get(country.casefold(), country) or mapping.country,
        language=_LANGUAGES.get(language.casefold(), language) or mapping.language,
    )
    return replace(found, account_code=code)


def seller(text: Text, warnings: list[str]) -> Party:
    """The seller, where the file has columns for it."""
    ids: list[tuple[str, str]] = []
    _add_french(ids, text("seller_siren"), warnings)
    _add_vat(ids, text("seller_vat"), warnings)
    return Party(name=clean(text("seller_name"), MAX_ID), legal_ids=identifiers(ids))


def _add_french(ids: list[tuple[str, str]], text: str, warnings: list[str]) -> None:
    """A SIREN or a SIRET, whichever column it stands in; one that fails its check digit identifies nobody."""
    number = _SEPARATORS.sub("", text)
    if not number:
        return
    if siren.is_valid(number):
        ids.append((_SIREN_SCHEME, number))
    elif siret.is_valid(number):
        ids.append((_SIRET_SCHEME, number))
    else:
        warnings.append("siren_invalid")


def _add_vat(ids: list[tuple[str, str]], text: str, warnings: list[str]) -> None:
    number = _SEPARATORS.sub("", text).upper()
    if not number:
        return
    if _VAT.fullmatch(number):
        ids.append(("vat", number))
    else:
        warnings.append("vat_invalid")
