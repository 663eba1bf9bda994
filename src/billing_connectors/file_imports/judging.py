"""Judge one batch of rows: what each is, and what bringing it in makes of what is known."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text

from billing_connectors import recording
from billing_connectors.batches import Batch, Item
from billing_connectors.csv_files.mapping import CsvMapping
from billing_connectors.documents.canonical import MAX_DETAIL
from billing_connectors.file_imports.models import ImportRow, ImportRun, RowStatus, Upload
from billing_connectors.file_imports.rows import RowRead
from billing_connectors.file_imports.views import counted
from billing_connectors.recording import Origin
from billing_connectors.sellers import load_creditors, seller_of
from storage.blobs import PostgresBlobs
from storage.bulk import insert_rows
from storage.clocks import now_of
from storage.encryption import KeyRing, place_of
from storage.session import TenantSession, tenant_of

_STATUS: Final = {
    "imported": RowStatus.CREATED, "updated": RowStatus.UPDATED, "unchanged": RowStatus.UNCHANGED,
    "rejected": RowStatus.REFUSED, "quarantined": RowStatus.QUARANTINED,
}  # fmt: skip
_NOT_TAKEN: Final = (RowStatus.REFUSED, RowStatus.QUARANTINED)


class Verdict(Struct, kw_only=True):
    """What became of one row."""

    row: RowRead
    status: RowStatus
    kind: str | None = None
    number: str | None = None
    object_id: UUID | None = None
    reason: str | None = None
    header: str | None = None
    detail: str | None = None
    name_digest: int | None = None
    said_digest: int | None = None
    warnings: tuple[str, ...] = ()


def digest_of(mapping: CsvMapping, upload: Upload) -> bytes:
    """What a file says depends on the mapping: under another one it is another file."""
    return hashlib.sha256(msgspec.json.encode(mapping) + b"\0" + upload.sha256).digest()


async def judge(
    session: TenantSession, ring: KeyRing, run: ImportRun, origin: Origin, rows: Sequence[RowRead]
) -> list[Verdict]:
    """Bring a batch in, in the session's transaction; answers what became of each row, in order."""
    await recording.serialise(session)
    creditors = await load_creditors(session, run.creditor_id)
    items: dict[int, Item] = {}
    for row in rows:
        if row.document is None:
            continue
        item = Item(place=str(row.line), document=row.document, said=row.said)
        seller = seller_of(row.document, creditors)
        if seller.creditor_id is None:
            item.settle("rejected", seller.reason)
        else:
            item.belong_to(seller.creditor_id)
            if seller.unchecked:
                item.warnings.append("seller_unchecked")
        items[row.line] = item
    await _pass_over_repeated(session, run, [item for item in items.values() if item.status is None])
    batch = Batch(session, ring, await now_of(session), list(items.values()))
    if items:
        await recording.bring_in(batch, origin, PostgresBlobs(ring))
    return [_verdict(row, items.get(row.line)) for row in rows]


async def _pass_over_repeated(session: TenantSession, run: ImportRun, items: Sequence[Item]) -> None:
    """A number in two rows of one file is one debt told twice, or two debts that nobody can tell apart."""
    digests = {id(item): _digest(f"{item.identity}".encode()) for item in items}
    values = {"tenant_id": tenant_of(session), "import_id": run.id, "digests": list(digests.values())}
    before: dict[int, int] = {row.name_digest: row.said_digest for row in await session.execute(_BEFORE, values)}
    for item in items:
        said = _digest(item.said)
        first = before.setdefault(digests[id(item)], said)
        if first != said:
            item.settle("quarantined", "number_repeated", "another row of this file bears the same number")


_BEFORE: Final = text("""
select distinct on (r.name_digest) r.name_digest, r.said_digest
from unnest(cast(:digests as bigint[])) as u(digest)
join app.import_row r on r.tenant_id = :tenant_id and r.import_id = :import_id and r.name_digest = u.digest
order by r.name_digest, r.line
""")  # bounded: by the rows of the batch


def _digest(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), signed=True)


def _verdict(row: RowRead, item: Item | None) -> Verdict:
    if item is None:
        refusal = row.refusal
        return Verdict(
            row=row,
            status=RowStatus.REFUSED,
            number=row.number,
            reason="unreadable" if refusal is None else refusal.reason,
            header=None if refusal is None else refusal.column,
            detail=None if refusal is None else refusal.detail or None,
        )
    return Verdict(
        row=row,
        status=_STATUS[item.status or "rejected"],
        kind=item.document.kind,
        number=item.document.number,
        object_id=item.object_id,
        reason=item.reason,
        detail=(item.detail or "")[:MAX_DETAIL] or None,
        name_digest=_digest(f"{item.identity}".encode()) if item.name else None,
        said_digest=_digest(item.said),
        warnings=tuple(dict.fromkeys((*item.document.warnings, *item.warnings))),
    )


def refused(row: RowRead, reason: str, detail: str) -> Verdict:
    """A row that could not be brought in for a reason that is not its own."""
    kind, number = (None, row.number) if row.document is None else (row.document.kind, row.document.number)
    return Verdict(row=row, status=RowStatus.REFUSED, kind=kind, number=number, reason=reason, detail=detail)


async def record(session: TenantSession, ring: KeyRing, run: ImportRun, verdicts: Sequence[Verdict]) -> None:
    """Keep what became of the rows, and move the import's position over them."""
    await _keep(session, ring, run, verdicts)
    statuses = Counter(one.status for one in verdicts)
    run.rows_read += len(verdicts)
    run.rows_created += statuses[RowStatus.CREATED]
    run.rows_updated += statuses[RowStatus.UPDATED]
    run.rows_unchanged += statuses[RowStatus.UNCHANGED]
    run.rows_refused += statuses[RowStatus.REFUSED]
    run.rows_quarantined += statuses[RowStatus.QUARANTINED]
    reasons = Counter(one.reason or "" for one in verdicts if one.status in _NOT_TAKEN)
    if reasons:
        run.reasons = counted(run.reasons, reasons)
    run.version += 1


async def _keep(session: TenantSession, ring: KeyRing, run: ImportRun, verdicts: Iterable[Verdict]) -> None:
    tenant_id = tenant_of(session)
    found = list(verdicts)
    not_taken = any(one.status in _NOT_TAKEN for one in found)
    key = (await ring.current(session, [run.upload_id]))[run.upload_id] if not_taken else None
    rows: list[tuple[Any, ...]] = []  # Any: one value per column
    for one in found:
        kept = key if one.status in _NOT_TAKEN else None
        sealed = None if kept is None else kept.seal(bytes(one.row.cells), place(tenant_id, run.id, one.row.line))
        rows.append(
            (
                tenant_id, run.id, one.row.line, one.status.value, one.kind, one.number,
                None if run.dry_run and one.status is RowStatus.CREATED else one.object_id, one.reason, one.header,
                one.detail, one.name_digest, one.said_digest, sealed, None if kept is None else kept.version,
            )
        )  # fmt: skip
    await insert_rows(session, ImportRow, _COLUMNS, rows)


def place(tenant_id: UUID, import_id: UUID, line: int) -> bytes:
    """Where the sealed cells of a row stand."""
    return place_of(tenant_id, "import_row", import_id, f"sealed:{line}")


_COLUMNS: Final = (
    "tenant_id", "import_id", "line", "status", "kind", "number", "object_id", "reason", "header", "detail",
    "name_digest", "said_digest", "sealed", "key_version",
)  # fmt: skip
