"""What is known already under the names of a batch's documents, and what contradicts it."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from billing_connectors import statements
from billing_connectors.batches import Batch, Identity, Item
from billing_connectors.documents.canonical import Document, Kind
from billing_connectors.merging import Statement, states_total
from receivables import links
from storage.session import TenantSession, tenant_of


class Known(Struct, frozen=True):
    """An invoice or a credit note that has the number of a document."""

    id: UUID
    debtor_id: UUID
    currency: str
    total_minor: int
    statement: Statement


async def find_known(batch: Batch) -> dict[Identity, Known]:
    """What is known of the open items; what contradicts it is quarantined, and the original stays as it is."""
    found: dict[Identity, Known] = {}
    for kind in ("invoice", "credit_note"):
        items = batch.open_items(kind)
        found |= await _find(batch.session, kind, items) | await _led_to(batch.session, kind, items)
        await _compare_names(batch.session, kind, items, found)
    for item in batch.open_items():
        known = found.get(item.identity)
        if known is not None:
            item.object_id = known.id
            _compare(item, known)
    return found


async def _find(session: TenantSession, kind: Kind, items: Sequence[Item]) -> dict[Identity, Known]:
    if not items:
        return {}
    values = {
        "tenant_id": tenant_of(session),
        "names": [item.name for item in items],
        "creditors": [item.creditor_id for item in items],
        "numbers": [item.document.number for item in items],
        "years": [item.document.issued_on.year for item in items],
    }
    rows = (await session.execute(_KNOWN[kind], values)).all()  # bounded: by the items
    said = await statements.of_documents(session, [row.id for row in rows])
    return {(kind, row.name): Known(row.id, row.debtor_id, row.currency, row.total_minor, said[row.id]) for row in rows}


_SQL: Final = """
select u.name, v.id, v.debtor_id, v.currency, v.total_minor
from unnest(cast(:names as text[]), cast(:creditors as uuid[]), cast(:numbers as text[]), cast(:years as bigint[]))
  as u(name, creditor_id, number, issue_year)
join app.{table} v on v.tenant_id = :tenant_id and v.creditor_id = u.creditor_id and v.number = u.number
  and v.issue_year = u.issue_year
"""
_KNOWN: Final = {kind: text(_SQL.replace("{table}", kind)) for kind in ("invoice", "credit_note")}


async def _led_to(session: TenantSession, kind: Kind, items: Sequence[Item]) -> dict[Identity, Known]:
    """What a name leads to since somebody settled it, before what has its number."""
    leads = {item.lead_id: item.name for item in items if item.lead_id is not None}
    if not leads:
        return {}
    values = {"tenant_id": tenant_of(session), "ids": list(leads)}
    rows = (await session.execute(_BY_ID[kind], values)).all()  # bounded: by the items
    said = await statements.of_documents(session, [row.id for row in rows])
    return {
        (kind, leads[row.id]): Known(row.id, row.debtor_id, row.currency, row.total_minor, said[row.id]) for row in rows
    }


_BY_IDS: Final = """
select v.id, v.debtor_id, v.currency, v.total_minor from app.{table} v
where v.tenant_id = :tenant_id and v.id = any(cast(:ids as uuid[])) and v.document <> 'void'
"""
_BY_ID: Final = {kind: text(_BY_IDS.replace("{table}", kind)) for kind in ("invoice", "credit_note")}


async def _compare_names(
    session: TenantSession, kind: Kind, items: Sequence[Item], found: Mapping[Identity, Known]
) -> None:
    """A document with two names, its number and an id of its source, that lead to two objects is a question."""
    by_source: dict[str, list[Item]] = {}
    for item in items:
        if item.document.external_id is not None and not item.is_itself:
            by_source.setdefault(item.document.format, []).append(item)
    for source, named in by_source.items():
        led = await links.linked(session, source, kind, [own_name(item) for item in named])
        for item in named:
            link, known = led.get(own_name(item)), found.get(item.identity)
            if link is not None and (known is None or known.id != link.object_id):
                item.object_id = link.object_id
                item.settle("quarantined", "conflicting_names", f"{item.document.external_id} is another document")


def own_name(item: Item) -> str:
    """The name that a document has by an id of its source's own, among those of one creditor."""
    return f"{item.creditor_id}/id/{item.document.external_id}"


def _compare(item: Item, known: Known) -> None:
    """One number cannot be two debts: another currency or another total is a question for a person."""
    document = item.document
    if document.currency != known.currency:
        item.settle("quarantined", "conflicting_currency", f"{document.currency}, known in {known.currency}")
    elif _is_another_total(document, known):
        item.settle("quarantined", "conflicting_total", f"{document.total_minor}, known as {known.total_minor}")


def _is_another_total(document: Document, known: Known) -> bool:
    if "total_missing" in document.warnings:
        return False
    if states_total(known.statement) or not known.statement.is_origin:
        return document.total_minor != known.total_minor
    return document.total_minor < known.total_minor  # so far only what was left of it had been read
