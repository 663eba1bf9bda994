from datetime import date, timedelta
from uuid import UUID

from receivables.drafts import NewReversal
from receivables.receipts import reverse
from storage.clocks import now_of
from support.stories import CAUSE, advance, at, bill, make_cast, pay, rows, sent_mails
from workers.engine import Engine

DUE = date(2026, 3, 20)


async def test_an_unpaid_invoice_is_reminded_of_step_by_step(engine: Engine, tenant_id: UUID) -> None:
    cast = await make_cast(engine.database, tenant_id)
    await bill(engine.database, cast, "F-1", DUE)
    await advance(engine, tenant_id, at(DUE + timedelta(days=60)))
    steps = await rows(
        engine.database, tenant_id, "select step, state, issued_at::date from app.notice order by planned_at"
    )
    assert steps == [
        ("before_due", "issued", date(2026, 3, 17)),
        ("first_reminder", "issued", date(2026, 3, 23)),
        ("second_reminder", "issued", date(2026, 3, 30)),
        ("last_reminder", "issued", date(2026, 4, 14)),
    ]
    mails = await sent_mails(engine.database, tenant_id)
    assert len(mails) == len({mail.message_id for mail in mails}) == 4
    assert all("F-1" in mail.text and "120,00" in mail.text for mail in mails)
    tasks = await rows(engine.database, tenant_id, "select kind from app.task where state = 'open'")
    assert tasks == [("course_exhausted",)]


async def test_a_payment_stops_the_chase(engine: Engine, tenant_id: UUID) -> None:
    cast = await make_cast(engine.database, tenant_id)
    await bill(engine.database, cast, "F-1", DUE)
    await advance(engine, tenant_id, at(DUE + timedelta(days=5)))
    await pay(engine.database, cast, 120_00)
    await advance(engine, tenant_id, at(DUE + timedelta(days=60)))
    assert len(await sent_mails(engine.database, tenant_id)) == 2
    events = {row[0] for row in await rows(engine.database, tenant_id, "select distinct type from app.event")}
    assert {"invoice.opened", "invoice.settled", "notice.issued", "message.sent"} <= events


async def test_a_part_payment_lowers_what_is_asked_for(engine: Engine, tenant_id: UUID) -> None:
    cast = await make_cast(engine.database, tenant_id)
    await bill(engine.database, cast, "F-1", DUE)
    await advance(engine, tenant_id, at(DUE + timedelta(days=5)))
    await pay(engine.database, cast, 20_00)
    await advance(engine, tenant_id, at(DUE + timedelta(days=11)))
    assert "100,00" in (await sent_mails(engine.database, tenant_id))[-1].text


async def test_a_payment_that_bounces_starts_a_new_cycle(engine: Engine, tenant_id: UUID) -> None:
    cast = await make_cast(engine.database, tenant_id)
    await bill(engine.database, cast, "F-1", DUE)
    await advance(engine, tenant_id, at(DUE + timedelta(days=5)))
    receipt = await pay(engine.database, cast, 120_00)
    await advance(engine, tenant_id, at(DUE + timedelta(days=8)))
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        await reverse(session, receipt, NewReversal(reason="bounced"), await now_of(session))
    await advance(engine, tenant_id, at(DUE + timedelta(days=60)))
    said = await rows(
        engine.database, tenant_id, "select cycle, step from app.notice where state = 'issued' order by planned_at"
    )
    assert said[:2] == [(1, "before_due"), (1, "first_reminder")]
    assert {cycle for cycle, _ in said[2:]} == {2}
    assert said[-1] == (2, "last_reminder")


async def test_what_is_due_to_one_debtor_on_a_day_goes_in_one_message(engine: Engine, tenant_id: UUID) -> None:
    cast = await make_cast(engine.database, tenant_id)
    for number in range(3):
        await bill(engine.database, cast, f"F-{number}", DUE)
    await bill(engine.database, cast, "USD-1", DUE, currency="USD")
    await advance(engine, tenant_id, at(DUE - timedelta(days=2)))
    mails = await sent_mails(engine.database, tenant_id)
    assert len(mails) == 1
    assert all(number in mails[0].text for number in ("F-0", "F-1", "F-2", "USD-1"))
    assert "360,00" in mails[0].text  # a section per currency, no sum across
