"""`relance serve`, `worker`, `up`, `migrate`, `maintain`, `stop`, `status`: the processes and their upkeep."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import click
import msgspec
import uvicorn
import uvloop

from cli.applications import build_app
from cli.settings import SettingInvalid, Settings, read
from cli.supervising import end_with_parent, supervise
from cli.world import Servers, open_database, open_engine, servers
from runtime.logs import LogSettings, configure_logs
from storage.embedded import servers as embedded
from storage.migrating import maintain as make_partitions
from storage.migrating import migrate_now
from workers.process import work


@click.command()
def serve() -> None:
    """Answer the HTTP API until SIGTERM."""
    settings = read()
    configure_logs(LogSettings())
    end_with_parent()
    with servers(settings) as where:
        uvloop.run(_serve(settings, where))


async def _serve(settings: Settings, where: Servers) -> None:
    database = open_database(settings, where, application="relance-serve", pool_size=10)
    app = build_app(settings, where, database)
    config = uvicorn.Config(
        app,
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
    try:
        await uvicorn.Server(config).serve()
    finally:
        await database.close()


@click.command()
def worker() -> None:
    """Work off the queues until SIGTERM; any number of them may run, on any machine."""
    settings = read()
    configure_logs(LogSettings())
    end_with_parent()
    with servers(settings) as where:
        uvloop.run(_work(settings, where))


async def _work(settings: Settings, where: Servers) -> None:
    database = open_database(settings, where, application="relance-worker", pool_size=10)
    try:
        async with until_told() as stopping, open_engine(settings, database) as engine:
            await work(engine, where.redis, stopping)
    finally:
        await database.close()


@asynccontextmanager
async def until_told() -> AsyncGenerator[anyio.Event]:
    """An event that SIGTERM or SIGINT sets."""
    stopping, loop = anyio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        yield stopping
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@click.command()
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 16))
@click.option("--demo/--no-demo", "with_demo", default=True, show_default=True, help="Load the demo companies first.")
def up(*, workers: int, with_demo: bool) -> None:
    """Run the whole service on this machine, beside the embedded servers, until Ctrl-C."""
    settings = read()
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
        supervise([["serve"], *(["worker"] for _ in range(workers))])


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
    """Make the partitions of the months ahead; run it daily."""
    settings = read()
    with servers(settings) as where:
        if where.urls.owner is None:
            raise SettingInvalid("RELANCE_OWNER_URL is needed: a superuser's URL")
        made, stray = asyncio.run(make_partitions(where.urls.owner))
    if as_json:
        click.echo(msgspec.json.encode({"made": made, "stray": stray}).decode())
    else:
        click.echo(f"Partitions made: {', '.join(made) or 'none was missing'}.")
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
