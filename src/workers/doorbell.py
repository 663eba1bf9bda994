"""The doorbell: an arq job that says "look at queue q". It carries no state; losing every job loses no work."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import msgspec
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from redis.asyncio import Redis as Client
from redis.exceptions import RedisError

from runtime.logs import logger
from storage.queues import shard_of

QUEUE: Final = "relance:doorbell"
JOB: Final = "wake"
TIMEOUT_S: Final = 0.2  # a bell that does not ring at once is not waited for
GATHER_S: Final = 0.02  # what a busy process feeds within this time is rung once
PAUSE_S: Final = 5.0  # how long nobody tries after it failed
log: Final = logger("workers.doorbell")
Redis = RedisSettings  # how the rest of the product names where Valkey is: arq is known here alone


def serialize(job: dict[str, Any]) -> bytes:  # Any: arq's own envelope
    """JSON, never pickle: whoever can write to Valkey must not run code here."""
    return msgspec.json.encode(job, enc_hook=repr)


def deserialize(raw: bytes) -> dict[str, Any]:  # Any: arq's own envelope
    """The counterpart of `serialize`."""
    return msgspec.json.decode(raw, type=dict[str, Any])  # Any: arq's own envelope


def at_url(url: str) -> RedisSettings:
    """Where an external Valkey is."""
    return RedisSettings.from_dsn(url)


def at_socket(path: str, password: str) -> RedisSettings:
    """Where the embedded Valkey is."""
    return RedisSettings(unix_socket_path=path, password=password)


def client_of(settings: Redis) -> Client:
    """A plain client to the same Valkey, for whoever counts or caches there."""
    return Client(
        host=str(settings.host),
        port=settings.port,
        unix_socket_path=settings.unix_socket_path,
        db=settings.database,
        username=settings.username,
        password=settings.password,
        ssl=settings.ssl,
        socket_timeout=1.0,
        socket_connect_timeout=1.0,
    )


class ArqDoorbell:
    """Rings by enqueueing a job; silent when Valkey is away."""

    def __init__(self, settings: RedisSettings, *, queue: str = QUEUE) -> None:
        self._settings, self._queue = settings, queue
        self._pool: ArqRedis | None = None
        self._quiet_until = 0.0
        self._fed: set[tuple[str, int]] = set()
        self._ringing: asyncio.Task[None] | None = None

    async def ring(self, queues: Iterable[str], tenant_id: UUID) -> None:
        """Say soon which queues were fed; never raises, and whoever has fed them does not wait for it."""
        self._fed.update((name, shard_of(tenant_id)) for name in queues)
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.get_running_loop().create_task(self._ring_soon())

    async def _ring_soon(self) -> None:
        while self._fed:
            await asyncio.sleep(GATHER_S)
            await self._ring_now()

    async def _ring_now(self) -> None:
        loop, fed = asyncio.get_running_loop(), sorted(self._fed)
        self._fed.clear()
        if loop.time() < self._quiet_until:
            return
        try:
            for name, shard in fed:
                async with asyncio.timeout(TIMEOUT_S if self._pool else 5 * TIMEOUT_S):
                    pool = self._pool = self._pool or await self._connect()
                    await pool.enqueue_job(JOB, name, shard, _queue_name=self._queue)
        except (TimeoutError, OSError, RedisError) as error:
            self._quiet_until = loop.time() + PAUSE_S
            self._pool = None
            log.warning("doorbell silent", error=type(error).__name__)

    async def _connect(self) -> ArqRedis:
        return await create_pool(
            self._settings, job_serializer=serialize, job_deserializer=deserialize, default_queue_name=self._queue
        )

    async def close(self) -> None:
        """Ring what is still to be rung, and give the connection back."""
        if self._ringing is not None:
            self._ringing.cancel()
            await asyncio.gather(self._ringing, return_exceptions=True)
        if self._fed:
            await self._ring_now()
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None
