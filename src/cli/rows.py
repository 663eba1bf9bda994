"""`relance import rows`: bring a file of rows in, by the engine that the API and its workers use."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import click
import msgspec
from msgspec import Struct

from billing_connectors.csv_files.mapping import CsvMapping, find_mapping
from billing_connectors.file_imports import asking, queries, running, uploads
from billing_connectors.file_imports.asking import NOT_TAKEN, NewImport
from billing_connectors.file_imports.judging import Verdict
from billing_connectors.file_imports.models import ImportMode, ImportState
from billing_connectors.file_imports.running import Work
from billing_connectors.file_imports.views import ImportView
from cli.people import CAUSE, run
from kernel import ids
from storage.clocks import now_of
from storage.database import Database
from storage.session import TenantSession
from tenants.creation import find_tenant

MAX_NAMED: Final = 1_000


class RowSaid(Struct, frozen=True):
    """One line of `--json`: what became of a row."""

    line: int
    status: str
    kind: str | None
    number: str | None
    reason: str | None
    column: str | None
    detail: str | None


class Options(Struct, frozen=True, kw_only=True):
    """What the command was told."""

    file: Path
    tenant_slug: str
    creditor_id: UUID | None
    mapping: str | None
    mode: ImportMode
    dry_run: bool
    backfill: bool
    as_json: bool


@click.command("rows")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tenant", "tenant_slug", required=True, help="The tenant's slug.")
@click.option("--creditor", help="The creditor's id (crd_…): whose sales these are; a snapshot needs it.")
@click.option("--mapping", help="A mapping kept under a name, generic, or a JSON file; found in the file by default.")
@click.option("--snapshot", is_flag=True, help="The file is all that is open: propose to close what it does not name.")
@click.option("--dry-run", is_flag=True, help="Judge every row and bring nothing in.")
@click.option("--backfill", is_flag=True, help="Bulk history: recorded, but not delivered to webhooks by itself.")
@click.option("--json", "as_json", is_flag=True, help="Answer one JSON object a line.")
def import_rows(
    *,
    file: Path,
    tenant_slug: str,
    creditor: str | None,
    mapping: str | None,
    snapshot: bool,
    dry_run: bool,
    backfill: bool,
    as_json: bool,
) -> None:
    """Import a CSV, NDJSON or XLSX file of up to a million rows. Interrupted, it is simply run again.

    Every row gets a verdict: created, updated, unchanged, refused or quarantined.
    """
    options = Options(
        file=file,
        tenant_slug=tenant_slug,
        creditor_id=None if creditor is None else ids.decode("crd", creditor),
        mapping=mapping,
        mode=ImportMode.SNAPSHOT if snapshot else ImportMode.DELTA,
        dry_run=dry_run,
        backfill=backfill,
        as_json=as_json,
    )
    view = run(lambda database: _import(database, options))
    if not as_json:
        counts = {name: getattr(view.rows, name) for name in ("created", "updated", "unchanged")}
        counts |= {"refused": view.rows.refused, "quarantined": view.rows.quarantined}
        said = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no rows"
        click.echo(f"{view.id}: {said}{' (nothing was brought in)' if dry_run else ''}")
    if view.state is not ImportState.DONE:
        raise click.ClickException(view.error or f"the import is {view.state}")


async def _import(database: Database, options: Options) -> ImportView:
    async with database.directory() as directory:
        tenant_id = (await find_tenant(directory, options.tenant_slug)).tenant_id
    async with database.tenant(tenant_id, CAUSE) as session:
        import_id = await _laid_out(session, database, options)
    cause = msgspec.structs.replace(CAUSE, backfill=options.backfill)

    @asynccontextmanager
    async def step() -> AsyncGenerator[TenantSession]:
        async with database.tenant(tenant_id, cause) as session:
            yield session

    await running.carry_out(
        Work(step=step, keys=database.keys, import_id=import_id, each=lambda found: _say(found, options))
    )
    async with step() as session:
        return await asking.view(session, import_id)


async def _laid_out(session: TenantSession, database: Database, options: Options) -> UUID:
    now = await now_of(session)
    with options.file.open("rb") as content:
        upload = await uploads.keep(session, database.keys, content, now, name=options.file.name)
    mapping_id, mapping = await _mapping(session, options.mapping)
    new = NewImport(
        upload_id=ids.decode("upl", upload.id),
        mode=options.mode,
        creditor_id=options.creditor_id,
        mapping_id=mapping_id,
        mapping=mapping,
        dry_run=options.dry_run,
        backfill=options.backfill,
    )
    import_id = ids.decode("imp", (await asking.create(session, database.keys, new, now)).id)
    await asking.start_here(session, import_id, now)
    return import_id


async def _mapping(session: TenantSession, name: str | None) -> tuple[UUID | None, CsvMapping | None]:
    """The mapping that was named: the tenant's own of this name, else a built-in one or a file."""
    if name is None:
        return None, None
    kept = await queries.mappings(session, archived=False, after=None, limit=MAX_NAMED)
    own = next((row.id for row in kept if row.name == name), None)
    return (own, None) if own is not None else (None, find_mapping(name))


def _say(found: Sequence[Verdict], options: Options) -> None:
    for one in found:
        said = RowSaid(one.row.line, one.status, one.kind, one.number, one.reason, one.header, one.detail)
        if options.as_json:
            click.echo(msgspec.json.encode(said))
        elif one.status in NOT_TAKEN:
            why = ": ".join(text for text in (one.reason, one.header, one.detail) if text)
            what = " ".join(text for text in (one.kind, one.number) if text)
            where = f"{options.file}:{one.row.line}"
            click.echo("  ".join(text for text in (where, one.status, what, why) if text))
