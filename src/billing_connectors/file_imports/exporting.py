"""Rows that were not taken, as a CSV that can be corrected and sent again."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

import msgspec

from billing_connectors.csv_files.layout import Layout
from billing_connectors.file_imports import access, judging, queries
from billing_connectors.file_imports.asking import NOT_TAKEN
from billing_connectors.file_imports.models import ImportRow, ImportRun
from billing_connectors.file_imports.queries import RowFilter
from storage.encryption import KeyRing
from storage.session import TenantSession, tenant_of

MAX_ROWS: Final = 10_000
OURS: Final = ("line", "status", "reason", "column", "detail")
_RISKY: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for a formula


async def not_taken(
    session: TenantSession, ring: KeyRing, import_id: UUID, *, after: int | None
) -> tuple[bytes, int | None]:
    """The next rows as CSV, the file's own columns first, and the line to go on after, if there are more.

    Without the upload's key only what was said of the rows is left.
    """
    run = await access.import_run(session, import_id)
    rows = await queries.rows(session, run.id, RowFilter(statuses=NOT_TAKEN), after=after, limit=MAX_ROWS + 1)
    shown = rows[:MAX_ROWS]
    header = () if run.layout is None else msgspec.json.decode(run.layout, type=Layout).header
    text = io.StringIO()
    text.write("\ufeff")  # by which spreadsheets know UTF-8
    writer = csv.writer(text, delimiter=";")
    writer.writerow([*header, *OURS])
    for row, cells in zip(shown, await _cells(session, ring, run, shown), strict=True):
        own = [*cells[: len(header)], *([""] * (len(header) - len(cells)))]
        said = [str(row.line), row.status.value, row.reason or "", row.header or "", row.detail or ""]
        writer.writerow([*own, *map(_safe, said)])
    return text.getvalue().encode(), shown[-1].line if len(rows) > MAX_ROWS else None


def _safe(text: str) -> str:
    """A cell of ours that no spreadsheet calculates; the file's own cells are given back as they were."""
    return f"'{text}" if text.startswith(_RISKY) else text


async def _cells(
    session: TenantSession, ring: KeyRing, run: ImportRun, rows: Sequence[ImportRow]
) -> Iterator[list[str]]:
    tenant_id = tenant_of(session)
    wanted = {(tenant_id, run.upload_id, row.key_version) for row in rows if row.key_version is not None}
    keys = await ring.of_versions(session, wanted)

    def opened(row: ImportRow) -> list[str]:
        key = keys.get((tenant_id, run.upload_id, row.key_version or 0))
        if key is None or row.sealed is None:
            return []
        body = key.open(row.sealed, judging.place(tenant_id, run.id, row.line))
        return msgspec.msgpack.decode(body, type=list[str])

    return (opened(row) for row in rows)
