"""A chase taken step by step: planned, leased, dispatched, settled, each when the test says so."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import anyio
from anyio.lowlevel import checkpoint
from msgspec import Struct
from sqlalchemy import text

from dunning import policies
from dunning.explaining import DunningView, explain
from dunning.rules import PolicyBody
from messaging.channels.port import Channel, Copy
from messaging.outbox import MESSAGES
from messaging.sending import dispatch
from messaging.settling import settle
from receivables.access import instalments
from storage.clocks import now_of, promote_clocked, set_clock
from storage.database import Database
from storage.queues import Claim
from storage.session import TenantSession
from support.stories import CAUSE, Cast, rows
from workers import rounds
from workers.engine import Engine

_MANY: Final = 10_000


def at_work(database: Database, tenant_id: UUID) -> AbstractAsyncContextManager[TenantSession]:
    """One unit of work of the test's own."""
    return database.tenant(tenant_id, CAUSE)


async def follow(database: Database, tenant_id: UUID, body: PolicyBody) -> None:
    """Debts that enter from now on follow these rules."""
    async with at_work(database, tenant_id) as session:
        await policies.create(session, "ours", body, await now_of(session), default=True)


async def react(engine: Engine, tenant_id: UUID) -> None:
    """Work off what has happened and what is due, but send nothing."""
    for _ in range(_MANY):
        done = await rounds.reactions(engine, tenant_id) + await rounds.ticks(engine, tenant_id)
        if not done:
            return
    raise AssertionError("the tenant does not come to rest")


async def plan_at(engine: Engine, tenant_id: UUID, instant: datetime) -> None:
    """Set the clock to an instant, as an outage would, and plan what is due by then; nothing is sent."""
    await react(engine, tenant_id)
    async with at_work(engine.database, tenant_id) as session:
        await set_clock(session, instant)
        await promote_clocked(session, instant)
    await react(engine, tenant_id)


async def lease(engine: Engine, tenant_id: UUID) -> list[Claim]:
    """Lease the messages that wait."""
    return await rounds.claim_from(engine, MESSAGES, tenant_id)


async def mark(engine: Engine, tenant_id: UUID, held: Sequence[Claim]) -> list[Copy]:
    """The last look and the mark; the channel has not been called."""
    async with at_work(engine.database, tenant_id) as session:
        return await dispatch(session, engine.sender, held, await now_of(session))


async def deliver(engine: Engine, tenant_id: UUID, copies: Sequence[Copy]) -> None:
    """Call the channel and record what came of it."""
    outcomes = await channel_of(engine, tenant_id).send(copies)
    async with at_work(engine.database, tenant_id) as session:
        await settle(session, engine.sender.gate, outcomes, await now_of(session))


def channel_of(engine: Engine, tenant_id: UUID) -> Channel:
    """A sandbox's channel."""
    return engine.channel_of("email", tenant_id, True)


async def notices(database: Database, tenant_id: UUID) -> dict[str, tuple[str, str | None]]:
    """State and code of each invoice's latest notice."""
    found = await rows(
        database, tenant_id,
        "select v.number, n.state, n.code from app.notice n join app.invoice v on v.id = n.invoice_id order by n.id",
    )  # fmt: skip
    return {number: (state, code) for number, state, code in found}


async def said(database: Database, tenant_id: UUID) -> list[tuple[Any, ...]]:  # Any: columns
    """Invoice, step and day of every notice that counts, in the order in which they were issued."""
    return await rows(
        database, tenant_id,
        "select v.number, n.step, cast(n.issued_at as date) from app.notice n"
        " join app.invoice v on v.id = n.invoice_id where n.state = 'issued' order by n.issued_at, v.number",
    )  # fmt: skip


async def messages(database: Database, tenant_id: UUID) -> list[tuple[Any, ...]]:  # Any: columns
    """State and code of each message, oldest first."""
    return await rows(database, tenant_id, "select state, code from app.message order by id")


async def tasks(database: Database, tenant_id: UUID) -> list[str]:
    """The kinds of open tasks."""
    found = await rows(database, tenant_id, "select kind from app.task where state = 'open' order by kind, id")
    return [kind for (kind,) in found]


async def explained(database: Database, tenant_id: UUID, invoice_id: UUID) -> DunningView:
    """What the product says about an invoice now."""
    async with at_work(database, tenant_id) as session:
        return await explain(session, invoice_id, await now_of(session))


async def instalment_of(database: Database, tenant_id: UUID, invoice_id: UUID, place: int = 1) -> UUID:
    """One due line of an invoice."""
    async with at_work(database, tenant_id) as session:
        return (await instalments(session, [invoice_id]))[invoice_id][place - 1].id


async def until_waiting(database: Database) -> None:
    """Return when somebody in this database waits for another's lock."""
    with anyio.fail_after(20):
        while True:
            async with database.operator() as session:
                if (await session.execute(_WAITING)).scalar_one():
                    return
            await checkpoint()


_WAITING: Final = text(
    "select exists (select from pg_locks l join pg_stat_activity a on a.pid = l.pid"
    " where not l.granted and a.datname = current_database())"
)


class Scene(Struct, frozen=True):
    """One debtor with two invoices, whose first reminders are planned in one message."""

    engine: Engine
    cast: Cast
    one: UUID  # the invoices
    two: UUID

    @property
    def tenant_id(self) -> UUID:
        return self.cast.tenant_id

    @property
    def database(self) -> Database:
        return self.engine.database

    def work(self) -> AbstractAsyncContextManager[TenantSession]:
        """One unit of work of the scene's tenant."""
        return at_work(self.database, self.tenant_id)
