"""Apply what was read of a source: a page and the cursor after it in one transaction, so that neither is ever alone.

A record that says what it said before changes nothing and is told to nobody. One that is older than what is known is
passed over, whatever the order in which pages and single reads arrive. One that cannot be read waits in quarantine and
holds up no other. A document that is no more in its source is held and asked about; it is never closed in silence.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct, structs
from sqlalchemy import func, select

from billing_connectors import recording
from billing_connectors.batches import Batch, Item
from billing_connectors.desks import Desk, Read, item_of
from billing_connectors.documents.canonical import Document, Refusal
from billing_connectors.merging import TOOL
from billing_connectors.recording import ACCEPTED, Origin
from billing_connectors.sellers import load_creditors
from billing_connectors.sources import absences, records
from billing_connectors.sources.errors import CursorMoved, SourceNotFound
from billing_connectors.sources.models import Source
from billing_connectors.sources.ports import Gone, Page, Record
from billing_connectors.sources.records import Known, Name
from storage.clocks import now_of
from storage.session import TenantSession, tenant_of

MAX_PAGE: Final = 1_000


class Applied(Struct, frozen=True):
    """What became of a page's records: how many were imported, updated, unchanged, outdated, quarantined or gone."""

    counts: dict[str, int]


async def apply_page(desk: Desk, source_id: UUID, page: Page, *, after: str | None) -> Applied:
    """Bring a page in and move the cursor on; `after` is the cursor that the page was read from.

    Raises SourceNotFound, and CursorMoved where another reading has been faster: nothing is written then.
    """
    if len(page.records) + len(page.gone) > MAX_PAGE:
        raise ValueError(f"a page holds at most {MAX_PAGE} records")
    async with desk.open() as session:
        source = await _locked(session, source_id)
        if source.cursor != after:
            raise CursorMoved
        applied = await _apply(session, desk, source, page.records, page.gone)
        source.cursor, source.failure = page.next_cursor, None
        if page.complete:
            source.read_at = await _system_now(session)
    return applied


async def apply_one(desk: Desk, source_id: UUID, read: Record | Gone) -> Applied:
    """Bring in one record that was asked for by itself; the cursor stays where it is. Raises SourceNotFound."""
    async with desk.open() as session:
        source = await _locked(session, source_id)
        one: tuple[Record, ...] = (read,) if isinstance(read, Record) else ()
        gone: tuple[Gone, ...] = (read,) if isinstance(read, Gone) else ()
        return await _apply(session, desk, source, one, gone)


async def start_again(session: TenantSession, source_id: UUID) -> None:
    """Forget the cursor: the next reading is of everything, and changes only what has changed."""
    (await _locked(session, source_id)).cursor = None


async def _locked(session: TenantSession, source_id: UUID) -> Source:
    statement = (
        select(Source)
        .where(Source.tenant_id == tenant_of(session), Source.id == source_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = (await session.execute(statement)).scalar_one_or_none()
    if found is None:
        raise SourceNotFound
    return found


async def _system_now(session: TenantSession) -> datetime:
    return (await session.execute(select(func.clock_timestamp()))).scalar_one()


class _Visit(Struct):
    """One transaction in which something of a source is applied."""

    session: TenantSession
    desk: Desk
    source: Source
    now: datetime
    counts: Counter[str]


async def _apply(
    session: TenantSession, desk: Desk, source: Source, read: Sequence[Record], gone: Sequence[Gone]
) -> Applied:
    await recording.serialise(session)
    visit = _Visit(session, desk, source, await now_of(session), Counter())
    newest = _newest(read)
    left = {(each.kind, each.remote_id): each for each in gone}
    known = await records.known(session, source.id, {*newest, *left})
    fresh = {name: each for name, each in newest.items() if not known.get(name, Known()).is_older(each.revision)}
    visit.counts["outdated"] = len(read) - len(fresh)
    kept = await _bring_in(visit, fresh, known)
    kept |= await absences.returned(session, {name: row for name, row in kept.items() if row.hold_id}, visit.now)
    missing = {
        name: (each, known.get(name, Known()))
        for name, each in left.items()
        if name not in fresh and not known.get(name, Known()).is_older(each.revision)
    }
    kept |= await absences.left(session, missing, visit.now)
    visit.counts["gone"] = len(missing)
    await records.keep(session, source.id, kept, await _system_now(session))
    return Applied(dict(+visit.counts))


def _newest(read: Sequence[Record]) -> dict[Name, Record]:
    """Each record once: of two in one page the later revision, or the later one."""
    found: dict[Name, Record] = {}
    for each in read:
        name = (each.kind, each.remote_id)
        before = found.get(name)
        if before is None or (before.revision or 0) <= (each.revision or 0):
            found[name] = each
    return found


async def _bring_in(visit: _Visit, fresh: dict[Name, Record], known: dict[Name, Known]) -> dict[Name, Known]:
    """Bring documents in as any other source's; answers what is to be kept of each record."""
    kept: dict[Name, Known] = {}
    changed: dict[Name, tuple[Document, bytes]] = {}
    for name, each in fresh.items():
        before = known.get(name, Known())
        digest = hashlib.sha256(msgspec.msgpack.encode(each.content)).digest()
        kept[name] = structs.replace(before, revision=each.revision, content_hash=digest, absence=None)
        if isinstance(each.content, Refusal):
            kept[name] = structs.replace(kept[name], fault=each.content.reason, detail=each.content.detail or None)
            visit.counts["quarantined"] += 1
        elif before.content_hash == digest and before.fault is None and before.absence is None:
            visit.counts["unchanged"] += 1
        else:
            changed[name] = _as_of(visit.source, each.content, each.remote_id), digest
    for name, item in (await _brought(visit, changed, [fresh[name].raw for name in changed])).items():
        accepted = item.status in ACCEPTED
        visit.counts[item.status if item.status and accepted else "quarantined"] += 1
        kept[name] = structs.replace(
            kept[name],
            object_id=item.object_id if accepted else kept[name].object_id,
            fault=None if accepted else item.reason or "rejected",
            detail=None if accepted else item.detail,
        )
    return kept


async def _brought(
    visit: _Visit, changed: dict[Name, tuple[Document, bytes]], raw: Sequence[bytes]
) -> dict[Name, Item]:
    if not changed:
        return {}
    creditors = await load_creditors(visit.session, visit.desk.creditor_id or visit.source.creditor_id)
    items = {
        (kind, remote_id): item_of(visit.desk, Read(f"{kind}/{remote_id}", document, digest), creditors)
        for (kind, remote_id), (document, digest) in changed.items()
    }
    content = b"\n".join(raw)
    origin = Origin(digest=hashlib.sha256(visit.source.id.bytes + content).digest(), content=content, is_export=True)
    batch = Batch(visit.session, visit.desk.keys, visit.now, list(items.values()))
    await recording.bring_in(batch, origin, visit.desk.blobs)
    return items


def _as_of(source: Source, document: Document, remote_id: str) -> Document:
    """The document under the source's own name: its format says whose word it is."""
    return structs.replace(document, format=f"{TOOL}{source.key}", external_id=remote_id)
