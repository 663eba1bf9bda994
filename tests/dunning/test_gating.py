"""What the gate answers for a planned notice, and what becomes of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import text

from casework.holds import NewHold, set_hold
from dunning.rules import CatchUp, default_body
from receivables.drafts import NewReversal, Share
from receivables.receipts import reverse
from storage.database import Database
from support.chasing import at_work, deliver, explained, follow, lease, mark, messages, notices, plan_at, react, said
from support.merging import merge
from support.stories import advance, at, bill, make_cast, pay, rows, sent_mails
from support.tenants import make_tenant
from workers.engine import Engine

DUE: Final = date(2026, 3, 2)
REMINDED: Final = datetime(2026, 3, 5, 8, tzinfo=UTC)  # three days later, at nine in Paris
BODY: Final = default_body()
ONE_STEP: Final = replace(BODY, steps=BODY.steps[1:2])


async def gate_says(database: Database, tenant_id: UUID, invoice_id: UUID) -> list[tuple[str, list[str]]]:
    shown = await explained(database, tenant_id, invoice_id)
    return [(each.verdict, each.blockers) for each in shown.instalments[0].trace if each.made_by == "gate"]


async def move(engine: Engine, tenant_id: UUID, instant: datetime) -> None:
    """The clock goes on while a message waits; nothing else is worked off."""
    async with at_work(engine.database, tenant_id) as session:
        await session.execute(text("update app.business_clock set now_at = :now"), {"now": instant})


async def test_a_message_is_for_its_day_and_on_the_next_it_is_planned_anew(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    first = await bill(database, cast, "F-1", DUE)
    await plan_at(engine, tenant_id, datetime(2026, 3, 5, 22, 30, tzinfo=UTC))
    await move(engine, tenant_id, datetime(2026, 3, 5, 23, 5, tzinfo=UTC))  # five past midnight in Paris
    assert await mark(engine, tenant_id, await lease(engine, tenant_id)) == []
    assert await messages(database, tenant_id) == [("withdrawn", "day_passed")]
    assert await gate_says(database, tenant_id, first) == [("skip", ["day_passed"])]
    await advance(engine, tenant_id, datetime(2026, 3, 5, 23, 7, tzinfo=UTC))
    assert await said(database, tenant_id) == [("F-1", "first_reminder", date(2026, 3, 5))]
    assert await rows(database, tenant_id, "select contact_day from app.message where state = 'sent'") == [
        (date(2026, 3, 6),)
    ]


async def test_its_own_message_does_not_count_as_a_contact(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", DUE)
    await plan_at(engine, tenant_id, REMINDED)
    held = await lease(engine, tenant_id)
    await deliver(engine, tenant_id, await mark(engine, tenant_id, held))
    assert await notices(database, tenant_id) == {"F-1": ("issued", None)}


async def test_a_step_that_waited_too_long_gives_way_to_the_next(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    first = await bill(database, cast, "F-1", DUE)
    await plan_at(engine, tenant_id, REMINDED)
    held = await lease(engine, tenant_id)
    await move(engine, tenant_id, REMINDED + timedelta(days=7))  # the day of the second
    assert await mark(engine, tenant_id, held) == []
    assert await gate_says(database, tenant_id, first) == [("skip", ["superseded"])]
    await advance(engine, tenant_id, REMINDED + timedelta(days=7, minutes=2))
    assert await said(database, tenant_id) == [("F-1", "second_reminder", date(2026, 3, 12))]


async def test_in_sequence_a_step_keeps_its_turn(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await follow(database, tenant_id, replace(BODY, catch_up=CatchUp.SEQUENCE))
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", DUE)
    await plan_at(engine, tenant_id, REMINDED)
    held = await lease(engine, tenant_id)
    await move(engine, tenant_id, REMINDED + timedelta(days=7))
    assert await mark(engine, tenant_id, held) == []
    await advance(engine, tenant_id, REMINDED + timedelta(days=11))
    assert [step for _, step, _ in await said(database, tenant_id)] == ["first_reminder", "second_reminder"]


async def test_two_steps_of_one_debt_never_leave_in_one_mail(engine: Engine, tenant_id: UUID) -> None:
    """In sequence a second step may be planned while the first still waits: one invoice is asked for once."""
    database = engine.database
    await follow(database, tenant_id, replace(BODY, catch_up=CatchUp.SEQUENCE))
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", DUE)
    await plan_at(engine, tenant_id, REMINDED + timedelta(days=20))
    await plan_at(engine, tenant_id, REMINDED + timedelta(days=20, minutes=2))
    planned = await rows(database, tenant_id, "select step from app.notice where state = 'planned' order by id")
    assert planned == [("first_reminder",), ("second_reminder",)]
    await deliver(engine, tenant_id, await mark(engine, tenant_id, await lease(engine, tenant_id)))
    assert await said(database, tenant_id) == [("F-1", "first_reminder", date(2026, 3, 25))]
    (mail,) = await sent_mails(database, tenant_id)
    assert "240,00" not in mail.text


async def test_beyond_the_cap_messages_wait_for_the_next_hour(engine: Engine) -> None:
    database = engine.database
    tenant_id = await make_tenant(database, cap=2)
    await follow(database, tenant_id, ONE_STEP)
    invoices: list[UUID] = []
    for number in range(5):
        cast = await make_cast(database, tenant_id, email=f"compta{number}@martin.example")
        invoices.append(await bill(database, cast, f"F-{number}", DUE))
    await advance(engine, tenant_id, REMINDED)
    assert len(await sent_mails(database, tenant_id)) == 2
    answers = [await gate_says(database, tenant_id, each) for each in invoices]
    assert sorted(answers) == [[], [], *([[("defer", ["cap_reached"])]] * 3)]
    await advance(engine, tenant_id, REMINDED + timedelta(minutes=59))
    assert len(await sent_mails(database, tenant_id)) == 2
    await advance(engine, tenant_id, REMINDED + timedelta(hours=1))
    assert len(await sent_mails(database, tenant_id)) == 4
    await advance(engine, tenant_id, REMINDED + timedelta(hours=3))
    found = await rows(
        database, tenant_id, "select issued_at, count(*) from app.notice where state = 'issued' group by 1"
    )
    assert sorted(found) == [(REMINDED + timedelta(hours=hour), count) for hour, count in ((0, 2), (1, 2), (2, 1))]
    assert len(await said(database, tenant_id)) == len(await sent_mails(database, tenant_id)) == 5


async def test_a_debt_that_reopens_drops_what_the_old_cycle_had_planned(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    invoice_id = await bill(database, cast, "F-1", DUE)
    await plan_at(engine, tenant_id, REMINDED)
    held = await lease(engine, tenant_id)
    receipt = await pay(database, cast, 120_00, allocations=(Share(amount_minor=120_00, invoice_id=invoice_id),))
    async with at_work(database, tenant_id) as session:
        await reverse(session, receipt, NewReversal(reason="bounced"), REMINDED)
    await react(engine, tenant_id)
    assert await mark(engine, tenant_id, held) == []
    assert await notices(database, tenant_id) == {"F-1": ("withdrawn", "superseded")}
    await advance(engine, tenant_id, REMINDED + timedelta(minutes=2))
    assert await rows(database, tenant_id, "select cycle, step, state from app.notice order by id") == [
        (1, "first_reminder", "withdrawn"),
        (2, "first_reminder", "issued"),
    ]


async def test_a_merge_sends_what_is_planned_to_the_one_who_stays(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    member = await make_cast(database, tenant_id)
    root = await make_cast(database, tenant_id, email="root@martin.example")
    await bill(database, member, "F-1", DUE)
    await plan_at(engine, tenant_id, REMINDED)
    held = await lease(engine, tenant_id)
    async with at_work(database, tenant_id) as session:
        await merge(session, member.debtor_id, root.debtor_id)
        await session.execute(
            text("update app.contact set archived_at = :now where email = 'compta@martin.example'"), {"now": REMINDED}
        )
    assert await mark(engine, tenant_id, held) == []
    await advance(engine, tenant_id, REMINDED + timedelta(minutes=2))
    assert [mail.recipients for mail in await sent_mails(database, tenant_id)] == [("root@martin.example",)]


async def test_what_is_held_in_part_is_asked_for_in_part_and_the_rest_later(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    invoice_id = await bill(database, cast, "F-1", DUE)
    async with at_work(database, tenant_id) as session:
        new = NewHold(invoice_id=invoice_id, amount_minor=50_00, ends_at=at(date(2026, 3, 8)))
        await set_hold(session, new, at(DUE))
    await advance(engine, tenant_id, at(date(2026, 3, 20)))
    mails = [mail.text for mail in await sent_mails(database, tenant_id)]
    assert ["70,00" in text for text in mails] == [True, False]
    assert "120,00" in mails[1]
