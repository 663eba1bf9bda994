"""`relance watch`: take what is put into a folder."""

import time
from pathlib import Path

import anyio
import click

from billing_connectors.documents.confined import ConfinedReader
from billing_connectors.importing import desk_of
from billing_connectors.terms import Agreed
from billing_connectors.watching import SETTLE_S, Watcher
from cli.documents import checked_terms
from cli.people import run
from cli.stopping import listen, on_stop
from kernel import ids
from storage.database import Database
from storage.session import Cause
from tenants.creation import find_tenant

CAUSE = Cause(kind="command", id="watch")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path))
@click.option("--tenant", "tenant_slug", required=True, help="The tenant's slug.")
@click.option("--creditor", help="The creditor's id (crd_…): whose sales these are.")
@click.option("--mapping", help="How to read a CSV: generic, journal-des-ventes, or a JSON file (generic by default).")
@click.option("--payment-terms", help="Terms of documents that state none: net:30, net_eom:45, …")
@click.option("--eom-reading", type=click.Choice(["net_eom", "eom_net"]), help='How "N jours fin de mois" is meant.')
@click.option("--every", "every_s", default=1.0, show_default=True, type=click.FloatRange(0.05, 3600), help="Seconds.")
@click.option("--settle", "settle_s", default=SETTLE_S, show_default=True, type=click.FloatRange(0, 3600),
              help="Seconds for which a file must not have changed.")  # fmt: skip
@click.option("--once", is_flag=True, help="Take what is there and complete, then end.")
def watch(
    *,
    folder: Path,
    tenant_slug: str,
    creditor: str | None,
    mapping: str | None,
    payment_terms: str | None,
    eom_reading: str | None,
    every_s: float,
    settle_s: float,
    once: bool,
) -> None:
    """Import what is put into FOLDER, and move it to `done` or, with the reason beside it, to `refused`.

    Any number of watchers may look at one folder; a killed one loses nothing.
    """
    creditor_id = ids.decode("crd", creditor) if creditor is not None else None
    agreed = Agreed(eom_reading, checked_terms(payment_terms))
    listen()

    async def work(database: Database) -> None:
        async with database.directory() as directory:
            found = await find_tenant(directory, tenant_slug)
        stopping = anyio.Event()
        with ConfinedReader() as reader, on_stop(stopping.set):
            desk = desk_of(
                database, found.tenant_id, reader, cause=CAUSE, creditor_id=creditor_id, mapping=mapping, agreed=agreed
            )
            watcher = Watcher(folder, desk)
            begun = time.monotonic()
            while not stopping.is_set():
                taken = await watcher.turn(time.monotonic(), settle_s=settle_s)
                if once and not taken and time.monotonic() - begun > settle_s:
                    break
                with anyio.move_on_after(min(every_s, settle_s or every_s) if once else every_s):
                    await stopping.wait()

    run(work)
