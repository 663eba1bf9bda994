"""Whole lives of an invoice: a world with everything composed, whose test clock is advanced in this process."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from cli.composition import build_sender
from cli.world import Capture, Channels
from kernel import ids
from messaging.capture.server import CaptureServer
from messaging.captured import DatabaseSink, Mail, mails
from messaging.writing import SenderIdentity
from receivables.creditors import create_creditor
from receivables.debtors import create_debtor
from receivables.drafts import NewCreditor, NewDebtor, NewInvoice, NewReceipt
from receivables.invoices import open_invoice
from receivables.receipts import record_receipt
from runtime.egress import HttpSettings
from runtime.http import open_http
from runtime.metrics import Metrics
from storage.clocks import next_due, now_of, promote_clocked, set_clock
from storage.database import Database
from storage.session import Cause
from workers.draining import drain
from workers.engine import Engine

CAUSE = Cause(kind="command", id="story")
IDENTITY = SenderIdentity(from_address="no-reply@relance.example", domain="relance.example", platform_name="Relance")


class Cast(Struct, frozen=True):
    """A creditor and a debtor of a tenant."""

    tenant_id: UUID
    creditor_id: UUID
    debtor_id: UUID
    contact_id: UUID


@asynccontextmanager
async def open_engine(database: Database) -> AsyncGenerator[Engine]:
    """A worker's engine over a test's database, with a capture server of its own."""
    sink = DatabaseSink(lambda tenant_id: database.tenant(tenant_id, CAUSE), database.keys)
    async with (
        CaptureServer(sink, secret="s3cret") as server,
        open_http(HttpSettings()) as http,
    ):
        yield Engine(
            database=database,
            http=http,
            sender=build_sender(database.registry, database.keys, IDENTITY, "https://pay.relance.example"),
            channel_of=Channels(None, Capture(server.port, "s3cret")).of,
            metrics=Metrics(),
        )


async def make_cast(database: Database, tenant_id: UUID, **debtor: Any) -> Cast:  # Any: fields of NewDebtor
    """A French creditor and a debtor with a billing contact."""
    new_debtor: dict[str, Any] = {
        "name": "Boulangerie Martin",
        "email": "compta@martin.example",
        "language": "fr",
    } | debtor
    async with database.tenant(tenant_id, CAUSE) as session:
        now = await now_of(session)
        creditor = await create_creditor(
            session, NewCreditor(name="Atelier Belleville", reply_to="compta@atelier.example"), now
        )
        owing = await create_debtor(session, NewDebtor(**new_debtor), now)
    async with database.tenant(tenant_id, CAUSE) as session:
        contact_id = (
            await session.execute(text("select id from app.contact order by recorded_at desc, id desc limit 1"))
        ).scalar_one_or_none()
    return Cast(tenant_id, ids.decode("crd", creditor.id), ids.decode("dbt", owing.id), contact_id or ids.new_id())


async def bill(
    database: Database, cast: Cast, number: str, due_on: date | None, amount_minor: int = 120_00, **changes: Any
) -> UUID:  # Any: fields of NewInvoice
    """Open an invoice of the cast; returns its id."""
    async with database.tenant(cast.tenant_id, CAUSE) as session:
        now = await now_of(session)
        fields: dict[str, Any] = {
            "creditor_id": cast.creditor_id,
            "debtor_id": cast.debtor_id,
            "number": number,
            "issued_on": (due_on or now.date()) - timedelta(days=30),
            "due_on": due_on,
            "currency": "EUR",
            "total_minor": amount_minor,
        } | changes
        view = await open_invoice(session, NewInvoice(**fields), now)
    return ids.decode("inv", view.id)


async def pay(database: Database, cast: Cast, amount_minor: int, **changes: Any) -> UUID:  # Any: fields of NewReceipt
    """Money arrives and is allocated to the oldest debt."""
    async with database.tenant(cast.tenant_id, CAUSE) as session:
        fields: dict[str, Any] = {
            "creditor_id": cast.creditor_id,
            "debtor_id": cast.debtor_id,
            "currency": "EUR",
            "amount_minor": amount_minor,
            "allocations": "auto",
        } | changes
        view = await record_receipt(session, NewReceipt(**fields), await now_of(session))
    return ids.decode("rcp", view.id)


async def advance(engine: Engine, tenant_id: UUID, to: datetime) -> None:
    """Walk the tenant's clock as the job does, in this process."""
    database = engine.database
    await drain(engine, tenant_id)
    while True:
        async with database.tenant(tenant_id, CAUSE) as session:
            now, due = await now_of(session), await next_due(session)
            if due is None or due > to:
                break
            if due > now:
                await set_clock(session, due)
            await promote_clocked(session, max(now, due))
        await drain(engine, tenant_id)
    async with database.tenant(tenant_id, CAUSE) as session:
        await set_clock(session, to)
    await drain(engine, tenant_id)


def at(day: date, hour: int = 12) -> datetime:
    """An instant of a day."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


async def sent_mails(database: Database, tenant_id: UUID) -> list[Mail]:
    """What reached the capture server, oldest first."""
    async with database.tenant(tenant_id, CAUSE) as session:
        return await mails(session, database.keys, limit=1_000)


async def rows(database: Database, tenant_id: UUID, query: str) -> list[tuple[Any, ...]]:  # Any: columns asked for
    """Look at a tenant's rows."""
    async with database.tenant(tenant_id, CAUSE) as session:
        return [tuple(row) for row in await session.execute(text(query))]  # bounded: by the test's own rows
