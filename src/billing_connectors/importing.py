"""Import files: read each, decide whose sale it is, and bring its documents in, a batch a transaction."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy.exc import DBAPIError

from billing_connectors import archives, recording
from billing_connectors.batches import Batch, Identity, Item
from billing_connectors.csv_files.mapping import CsvMapping, find_mapping
from billing_connectors.csv_files.reading import Row, read_csv
from billing_connectors.desks import TRIES, Desk, Judged, Read, item_of, judgement, met_another, refusal
from billing_connectors.documents import markup, pdf
from billing_connectors.documents.canonical import Document, Refusal
from billing_connectors.documents.confined import ConfinedReader
from billing_connectors.documents.report import Verdict
from billing_connectors.fec.bringing import import_fec
from billing_connectors.fec.parsing import looks_like_fec
from billing_connectors.files import files_of, read_bounded
from billing_connectors.recording import Origin
from billing_connectors.sellers import load_creditors
from billing_connectors.terms import Agreed
from receivables.errors import IdentifierTaken
from storage.blobs import MAX_BYTES, PostgresBlobs
from storage.clocks import now_of
from storage.database import Database
from storage.session import Cause

CHUNK: Final = 1_000  # rows of an export in one transaction
COMMAND: Final = Cause(kind="command", id="import")
DEFAULT_MAPPING: Final = "generic"
_EXPORTS: Final = frozenset({".csv", ".tsv", ".txt"})


def desk_of(
    database: Database,
    tenant_id: UUID,
    reader: ConfinedReader,
    *,
    cause: Cause = COMMAND,
    creditor_id: UUID | None = None,
    mapping: str | CsvMapping | None = None,
    agreed: Agreed | None = None,
) -> Desk:
    """A desk over a database. Raises UnknownMapping, BadMapping."""
    return Desk(
        open=lambda: database.tenant(tenant_id, cause),
        keys=database.keys,
        blobs=PostgresBlobs(database.keys),
        reader=reader,
        mapping=mapping if isinstance(mapping, CsvMapping) else find_mapping(mapping or DEFAULT_MAPPING),
        creditor_id=creditor_id,
        agreed=agreed or Agreed(),
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
            yield refusal(str(path), Refusal(reason="unreadable", detail=error.strerror or str(error)))
            continue
        async for one in import_file(desk, str(path), content):
            yield one


async def import_file(desk: Desk, name: str, content: bytes) -> AsyncGenerator[Judged]:
    """Import one file: an e-invoice is one document, an export one a row. What it is decides its content."""
    if len(content) > MAX_BYTES:
        yield refusal(name, Refusal(reason="too_large", detail=f"a file is read up to {MAX_BYTES} bytes"))
    elif archives.looks_like_zip(content):
        async for one in _import_archive(desk, name, content):
            yield one
    elif looks_like_fec(content):
        async for one in import_fec(desk, name, content):
            yield one
    elif _is_export(name, content):
        async for one in _import_export(desk, name, content):
            yield one
    else:
        found = await asyncio.to_thread(desk.reader.read, content)
        if isinstance(found, Refusal):
            yield refusal(name, found)
            return
        digest = hashlib.sha256(content).digest()
        origin = Origin(digest=digest, content=content, is_export=False)
        for one in await _bring_in(desk, name, origin, [Read("", found, digest)], {}):
            yield one


async def _import_archive(desk: Desk, name: str, content: bytes) -> AsyncGenerator[Judged]:
    """Import what is in an archive, each file as if it had come by itself."""
    entries = archives.entries(content)
    count = 0
    while (entry := await asyncio.to_thread(next, entries, None)) is not None:
        count += 1
        inner = f"{name}/{entry.name}" if entry.name else name
        if entry.refusal is not None:
            yield refusal(inner, entry.refusal)
            continue
        async for one in import_file(desk, inner, entry.content):
            yield one
    if count == 0:
        yield refusal(name, Refusal(reason="empty_file", detail="the archive holds no file", format=archives.FORMAT))


def _is_export(name: str, content: bytes) -> bool:
    if content and (markup.looks_like_xml(content) or pdf.looks_like_pdf(content)):
        return False
    return Path(name).suffix.lower() in _EXPORTS


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
            Read(str(row.line), row.outcome, _digest(row.outcome)) for row in chunk if isinstance(row.outcome, Document)
        ]
        verdicts = {one.line: one for one in await _bring_in(desk, name, origin, read, numbers)} if read else {}
        for row in chunk:
            if isinstance(row.outcome, Refusal):
                yield refusal(name, row.outcome, row.line)
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
    desk: Desk, name: str, origin: Origin, read: Sequence[Read], numbers: dict[Identity, bytes]
) -> list[Judged]:
    """Bring documents in within one transaction, again where it met another; answers a verdict for each."""
    for attempt in range(1, TRIES + 1):
        known, before = dict(numbers), msgspec.structs.replace(origin)
        try:
            items = await _bring_in_once(desk, before, read, known)
        except (IdentifierTaken, DBAPIError) as error:
            if attempt == TRIES or not met_another(error):
                raise
            continue
        origin.blob_id, origin.id, origin.was_taken = before.blob_id, before.id, before.was_taken
        numbers.update(known)
        return [judgement(name, item) for item in items]
    raise RuntimeError("the last attempt answers or raises")


async def _bring_in_once(
    desk: Desk, origin: Origin, read: Sequence[Read], numbers: dict[Identity, bytes]
) -> list[Item]:
    async with desk.open() as session:
        await recording.serialise(session)
        creditors = await load_creditors(session, desk.creditor_id)
        items = [item_of(desk, one, creditors) for one in read]
        for item in items:
            _check_repeated(item, numbers)
        batch = Batch(session, desk.keys, await now_of(session), items)
        await recording.bring_in(batch, origin, desk.blobs)
    return items


def _check_repeated(item: Item, numbers: dict[Identity, bytes]) -> None:
    """A number in two rows of one export is one debt told twice, or two debts that nobody can tell apart."""
    if item.status is not None:
        return
    said = numbers.setdefault(item.identity, item.said)
    if said != item.said:
        item.settle("quarantined", "number_repeated", "another row of this file bears the same number")
