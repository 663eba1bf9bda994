"""`relance import documents`: bring e-invoices and accounting exports in."""

from collections import Counter
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec.structs import replace

from billing_connectors.documents.canonical import Rejected
from billing_connectors.documents.confined import ConfinedReader
from billing_connectors.fec.balances import Balance, balances
from billing_connectors.importing import Judged, desk_of, import_all
from billing_connectors.sellers import load_creditors
from billing_connectors.terms import Agreed
from cli.people import CAUSE, run
from cli.rows import import_rows
from kernel import ids
from law.payment_terms.grammar import BadTerms, parse, written
from storage.database import Database
from tenants.creation import find_tenant

_QUIET: Final = frozenset({"imported", "unchanged", "updated"})


@click.group("import")
def import_() -> None:
    """Bring in what accounting has: documents, exports, files of rows."""


import_.add_command(import_rows)


@import_.command("documents")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--tenant", "tenant_slug", required=True, help="The tenant's slug.")
@click.option("--creditor", help="The creditor's id (crd_…): whose sales these are.")
@click.option("--mapping", help="How to read a CSV: generic, journal-des-ventes, or a JSON file (generic by default).")
@click.option(
    "--payment-terms", help="Terms of documents that state none: net:30, net_eom:45, eom_net:45, net_eom:30@15, …"
)
@click.option("--eom-reading", type=click.Choice(["net_eom", "eom_net"]), help='How "N jours fin de mois" is meant.')
@click.option("--backfill", is_flag=True, help="Bulk history: recorded, but not delivered to webhooks by itself.")
@click.option("--json", "as_json", is_flag=True, help="Answer one JSON object a line.")
def import_documents(
    *,
    paths: tuple[Path, ...],
    tenant_slug: str,
    creditor: str | None,
    mapping: str | None,
    payment_terms: str | None,
    eom_reading: str | None,
    backfill: bool,
    as_json: bool,
) -> None:
    """Import e-invoices (Factur-X, UBL, CII), accounting entries (FEC) and CSV exports; PATHS are files or folders.

    Every document and every row gets a verdict: imported, updated, unchanged, rejected or quarantined.
    """
    creditor_id = ids.decode("crd", creditor) if creditor is not None else None
    cause = replace(CAUSE, backfill=backfill)
    agreed = Agreed(eom_reading, checked_terms(payment_terms))

    async def work(database: Database) -> Counter[str]:
        async with database.directory() as directory:
            found = await find_tenant(directory, tenant_slug)
        counts: Counter[str] = Counter()
        with ConfinedReader() as reader:
            desk = desk_of(
                database, found.tenant_id, reader, cause=cause, creditor_id=creditor_id, mapping=mapping, agreed=agreed
            )
            async for one in import_all(desk, paths):
                counts[one.verdict.status] += 1
                _say(one, as_json=as_json)
        return counts

    counts = run(work)
    if not as_json:
        click.echo(", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "nothing to import")


def checked_terms(payment_terms: str | None) -> str | None:
    """The terms in our writing; raises click.BadParameter."""
    try:
        return None if payment_terms is None else written(parse(payment_terms))
    except BadTerms as error:
        raise click.BadParameter(str(error), param_hint="--payment-terms") from error


def _say(one: Judged, *, as_json: bool) -> None:
    verdict = one.verdict
    if as_json:
        click.echo(msgspec.json.encode(verdict))
        return
    if verdict.status in _QUIET and one.line is not None:
        return  # of an export only what a person has to look at
    where = verdict.file if one.line is None else f"{verdict.file}:{one.line}"
    what = " ".join(text for text in (verdict.kind, verdict.number) if text)
    why = ": ".join(text for text in (verdict.reason, one.detail) if text)
    noted = f" ({', '.join(verdict.warnings)})" if verdict.warnings else ""
    click.echo("  ".join(text for text in (where, verdict.status, what, why) if text) + noted)


@import_.command("balance")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tenant", "tenant_slug", required=True, help="The tenant's slug.")
@click.option("--creditor", help="The creditor's id (crd_…); the only one where it is not given.")
@click.option("--json", "as_json", is_flag=True, help="Answer one JSON object a line.")
def balance(*, path: Path, tenant_slug: str, creditor: str | None, as_json: bool) -> None:
    """Compare what accounting entries (FEC) say that each account owes with what it owes here."""
    wanted = ids.decode("crd", creditor) if creditor is not None else None
    content = path.read_bytes()

    async def work(database: Database) -> list[Balance]:
        async with database.directory() as directory:
            found = await find_tenant(directory, tenant_slug)
        async with database.tenant(found.tenant_id, CAUSE) as session:
            ours = (await load_creditors(session, wanted)).ours
            if len(ours) != 1:
                raise click.UsageError("there are several creditors: add --creditor")
            return await balances(session, content, path.name, ours[0].id)

    try:
        lines = run(work)
    except Rejected as rejected:
        raise click.ClickException(str(rejected)) from rejected
    for line in lines:
        if as_json:
            click.echo(msgspec.json.encode(line))
        elif line.difference_minor:
            click.echo(f"{line.code}  {line.name}  books {line.books_minor}  here {line.ours_minor}")
    if not as_json:
        wrong = sum(1 for line in lines if line.difference_minor)
        click.echo(f"{len(lines)} accounts, {wrong} differ" if wrong else f"{len(lines)} accounts, all equal")
