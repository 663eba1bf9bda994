"""Read and write what sources have said of objects; what they say of debtors is sealed under each debtor's own key."""

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import select

from billing_connectors import buyer_facts, merging
from billing_connectors.models import SourceStatement
from storage.bulk import insert_rows
from storage.encryption import KeyRing, place_of
from storage.session import TenantSession, tenant_of

_TABLE: Final = "source_statement"
_COLUMNS: Final = ("tenant_id", "object_id", "body", "key_version")
_AGAIN: Final = (
    "on conflict (tenant_id, object_id) do update set body = excluded.body, key_version = excluded.key_version"
)


async def of_documents(session: TenantSession, object_ids: Iterable[UUID]) -> dict[UUID, merging.Statement]:
    """What is kept of invoices and credit notes; empty for those that did not come by an import."""
    wanted = set(object_ids)
    rows = await _rows(session, wanted)
    kept = {row.object_id: msgspec.json.decode(row.body, type=merging.Statement) for row in rows}
    return {object_id: kept.get(object_id, merging.Statement()) for object_id in wanted}


async def keep_documents(session: TenantSession, statements: Mapping[UUID, merging.Statement]) -> None:
    """Keep what is said of invoices and credit notes."""
    tenant_id = tenant_of(session)
    rows = [(tenant_id, object_id, msgspec.json.encode(each), None) for object_id, each in sorted(statements.items())]
    await insert_rows(session, SourceStatement, _COLUMNS, rows, on_conflict=_AGAIN)


async def of_debtors(
    session: TenantSession, keys: KeyRing, debtor_ids: Iterable[UUID]
) -> dict[UUID, buyer_facts.Statement]:
    """What is kept of debtors; empty for one that did not come by an import or whose key was destroyed."""
    tenant_id, wanted = tenant_of(session), set(debtor_ids)
    rows = [row for row in await _rows(session, wanted) if row.key_version is not None]
    opened = await keys.of_versions(session, [(tenant_id, row.object_id, row.key_version or 0) for row in rows])
    found = {debtor_id: buyer_facts.Statement() for debtor_id in wanted}
    for row in rows:
        key = opened.get((tenant_id, row.object_id, row.key_version or 0))
        if key is not None:
            body = key.open(row.body, place_of(tenant_id, _TABLE, row.object_id))
            found[row.object_id] = msgspec.json.decode(body, type=buyer_facts.Statement)
    return found


async def keep_debtors(session: TenantSession, keys: KeyRing, statements: Mapping[UUID, buyer_facts.Statement]) -> None:
    """Keep what is said of debtors."""
    if not statements:
        return
    tenant_id = tenant_of(session)
    current = await keys.current(session, statements)
    rows: list[tuple[UUID, UUID, bytes, int]] = []
    for debtor_id, each in sorted(statements.items()):
        key = current[debtor_id]
        sealed = key.seal(msgspec.json.encode(each), place_of(tenant_id, _TABLE, debtor_id))
        rows.append((tenant_id, debtor_id, sealed, key.version))
    await insert_rows(session, SourceStatement, _COLUMNS, rows, on_conflict=_AGAIN)


async def _rows(session: TenantSession, object_ids: set[UUID]) -> list[SourceStatement]:
    if not object_ids:
        return []
    statement = (
        select(SourceStatement)
        .where(SourceStatement.tenant_id == tenant_of(session), SourceStatement.object_id.in_(object_ids))
        .execution_options(populate_existing=True)
    )
    return list(await session.scalars(statement))  # bounded: by the objects asked for
