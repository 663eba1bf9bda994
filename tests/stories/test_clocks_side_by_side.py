"""Business time of several tenants beside system time: nothing early, nothing twice, nothing lost."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from cli.world import Capture, Channels
from dunning import policies
from dunning.rules import CatchUp, default_body
from kernel.clock import day_of, system_now
from messaging.capture.server import CaptureServer
from messaging.captured import DatabaseSink
from messaging.channels.email.settings import SmtpSettings
from messaging.outbox import MESSAGES
from receivables.creditors import update_creditor
from receivables.drafts import CreditorChange
from storage.clocks import now_of, promote_clocked, set_clock
from storage.queues import sweep
from support.stories import CAUSE, advance, at, bill, make_cast, rows, sent_mails
from support.tenants import make_tenant
from tenants.models import TenantKind
from workers import rounds
from workers.draining import drain
from workers.engine import Engine

STEPS = "select step, issued_at from app.notice where state = 'issued' order by issued_at"


async def test_a_past_and_a_future_sandbox_beside_a_live_tenant(engine: Engine) -> None:
    database = engine.database
    past = await make_tenant(database, now=datetime(2024, 3, 1, 9, tzinfo=UTC))
    future = await make_tenant(database, now=datetime(2028, 2, 20, 9, tzinfo=UTC))
    live = await make_tenant(database, kind=TenantKind.LIVE, now=None)
    sink = DatabaseSink(lambda tenant_id: database.tenant(tenant_id, CAUSE), database.keys)
    async with CaptureServer(sink, secret="s3cret") as server:
        smtp = SmtpSettings(host="127.0.0.1", port=server.port, security="none", username=str(live), password="s3cret")
        together = replace(engine, channel_of=Channels(smtp, Capture(server.port, "s3cret")).of)
        today = day_of(system_now(), "Europe/Paris")
        async with database.tenant(live, CAUSE) as session:
            body = replace(default_body(), send_at="00:00")
            await policies.create(session, "default", body, await now_of(session), default=True)
        for tenant_id, due_on in (
            (past, date(2024, 3, 20)),
            (future, date(2028, 2, 29)),
            (live, today + timedelta(days=3)),
        ):
            await bill(database, await make_cast(database, tenant_id), "F-1", due_on)
        await rounds.promotions(together)
        await drain(together, live)
        await advance(together, past, at(date(2024, 4, 30)))
        await advance(together, future, at(date(2028, 4, 30)))
        await rounds.promotions(together)
        await drain(together, live)
    assert await rows(database, past, STEPS) == [
        ("before_due", datetime(2024, 3, 17, 8, tzinfo=UTC)),
        ("first_reminder", datetime(2024, 3, 23, 8, tzinfo=UTC)),
        ("second_reminder", datetime(2024, 3, 30, 8, tzinfo=UTC)),
        ("last_reminder", datetime(2024, 4, 14, 7, tzinfo=UTC)),  # summer time has begun
    ]
    assert [step for step, _ in await rows(database, future, STEPS)] == [
        "before_due", "first_reminder", "second_reminder", "last_reminder",
    ]  # fmt: skip
    assert [step for step, _ in await rows(database, live, STEPS)] == ["before_due"]
    assert len(await sent_mails(database, live)) == 1
    assert len(await sent_mails(database, past)) == len(await sent_mails(database, future)) == 4


@pytest.mark.parametrize(
    ("due_on", "zone", "first_reminder_at"),
    [
        (date(2026, 3, 26), "Europe/Paris", datetime(2026, 3, 29, 7, tzinfo=UTC)),  # the night the hour is skipped
        (date(2026, 10, 22), "Europe/Paris", datetime(2026, 10, 25, 8, tzinfo=UTC)),  # the night it comes twice
        (date(2026, 10, 29), "America/New_York", datetime(2026, 11, 1, 14, tzinfo=UTC)),
        (date(2026, 12, 30), "Europe/Paris", datetime(2027, 1, 2, 8, tzinfo=UTC)),
        (date(2026, 12, 31), "Pacific/Auckland", datetime(2027, 1, 2, 20, tzinfo=UTC)),
    ],
)
async def test_a_day_is_the_creditors_and_its_hour_local(
    engine: Engine, due_on: date, zone: str, first_reminder_at: datetime
) -> None:
    tenant_id = await make_tenant(engine.database, now=at(due_on - timedelta(days=10)))
    cast = await make_cast(engine.database, tenant_id)
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        await update_creditor(session, cast.creditor_id, CreditorChange(zone=zone), await now_of(session))
    await bill(engine.database, cast, "F-1", due_on)
    await advance(engine, tenant_id, first_reminder_at - timedelta(seconds=1))
    assert [step for step, _ in await rows(engine.database, tenant_id, STEPS)] == ["before_due"]
    await advance(engine, tenant_id, first_reminder_at + timedelta(hours=3))
    assert (await rows(engine.database, tenant_id, STEPS))[1:] == [("first_reminder", first_reminder_at)]


async def test_an_advance_of_months_ends_no_lease(engine: Engine, tenant_id: UUID) -> None:
    cast = await make_cast(engine.database, tenant_id)
    await bill(engine.database, cast, "F-1", date(2026, 3, 20))
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        await set_clock(session, at(date(2026, 3, 17)))
        await promote_clocked(session, at(date(2026, 3, 17)))
    while await rounds.stamps(engine, tenant_id) + await rounds.reactions(engine, tenant_id):
        pass
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        await promote_clocked(session, at(date(2026, 3, 17)))
    await rounds.ticks(engine, tenant_id)
    held = await rounds.claim_from(engine, MESSAGES, tenant_id)
    assert len(held) == 1
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        await set_clock(session, at(date(2027, 3, 18)))
    async with engine.database.queue() as session:
        assert await sweep(session, MESSAGES) == []
    states = await rows(engine.database, tenant_id, "select state, lease_until > clock_timestamp() from app.message")
    assert states == [("leased", True)]


@pytest.mark.parametrize(
    ("catch_up", "steps"),
    [(CatchUp.HIGHEST, ["second_reminder"]), (CatchUp.SEQUENCE, ["first_reminder", "second_reminder"])],
)
async def test_an_outage_of_ten_days_loses_no_step_and_floods_nobody(
    engine: Engine, catch_up: CatchUp, steps: list[str]
) -> None:
    due_on = date(2026, 3, 20)
    tenant_id = await make_tenant(engine.database, now=at(date(2026, 3, 2)))
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        body = replace(default_body(), catch_up=catch_up)
        await policies.create(session, "default", body, await now_of(session), default=True)
    cast = await make_cast(engine.database, tenant_id)
    await bill(engine.database, cast, "F-1", due_on)
    await advance(engine, tenant_id, at(due_on + timedelta(days=1)))
    back = at(due_on + timedelta(days=11))  # nobody worked in between
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        await set_clock(session, back)
        await promote_clocked(session, back)
    await drain(engine, tenant_id)
    days = await rows(engine.database, tenant_id, "select contact_day from app.message where state = 'sent'")
    assert len(days) == len(set(days)) == 2  # the preventive word, and one message on the day of return
    await advance(engine, tenant_id, at(due_on + timedelta(days=20)))
    said = [step for step, _ in await rows(engine.database, tenant_id, STEPS)]
    assert said == ["before_due", *steps]
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        per_day = await session.execute(
            text("select max(n) from (select count(*) n from app.message group by contact_day) x")
        )
        assert per_day.scalar_one() == 1
