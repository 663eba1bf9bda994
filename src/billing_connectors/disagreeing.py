"""Conflicts come and go: both sides are kept, sealed, when a document contradicts; one that agrees by now is over."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import select, text

from billing_connectors.batches import Batch, Item
from billing_connectors.documents.canonical import Document
from billing_connectors.events import ConflictOpened, ConflictResolved
from billing_connectors.models import ConflictRow, ConflictState
from billing_connectors.views import ConflictView
from casework.tasks import NewTask, close_tasks
from kernel import ids
from receivables.identifiers import DEBTORS, Identifier, held_by
from storage.bulk import insert_rows
from storage.encryption import place_of
from storage.events import emit
from storage.session import TenantSession, tenant_of

TABLE: Final = "conflict"
AGREED: Final = "agreed"  # the two sides say the same by now
_COLUMNS: Final = (
    "tenant_id", "id", "version", "state", "reason", "kind", "creditor_id", "number", "source", "document_id", "place",
    "object_id", "debtor_id", "task_kind", "task_subject_id", "key_version", "sealed", "known_at",
)  # fmt: skip


class KnownSide(Struct, frozen=True, kw_only=True):
    """The known document as it was when another one contradicted it."""

    id: UUID
    debtor_id: UUID
    number: str
    issued_on: date
    due_on: date | None = None
    currency: str
    total_minor: int
    left_minor: int  # to pay, or of a credit note to use
    source: str
    known_at: datetime
    document_id: UUID | None = None
    debtor_name: str | None = None
    debtor_ids: tuple[Identifier, ...] = ()


class Came(Struct, frozen=True):
    """How the incoming document came: what its file is known by."""

    digest: bytes
    blob_id: UUID | None
    id: UUID | None  # of the file's own row
    import_id: UUID | None


class Sides(Struct, frozen=True, kw_only=True):
    """Both sides of a conflict, as they are sealed."""

    document: Document
    said: bytes
    came: Came
    known: KnownSide | None = None
    candidates: tuple[UUID, ...] = ()


class Opened(Struct, frozen=True):
    """A quarantined item, its row of `imported_document`, the task that asks a person."""

    item: Item
    document_id: UUID
    task: NewTask


async def open_conflicts(batch: Batch, opened: Sequence[Opened], came: Came) -> None:
    """Keep both sides of each contradiction; a document that contradicts again as before changes nothing."""
    if not opened:
        return
    session, tenant_id = batch.session, tenant_of(batch.session)
    fresh = {one.document_id for one in opened} - await _open_documents(session, [one.document_id for one in opened])
    news = {ids.new_id(): one for one in opened if one.document_id in fresh}
    known = await _known_sides(session, [one.item for one in news.values()])
    keys = await batch.keys.current(session, news)  # a key each: whoever is erased takes nobody along
    rows: list[ConflictRow] = []
    for conflict_id, one in news.items():
        item, key = one.item, keys[conflict_id]
        side = None if item.object_id is None else known.get(item.object_id)
        sides = Sides(document=item.document, said=item.said, came=came, known=side, candidates=item.candidates)
        rows.append(
            ConflictRow(
                tenant_id=tenant_id,
                id=conflict_id,
                version=1,
                state=ConflictState.OPEN,
                reason=item.reason or "",
                kind=item.document.kind,
                creditor_id=item.creditor_id,
                number=item.document.number,
                source=item.document.format,
                document_id=one.document_id,
                place=item.place,
                object_id=None if side is None else side.id,
                debtor_id=None if side is None else side.debtor_id,
                task_kind=one.task.kind,
                task_subject_id=one.task.subject_id,
                resolution=None,
                resolved_at=None,
                key_version=key.version,
                sealed=key.seal(msgspec.json.encode(sides), place_of(tenant_id, TABLE, conflict_id)),
                known_at=batch.now,
            )
        )
    values = [[getattr(row, name) for name in _COLUMNS] for row in rows]
    await insert_rows(session, ConflictRow, _COLUMNS, values)
    for row in rows:
        emit(session, ConflictOpened(ConflictView.of(row), None, batch.now))


async def close_agreed(batch: Batch, taken: Sequence[Item], written: Mapping[str, UUID]) -> None:
    """Conflicts are over whose document is taken now, or whose export says the same of the document by now."""
    objects = [item.object_id for item in taken if item.place and item.object_id is not None]
    values: dict[str, Any] = {  # Any: arrays of several types
        "tenant_id": tenant_of(batch.session),
        "documents": [written[item.place] for item in taken if item.place in written],
        "objects": objects,
        "sources": sorted({item.document.format for item in taken}),
    }
    wanted = list((await batch.session.execute(_AGREED, values)).scalars())
    for row in await load(batch.session, wanted):
        await resolve_row(batch.session, row, AGREED, batch.now)


_AGREED: Final = text("""
select c.id from app.conflict c
where c.tenant_id = :tenant_id and c.state = 'open' and c.document_id = any(cast(:documents as uuid[]))
union
select c.id from app.conflict c
where c.tenant_id = :tenant_id and c.state = 'open' and c.object_id = any(cast(:objects as uuid[]))
  and c.place <> '' and c.source = any(cast(:sources as text[]))
""")  # bounded: by the items of the batch


async def load(session: TenantSession, conflict_ids: Sequence[UUID], *, lock: bool = False) -> list[ConflictRow]:
    """Conflicts by id, in the order of their ids; one that does not exist is absent."""
    if not conflict_ids:
        return []
    await session.flush()
    statement = (
        select(ConflictRow)
        .where(ConflictRow.tenant_id == tenant_of(session), ConflictRow.id.in_(conflict_ids))
        .order_by(ConflictRow.id)
        .execution_options(populate_existing=True)
    )
    if lock:
        statement = statement.with_for_update(key_share=True)
    return list(await session.scalars(statement))  # bounded: by the ids asked for


async def resolve_row(session: TenantSession, row: ConflictRow, resolution: str, now: datetime) -> ConflictView:
    """Say how a conflict ended; its task is done unless another conflict asks for the same."""
    before = ConflictView.of(row)
    row.state, row.resolution, row.resolved_at, row.version = ConflictState.RESOLVED, resolution, now, row.version + 1
    after = ConflictView.of(row)
    emit(session, ConflictResolved(after, before, now))
    await session.flush()
    values = {"tenant_id": row.tenant_id, "kind": row.task_kind, "subject_id": row.task_subject_id}
    if not (await session.execute(_ANOTHER, values)).scalar_one():
        await close_tasks(session, [(row.task_kind, row.task_subject_id)], now)
    return after


_ANOTHER: Final = text(
    "select exists (select from app.conflict c where c.tenant_id = :tenant_id and c.state = 'open'"
    " and c.task_kind = :kind and c.task_subject_id = :subject_id)"
)


async def _open_documents(session: TenantSession, document_ids: Sequence[UUID]) -> set[UUID]:
    statement = select(ConflictRow.document_id).where(
        ConflictRow.tenant_id == tenant_of(session),
        ConflictRow.document_id.in_(document_ids),
        ConflictRow.state == ConflictState.OPEN,
    )
    return set(await session.scalars(statement))  # bounded: by the documents asked for


async def _known_sides(session: TenantSession, items: Sequence[Item]) -> dict[UUID, KnownSide]:
    found: dict[UUID, KnownSide] = {}
    for kind in ("invoice", "credit_note"):
        wanted = [item.object_id for item in items if item.document.kind == kind and item.object_id is not None]
        if wanted:
            rows = (await session.execute(_KNOWN[kind], {"tenant_id": tenant_of(session), "ids": wanted})).all()
            held = await held_by(session, DEBTORS, {row.debtor_id for row in rows})
            for row in rows:
                side = msgspec.convert(dict(row._mapping), KnownSide)  # noqa: SLF001 - a row's public mapping
                found[row.id] = msgspec.structs.replace(side, debtor_ids=held[row.debtor_id])
    return found


_SIDE: Final = """
select v.id, v.debtor_id, v.number, v.issued_on, {due_on} as due_on, v.currency, v.total_minor,
       v.{left} as left_minor, v.source, v.known_at, d.name as debtor_name,
       (select i.id from app.imported_document i where i.tenant_id = :tenant_id and i.object_id = v.id
          and i.status in ('imported', 'updated', 'unchanged') order by i.recorded_at desc, i.id desc limit 1)
         as document_id
from app.{table} v join app.debtor d on d.tenant_id = :tenant_id and d.id = v.debtor_id
where v.tenant_id = :tenant_id and v.id = any(cast(:ids as uuid[]))
"""
_KNOWN: Final = {
    table: text(_SIDE.replace("{table}", table).replace("{left}", left).replace("{due_on}", due_on))
    for table, left, due_on in (
        ("invoice", "balance_minor", "v.due_on"),
        ("credit_note", "remaining_minor", "cast(null as date)"),
    )
}  # bounded: by the documents asked for
