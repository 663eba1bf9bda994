"""Who may be the same as a debtor, found through an index and never by comparing all with all."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from receivables import beside, likeness
from receivables.likeness import Card, card_of
from receivables.models import Debtor, DebtorKind
from receivables.party_models import DebtorKey
from receivables.party_views import Address
from receivables.views import DebtorView
from storage.bulk import insert_rows
from storage.session import TenantSession, tenant_of

PER_KEY: Final = 25  # beyond, a key tells nobody apart
PER_CARD: Final = 20  # that share the most keys
ENOUGH: Final = 2  # who shares one part of a name, or a mail host, and nothing else is never alike enough
_COLUMNS: Final = ("tenant_id", "key", "debtor_id")


class Found(Struct, frozen=True):
    """Who shares keys with somebody; `crowded` keys have more debtors than were looked at."""

    debtor_ids: tuple[UUID, ...]
    crowded: frozenset[str]


class Candidate(Struct, frozen=True):
    """A debtor as far as it can be compared."""

    id: UUID
    merged_into_id: UUID | None
    is_gone: bool  # archived or erased
    card: Card


def keys_of(row: Debtor, addresses: Sequence[Address]) -> frozenset[str]:
    """By what a debtor is found."""
    return likeness.keys_of(_card(row, addresses))


def keys_of_view(view: DebtorView) -> frozenset[str]:
    """By what a debtor was found."""
    card = card_of(
        name=view.name or "",
        kind=view.kind,
        country=view.country,
        address=view.address,
        addresses=view.addresses or (),
        email=view.email,
        phone=view.phone,
    )
    return likeness.keys_of(card)


async def write_keys(
    session: TenantSession, debtors: Sequence[tuple[Debtor, Sequence[Address]]], *, fresh: bool = False
) -> None:
    """Let debtors be found by what they are now; `fresh` ones have no keys yet."""
    tenant_id = tenant_of(session)
    if not fresh:
        await forget_keys(session, [row.id for row, _ in debtors])
    rows = [(tenant_id, key, row.id) for row, addresses in debtors for key in sorted(keys_of(row, addresses))]
    await insert_rows(session, DebtorKey, _COLUMNS, rows)


async def forget_keys(session: TenantSession, debtor_ids: Iterable[UUID]) -> None:
    """Let debtors be found no more by what they are alike."""
    await session.execute(_FORGET, {"tenant_id": tenant_of(session), "ids": list(debtor_ids)})


_FORGET: Final = text(
    "delete from app.debtor_key where tenant_id = :tenant_id and debtor_id = any(cast(:ids as uuid[]))"
)


async def find(session: TenantSession, cards: Mapping[UUID, Card]) -> dict[UUID, Found]:
    """Who shares keys with each card, those that share the most first; one statement, whatever their number."""
    wanted = {card_id: likeness.keys_of(card) for card_id, card in cards.items()}
    every = sorted({key for keys in wanted.values() for key in keys})
    if not every:
        return {card_id: Found((), frozenset()) for card_id in cards}
    values = {"tenant_id": tenant_of(session), "keys": every, "most": PER_KEY + 1}
    behind: dict[str, list[UUID]] = {}
    for row in await session.execute(_FIND, values):
        behind.setdefault(row.key, []).append(row.debtor_id)
    found: dict[UUID, Found] = {}
    for card_id, keys in wanted.items():
        shared: dict[UUID, int] = {}
        for key in keys:
            for debtor_id in behind.get(key, ())[:PER_KEY]:
                shared[debtor_id] = shared.get(debtor_id, 0) + likeness.weight_of(key)
        near = (each for each, weight in shared.items() if weight >= ENOUGH and each != card_id)
        best = sorted(near, key=lambda each: (-shared[each], each))
        crowded = frozenset(key for key in keys if len(behind.get(key, ())) > PER_KEY)
        found[card_id] = Found(tuple(best[:PER_CARD]), crowded)
    return found


_FIND: Final = text("""
select u.key, f.debtor_id from unnest(cast(:keys as text[])) as u(key)
cross join lateral (
  select k.debtor_id from app.debtor_key k
  where k.tenant_id = :tenant_id and k.key = u.key order by k.debtor_id limit :most
) f
""")


async def load(session: TenantSession, debtor_ids: Iterable[UUID]) -> dict[UUID, Candidate]:
    """Debtors as far as they can be compared; one that does not exist is absent."""
    wanted = list(debtor_ids)
    if not wanted:
        return {}
    held = await beside.of(session, wanted)
    found: dict[UUID, Candidate] = {}
    for row in await session.execute(_LOAD, {"tenant_id": tenant_of(session), "ids": wanted}):
        card = card_of(
            name=row.name,
            kind=DebtorKind(row.kind),
            country=row.country,
            address=row.address,
            addresses=held[row.id].addresses,
            email=row.email,
            phone=row.phone,
            identifiers=held[row.id].identifiers,
        )
        found[row.id] = Candidate(row.id, row.merged_into_id, row.is_gone, card)
    return found


_LOAD: Final = text("""
select d.id, d.merged_into_id, d.archived_at is not null or d.erased_at is not null as is_gone, d.kind, d.name,
       d.country, d.address, d.email, d.phone
from app.debtor d where d.tenant_id = :tenant_id and d.id = any(cast(:ids as uuid[]))
""")  # bounded: by the debtors asked for


def _card(row: Debtor, addresses: Sequence[Address]) -> Card:
    return card_of(
        name=row.name,
        kind=row.kind,
        country=row.country,
        address=row.address,
        addresses=addresses,
        email=row.email,
        phone=row.phone,
    )
