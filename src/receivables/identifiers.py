"""Legal ids: one spelling for each, what one implies, and who has which."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import TextClause, text
from stdnum import ean, get_cc_module, lei
from stdnum.be import vat as be_enterprise
from stdnum.ch import uid as ch_uid
from stdnum.dk import cvr as dk_cvr
from stdnum.exceptions import ValidationError
from stdnum.fi import ytunnus as fi_business
from stdnum.fr import siren, siret
from stdnum.no import orgnr as no_organisation
from stdnum.se import orgnr as se_organisation

from receivables.checking import Faults
from receivables.errors import IdentifierTaken
from storage.session import TenantSession, tenant_of

MAX_IDENTIFIERS: Final = 20
MAX_VALUE: Final = 60
# The VAT numbers of the code list of electronic addresses (EAS), by country.
_EAS_VAT: Final = """
9906 9910 9914 9920 9922 9923 9924 9925 9926 9927 9928 9929 9930 9931 9932 9933 9934 9935 9936 9937 9938 9939 9940 9941
9942 9943 9944 9945 9946 9947 9948 9949 9950 9951 9952 9953 9957
"""
_ALIASES: Final = {"0002": "siren", "0009": "siret", "0223": "vat"} | dict.fromkeys(_EAS_VAT.split(), "vat")
# Schemes of ISO 6523 whose numbers have check digits, with who knows them.
_CHECKED: Final[dict[str, Any]] = {  # Any: modules of one library, which have `is_valid`
    "siren": siren, "siret": siret, "0007": se_organisation, "0088": ean, "0096": dk_cvr, "0184": dk_cvr,
    "0183": ch_uid, "0192": no_organisation, "0199": lei, "0208": be_enterprise, "0212": fi_business,
}  # fmt: skip
_FORMS: Final = {
    "siren": re.compile(r"[0-9]{9}"),
    "siret": re.compile(r"[0-9]{14}"),
    "vat": re.compile(r"[A-Z]{2}[A-Z0-9]{2,13}"),
}
_SCHEME: Final = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,29}")
_FRENCH_VAT: Final = re.compile(r"FR[A-Z0-9]{2}([0-9]{9})")


class Identifier(Struct, frozen=True, order=True):
    """A legal id: `siren`, `siret`, `vat`, or a scheme of ISO 6523 with its value."""

    scheme: str
    value: str


class Holders(Struct, frozen=True):
    """Who can have legal ids, and the statements over their table."""

    owners: TextClause
    held: TextClause
    give: TextClause
    clear: TextClause


def canonical(scheme: str, value: str) -> Identifier:
    """The one spelling of a legal id: `0002` is `siren`, its value without spaces."""
    name = scheme.strip().lower()
    name = _ALIASES.get(name, name)
    plain = "".join(value.split()).upper()
    if name in _FORMS:
        plain = re.sub(r"[.\-/]", "", plain)
    return Identifier(name, _vat(plain) if name == "vat" else plain)


@lru_cache(maxsize=10_000)
def _vat(plain: str) -> str:
    """A VAT number as its country writes it: some add a leading zero that others leave out."""
    if plain.startswith("GR"):
        plain = f"EL{plain[2:]}"  # Greece in VAT numbers (Directive 2006/112/EC, art. 215)
    country = plain[:2]
    module = _vat_of(country)
    if module is None or not _FORMS["vat"].fullmatch(plain):
        return plain
    try:
        compact = str(module.compact(plain))
    except (ValidationError, ValueError, IndexError):
        return plain
    found = compact if compact.startswith(country) else country + compact
    return found if _FORMS["vat"].fullmatch(found) else plain


def _vat_of(country: str) -> Any:  # Any: a module of the library, or None
    return get_cc_module("gr" if country == "EL" else country.lower(), "vat") if country.isalpha() else None


@lru_cache(maxsize=10_000)
def is_right(identifier: Identifier) -> bool:
    """Whether the check digits of a legal id are right; of a scheme without any, nothing speaks against it.

    SIREN and SIRET by ISO 7812 (Luhn; La Poste's own rule for its SIRET), VAT numbers as each country computes them.
    """
    form = _FORMS.get(identifier.scheme)
    if form is not None and not form.fullmatch(identifier.value):
        return False
    if identifier.scheme == "vat":
        module = _vat_of(identifier.value[:2])
        return module is None or bool(module.is_valid(identifier.value))
    checker = _CHECKED.get(identifier.scheme)
    return checker is None or bool(checker.is_valid(identifier.value))


def implied(identifier: Identifier) -> tuple[Identifier, ...]:
    """The identifier and those that follow from it: a SIRET and a French VAT number contain the SIREN."""
    if identifier.scheme == "siret" and _FORMS["siret"].fullmatch(identifier.value):
        return identifier, Identifier("siren", identifier.value[:9])
    french = _FRENCH_VAT.fullmatch(identifier.value) if identifier.scheme == "vat" else None
    return (identifier, Identifier("siren", french[1])) if french else (identifier,)


def contradict(some: Iterable[Identifier], others: Iterable[Identifier]) -> bool:
    """Whether two sets of ids cannot be one legal entity's: two SIREN, or two VAT numbers of one country."""
    known = {(one.scheme, _country(one)): one.value for one in others if one.scheme in {"siren", "vat"}}
    return any(known.get((one.scheme, _country(one)), one.value) != one.value for one in some)


def _country(one: Identifier) -> str:
    return one.value[:2] if one.scheme == "vat" else ""


def check(
    faults: Faults, pointer: str, given: Sequence[Identifier], *, strict: bool = False, held: Sequence[Identifier] = ()
) -> tuple[Identifier, ...]:
    """The canonical forms, each once and in order; notes what is malformed.

    `strict` also notes wrong check digits, but not of those that are `held` already.
    """
    if len(given) > MAX_IDENTIFIERS:
        faults.add(pointer, "too_many", f"at most {MAX_IDENTIFIERS} legal ids")
    found = [canonical(each.scheme, each.value) for each in given[:MAX_IDENTIFIERS]]
    for place, identifier in enumerate(found):
        form = _FORMS.get(identifier.scheme)
        if not _SCHEME.fullmatch(identifier.scheme):
            faults.add(f"{pointer}/{place}/scheme", "scheme", "siren, siret, vat or a scheme of ISO 6523")
        if not 0 < len(identifier.value) <= MAX_VALUE or (form and not form.fullmatch(identifier.value)):
            faults.add(f"{pointer}/{place}/value", "identifier", f"this is no {identifier.scheme}")
        elif strict and identifier not in held and not is_right(identifier):
            faults.add(f"{pointer}/{place}/value", "check_digits", f"this {identifier.scheme} has wrong check digits")
    return tuple(sorted(set(found)))


async def owners(session: TenantSession, who: Holders, given: Iterable[Identifier]) -> dict[Identifier, UUID]:
    """Whose each legal id is, also by what it implies; one that nobody has is absent."""
    wanted = {identifier: implied(canonical(identifier.scheme, identifier.value)) for identifier in given}
    known = await _exact(session, who, {each for forms in wanted.values() for each in forms})
    hits = {identifier: [known[form] for form in forms if form in known] for identifier, forms in wanted.items()}
    return {identifier: hit[0] for identifier, hit in hits.items() if hit}


async def held_by(
    session: TenantSession, who: Holders, owner_ids: Iterable[UUID]
) -> dict[UUID, tuple[Identifier, ...]]:
    """The legal ids of each owner, in order."""
    found: dict[UUID, list[Identifier]] = {owner_id: [] for owner_id in owner_ids}
    if found:
        for row in await session.execute(who.held, {"tenant_id": tenant_of(session), "owners": list(found)}):
            found[row.owner_id].append(Identifier(row.scheme, row.value))
    return {owner_id: tuple(sorted(each)) for owner_id, each in found.items()}


async def give(session: TenantSession, who: Holders, rows: Sequence[tuple[UUID, Identifier]]) -> None:
    """Write legal ids of new owners; raises IdentifierTaken where somebody else has one."""
    if not rows:
        return
    values = {
        "tenant_id": tenant_of(session),
        "schemes": [identifier.scheme for _, identifier in rows],
        "values": [identifier.value for _, identifier in rows],
        "owners": [owner_id for owner_id, _ in rows],
    }
    given = {Identifier(row.scheme, row.value) for row in await session.execute(who.give, values)}
    left = [identifier for _, identifier in rows if identifier not in given]
    if left or len(given) < len(rows):
        raise IdentifierTaken(", ".join(f"{each.scheme} {each.value}" for each in left[:5]))


async def replace(session: TenantSession, who: Holders, owner_id: UUID, wanted: Sequence[Identifier]) -> None:
    """Give one owner these legal ids instead of those that it has."""
    await session.execute(who.clear, {"tenant_id": tenant_of(session), "owner_id": owner_id})
    await give(session, who, [(owner_id, identifier) for identifier in wanted])


async def _exact(session: TenantSession, who: Holders, identifiers: Iterable[Identifier]) -> dict[Identifier, UUID]:
    pairs = sorted(identifiers)
    if not pairs:
        return {}
    values = {
        "tenant_id": tenant_of(session),
        "schemes": [pair.scheme for pair in pairs],
        "values": [pair.value for pair in pairs],
    }
    rows = await session.execute(who.owners, values)
    return {Identifier(row.scheme, row.value): row.owner_id for row in rows}


def _holders(noun: str) -> Holders:
    """The statements for `creditor` or `debtor`: a name of ours, never input."""
    return Holders(*(text(sql.replace("{noun}", noun)) for sql in (_OWNERS, _HELD, _GIVE, _CLEAR)))


_OWNERS: Final = """
select i.scheme, i.value, i.{noun}_id as owner_id
from unnest(cast(:schemes as text[]), cast(:values as text[])) as u(scheme, value)
join app.{noun}_identifier i on i.tenant_id = :tenant_id and i.scheme = u.scheme and i.value = u.value
"""
_HELD: Final = """
select i.scheme, i.value, i.{noun}_id as owner_id from app.{noun}_identifier i
where i.tenant_id = :tenant_id and i.{noun}_id = any(cast(:owners as uuid[]))
"""
_GIVE: Final = """
insert into app.{noun}_identifier (tenant_id, scheme, value, {noun}_id)
select :tenant_id, u.scheme, u.value, u.owner_id
from unnest(cast(:schemes as text[]), cast(:values as text[]), cast(:owners as uuid[])) as u(scheme, value, owner_id)
order by u.scheme, u.value
on conflict do nothing returning scheme, value
"""
_CLEAR: Final = "delete from app.{noun}_identifier where tenant_id = :tenant_id and {noun}_id = :owner_id"

CREDITORS: Final = _holders("creditor")
DEBTORS: Final = _holders("debtor")
