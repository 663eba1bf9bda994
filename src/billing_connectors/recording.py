"""Bring one batch in, in one transaction: what was seen before changes nothing, what contradicts waits for a person."""

from typing import Final
from uuid import UUID, uuid5

from msgspec import Struct
from sqlalchemy import text

from billing_connectors import disagreeing, references
from billing_connectors.batches import Batch, Item
from billing_connectors.comparing import find_known, own_name
from billing_connectors.credit_notes import bring_credit_notes
from billing_connectors.debtors import bring_debtors
from billing_connectors.invoices import bring_invoices
from casework.tasks import NewTask, open_tasks
from kernel import ids
from receivables import links
from receivables.links import Link
from storage.blobs import PostgresBlobs
from storage.session import TenantSession, tenant_of

ROUNDS: Final = 3  # another program may open the same number between our look and our write
RETENTION: Final = "raw_document"
EXPORT_RETENTION: Final = "raw_export"  # it holds many people at once: short
ACCEPTED: Final = ("imported", "updated", "unchanged")
SET_ASIDE: Final = "set_aside"  # by a person, for good
_READING, _READ = "reading", "read"  # of a whole export: its rows have a verdict each
_TITLES: Final = {
    "conflicting_currency": "was read twice, in two currencies",
    "conflicting_total": "was read twice, with two totals",
    "conflicting_debtor": "was read twice, for two debtors",
    "conflicting_amount": "is paid beyond what a document leaves room for",
    "debtor_ambiguous": "has a buyer who may be one of several debtors",
    "conflicting_names": "bears two names that lead to two documents",
    "number_repeated": "stands in several rows of one export",
}


class Origin(Struct):
    """The file that documents come from; its bytes are kept once, with the first document that is not refused."""

    digest: bytes
    content: bytes
    is_export: bool
    was_read: bool = False  # an earlier import has read it to its end
    was_taken: bool = False  # something of it was not refused
    blob_id: UUID | None = None
    id: UUID | None = None  # of its own row, for an export
    import_id: UUID | None = None  # the import that keeps a verdict of each row itself


async def serialise(session: TenantSession) -> None:
    """One batch at a time for each tenant, so that two imports at once find each other's debtors and documents."""
    await session.execute(_SERIALISE, {"key": f"import:{tenant_of(session)}"})


_SERIALISE: Final = text("select pg_advisory_xact_lock(hashtextextended(:key, 0))")


async def find_origin(session: TenantSession, origin: Origin) -> None:
    """What an earlier import knows of the file."""
    values = {"tenant_id": tenant_of(session), "digest": origin.digest, "places": [""]}
    for row in await session.execute(_SEEN, values):
        origin.was_read, origin.blob_id, origin.id = row.status == _READ, row.blob_id, row.id


async def bring_in(batch: Batch, origin: Origin, blobs: PostgresBlobs) -> None:
    """Give every item of the batch its verdict, and write what follows from it."""
    await _pass_over_seen(batch, origin)
    for _ in range(ROUNDS):
        if not batch.open_items():
            break
        known = await find_known(batch)
        await bring_debtors(batch, {identity: each.debtor_id for identity, each in known.items()})
        await bring_invoices(batch, known)
        await bring_credit_notes(batch, known)
    for item in batch.open_items():
        item.settle("rejected", "number_taken", "another program opens and closes this number: import again")
    await references.settle(batch)
    await _keep(batch, origin, blobs)


async def finish(session: TenantSession, origin: Origin) -> None:
    """The export has been read to its end: read once more, its rows say nothing new."""
    if origin.was_taken:
        await _remember(session, origin, [_Row("", _READ)])


async def keep_origin(batch: Batch, origin: Origin, blobs: PostgresBlobs) -> None:
    """Keep the bytes of an export that has been taken, also where it brought money and no document."""
    origin.was_taken = True
    await _keep_bytes(batch.session, origin, blobs)


async def _keep_bytes(session: TenantSession, origin: Origin, blobs: PostgresBlobs) -> None:
    if origin.blob_id is None:
        kind, retention = ("export", EXPORT_RETENTION) if origin.is_export else ("e_invoice", RETENTION)
        ref = await blobs.put(session, content=origin.content, kind=kind, retention=retention)
        origin.blob_id = ref.id
    if origin.is_export and origin.id is None:
        origin.id = (await _remember(session, origin, [_Row("", _READING)]))[""]


async def _pass_over_seen(batch: Batch, origin: Origin) -> None:
    """Settle what was brought in before: the same bytes, or a row that says what its source said last.

    An export that was read to its end once is an old statement: read again, it does not take back a newer one.
    """
    items = batch.open_items()
    values = {
        "tenant_id": tenant_of(batch.session),
        "digest": origin.digest,
        "places": [item.place for item in items],
    }
    # What an import keeps of its rows says what became of them there, and nothing of what is known now.
    looks = origin.import_id is None
    before = {row.place: row for row in await batch.session.execute(_SEEN, values)} if looks else {}
    for item in items:
        row = before.get(item.place)
        if row is not None and row.status in {*ACCEPTED, SET_ASIDE}:
            item.object_id, item.seen = row.object_id, True
            item.settle("unchanged")
        elif row is not None:
            origin.blob_id = origin.blob_id or row.blob_id
    if origin.is_export:
        await _pass_over_said(
            batch, origin, [item for item in items if item.status is None and item.place not in before]
        )


async def _pass_over_said(batch: Batch, origin: Origin, items: list[Item]) -> None:
    for kind in ("invoice", "credit_note"):
        left = [item for item in items if item.document.kind == kind]
        if not left:
            continue
        said = await links.linked(batch.session, left[0].document.format, kind, [item.name for item in left])
        for item in left:
            link = said.get(item.name)
            item.lead_id = None if link is None else link.object_id
            if link is not None and (origin.was_read or link.content_hash == item.said):
                item.object_id, item.seen = link.object_id, True
                item.settle("unchanged")


_SEEN: Final = text("""
select d.id, d.place, d.status, d.object_id, d.blob_id
from unnest(cast(:places as text[])) as u(place)
join app.imported_document d on d.tenant_id = :tenant_id and d.content_hash = :digest and d.place = u.place
""")  # bounded: by the places asked for


async def _keep(batch: Batch, origin: Origin, blobs: PostgresBlobs) -> None:
    """Remember each document, its name in its source, its bytes; a conflict is somebody's task."""
    origin.was_taken = origin.was_taken or any(item.status in ACCEPTED for item in batch.items)
    kept = [item for item in batch.items if item.status in {*ACCEPTED, "quarantined"} and not item.seen]
    if not kept:
        return
    await _keep_bytes(batch.session, origin, blobs)
    if origin.import_id is not None:
        written = {item.place: uuid5(origin.id or origin.import_id, item.place) for item in kept}
    else:
        rows = [
            _Row(item.place, item.status or "", item.reason, item.object_id)
            for item in kept
            if item.status != "unchanged" or not origin.is_export  # a row that says nothing new needs none of its own
        ]
        written = await _remember(batch.session, origin, rows)
    for kind in ("invoice", "credit_note"):
        await _link(batch, [item for item in kept if item.document.kind == kind and item.status in ACCEPTED])
    quarantined = [item for item in kept if item.status == "quarantined"]
    tasks = [_task(item, origin, written[item.place]) for item in quarantined]
    await open_tasks(batch.session, list({(task.kind, task.subject_id): task for task in tasks}.values()), batch.now)
    opened = [
        disagreeing.Opened(item, written[item.place], task) for item, task in zip(quarantined, tasks, strict=True)
    ]
    came = disagreeing.Came(origin.digest, origin.blob_id, origin.id, origin.import_id)
    await disagreeing.open_conflicts(batch, opened, came)
    await disagreeing.close_agreed(batch, [item for item in kept if item.status in ACCEPTED], written)


class _Row(Struct, frozen=True):
    place: str
    status: str
    reason: str | None = None
    object_id: UUID | None = None


async def _remember(session: TenantSession, origin: Origin, rows: list[_Row]) -> dict[str, UUID]:
    """Write rows of `imported_document`; answers their ids by place."""
    if not rows:
        return {}
    values = {
        "tenant_id": tenant_of(session),
        "digest": origin.digest,
        "blob_id": origin.blob_id,
        "ids": [ids.new_id() for _ in rows],
        "places": [row.place for row in rows],
        "statuses": [row.status for row in rows],
        "reasons": [row.reason for row in rows],
        "objects": [row.object_id for row in rows],
    }
    return {row.place: row.id for row in await session.execute(_REMEMBER, values)}


_REMEMBER: Final = text("""
insert into app.imported_document (tenant_id, id, content_hash, place, status, reason, object_id, blob_id)
select :tenant_id, u.id, :digest, u.place, u.status, u.reason, u.object_id, :blob_id
from unnest(cast(:ids as uuid[]), cast(:places as text[]), cast(:statuses as text[]), cast(:reasons as text[]),
            cast(:objects as uuid[])) as u(id, place, status, reason, object_id)
order by u.place
on conflict (tenant_id, content_hash, place)
do update set status = excluded.status, reason = excluded.reason, object_id = excluded.object_id
returning id, place
""")


async def _link(batch: Batch, items: list[Item]) -> None:
    """What the sources call the objects: by number, and by an id of their own where they have one."""
    by_source: dict[str, dict[str, Link]] = {}
    for item in items:
        if item.object_id is None:
            continue
        found = by_source.setdefault(item.document.format, {})
        found[item.name] = Link(item.name, item.object_id, item.said)
        if item.document.external_id is not None:
            own = own_name(item)
            found[own] = Link(own, item.object_id, item.said)
    for source, found in by_source.items():
        await links.link(batch.session, source, items[0].document.kind, list(found.values()))


def _task(item: Item, origin: Origin, row_id: UUID) -> NewTask:
    noun = "Invoice" if item.document.kind == "invoice" else "Credit note"
    reason = item.reason or ""
    repeated = reason == "number_repeated" and origin.id is not None
    return NewTask(
        kind=f"document_{reason}",
        subject_id=origin.id if repeated and origin.id is not None else item.object_id or row_id,
        invoice_id=item.object_id if item.document.kind == "invoice" else None,
        debtor_id=item.debtor_id,
        title=f"{noun} {item.document.number} {_TITLES.get(reason, 'needs a decision')}",
        detail=item.detail,
    )


async def forget(session: TenantSession, digest: bytes) -> None:
    """The file has been taken back: read again, it is news."""
    await session.execute(_FORGET, {"tenant_id": tenant_of(session), "digest": digest})


_FORGET: Final = text(
    "update app.imported_document set status = 'reading'"
    " where tenant_id = :tenant_id and content_hash = :digest and place = ''"
)
