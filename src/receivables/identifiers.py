"""Legal ids: one spelling for each, what one implies, and who has which."""

import re
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import TextClause, text

from receivables.checking import Faults
from receivables.errors import IdentifierTaken
from storage.session import TenantSession, tenant_of

MAX_IDENTIFIERS: Final = 20
MAX_VALUE: Final = 60
_ALIASES: Final = {"0002": "siren", "0009": "siret", "9957": "vat", "0223": "vat"}
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
    return Identifier(name, re.sub(r"[.\-]", "", plain) if name in _FORMS else plain)


def implied(identifier: Identifier) -> tuple[Identifier, ...]:
    """The identifier and those that follow from it: a SIRET and a French VAT number contain the SIREN."""
    if identifier.scheme == "siret" and _FORMS["siret"].fullmatch(identifier.value):
        return identifier, Identifier("siren", identifier.value[:9])
    french = _FRENCH_VAT.fullmatch(identifier.value) if identifier.scheme == "vat" else None
    return (identifier, Identifier("siren", french[1])) if french else (identifier,)


def check(faults: Faults, pointer: str, given: Sequence[Identifier]) -> tuple[Identifier, ...]:
    """The canonical forms, each once and in order; notes what is malformed."""
    if len(given) > MAX_IDENTIFIERS:
        faults.add(pointer, "too_many", f"at most {MAX_IDENTIFIERS} legal ids")
    found = [canonical(each.scheme, each.value) for each in given[:MAX_IDENTIFIERS]]
    for place, identifier in enumerate(found):
        form = _FORMS.get(identifier.scheme)
        if not _SCHEME.fullmatch(identifier.scheme):
            faults.add(f"{pointer}/{place}/scheme", "scheme", "siren, siret, vat or a scheme of ISO 6523")
        if not 0 < len(identifier.value) <= MAX_VALUE or (form and not form.fullmatch(identifier.value)):
            faults.add(f"{pointer}/{place}/value", "identifier", f"this is no {identifier.scheme}")
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
