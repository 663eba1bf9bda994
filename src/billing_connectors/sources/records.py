"""Rows of what was read of each record: looked up for a page at once, written for a page at once."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from billing_connectors.sources.models import Absence, RemoteRecord
from storage.bulk import insert_rows
from storage.session import TenantSession, tenant_of

Name = tuple[str, str]  # the kind and the remote id

_COLUMNS: Final = (
    "tenant_id", "source_id", "kind", "remote_id", "object_id", "revision", "content_hash", "read_at", "absence",
    "hold_id", "fault", "detail",
)  # fmt: skip
_AGAIN: Final = "on conflict (tenant_id, source_id, kind, remote_id) do update set " + ", ".join(
    f"{column} = excluded.{column}" for column in _COLUMNS[4:]
)


class Known(Struct, frozen=True, kw_only=True):
    """What is kept of a record."""

    object_id: UUID | None = None
    revision: int | None = None
    content_hash: bytes | None = None
    absence: Absence | None = None
    hold_id: UUID | None = None
    fault: str | None = None
    detail: str | None = None

    def is_older(self, revision: int | None) -> bool:
        """Whether something with this revision has been overtaken by what is known."""
        return revision is not None and self.revision is not None and revision < self.revision


async def known(session: TenantSession, source_id: UUID, names: Iterable[Name]) -> dict[Name, Known]:
    """What is kept of these records; one that was never read is absent."""
    wanted = list(names)
    values: dict[str, Any] = {  # Any: arrays of each column's type
        "tenant_id": tenant_of(session),
        "source_id": source_id,
        "kinds": [kind for kind, _ in wanted],
        "remote_ids": [remote_id for _, remote_id in wanted],
    }
    return {
        (row.kind, row.remote_id): Known(
            object_id=row.object_id,
            revision=row.revision,
            content_hash=row.content_hash,
            absence=None if row.absence is None else Absence(row.absence),
            hold_id=row.hold_id,
            fault=row.fault,
            detail=row.detail,
        )
        for row in await session.execute(_KNOWN, values)
    }


_KNOWN: Final = text("""
select r.kind, r.remote_id, r.object_id, r.revision, r.content_hash, r.absence, r.hold_id, r.fault, r.detail
from unnest(cast(:kinds as text[]), cast(:remote_ids as text[])) as u(kind, remote_id)
join app.remote_record r on r.tenant_id = :tenant_id and r.source_id = :source_id and r.kind = u.kind
  and r.remote_id = u.remote_id
""")  # bounded: by the records asked for


async def keep(session: TenantSession, source_id: UUID, rows: Mapping[Name, Known], read_at: datetime) -> None:
    """Write what is known of records from now on."""
    tenant_id = tenant_of(session)
    values = [
        (
            tenant_id, source_id, *name, row.object_id, row.revision, row.content_hash, read_at, row.absence,
            row.hold_id, row.fault, row.detail,
        )
        for name, row in sorted(rows.items())
    ]  # fmt: skip
    await insert_rows(session, RemoteRecord, _COLUMNS, values, on_conflict=_AGAIN)
