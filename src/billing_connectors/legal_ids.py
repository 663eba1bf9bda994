"""Legal ids of a document in the one spelling in which parties are matched, with those that they imply."""

import re
from collections.abc import Iterator
from typing import Final

from stdnum.fr import siren, siret

from billing_connectors.documents.canonical import LegalId, Party
from receivables.identifiers import MAX_VALUE, Identifier, canonical, implied

_FORMS: Final = {
    "siren": re.compile(r"[0-9]{9}"),
    "siret": re.compile(r"[0-9]{14}"),
    "vat": re.compile(r"[A-Z]{2}[A-Z0-9]{2,13}"),
}
_ISO_6523: Final = re.compile(r"[0-9]{4}")
_FRANCE: Final = "FR"


def stated_by(party: Party) -> tuple[Identifier, ...]:
    """Every id that a party states, with those that it implies: to be compared with a creditor's."""
    return tuple(dict.fromkeys(form for one in _normal(party) for form in implied(one)))


def identifying(party: Party) -> tuple[Identifier, ...]:
    """The ids that name one legal entity in the whole world: by these debtors are matched.

    What the seller calls its buyer (BT-46 without a scheme) and a bare registration number are not among them: two
    companies may well bear the same one, and their debts must not end up in one letter.
    """
    return tuple(one for one in stated_by(party) if one.scheme in _FORMS or _ISO_6523.fullmatch(one.scheme))


def french_vat(siren_: Identifier) -> Identifier:
    """The VAT number that follows from a SIREN: its key is computed from it."""
    return Identifier("vat", f"FR{(12 + 3 * (int(siren_.value) % 97)) % 97:02d}{siren_.value}")


def _normal(party: Party) -> Iterator[Identifier]:
    for stated in party.legal_ids:
        one = canonical(*_unaliased(stated, party.country))
        form = _FORMS.get(one.scheme)
        if one.value and len(one.value) <= MAX_VALUE and (form is None or form.fullmatch(one.value)):
            yield one


def _unaliased(stated: LegalId, country: str | None) -> tuple[str, str]:
    """A SIRET under the scheme of the SIREN is a SIRET, and the other way round; a French registration is either."""
    scheme = canonical(stated.scheme, "").scheme
    value = canonical("siren", stated.value).value
    if scheme in {"siren", "siret"}:
        return ("siret" if len(value) == len("12345678901234") else "siren"), value
    if scheme == "legal" and country == _FRANCE:
        if siren.is_valid(value):
            return "siren", value
        if siret.is_valid(value):
            return "siret", value
    return scheme, stated.value
