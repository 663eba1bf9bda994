"""Business time: tenants in different years, daylight saving, ends of years, outages; system time stands apart."""

from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from dunning.rules import CatchUp, PolicyBody, Step, Tone, default_body
from kernel.clock import at as local
from messaging.channels.email.sending import EmailChannel
from messaging.channels.email.settings import SmtpSettings
from messaging.channels.port import Channel
from receivables.creditors import update_creditor
from receivables.drafts import CreditorChange
from storage.clocks import now_of, set_clock
from storage.database import Database
from support.chasing import at_work, follow, lease, plan_at, said
from support.smtp import MailServer
from support.stories import advance, at, bill, make_cast, rows, sent_mails
from support.tenants import make_tenant
from tenants.models import TenantKind
from workers import rounds
from workers.draining import drain
from workers.engine import Engine

BODY: Final = default_body()
ONE_STEP: Final = replace(BODY, steps=BODY.steps[1:2])  # three days after the due date, at nine


@pytest.fixture
async def mail_server() -> AsyncGenerator[MailServer]:
    async with MailServer() as server:
        yield server


@pytest.fixture
def live(engine: Engine, mail_server: MailServer) -> Engine:
    """The engine of a worker whose live tenants send through a mail server."""
    channel = EmailChannel(SmtpSettings(host="127.0.0.1", port=mail_server.port, security="none"))
    sandboxes = engine.channel_of

    def channel_of(name: str, tenant_id: UUID, sandbox: bool) -> Channel:  # noqa: FBT001 - the engine's signature
        return sandboxes(name, tenant_id, sandbox) if sandbox else channel

    return replace(engine, channel_of=channel_of)


async def issued(database: Database, tenant_id: UUID) -> list[tuple[str, datetime]]:
    query = "select step, issued_at from app.notice where state = 'issued' order by issued_at"
    return [(step, instant) for step, instant in await rows(database, tenant_id, query)]


async def turn(engine: Engine, tenant_id: UUID) -> None:
    """What a worker's loops do for a tenant in system time."""
    await drain(engine, tenant_id)
    await rounds.promotions(engine)
    await drain(engine, tenant_id)


async def shift(database: Database, tenant_id: UUID, days: int) -> None:
    """Put a tenant in system time so many days on, as far as its one invoice can tell: an outage of that length."""
    async with at_work(database, tenant_id) as session:
        await session.execute(
            text("update app.instalment set due_on = due_on - cast(:days as integer)"), {"days": days}
        )
        await session.execute(text("update app.invoice set due_on = due_on - cast(:days as integer)"), {"days": days})
        await session.execute(text("update app.due set due_at = due_at - make_interval(days => :days)"), {"days": days})
        seen = "update app.course set first_seen_at = first_seen_at - make_interval(days => :days)"
        await session.execute(text(seen), {"days": days})


async def test_tenants_of_three_times_live_side_by_side(live: Engine, mail_server: MailServer) -> None:
    """Each hears each step exactly at its time: none early, none twice, none lost, whoever's clock is moved when."""
    database = live.database
    starts = {year: datetime(year, 3, 4, 9, tzinfo=UTC) for year in (2024, 2028)}
    tenants = {year: await make_tenant(database, now=start) for year, start in starts.items()}
    third = await make_tenant(database, kind=TenantKind.LIVE, now=None)
    casts = {year: await make_cast(database, tenant_id) for year, tenant_id in tenants.items()}
    theirs = await make_cast(database, third, email="live@martin.example")
    for year, cast in casts.items():
        await bill(database, cast, f"F-{year}", date(year, 3, 20))
    async with at_work(database, third) as session:
        today = (await now_of(session)).date()
    await bill(database, theirs, "NOW", today + timedelta(days=10))
    for year in (2028, 2024):  # interleaved, in jumps of ten days
        for days in (10, 20, 30, 40, 50):
            await advance(live, tenants[year], starts[year] + timedelta(days=days))
            await turn(live, third)
    for year, tenant_id in tenants.items():
        due = date(year, 3, 20)
        assert await issued(database, tenant_id) == [
            (step.key, local(due + timedelta(days=step.days), time(9), "Europe/Paris")) for step in BODY.steps
        ]
        mails = await sent_mails(database, tenant_id)
        assert len({mail.message_id for mail in mails}) == len(mails) == 4
        assert all(f"F-{year}" in mail.text for mail in mails)
    assert mail_server.mails == []  # nothing was due in the present
    await shift(database, third, 8)  # now the first word is due
    await turn(live, third)
    await turn(live, third)
    assert [recipient for recipient, _ in mail_server.mails] == ["live@martin.example"]
    assert [step for step, _ in await issued(database, third)] == ["before_due"]
    for tenant_id in tenants.values():
        assert len(await sent_mails(database, tenant_id)) == 4


@pytest.mark.parametrize(
    ("zone", "day", "utc_hour"),
    [
        ("Europe/Paris", date(2026, 3, 28), 8),  # the day before clocks go forward
        ("Europe/Paris", date(2026, 3, 29), 7),
        ("Europe/Paris", date(2026, 10, 24), 7),
        ("Europe/Paris", date(2026, 10, 25), 8),  # and back
        ("America/New_York", date(2026, 3, 8), 13),
        ("America/New_York", date(2026, 11, 1), 14),
    ],
)
async def test_a_step_falls_at_nine_by_the_creditors_clock_also_when_it_changes(
    engine: Engine, zone: str, day: date, utc_hour: int
) -> None:
    database = engine.database
    instant = datetime(day.year, day.month, day.day, utc_hour, tzinfo=UTC)
    tenant_id = await make_tenant(database, now=instant - timedelta(days=5))
    await follow(database, tenant_id, ONE_STEP)
    cast = await make_cast(database, tenant_id)
    async with at_work(database, tenant_id) as session:
        await update_creditor(session, cast.creditor_id, CreditorChange(zone=zone), instant - timedelta(days=5))
    await bill(database, cast, "F-1", day - timedelta(days=3))
    await advance(engine, tenant_id, instant - timedelta(seconds=1))
    assert await issued(database, tenant_id) == []
    await advance(engine, tenant_id, instant)
    assert await issued(database, tenant_id) == [("first_reminder", instant)]


async def test_the_year_may_end_between_the_due_date_and_the_steps(engine: Engine) -> None:
    database = engine.database
    tenant_id = await make_tenant(database, now=datetime(2026, 12, 20, 9, tzinfo=UTC))
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", date(2026, 12, 31))
    await advance(engine, tenant_id, at(date(2027, 2, 1)))
    assert [when for _, _, when in await said(database, tenant_id)] == [
        date(2026, 12, 28), date(2027, 1, 3), date(2027, 1, 10), date(2027, 1, 25),
    ]  # fmt: skip


async def test_the_contact_day_is_the_debtors_and_lateness_the_creditors(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await follow(database, tenant_id, ONE_STEP)
    day = date(2026, 3, 10)
    for zone in ("America/New_York", "Pacific/Honolulu", "Pacific/Auckland"):
        cast = await make_cast(database, tenant_id, name=zone, email=f"{zone[-4:].lower()}@martin.example", zone=zone)
        await bill(database, cast, zone, day)
    await advance(engine, tenant_id, at(day + timedelta(days=4)))
    found = await rows(
        database, tenant_id,
        "select d.zone, m.contact_day, m.sent_at from app.message m join app.debtor d on d.id = m.debtor_id order by 1",
    )  # fmt: skip
    nine = datetime(
        2026, 3, 13, 8, tzinfo=UTC
    )  # in Paris; four in the morning in New York, the evening before in Hawaii
    assert found == [
        ("America/New_York", date(2026, 3, 13), nine),
        ("Pacific/Auckland", date(2026, 3, 13), nine),
        ("Pacific/Honolulu", date(2026, 3, 12), nine),
    ]
    assert all("3 jours" in mail.text for mail in await sent_mails(database, tenant_id))


THREE: Final = PolicyBody(
    steps=tuple(
        Step(key=key, days=days, tone=Tone.COURTEOUS, template="reminder")
        for key, days in (("first", 1), ("second", 4), ("third", 8))
    ),
    minimum_days_between=2,
)
OUTAGE: Final = {
    CatchUp.HIGHEST: [("third", date(2026, 3, 15))],
    CatchUp.SEQUENCE: [("first", date(2026, 3, 15)), ("second", date(2026, 3, 17)), ("third", date(2026, 3, 19))],
}


@pytest.mark.parametrize("catch_up", CatchUp)
async def test_an_outage_of_ten_days_loses_nothing_and_says_nothing_twice(
    engine: Engine, tenant_id: UUID, catch_up: CatchUp
) -> None:
    database = engine.database
    await follow(database, tenant_id, replace(THREE, catch_up=catch_up))
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", date(2026, 3, 5))
    await drain(engine, tenant_id)
    await plan_at(engine, tenant_id, datetime(2026, 3, 15, 9, tzinfo=UTC))  # nobody worked in between
    await advance(engine, tenant_id, at(date(2026, 3, 30)))
    assert [(step, when) for _, step, when in await said(database, tenant_id)] == OUTAGE[catch_up]
    assert len(await sent_mails(database, tenant_id)) == len(OUTAGE[catch_up])


@pytest.mark.parametrize("jump", [1, 10])
async def test_a_clock_that_is_walked_visits_each_instant_whatever_the_stride(
    engine: Engine, tenant_id: UUID, jump: int
) -> None:
    database = engine.database
    await follow(database, tenant_id, THREE)
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", date(2026, 3, 5))
    for days in range(jump, 21, jump):
        await advance(engine, tenant_id, at(date(2026, 3, 2) + timedelta(days=days)))
    assert [(step, when) for _, step, when in await said(database, tenant_id)] == [
        ("first", date(2026, 3, 6)), ("second", date(2026, 3, 9)), ("third", date(2026, 3, 13)),
    ]  # fmt: skip


@pytest.mark.parametrize("catch_up", CatchUp)
async def test_a_live_tenant_catches_up_after_an_outage(
    live: Engine, mail_server: MailServer, catch_up: CatchUp
) -> None:
    database = live.database
    tenant_id = await make_tenant(database, kind=TenantKind.LIVE, now=None)
    await follow(database, tenant_id, replace(THREE, catch_up=catch_up))
    cast = await make_cast(database, tenant_id)
    async with at_work(database, tenant_id) as session:
        today = (await now_of(session)).date()
    await bill(database, cast, "F-1", today + timedelta(days=2))
    await turn(live, tenant_id)
    assert mail_server.mails == []
    await shift(database, tenant_id, 12)  # it was due ten days ago
    for _ in range(3):
        await turn(live, tenant_id)
    assert len(mail_server.mails) == 1
    assert [step for step, _ in await issued(database, tenant_id)] == [OUTAGE[catch_up][0][0]]
    waits = await rows(
        database, tenant_id, "select due_at > clock_timestamp() from app.due where kind = 'dunning.course'"
    )
    assert waits == [(True,)]


async def test_a_test_clock_moves_no_lease_and_no_id(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await follow(database, tenant_id, ONE_STEP)
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", date(2026, 3, 2))
    await plan_at(engine, tenant_id, datetime(2026, 3, 5, 9, tzinfo=UTC))
    held = await lease(engine, tenant_id)
    async with at_work(database, tenant_id) as session:
        await set_clock(session, datetime(2031, 1, 1, tzinfo=UTC))
    await rounds.sweeps(engine)
    assert await lease(engine, tenant_id) == []
    kept = "select state, fence, lease_until > clock_timestamp(), run_at <= clock_timestamp() from app.message"
    assert await rows(database, tenant_id, kept) == [("leased", held[0].fence, True, True)]
    later = await bill(database, cast, "F-2", date(2031, 6, 1))
    async with at_work(database, tenant_id) as session:
        (system,) = (await session.execute(text("select extract(epoch from clock_timestamp())"))).scalars()
    assert abs(later.int >> 80) / 1_000 - float(system) < 60  # a UUIDv7 of the machine's time
