"""The way in: engines per role and the units of work that the edges open. Nothing else commits."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol
from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from storage.encryption import KeyProvider, KeyRing
from storage.events import Rung, publish
from storage.registry import Registry
from storage.session import Cause, DirectorySession, OperatorSession, PumpSession, QueueSession, TenantSession, memory

STATEMENT_TIMEOUT_MS: Final = 30_000
HUNG_MS: Final = 30_000  # nobody is called inside a transaction: one that is idle for so long belongs to a hung process


class Urls(Struct, frozen=True, kw_only=True):
    """One URL a role, since SET ROLE can be undone. `owner` serves migrate and maintain, `admin` the operator."""

    app: str
    dispatcher: str | None = None
    pump: str | None = None
    owner: str | None = None
    admin: str | None = None


class Doorbell(Protocol):
    """Tells workers that a queue has been fed. It may be lost: workers also look by themselves."""

    async def ring(self, queues: Iterable[str], tenant_id: UUID) -> None:
        """Never raises, never waits long."""
        ...

    async def close(self) -> None:
        """Give back what ringing needs."""
        ...


class NoDoorbell:
    """For commands and tests: workers find the work by their own sweep."""

    async def ring(self, queues: Iterable[str], tenant_id: UUID) -> None:
        del queues, tenant_id

    async def close(self) -> None:
        pass


class Database:
    """Opens sessions of each kind. One per process."""

    def __init__(
        self,
        urls: Urls,
        provider: KeyProvider,
        registry: Registry,
        *,
        doorbell: Doorbell | None = None,
        pool_size: int = 5,
        application: str = "relance",
    ) -> None:
        self.urls = urls
        self.registry = registry
        self.keys = KeyRing(provider)
        self.doorbell: Doorbell = doorbell or NoDoorbell()
        self._pool_size, self._application = pool_size, application
        self._engines: dict[str, AsyncEngine] = {}

    @asynccontextmanager
    async def tenant(self, tenant_id: UUID, cause: Cause) -> AsyncGenerator[TenantSession]:
        """One unit of work in a tenant: commit on success, roll back on any exception, swallow neither."""
        info: dict[str, Any] = {  # Any: SQLAlchemy's own type of `info`
            "tenant_id": tenant_id, "cause": cause, "registry": self.registry, "keys": self.keys,
        }  # fmt: skip
        maker = async_sessionmaker(self.engine("app"), class_=TenantSession, expire_on_commit=False, info=info)
        async with maker() as session:
            async with session.begin():
                yield session
                await session.flush()
                await publish(session)
            rung = memory(session, Rung).queues
        if rung:
            await self.doorbell.ring(rung, tenant_id)

    @asynccontextmanager
    async def queue(self) -> AsyncGenerator[QueueSession]:
        """Queue columns of all tenants, as the dispatcher."""
        async with self._open("dispatcher", QueueSession) as session:
            yield session

    @asynccontextmanager
    async def pump(self) -> AsyncGenerator[PumpSession]:
        """Deliveries of all tenants, as the pump."""
        async with self._open("pump", PumpSession) as session:
            yield session

    @asynccontextmanager
    async def directory(self) -> AsyncGenerator[DirectorySession]:
        """Look-ups before a tenant is known."""
        async with self._open("app", DirectorySession) as session:
            yield session

    @asynccontextmanager
    async def operator(self) -> AsyncGenerator[OperatorSession]:
        """Everything, for the platform's owner; the caller audits the use."""
        async with self._open("admin", OperatorSession) as session:
            yield session

    @asynccontextmanager
    async def _open(self, role: str, kind: type[AsyncSession]) -> AsyncGenerator[Any]:  # Any: a session of that kind
        maker = async_sessionmaker(self.engine(role), class_=kind, expire_on_commit=False)
        async with maker() as session, session.begin():
            yield session

    def engine(self, role: str) -> AsyncEngine:
        """The engine of a role, made at its first use."""
        found = self._engines.get(role)
        if found is None:
            url: str | None = getattr(self.urls, role)
            if url is None:
                raise RuntimeError(f"this process has no database URL for the role {role!r}")
            found = self._engines[role] = create_async_engine(
                url,
                pool_size=self._pool_size,
                max_overflow=self._pool_size,
                hide_parameters=True,  # errors end in logs and on rows, and parameters are people's
                pool_pre_ping=False,  # a lost connection is an error that the caller retries; a ping costs each use
                connect_args={
                    "server_settings": {
                        "application_name": f"{self._application}:{role}",
                        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                        "idle_in_transaction_session_timeout": str(HUNG_MS),
                        "timezone": "UTC",
                        "jit": "off",
                    },
                    "timeout": 10,
                },
            )
        return found

    async def close(self) -> None:
        """Give every connection back."""
        for engine in self._engines.values():
            await engine.dispose()
        self._engines.clear()
        await self.doorbell.close()
