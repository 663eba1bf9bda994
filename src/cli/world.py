"""Open what a process needs: servers, database, doorbell, HTTP client, the capture server of sandboxes."""

import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from uuid import UUID

import anyio
from msgspec import Struct

from cli.composition import build_registry, build_sender
from cli.settings import Settings
from cli.stopping import leave_if_told, run
from messaging.capture.server import CaptureServer
from messaging.captured import DatabaseSink
from messaging.channels.email.sending import EmailChannel
from messaging.channels.email.settings import SmtpSettings
from messaging.channels.port import Channel
from runtime.http import open_http
from runtime.metrics import Metrics
from storage.database import Database, Urls
from storage.embedded import servers as embedded
from storage.encryption import LocalKeyProvider
from storage.migrating import migrate
from storage.session import Cause
from workers.doorbell import ArqDoorbell, Redis, at_socket, at_url
from workers.engine import Engine


class Servers(Struct, frozen=True):
    """Where the servers are, embedded or external."""

    urls: Urls
    redis: Redis
    passwords: dict[str, str]
    embedded: bool


@contextmanager
def servers(settings: Settings, *, fsync: bool = True) -> Generator[Servers]:
    """Start or adopt the embedded servers that the settings ask for, and migrate an embedded database.

    With external servers only `relance migrate` migrates. Without `fsync` a server that is started here may lose its
    last commits when the machine dies: for data that is thrown away.
    """
    if settings.database_url is not None and settings.redis_url is not None:
        yield Servers(_external(settings), at_url(settings.redis_url), {}, embedded=False)
        return
    running = embedded.start(settings.data_dir, fsync=fsync)
    try:
        leave_if_told()
        redis = (
            at_socket(running.redis_socket_path, running.redis_password)
            if settings.redis_url is None
            else at_url(settings.redis_url)
        )
        if settings.embedded_database:
            urls = running.database_urls
            own = Urls(app=urls.app, dispatcher=urls.dispatcher, pump=urls.pump, owner=urls.owner, admin=urls.admin)
            run(migrate(urls.owner, running.passwords))
        else:
            own = _external(settings)
        yield Servers(own, redis, running.passwords, embedded=settings.embedded_database)
    finally:
        embedded.leave(running)


def _external(settings: Settings) -> Urls:
    return Urls(
        app=settings.database_url or "",
        dispatcher=settings.dispatcher_url,
        pump=settings.pump_url,
        owner=settings.owner_url,
    )


def open_database(settings: Settings, where: Servers, *, application: str, pool_size: int = 5) -> Database:
    """The product's way into its database, with the registry composed and the doorbell hung."""
    key_file = settings.key_file or settings.data_dir / "key-encryption.key"
    return Database(
        where.urls,
        LocalKeyProvider(key_file),
        build_registry(),
        doorbell=ArqDoorbell(where.redis),
        pool_size=pool_size,
        application=application,
    )


@asynccontextmanager
async def open_engine(
    settings: Settings, database: Database, stopping: anyio.Event | None = None
) -> AsyncGenerator[Engine]:
    """Everything that a worker's rounds share; they hurry to an end once `stopping` is set."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(open_http(settings.http))
        capture = await stack.enter_async_context(open_capture(settings, database))
        yield Engine(
            database=database,
            http=http,
            sender=build_sender(database.registry, database.keys, settings.identity, settings.public_url),
            channel_of=Channels(settings.smtp, capture).of,
            metrics=Metrics(),
            lease=settings.lease,
            stopping=stopping or anyio.Event(),
        )


class Capture(Struct, frozen=True):
    """Where sandboxes' mails go: a capture server on the loopback and its password."""

    port: int
    secret: str | None


@asynccontextmanager
async def open_capture(settings: Settings, database: Database) -> AsyncGenerator[Capture]:
    """The capture server that the settings name, else one of this process's own."""
    if settings.capture_port:
        yield Capture(settings.capture_port, settings.capture_secret)
        return
    secret = secrets.token_urlsafe(24)
    sink = DatabaseSink(lambda tenant_id: database.tenant(tenant_id, Cause(kind="job", id="capture")), database.keys)
    async with CaptureServer(sink, secret=secret) as server:
        yield Capture(server.port, secret)


class Channels:
    """The adapter of each channel: a sandbox's mails never leave the machine."""

    def __init__(self, live: SmtpSettings | None, capture: Capture) -> None:
        self._live = None if live is None else EmailChannel(live)
        self._capture = capture
        self._sandboxes: dict[UUID, EmailChannel] = {}

    def of(self, name: str, tenant_id: UUID, sandbox: bool) -> Channel:  # noqa: FBT001 - the engine's signature
        """The channel by which a tenant sends; raises RuntimeError where a live tenant has none."""
        if name != "email":
            raise RuntimeError(f"no adapter for the channel {name!r}")
        if not sandbox:
            if self._live is None:
                raise RuntimeError("RELANCE_SMTP_HOST is not set: live tenants cannot send e-mail")
            return self._live
        found = self._sandboxes.get(tenant_id)
        if found is None:
            found = self._sandboxes[tenant_id] = EmailChannel(
                SmtpSettings(
                    host="127.0.0.1",
                    port=self._capture.port,
                    security="none",
                    username=None if self._capture.secret is None else str(tenant_id),
                    password=self._capture.secret,
                )
            )
        return found
