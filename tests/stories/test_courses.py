"""How debts enter, wait, restart and end, as a credit controller expects it."""

from datetime import date, timedelta
from typing import Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from casework.holds import NewHold, set_hold
from dunning import courses, policies
from dunning.errors import CourseNotFound, CourseNotInReview
from dunning.rules import CatchUp, OnEntry, Step, Tone, default_body
from kernel import ids
from receivables.contacts import archive_contact, create_contact
from receivables.corrections import update_invoice
from receivables.drafts import InvoiceChange, Line, NewContact, NewReversal, Share
from receivables.receipts import reverse
from storage.clocks import now_of
from storage.database import Database
from support.chasing import at_work, explained, follow, messages, said, tasks
from support.merging import merge
from support.stories import advance, at, bill, make_cast, pay, rows, sent_mails
from support.tenants import make_tenant
from tenants.models import Mode
from tenants.modes import set_mode
from workers.engine import Engine

TODAY: Final = date(2026, 3, 2)  # a Monday, ten in Paris: where a sandbox's clock stands
BODY: Final = default_body()


def day(number: int) -> date:
    return TODAY + timedelta(days=number)


async def states(database: Database, tenant_id: UUID) -> dict[str, str]:
    query = "select v.number, c.state from app.course c join app.invoice v on v.id = c.invoice_id"
    return dict(await rows(database, tenant_id, query))


async def release_all(database: Database, tenant_id: UUID) -> list[str]:
    async with at_work(database, tenant_id) as session:
        waiting = [row.id for row in (await courses.by_ids(session, await ids_of(database, tenant_id))).values()]
        return [view.state for view in await courses.release(session, waiting, await now_of(session))]


async def ids_of(database: Database, tenant_id: UUID) -> list[UUID]:
    return [course_id for (course_id,) in await rows(database, tenant_id, "select id from app.course order by id")]


async def test_an_old_debt_waits_for_a_person_and_then_hears_the_step_that_fits(
    engine: Engine, tenant_id: UUID
) -> None:
    cast = await make_cast(engine.database, tenant_id)
    await bill(engine.database, cast, "OLD", day(-12))
    await advance(engine, tenant_id, at(day(5)))
    assert await said(engine.database, tenant_id) == []
    assert await tasks(engine.database, tenant_id) == ["creditor_old_debts"]
    assert await release_all(engine.database, tenant_id) == ["active"]
    with pytest.raises(CourseNotInReview):
        await release_all(engine.database, tenant_id)
    async with at_work(engine.database, tenant_id) as session:
        with pytest.raises(CourseNotFound):
            await courses.release(session, [ids.new_id()], await now_of(session))
    await advance(engine, tenant_id, at(day(60)))
    assert await said(engine.database, tenant_id) == [
        ("OLD", "second_reminder", day(5)),
        ("OLD", "last_reminder", day(13)),  # 25 days after the due date
    ]


@pytest.mark.parametrize("catch_up", CatchUp)
@pytest.mark.parametrize(
    ("on_entry", "late", "steps"),
    [
        (OnEntry.FIRST_STEP, 12, ["first_reminder", "second_reminder", "last_reminder"]),
        (OnEntry.MATCHING_STEP, 12, ["second_reminder", "last_reminder"]),
        (OnEntry.HOLD_FOR_REVIEW, 2, ["first_reminder", "second_reminder", "last_reminder"]),  # not old yet
        (OnEntry.FIRST_STEP, 400, []),  # older than max_age: always a person's
        (OnEntry.MATCHING_STEP, 400, []),
        (OnEntry.HOLD_FOR_REVIEW, 12, []),
    ],
)
async def test_a_policy_says_how_late_debts_enter(
    engine: Engine, tenant_id: UUID, on_entry: OnEntry, late: int, steps: list[str], catch_up: CatchUp
) -> None:
    body = replace(BODY, on_entry=on_entry, catch_up=catch_up)  # arrears of the debt's, not of an outage of ours
    await follow(engine.database, tenant_id, body)
    cast = await make_cast(engine.database, tenant_id)
    await bill(engine.database, cast, "LATE", day(-late))
    await advance(engine, tenant_id, at(day(40)))
    assert [step for _, step, _ in await said(engine.database, tenant_id)] == steps


async def test_old_invoices_that_are_paid_ask_nobody(engine: Engine, tenant_id: UUID) -> None:
    cast = await make_cast(engine.database, tenant_id)
    await bill(engine.database, cast, "PAID", day(-100), prepaid_minor=120_00)
    await advance(engine, tenant_id, at(day(1)))
    assert await tasks(engine.database, tenant_id) == []
    await bill(engine.database, cast, "OPEN", day(-100))
    await advance(engine, tenant_id, at(day(2)))
    assert await tasks(engine.database, tenant_id) == ["creditor_old_debts"]


async def test_a_due_date_that_comes_later_is_a_first_sight(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    old, fresh = await bill(database, cast, "OLD", None), await bill(database, cast, "FRESH", None)
    await advance(engine, tenant_id, at(day(10)))
    async with at_work(database, tenant_id) as session:
        await update_invoice(session, old, InvoiceChange(due_on=day(-200)), at(day(10)))
        await update_invoice(session, fresh, InvoiceChange(due_on=day(9)), at(day(10)))
    await advance(engine, tenant_id, at(day(13)))
    assert await said(database, tenant_id) == [("FRESH", "first_reminder", day(12))]
    assert await states(database, tenant_id) == {"OLD": "review", "FRESH": "active"}
    assert await tasks(database, tenant_id) == ["creditor_old_debts"]


async def test_a_date_moved_on_is_followed_and_releases_what_is_no_longer_old(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    wrong = await bill(database, cast, "WRONG", day(-40))
    moved = await bill(database, cast, "MOVED", day(10))
    await advance(engine, tenant_id, at(day(1)))
    assert await states(database, tenant_id) == {"WRONG": "review", "MOVED": "active"}
    async with at_work(database, tenant_id) as session:
        await update_invoice(session, wrong, InvoiceChange(due_on=day(20)), at(day(1)))
        await update_invoice(session, moved, InvoiceChange(due_on=day(30)), at(day(1)))
    await advance(engine, tenant_id, at(day(28)))
    assert await said(database, tenant_id) == [
        ("WRONG", "before_due", day(17)),
        ("WRONG", "first_reminder", day(23)),
        ("MOVED", "before_due", day(27)),
    ]


async def test_an_instalment_that_a_correction_adds_is_chased_too(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    invoice_id = await bill(database, cast, "F-1", day(10))
    await advance(engine, tenant_id, at(day(1)))
    lines = (Line(amount_minor=60_00, due_on=day(10)), Line(amount_minor=60_00, due_on=day(40)))
    async with at_work(database, tenant_id) as session:
        await update_invoice(session, invoice_id, InvoiceChange(instalments=lines), at(day(1)))
    await advance(engine, tenant_id, at(day(44)))
    assert [(step, when) for _, step, when in await said(database, tenant_id)] == [
        ("before_due", day(7)),
        ("first_reminder", day(13)),
        ("second_reminder", day(20)),
        ("last_reminder", day(35)),
        ("before_due", day(38)),  # three days after the message before it
        ("first_reminder", day(43)),
    ]
    assert "60,00" in (await sent_mails(database, tenant_id))[-1].text


async def test_an_instalment_that_reopens_restarts_while_the_other_stayed_open(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    lines = (Line(amount_minor=60_00, due_on=day(5)), Line(amount_minor=60_00, due_on=day(300)))
    invoice_id = await bill(database, cast, "F-1", day(5), instalments=lines)
    await advance(engine, tenant_id, at(day(9)))  # the first reminder was sent
    receipt = await pay(database, cast, 60_00, allocations=(Share(amount_minor=60_00, invoice_id=invoice_id),))
    await advance(engine, tenant_id, at(day(60)))
    async with at_work(database, tenant_id) as session:
        await reverse(session, receipt, NewReversal(reason="bounced"), at(day(60)))
    await advance(engine, tenant_id, at(day(90)))
    found = await rows(database, tenant_id, "select cycle, step from app.notice where state = 'issued' order by id")
    assert found == [(1, "before_due"), (1, "first_reminder"), (2, "last_reminder")]
    assert await tasks(database, tenant_id) == ["course_exhausted"]


async def test_after_the_last_step_an_event_and_a_task_once(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", day(5))
    paid = await bill(database, cast, "F-2", day(5))
    await advance(engine, tenant_id, at(day(31)))
    await pay(database, cast, 120_00, allocations=(Share(amount_minor=120_00, invoice_id=paid),))
    await advance(engine, tenant_id, at(day(90)))
    assert await tasks(database, tenant_id) == ["course_exhausted"]
    assert await states(database, tenant_id) == {"F-1": "ended", "F-2": "active"}  # what was paid is not exhausted
    told = await rows(database, tenant_id, "select count(*) from app.event where type = 'course.exhausted'")
    assert told == [(1,)]
    await advance(engine, tenant_id, at(day(120)))
    assert len(await said(database, tenant_id)) == 8


async def test_a_word_before_the_due_date_is_not_said_after_it_also_when_it_is_all_there_is(
    engine: Engine, tenant_id: UUID
) -> None:
    database = engine.database
    await follow(database, tenant_id, replace(BODY, steps=BODY.steps[:1]))
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "MISSED", day(5))
    await bill(database, cast, "PAST", day(-50))
    async with at_work(database, tenant_id) as session:
        await set_mode(session, Mode.OFF, at(TODAY))
    await advance(engine, tenant_id, at(day(7)))
    async with at_work(database, tenant_id) as session:
        await set_mode(session, Mode.AUTOMATIC, at(day(7)))
    await bill(database, cast, "TOLD", day(12))
    await advance(engine, tenant_id, at(day(30)))
    assert await said(database, tenant_id) == [("TOLD", "before_due", day(9))]
    assert await tasks(database, tenant_id) == ["course_exhausted"]  # of the one that was told all there is


async def test_a_new_version_is_for_new_debts_and_both_speak_in_one_message(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "BEFORE", day(5))
    await advance(engine, tenant_id, at(TODAY))
    stern = Step(key="stern", days=10, tone=Tone.FORMAL, template="reminder")
    async with at_work(database, tenant_id) as session:
        version = await policies.default_version(session, at(TODAY))
        await policies.publish(session, version.policy_id, replace(BODY, steps=(stern,)), at(TODAY))
    await bill(database, cast, "AFTER", day(5))
    await advance(engine, tenant_id, at(day(16)))
    assert await said(database, tenant_id) == [
        ("BEFORE", "before_due", day(2)),
        ("BEFORE", "first_reminder", day(8)),
        ("AFTER", "stern", day(15)),
        ("BEFORE", "second_reminder", day(15)),
    ]
    assert len(await sent_mails(database, tenant_id)) == 3
    assert (await rows(database, tenant_id, "select tone from app.message order by id"))[-1] == ("formal",)
    await advance(engine, tenant_id, at(day(60)))
    assert await said(database, tenant_id) == [
        ("BEFORE", "before_due", day(2)),
        ("BEFORE", "first_reminder", day(8)),
        ("AFTER", "stern", day(15)),
        ("BEFORE", "second_reminder", day(15)),
        ("BEFORE", "last_reminder", day(30)),
    ]


async def test_a_debtor_whom_nobody_can_write_to_is_a_task_until_there_is_an_address(
    engine: Engine, tenant_id: UUID
) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id, email=None)
    invoice_id = await bill(database, cast, "F-1", day(1))
    await bill(database, cast, "F-2", day(1))
    await advance(engine, tenant_id, at(day(3)))
    assert await tasks(database, tenant_id) == []  # nothing to say yet
    await advance(engine, tenant_id, at(day(6)))
    assert await tasks(database, tenant_id) == ["debtor_unreachable"]
    shown = (await explained(database, tenant_id, invoice_id)).instalments[0]
    assert (shown.verdict, [blocker.code for blocker in shown.blockers]) == ("hold", ["no_contact"])
    async with at_work(database, tenant_id) as session:
        await create_contact(session, NewContact(debtor_id=cast.debtor_id, email="new@martin.example"), at(day(6)))
    await advance(engine, tenant_id, at(day(6), 13))
    assert await said(database, tenant_id) == [("F-1", "first_reminder", day(6)), ("F-2", "first_reminder", day(6))]


async def test_a_replaced_contact_gets_what_the_old_one_would_have_got(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", day(5))
    await advance(engine, tenant_id, at(day(3)))
    async with at_work(database, tenant_id) as session:
        await create_contact(session, NewContact(debtor_id=cast.debtor_id, email="new@martin.example"), at(day(3)))
        await archive_contact(session, cast.contact_id, at(day(3)))
    await advance(engine, tenant_id, at(day(9)))
    assert [mail.recipients for mail in await sent_mails(database, tenant_id)] == [
        ("compta@martin.example",),
        ("new@martin.example",),
    ]


async def test_merged_debtors_are_one_conversation(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    root = await make_cast(database, tenant_id, email=None)
    member = await make_cast(database, tenant_id, name="Boulangerie Martin (bis)", email="bis@martin.example")
    async with at_work(database, tenant_id) as session:
        await archive_contact(session, member.contact_id, at(TODAY))
        await merge(session, member.debtor_id, root.debtor_id)
    same = replace(member, creditor_id=root.creditor_id)
    await bill(database, root, "ROOT", day(1))
    await bill(database, same, "MEMBER", day(2))
    await advance(engine, tenant_id, at(day(6)))
    assert await tasks(database, tenant_id) == ["debtor_unreachable"]
    async with at_work(database, tenant_id) as session:  # a fact of the root wakes the member's debts as well
        await create_contact(session, NewContact(debtor_id=root.debtor_id, email="both@martin.example"), at(day(6)))
    await advance(engine, tenant_id, at(day(7)))
    (mail,) = await sent_mails(database, tenant_id)
    assert ("ROOT" in mail.text, "MEMBER" in mail.text, mail.recipients) == (True, True, ("both@martin.example",))


async def test_who_was_merged_was_written_to_as_well(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    member, root = await make_cast(database, tenant_id), await make_cast(database, tenant_id, email="root@m.example")
    same = replace(root, creditor_id=member.creditor_id)
    await bill(database, member, "MEMBER", day(0))
    await bill(database, same, "ROOT", day(1))
    await advance(engine, tenant_id, at(day(3)))
    async with at_work(database, tenant_id) as session:
        await merge(session, member.debtor_id, root.debtor_id)
    await advance(engine, tenant_id, at(day(7)))
    assert await said(database, tenant_id) == [("MEMBER", "first_reminder", day(3)), ("ROOT", "first_reminder", day(6))]


async def test_a_hold_that_ends_lets_the_step_that_fits_go(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id)
    invoice_id = await bill(database, cast, "F-1", day(5))
    await advance(engine, tenant_id, at(day(3)))
    async with at_work(database, tenant_id) as session:
        await set_hold(session, NewHold(invoice_id=invoice_id, ends_at=at(day(20), 14)), at(day(3)))
    await advance(engine, tenant_id, at(day(31)))
    assert await said(database, tenant_id) == [
        ("F-1", "before_due", day(2)),
        ("F-1", "second_reminder", day(20)),
        ("F-1", "last_reminder", day(30)),
    ]


async def test_a_tenant_in_review_plans_and_explains_and_sends_nothing(engine: Engine) -> None:
    database = engine.database
    tenant_id = await make_tenant(database, mode=Mode.REVIEW)
    cast = await make_cast(database, tenant_id)
    invoice_id = await bill(database, cast, "F-1", day(1))
    await advance(engine, tenant_id, at(day(5)))
    assert await messages(database, tenant_id) == []
    shown = (await explained(database, tenant_id, invoice_id)).instalments[0]
    assert (shown.step, [blocker.code for blocker in shown.blockers]) == ("first_reminder", ["review_mode"])
    async with at_work(database, tenant_id) as session:
        await set_mode(session, Mode.AUTOMATIC, at(day(5)))
    await advance(engine, tenant_id, at(day(6)))
    assert await said(database, tenant_id) == [("F-1", "first_reminder", day(5))]
