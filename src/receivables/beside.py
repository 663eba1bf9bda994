"""What of debtors stands in tables of its own: legal ids, addresses, labels. Read and written for many at once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from kernel.text import MAX_NAME
from receivables import identifiers
from receivables.checking import MAX_TEXT, Faults
from receivables.identifiers import DEBTORS
from receivables.party_models import AddressKind, DebtorAddress, DebtorLabel
from receivables.party_views import Address, Beside
from storage.bulk import insert_rows
from storage.session import TenantSession, tenant_of

MAX_LABELS: Final = 50
MAX_KEY: Final = 60
MAX_POSTCODE: Final = 20
_ADDRESS: Final = ("tenant_id", "debtor_id", "kind", "street", "postcode", "city", "country")
_LABEL: Final = ("tenant_id", "debtor_id", "key", "value")


async def of(session: TenantSession, debtor_ids: Iterable[UUID]) -> dict[UUID, Beside]:
    """What stands beside each debtor, in two queries."""
    wanted = list(debtor_ids)
    if not wanted:
        return {}
    held = await identifiers.held_by(session, DEBTORS, wanted)
    addresses: dict[UUID, list[Address]] = {debtor_id: [] for debtor_id in wanted}
    labels: dict[UUID, dict[str, str]] = {debtor_id: {} for debtor_id in wanted}
    for row in await session.execute(_READ, {"tenant_id": tenant_of(session), "ids": wanted}):
        if row.label is None:
            addresses[row.debtor_id].append(
                Address(
                    kind=AddressKind(row.kind),
                    street=row.street,
                    postcode=row.postcode,
                    city=row.city,
                    country=row.country,
                )
            )
        else:
            labels[row.debtor_id][row.kind] = row.label
    return {
        debtor_id: Beside(held[debtor_id], in_order(addresses[debtor_id]), dict(sorted(labels[debtor_id].items())))
        for debtor_id in wanted
    }


_READ: Final = text("""
select a.debtor_id, a.kind, a.street, a.postcode, a.city, a.country, null as label from app.debtor_address a
where a.tenant_id = :tenant_id and a.debtor_id = any(cast(:ids as uuid[]))
union all
select l.debtor_id, l.key, null, null, null, null, l.value from app.debtor_label l
where l.tenant_id = :tenant_id and l.debtor_id = any(cast(:ids as uuid[]))
""")  # bounded: by the debtors asked for, a few addresses and MAX_LABELS each


def in_order(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Addresses in the order of their kinds."""
    places = list(AddressKind)
    return tuple(sorted(addresses, key=lambda each: places.index(each.kind)))


def check(
    faults: Faults, addresses: Sequence[Address], labels: Mapping[str, str]
) -> tuple[tuple[Address, ...], dict[str, str]]:
    """Addresses and labels in our form; notes what is wrong with them."""
    clean: dict[AddressKind, Address] = {}
    for place, each in enumerate(addresses[: len(AddressKind)]):
        at = f"/addresses/{place}"
        faults.country(f"{at}/country", each.country)
        if each.kind in clean:
            faults.add(f"{at}/kind", "repeated", "one address of each kind")
        clean[each.kind] = Address(
            kind=each.kind,
            street=faults.lines(f"{at}/street", each.street, MAX_TEXT),
            postcode=faults.optional_line(f"{at}/postcode", each.postcode, MAX_POSTCODE),
            city=faults.optional_line(f"{at}/city", each.city, MAX_NAME),
            country=each.country,
        )
    if len(addresses) > len(AddressKind):
        faults.add("/addresses", "too_many", "one address of each kind")
    if len(labels) > MAX_LABELS:
        faults.add("/labels", "too_many", f"at most {MAX_LABELS} labels")
    words: dict[str, str] = {}
    for key, value in sorted(labels.items())[:MAX_LABELS]:
        pointer = "/labels/" + key[:MAX_KEY].replace("~", "~0").replace("/", "~1")
        name = faults.line(pointer, key, MAX_KEY)
        if name != key:
            faults.add(pointer, "label", "a key is one line without spaces around it")
        words[name] = faults.line(pointer, value, MAX_NAME)
    return in_order(clean.values()), words


async def write(
    session: TenantSession, news: Mapping[UUID, tuple[Sequence[Address], Mapping[str, str]]], *, fresh: bool = False
) -> None:
    """Give debtors these addresses and labels instead of those that they have; `fresh` ones have none yet."""
    tenant_id = tenant_of(session)
    if not fresh and news:
        values = {"tenant_id": tenant_id, "ids": list(news)}
        await session.execute(_CLEAR_ADDRESSES, values)
        await session.execute(_CLEAR_LABELS, values)
    addresses: list[tuple[Any, ...]] = [  # Any: one value per column
        (tenant_id, debtor_id, each.kind.value, each.street, each.postcode, each.city, each.country)
        for debtor_id, (given, _) in news.items()
        for each in given
    ]
    labels = [
        (tenant_id, debtor_id, key, value) for debtor_id, (_, words) in news.items() for key, value in words.items()
    ]
    await insert_rows(session, DebtorAddress, _ADDRESS, addresses)
    await insert_rows(session, DebtorLabel, _LABEL, labels)


_CLEAR_ADDRESSES: Final = text(
    "delete from app.debtor_address where tenant_id = :tenant_id and debtor_id = any(cast(:ids as uuid[]))"
)
_CLEAR_LABELS: Final = text(
    "delete from app.debtor_label where tenant_id = :tenant_id and debtor_id = any(cast(:ids as uuid[]))"
)
