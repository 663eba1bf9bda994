"""What a worker works with."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

import anyio
from msgspec import Struct, field

from messaging.channels.port import Channel
from messaging.sending import Sender
from runtime.http import Http
from runtime.logs import logger
from runtime.metrics import Metrics
from storage.database import Database
from storage.queues import LEASE, Claim, Queue, renew
from storage.session import Cause, TenantSession

log: Final = logger("workers")

ChannelOf = Callable[[str, UUID, bool], Channel]  # channel name, tenant, sandbox → the adapter


class Engine(Struct, frozen=True, kw_only=True):
    """Everything that the rounds share in one process."""

    database: Database
    http: Http
    sender: Sender
    channel_of: ChannelOf
    metrics: Metrics
    lease: timedelta = LEASE
    batch: int = 200
    stopping: anyio.Event = field(default_factory=anyio.Event)  # once set, rounds begin nothing more

    def work(self, kind: str, name: str) -> Callable[[UUID], AbstractAsyncContextManager[TenantSession]]:
        """Open units of work that say which worker's round caused them."""
        return lambda tenant_id: self.database.tenant(tenant_id, Cause(kind=kind, id=name))


@asynccontextmanager
async def keeping(engine: Engine, queue: Queue, held: Sequence[Claim]) -> AsyncGenerator[None]:
    """Renew the leases of a batch while it is worked on, so that only the dead lose theirs."""

    async def keep() -> None:
        while True:
            await anyio.sleep(engine.lease.total_seconds() / 3)
            try:
                async with engine.database.queue() as session:
                    await renew(session, queue, held, lease=engine.lease)
            except Exception as error:  # noqa: BLE001 - a missed renewal costs at most a second run, fenced
                log.warning("lease not renewed", queue=queue.name, error=type(error).__name__)

    async with anyio.create_task_group() as group:
        group.start_soon(keep)
        try:
            yield
        finally:
            group.cancel_scope.cancel()
