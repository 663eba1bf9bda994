"""`relance serve`, `worker`, `up`, `migrate`, `maintain`, `stop`, `status`: the processes and their upkeep."""

import asyncio
import sys
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import click
import msgspec
import uvloop

from cli import stopping as stops
from cli.processes import raise_file_limit, spare_collector
from cli.settings import SettingInvalid, Settings, read
from cli.supervising import end_with_parent, supervise
from cli.world import Servers, open_database, open_engine, servers
from runtime.logs import configure_logs, logger
from storage.embedded import servers as embedded
from storage.migrating import maintain as make_partitions
from storage.migrating import migrate_now
from workers.process import work

log = logger("cli.operating")


@click.command()
def serve() -> None:
    """Answer the HTTP API until SIGTERM."""
    settings = begin()
    with servers(settings) as where:
        uvloop.run(_serve(settings, where))


async def _serve(settings: Settings, where: Servers) -> None:
    import uvicorn  # noqa: PLC0415 - a worker needs neither the server nor the API

    from cli.applications import build_app  # noqa: PLC0415 - as above

    class Server(uvicorn.Server):
        """Ends with status 0 when it is told to; its own way is to die of the signal after all, with nothing closed."""

        @contextmanager
        def capture_signals(self) -> Generator[None]:
            with stops.on_stop(self.stop):
                yield

        def stop(self) -> None:
            self.should_exit = True

    database = open_database(settings, where, application="relance-serve", pool_size=10)
    config = uvicorn.Config(
        build_app(settings, where, database),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=20,
    )
    spare_collector()
    try:
        await Server(config).serve()
    finally:
        await database.close()


@click.command()
def worker() -> None:
    """Work off the queues until SIGTERM; any number of them may run, on any machine."""
    settings = begin()
    with servers(settings) as where:
        uvloop.run(_work(settings, where))


async def _work(settings: Settings, where: Servers) -> None:
    database = open_database(settings, where, application="relance-worker", pool_size=10)
    stopping = anyio.Event()
    try:
        with stops.on_stop(stopping.set):
            async with open_engine(settings, database, stopping) as engine:
                spare_collector()
                log.info("worker_started")
                await work(engine, where.redis, stopping)
    finally:
        await database.close()


def begin() -> Settings:
    """What comes first in every process that stays."""
    settings = read()
    configure_logs(settings.logs)
    raise_file_limit()
    stops.listen()
    end_with_parent()
    return settings


@click.command()
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 16))
@click.option("--demo/--no-demo", "with_demo", default=True, show_default=True, help="Load the demo companies first.")
def up(*, workers: int, with_demo: bool) -> None:
    """Run the whole service on this machine, beside the embedded servers, until Ctrl-C."""
    settings = read()
    stops.listen()
    with servers(settings) as where:
        key = None
        if with_demo:
            from cli.playing import ensure_world  # noqa: PLC0415 - the demo is loaded only when asked for

            key = ensure_world(settings, where)
        click.echo(f"API      http://{settings.host}:{settings.port}/v1")
        click.echo(f"Docs     http://{settings.host}:{settings.port}/docs")
        if key is not None:
            click.echo(f"Key      {key}")
        click.echo("Stop     Ctrl-C")
        sys.stdout.flush()
        try:
            supervise([["serve"], *(["worker"] for _ in range(workers))])
        finally:
            stops.ignore()


@click.command()
def migrate() -> None:
    """Bring an external database to this version: roles, tables, policies, partitions."""
    settings = read()
    if settings.embedded_database:
        with servers(settings):
            click.echo("The embedded database is up to date.")
        return
    if settings.owner_url is None:
        raise SettingInvalid("RELANCE_OWNER_URL is needed: a superuser's URL")
    migrate_now(settings.owner_url, {})
    click.echo("The database is up to date.")


@click.command()
@click.option("--json", "as_json", is_flag=True)
def maintain(*, as_json: bool) -> None:
    """Make the partitions of the months ahead, and remove what is past its retention; run it daily."""
    settings = read()
    with servers(settings) as where:
        if where.urls.owner is None:
            raise SettingInvalid("RELANCE_OWNER_URL is needed: a superuser's URL")
        made, stray, expired = asyncio.run(make_partitions(where.urls.owner))
    if as_json:
        click.echo(msgspec.json.encode({"made": made, "stray": stray, "expired": expired}).decode())
    else:
        click.echo(
            f"Partitions made: {', '.join(made) or 'none was missing'}. Content expired: {sum(expired.values())}."
        )
    if stray:
        click.echo(f"ALARM: rows in default partitions: {stray}. Their months were not made in time.", err=True)
        sys.exit(1)


@click.command()
def stop() -> None:
    """Stop the embedded servers, whoever uses them."""
    embedded.stop(read().data_dir)
    click.echo("Stopped.")


@click.command()
def status() -> None:
    """Say which embedded servers run."""
    now = embedded.status(read().data_dir)
    click.echo(f"PostgreSQL: {now.postgres or 'not running'}. Valkey: {now.valkey or 'not running'}.")
