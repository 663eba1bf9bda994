"""`relance intake`: the mail server of the import addresses."""

import anyio
import click
import uvloop

from billing_connectors.intakes.inboxes import Found, find_inbox, inbox
from billing_connectors.intakes.mails import identity_of
from billing_connectors.intakes.models import Channel
from billing_connectors.intakes.receiving import Arrival, receive
from cli.operating import begin
from cli.settings import Settings
from cli.stopping import on_stop
from cli.world import Servers, open_database, servers
from messaging.intake.server import IntakeServer, Mail
from storage.blobs import PostgresBlobs
from storage.clocks import now_of
from storage.database import Database
from storage.session import Cause

CAUSE = Cause(kind="command", id="intake")


class Postman:
    """Knows the tenants' import addresses and keeps their mails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._blobs = PostgresBlobs(database.keys)

    async def admit(self, recipient: str, sender: str) -> str | None:
        """None where the sender may write to the address; one reason for all who may not, which tells nothing."""
        found = await self._find(recipient)
        return None if found is not None and found.lets(sender) else "No such import address, or not from this sender"

    async def keep(self, mail: Mail) -> None:
        """Keep a mail for each of its addresses, each in a transaction of its own."""
        for recipient in mail.recipients:
            found = await self._find(recipient)
            if found is not None:
                await self._keep(found, mail)

    async def _keep(self, found: Found, mail: Mail) -> None:
        async with self._database.tenant(found.tenant_id, CAUSE) as session:
            from_inbox = await inbox(session, found.inbox_id)
            arrival = Arrival(
                channel=Channel.MAIL,
                content=mail.content,
                sender=mail.sender,
                inbox_id=found.inbox_id,
                creditor_id=from_inbox.creditor_id,
                said=identity_of(mail.content),
            )
            await receive(session, self._blobs, arrival, await now_of(session))

    async def _find(self, recipient: str) -> Found | None:
        async with self._database.directory() as session:
            return await find_inbox(session, recipient)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens, behind your mail exchanger.")
@click.option("--port", default=2525, show_default=True, type=click.IntRange(0, 65535))
def intake(*, host: str, port: int) -> None:
    """Take mail in for the tenants' import addresses until SIGTERM; workers read what is kept."""
    settings = begin()
    with servers(settings) as where:
        uvloop.run(_take(settings, where, host, port))


async def _take(settings: Settings, where: Servers, host: str, port: int) -> None:
    database = open_database(settings, where, application="relance-intake", pool_size=5)
    stopping = anyio.Event()
    try:
        with on_stop(stopping.set):
            async with IntakeServer(Postman(database), host=host, port=port) as server:
                click.echo(f"listening on {host}:{server.port}")
                await stopping.wait()
    finally:
        await database.close()
