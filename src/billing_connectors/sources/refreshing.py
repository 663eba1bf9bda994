"""Ask the source once more for what is about to be chased, within a budget, outside any transaction.

What could not be asked for in time stays stale, and the gate lets nobody be chased for it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct

from billing_connectors.csv_files.mapping import find_mapping
from billing_connectors.desks import Desk
from billing_connectors.documents.canonical import Kind
from billing_connectors.sources.applying import apply_one
from billing_connectors.sources.freshness import Stale, stale
from billing_connectors.sources.ports import Connector, SourceAway
from runtime.logs import logger
from storage.blobs import PostgresBlobs
from storage.encryption import KeyRing
from storage.session import OpenTenant

log: Final = logger("billing_connectors.refreshing")


class Budget(Struct, frozen=True, kw_only=True):
    """How much a refresh may take: a tool's limits are kept for reading, and a message does not wait for ever."""

    within_s: float = 10.0
    at_once: int = 4
    most: int = 200


async def refresh(
    work: OpenTenant,
    connectors: Mapping[str, Connector],
    tenant_id: UUID,
    invoice_ids: Iterable[UUID],
    *,
    budget: Budget | None = None,
) -> int:
    """Read again those of the invoices that are stale; answers how many were."""
    from billing_connectors.documents.confined import ConfinedReader  # noqa: PLC0415 - a worker's start waits for no reader

    limits = budget or Budget()
    async with work(tenant_id) as session:
        waiting = [
            each for each in await stale(session, invoice_ids, limit=limits.most) if each.source_key in connectors
        ]
        keys: KeyRing = session.info["keys"]
    if not waiting:
        return 0
    desk = Desk(
        open=lambda: work(tenant_id),
        keys=keys,
        blobs=PostgresBlobs(keys),
        reader=ConfinedReader(),
        mapping=find_mapping("generic"),
    )
    slots, done = asyncio.Semaphore(limits.at_once), 0

    async def one(each: Stale) -> None:
        nonlocal done
        async with slots:
            try:
                read = await connectors[each.source_key].get(_kind(each.kind), each.remote_id)
                await apply_one(desk, each.source_id, read)
            except SourceAway as error:
                log.warning("record not refreshed", tenant_id=str(tenant_id), source=each.source_key, code=error.code)
            except Exception:  # a fault of one connector: what is not known stays stale, and nobody is chased for it
                log.exception("record not refreshed", tenant_id=str(tenant_id), source=each.source_key)
            else:
                done += 1

    try:
        async with asyncio.timeout(limits.within_s), asyncio.TaskGroup() as group:
            for each in waiting:
                group.create_task(one(each))
    except TimeoutError:
        log.warning("refresh ran out of time", tenant_id=str(tenant_id), asked=len(waiting), done=done)
    return done


def _kind(kind: str) -> Kind:
    return "credit_note" if kind == "credit_note" else "invoice"
