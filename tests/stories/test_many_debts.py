"""One debtor with many debts: neither flooded with mails nor left out."""

from datetime import date, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from dunning.rules import CatchUp, default_body
from messaging.outbox import MAX_PARTS
from receivables.drafts import Line, NewInvoice
from receivables.invoices import open_invoices
from storage.clocks import now_of
from storage.database import Database
from support.chasing import at_work, follow, said
from support.stories import Cast, advance, at, bill, make_cast, sent_mails
from workers.engine import Engine

TODAY: Final = date(2026, 3, 2)
BODY: Final = default_body()
ONE_STEP: Final = replace(BODY, steps=BODY.steps[1:2])  # three days after the due date


def day(number: int) -> date:
    return TODAY + timedelta(days=number)


async def bill_many(database: Database, cast: Cast, dues: list[date]) -> None:
    """Invoices F-0, F-1 … of the cast, due on these days."""
    async with at_work(database, cast.tenant_id) as session:
        news = [
            NewInvoice(
                creditor_id=cast.creditor_id, debtor_id=cast.debtor_id, number=f"F-{place}", issued_on=due,
                due_on=due, currency="EUR", total_minor=10_00,
            )
            for place, due in enumerate(dues)
        ]  # fmt: skip
        for outcome in await open_invoices(session, news, await now_of(session)):
            outcome.get()


async def test_a_step_a_day_later_waits_and_then_all_that_waited_goes_in_one_mail(
    engine: Engine, tenant_id: UUID
) -> None:
    database = engine.database
    await follow(database, tenant_id, ONE_STEP)
    cast = await make_cast(database, tenant_id)
    await bill_many(database, cast, [day(number) for number in (0, 1, 2, 3)])
    await advance(engine, tenant_id, at(day(10)))
    assert await said(database, tenant_id) == [
        ("F-0", "first_reminder", day(3)),
        ("F-1", "first_reminder", day(6)),
        ("F-2", "first_reminder", day(6)),
        ("F-3", "first_reminder", day(6)),
    ]
    assert [mail.text.count("F-") > 0 for mail in await sent_mails(database, tenant_id)] == [True, True]


async def every_day(engine: Engine, tenant_id: UUID, **debtor: str) -> None:
    """An invoice falls due every day for sixteen days: one mail every three days, and no debt is left out."""
    database = engine.database
    await follow(database, tenant_id, ONE_STEP)
    cast = await make_cast(database, tenant_id, **debtor)
    await bill_many(database, cast, [day(number) for number in range(16)])
    await advance(engine, tenant_id, at(day(22)))
    reminded = await said(database, tenant_id)
    assert len(reminded) == 16
    days = sorted({when for _, _, when in reminded})
    assert all((later - earlier).days >= 3 for earlier, later in pairwise(days))
    assert len(await sent_mails(database, tenant_id)) == len(days) == 6
    waited = [(when - day(int(number[2:]) + 3)).days for number, _, when in reminded]
    assert (min(waited), max(waited)) == (0, 2)


async def test_a_debt_every_day_is_a_mail_every_three_days(engine: Engine, tenant_id: UUID) -> None:
    await every_day(engine, tenant_id)


async def test_what_was_put_off_is_not_starved_by_newer_steps_at_an_earlier_hour(
    engine: Engine, tenant_id: UUID
) -> None:
    """The debtor's morning is six hours after the creditor's: each new step comes before what waits for it."""
    await every_day(engine, tenant_id, zone="America/New_York")


async def test_two_creditors_write_to_a_debtor_apart(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await follow(database, tenant_id, ONE_STEP)
    one = await make_cast(database, tenant_id)
    other = replace(one, creditor_id=(await make_cast(database, tenant_id)).creditor_id)
    await bill(database, one, "ONE", day(0))
    await bill(database, other, "OTHER", day(1))
    await advance(engine, tenant_id, at(day(10)))
    assert await said(database, tenant_id) == [("ONE", "first_reminder", day(3)), ("OTHER", "first_reminder", day(4))]


async def test_more_debts_than_a_letter_holds_go_in_several_letters(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await follow(database, tenant_id, ONE_STEP)
    cast = await make_cast(database, tenant_id)
    await bill_many(database, cast, [day(1)] + [day(0)] * (MAX_PARTS + 20))
    await advance(engine, tenant_id, at(day(8)))
    reminded = await said(database, tenant_id)
    assert [sum(when == day(number) for _, _, when in reminded) for number in (3, 6)] == [MAX_PARTS, 21]
    assert len(await sent_mails(database, tenant_id)) == 2


async def test_a_debt_in_several_instalments_is_one_invoice_in_the_mail(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await follow(database, tenant_id, replace(ONE_STEP, catch_up=CatchUp.SEQUENCE))
    cast = await make_cast(database, tenant_id)
    lines = tuple(Line(amount_minor=40_00, due_on=day(number)) for number in (0, 1, 30))
    await bill(database, cast, "F-1", day(0), instalments=lines)
    await advance(engine, tenant_id, at(day(7)))
    mails = await sent_mails(database, tenant_id)
    assert ["40,00" in mail.text for mail in mails] == [True, True]
    assert len(await said(database, tenant_id)) == 2
