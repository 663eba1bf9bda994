"""Import files: read each, decide whose sale it is, and bring its documents in, a batch a transaction."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy.exc import DBAPIError

from billing_connectors import recording
from billing_connectors.batches import Batch, Identity, Item
from billing_connectors.csv_files.mapping import CsvMapping, find_mapping
from billing_connectors.csv_files.reading import Row, read_csv
from billing_connectors.documents import markup, pdf
from billing_connectors.documents.canonical import Document, Refusal
from billing_connectors.documents.confined import ConfinedReader
from billing_connectors.documents.report import Verdict, judged, refused
from billing_connectors.files import files_of, read_bounded
from billing_connectors.recording import Origin
from billing_connectors.sellers import Creditors, load_creditors, seller_of
from receivables.errors import IdentifierTaken
from storage.blobs import MAX_BYTES, PostgresBlobs
from storage.clocks import now_of
from storage.database import Database
from storage.encryption import KeyRing
from storage.session import Cause, TenantSession

CHUNK: Final = 1_000  # rows of an export in one transaction
TRIES: Final = 3  # of a transaction that met another: a deadlock, or a debtor who got the same legal id meanwhile
COMMAND: Final = Cause(kind="command", id="import")
DEFAULT_MAPPING: Final = "generic"
_EXPORTS: Final = frozenset({".csv", ".tsv", ".txt"})
_MET_ANOTHER: Final = frozenset({"40001", "40P01"})


class Judged(Struct, frozen=True):
    """A verdict, with the line of an export that it is about and the reason in words."""

    verdict: Verdict
    line: int | None = None
    detail: str | None = None


class Desk(Struct, frozen=True, kw_only=True):
    """Where documents are brought in: one tenant, its creditor where one was named, how its exports are read."""

    open: Callable[[], AbstractAsyncContextManager[TenantSession]]
    keys: KeyRing
    blobs: PostgresBlobs
    reader: ConfinedReader
    mapping: CsvMapping
    creditor_id: UUID | None = None


def desk_of(
    database: Database,
    tenant_id: UUID,
    reader: ConfinedReader,
    *,
    cause: Cause = COMMAND,
    creditor_id: UUID | None = None,
    mapping: str | CsvMapping | None = None,
) -> Desk:
    """A desk over a database. Raises UnknownMapping, BadMapping."""
    return Desk(
        open=lambda: database.tenant(tenant_id, cause),
        keys=database.keys,
        blobs=PostgresBlobs(database.keys),
        reader=reader,
        mapping=mapping if isinstance(mapping, CsvMapping) else find_mapping(mapping or DEFAULT_MAPPING),
        creditor_id=creditor_id,
    )


async def import_paths(
    database: Database,
    tenant_id: UUID,
    paths: Sequence[Path],
    *,
    cause: Cause = COMMAND,
    creditor_id: UUID | None = None,
    mapping: str | CsvMapping | None = None,
    each: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Import files and folders; answers one verdict a document or row, in order, and tells `each` of it at once.

    Raises CreditorNotFound, UnknownMapping, BadMapping, TooManyFiles.
    """
    verdicts: list[Verdict] = []
    with ConfinedReader() as reader:
        desk = desk_of(database, tenant_id, reader, cause=cause, creditor_id=creditor_id, mapping=mapping)
        async for one in import_all(desk, paths):
            verdicts.append(one.verdict)
            if each is not None:
                each(one.verdict)
    return verdicts


async def import_all(desk: Desk, paths: Sequence[Path]) -> AsyncGenerator[Judged]:
    """Import files and folders, one after the other. Raises CreditorNotFound, TooManyFiles."""
    async with desk.open() as session:
        await load_creditors(session, desk.creditor_id)  # a wrong id is told before anything is read
    for path in await asyncio.to_thread(files_of, paths):
        try:
            content = await asyncio.to_thread(read_bounded, path, MAX_BYTES)
        except OSError as error:
            yield _refusal(str(path), Refusal(reason="unreadable", detail=error.strerror or str(error)))
            continue
        async for one in import_file(desk, str(path), content):
            yield one


async def import_file(desk: Desk, name: str, content: bytes) -> AsyncGenerator[Judged]:
    """Import one file: an e-invoice is one document, an export one a row. What it is decides its content."""
    if len(content) > MAX_BYTES:
        yield _refusal(name, Refusal(reason="too_large", detail=f"a file is read up to {MAX_BYTES} bytes"))
    elif _is_export(name, content):
        async for one in _import_export(desk, name, content):
            yield one
    else:
        found = await asyncio.to_thread(desk.reader.read, content)
        if isinstance(found, Refusal):
            yield _refusal(name, found)
            return
        digest = hashlib.sha256(content).digest()
        origin = Origin(digest=digest, content=content, is_export=False)
        for one in await _bring_in(desk, name, origin, [_Read("", found, digest)], {}):
            yield one


def _is_export(name: str, content: bytes) -> bool:
    if content and (markup.looks_like_xml(content) or pdf.looks_like_pdf(content)):
        return False
    return Path(name).suffix.lower() in _EXPORTS


class _Read(Struct, frozen=True):
    """A document with its place in the file and the digest of what it says."""

    place: str
    document: Document
    said: bytes


async def _import_export(desk: Desk, name: str, content: bytes) -> AsyncGenerator[Judged]:
    # What a file says depends on the mapping: under another one it is another file.
    digest = hashlib.sha256(msgspec.json.encode(desk.mapping) + b"\0" + content).digest()
    origin = Origin(digest=digest, content=content, is_export=True)
    async with desk.open() as session:
        await recording.find_origin(session, origin)
        currency = (await load_creditors(session, desk.creditor_id)).currency
    rows = read_csv(content, _with_currency(desk.mapping, currency))
    numbers: dict[Identity, bytes] = {}
    while chunk := await asyncio.to_thread(_next, rows):
        read = [
            _Read(str(row.line), row.outcome, _digest(row.outcome))
            for row in chunk
            if isinstance(row.outcome, Document)
        ]
        verdicts = {one.line: one for one in await _bring_in(desk, name, origin, read, numbers)} if read else {}
        for row in chunk:
            if isinstance(row.outcome, Refusal):
                yield _refusal(name, row.outcome, row.line)
            else:
                yield verdicts[row.line]
    async with desk.open() as session:
        await recording.finish(session, origin)


def _with_currency(mapping: CsvMapping, currency: str | None) -> CsvMapping:
    """The mapping that takes amounts without a currency for the creditor's own, where it takes them for any."""
    if mapping.assumed_currency is None or currency is None:
        return mapping
    return msgspec.structs.replace(mapping, assumed_currency=currency)


def _next(rows: Iterator[Row]) -> list[Row]:
    return list(islice(rows, CHUNK))


def _digest(document: Document) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(document)).digest()


async def _bring_in(
    desk: Desk, name: str, origin: Origin, read: Sequence[_Read], numbers: dict[Identity, bytes]
) -> list[Judged]:
    """Bring documents in within one transaction, again where it met another; answers a verdict for each."""
    for attempt in range(1, TRIES + 1):
        known, before = dict(numbers), msgspec.structs.replace(origin)
        try:
            items = await _bring_in_once(desk, before, read, known)
        except (IdentifierTaken, DBAPIError) as error:
            if attempt == TRIES or not _met_another(error):
                raise
            continue
        origin.blob_id, origin.id, origin.was_taken = before.blob_id, before.id, before.was_taken
        numbers.update(known)
        return [_judged(name, item) for item in items]
    raise RuntimeError("the last attempt answers or raises")


async def _bring_in_once(
    desk: Desk, origin: Origin, read: Sequence[_Read], numbers: dict[Identity, bytes]
) -> list[Item]:
    async with desk.open() as session:
        await recording.serialise(session)
        creditors = await load_creditors(session, desk.creditor_id)
        items = [_item(one, creditors) for one in read]
        for item in items:
            _check_repeated(item, numbers)
        batch = Batch(session, desk.keys, await now_of(session), items)
        await recording.bring_in(batch, origin, desk.blobs)
    return items


def _item(read: _Read, creditors: Creditors) -> Item:
    """A document with its creditor, or refused because it has none."""
    seller = seller_of(read.document, creditors)
    item = Item(place=read.place, document=read.document, said=read.said)
    if seller.creditor_id is None:
        item.settle("rejected", seller.reason)
        return item
    item.belong_to(seller.creditor_id)
    if seller.unchecked:
        item.warnings.append("seller_unchecked")
    return item


def _check_repeated(item: Item, numbers: dict[Identity, bytes]) -> None:
    """A number in two rows of one export is one debt told twice, or two debts that nobody can tell apart."""
    if item.status is not None:
        return
    said = numbers.setdefault(item.identity, item.said)
    if said != item.said:
        item.settle("quarantined", "number_repeated", "another row of this file bears the same number")


def _met_another(error: Exception) -> bool:
    if isinstance(error, IdentifierTaken):
        return True
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _MET_ANOTHER


def _judged(name: str, item: Item) -> Judged:
    verdict = judged(name, item.document, item.status or "rejected", reason=item.reason, warnings=item.warnings)
    return Judged(verdict, int(item.place) if item.place else None, item.detail)


def _refusal(name: str, refusal: Refusal, line: int | None = None) -> Judged:
    detail = f"{refusal.column}: {refusal.detail}" if refusal.column else refusal.detail
    return Judged(refused(name, refusal), line, detail or None)
