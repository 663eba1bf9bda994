"""Facts that arrive while a reminder is on its way: before it is leased, before the mark, after it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Final, Literal
from uuid import UUID

import anyio
import pytest
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text

from casework.handlings import HandlingTarget, set_handling
from casework.holds import NewHold, set_hold
from casework.models import HandlingKind
from dunning.rules import default_body
from messaging.channels.port import Copy
from messaging.opt_outs import close
from messaging.sending import dispatch, send
from receivables.access import instalments
from receivables.contacts import archive_contact, create_contact, update_contact
from receivables.corrections import update_invoice, void_invoice
from receivables.credit_notes import create_credit_note
from receivables.debtors import update_debtor
from receivables.drafts import (
    ContactChange,
    DebtorChange,
    InvoiceChange,
    NewContact,
    NewCreditNote,
    NewReceipt,
    Share,
)
from receivables.models import ReceiptState, VoidReason
from receivables.receipts import record_receipt
from storage.session import TenantSession
from support.chasing import (
    Scene,
    channel_of,
    deliver,
    explained,
    follow,
    lease,
    mark,
    messages,
    notices,
    plan_at,
    react,
    until_waiting,
)
from support.stories import bill, make_cast, sent_mails
from tenants.models import Mode
from tenants.modes import set_mode
from tenants.switches import stop
from workers.engine import Engine

DUE: Final = date(2026, 3, 2)
REMINDED: Final = datetime(2026, 3, 5, 8, tzinfo=UTC)  # three days later, at nine in Paris
FLOOR: Final = 50_00  # below it nothing is said


@pytest.fixture
async def scene(engine: Engine, tenant_id: UUID) -> Scene:
    """The first reminders of ONE and TWO are planned, 120,00 each."""
    body = default_body()
    steps = tuple(replace(step, minimum_minor={"EUR": FLOOR}) for step in body.steps)
    await follow(engine.database, tenant_id, replace(body, steps=steps))
    cast = await make_cast(engine.database, tenant_id)
    one = await bill(engine.database, cast, "ONE", DUE)
    two = await bill(engine.database, cast, "TWO", DUE)
    await plan_at(engine, tenant_id, REMINDED)
    assert await notices(engine.database, tenant_id) == {"ONE": ("planned", None), "TWO": ("planned", None)}
    return Scene(engine, cast, one, two)


Happen = Callable[[TenantSession, Scene], Awaitable[object]]


class Fact(Struct, frozen=True):
    """Something that happens, which notices it stops, with which code, and what the last mail then says."""

    happen: Happen
    stops: dict[str, str]
    says: str | None = None


Arrived = Literal[ReceiptState.PROVISIONAL, ReceiptState.FINAL]


def receipt(amount_minor: int, state: Arrived = ReceiptState.FINAL, *, applied: bool = True) -> Happen:
    async def happen(session: TenantSession, scene: Scene) -> None:
        shares = (Share(amount_minor=amount_minor, invoice_id=scene.one),) if applied else ()
        new = NewReceipt(
            creditor_id=scene.cast.creditor_id, debtor_id=scene.cast.debtor_id, currency="EUR",
            amount_minor=amount_minor, state=state, allocations=shares,
        )  # fmt: skip
        await record_receipt(session, new, REMINDED)

    return happen


async def credit_note(session: TenantSession, scene: Scene) -> None:
    new = NewCreditNote(
        creditor_id=scene.cast.creditor_id, debtor_id=scene.cast.debtor_id, number="CN-1", issued_on=DUE,
        currency="EUR", total_minor=120_00, allocations=(Share(amount_minor=120_00, invoice_id=scene.one),),
    )  # fmt: skip
    await create_credit_note(session, new, REMINDED)


async def hold_debtor(session: TenantSession, scene: Scene) -> None:
    await set_hold(session, NewHold(debtor_id=scene.cast.debtor_id), REMINDED)


async def hold_instalment(session: TenantSession, scene: Scene) -> None:
    line = (await instalments(session, [scene.one]))[scene.one][0]
    await set_hold(session, NewHold(instalment_id=line.id), REMINDED)


def hold_invoice(amount_minor: int | None) -> Happen:
    async def happen(session: TenantSession, scene: Scene) -> None:
        await set_hold(session, NewHold(invoice_id=scene.one, amount_minor=amount_minor), REMINDED)

    return happen


async def opt_out(session: TenantSession, scene: Scene) -> None:
    await close(session, scene.cast.contact_id, "email", REMINDED, "Europe/Paris")


async def place_invoice(session: TenantSession, scene: Scene) -> None:
    await set_handling(session, HandlingTarget(invoice_id=scene.one), HandlingKind.OUTSOURCED, REMINDED)


async def place_debtor(session: TenantSession, scene: Scene) -> None:
    target = HandlingTarget(creditor_id=scene.cast.creditor_id, debtor_id=scene.cast.debtor_id)
    await set_handling(session, target, HandlingKind.OUTSOURCED, REMINDED)


async def void(session: TenantSession, scene: Scene) -> None:
    await void_invoice(session, scene.one, VoidReason.CANCELLED, REMINDED)


def correct(change: InvoiceChange) -> Happen:
    async def happen(session: TenantSession, scene: Scene) -> None:
        await update_invoice(session, scene.one, change, REMINDED)

    return happen


async def insolvency(session: TenantSession, scene: Scene) -> None:
    await update_debtor(session, scene.cast.debtor_id, DebtorChange(insolvent_on=DUE), REMINDED)


async def archive(session: TenantSession, scene: Scene) -> None:
    await archive_contact(session, scene.cast.contact_id, REMINDED)


async def replace_contact(session: TenantSession, scene: Scene) -> None:
    await create_contact(session, NewContact(debtor_id=scene.cast.debtor_id, email="new@martin.example"), REMINDED)
    await archive(session, scene)


async def no_longer_billing(session: TenantSession, scene: Scene) -> None:
    await update_contact(session, scene.cast.contact_id, ContactChange(billing=False), REMINDED)


async def stop_tenant(session: TenantSession, scene: Scene) -> None:
    await stop(session, "tenant", "audit", REMINDED)


async def stop_channel(session: TenantSession, scene: Scene) -> None:
    await stop(session, "channel:email", "audit", REMINDED)


def mode(wanted: Mode) -> Happen:
    async def happen(session: TenantSession, scene: Scene) -> None:
        await set_mode(session, wanted, REMINDED)

    return happen


def both(code: str) -> dict[str, str]:
    return {"ONE": code, "TWO": code}


FACTS: Final = {
    "full_receipt": Fact(receipt(120_00), {"ONE": "settled"}, "120,00"),
    "part_receipt": Fact(receipt(20_00), {}, "220,00"),
    "receipt_that_leaves_a_trifle": Fact(receipt(100_00), {"ONE": "below_minimum"}, "120,00"),
    "provisional_receipt": Fact(receipt(120_00, ReceiptState.PROVISIONAL), {"ONE": "settled"}),
    "provisional_part": Fact(receipt(20_00, ReceiptState.PROVISIONAL), {"ONE": "payment_in_process"}, "120,00"),
    "announced_money": Fact(receipt(20_00, ReceiptState.PROVISIONAL, applied=False), both("payment_in_process")),
    "unapplied_money": Fact(receipt(120_00, applied=False), both("unapplied_cash")),
    "too_little_unapplied": Fact(receipt(119_99, applied=False), {}, "240,00"),
    "credit_note": Fact(credit_note, {"ONE": "settled"}, "120,00"),
    "hold_on_debtor": Fact(hold_debtor, both("held")),
    "hold_on_invoice": Fact(hold_invoice(None), {"ONE": "held"}, "120,00"),
    "hold_on_instalment": Fact(hold_instalment, {"ONE": "held"}, "120,00"),
    "hold_on_part": Fact(hold_invoice(50_00), {}, "190,00"),
    "hold_that_leaves_a_trifle": Fact(hold_invoice(100_00), {"ONE": "below_minimum"}, "120,00"),
    "hold_on_whole_amount": Fact(hold_invoice(120_00), {"ONE": "amount_held"}, "120,00"),
    "opt_out": Fact(opt_out, both("opted_out")),
    "invoice_placed": Fact(place_invoice, {"ONE": "placed"}, "120,00"),
    "debtor_placed": Fact(place_debtor, both("placed")),
    "void": Fact(void, {"ONE": "not_open"}, "120,00"),
    "later_due_date": Fact(correct(InvoiceChange(due_on=date(2026, 3, 20))), {"ONE": "not_yet"}, "120,00"),
    "no_due_date": Fact(correct(InvoiceChange(due_on=None)), {"ONE": "no_due_date"}, "120,00"),
    "lower_amount": Fact(correct(InvoiceChange(total_minor=70_00)), {}, "190,00"),
    "debit_announced": Fact(
        correct(InvoiceChange(direct_debit_on=date(2026, 3, 9))), {"ONE": "payment_in_process"}, "120,00"
    ),
    "insolvency": Fact(insolvency, both("insolvent")),
    "contact_archived": Fact(archive, both("no_contact")),
    "contact_replaced": Fact(replace_contact, both("contact_changed")),
    "contact_not_for_billing": Fact(no_longer_billing, both("no_contact")),
    "tenant_stopped": Fact(stop_tenant, both("kill_switch")),
    "channel_stopped": Fact(stop_channel, both("kill_switch")),
    "mode_off": Fact(mode(Mode.OFF), both("tenant_off")),
    "mode_review": Fact(mode(Mode.REVIEW), both("review_mode")),
}
LEFT: Final[dict[str, tuple[str, str | None]]] = {"ONE": ("issued", None), "TWO": ("issued", None)}


def outcome(fact: Fact) -> dict[str, tuple[str, str | None]]:
    """What becomes of the notices."""
    return LEFT | {number: ("withdrawn", code) for number, code in fact.stops.items()}


@pytest.mark.parametrize("name", FACTS)
async def test_a_fact_before_the_mark_stops_the_notices_it_concerns(scene: Scene, name: str) -> None:
    fact = FACTS[name]
    held = await lease(scene.engine, scene.tenant_id)
    async with scene.work() as session:
        await fact.happen(session, scene)
    work = scene.engine.work("schedule", "test")
    await send(work, scene.engine.sender, channel_of(scene.engine, scene.tenant_id), held)
    await expect(scene, fact)


EARLY: Final = ("full_receipt", "hold_on_debtor", "opt_out", "invoice_placed", "tenant_stopped", "void")


@pytest.mark.parametrize("name", EARLY)
async def test_a_fact_before_the_lease_stops_them_as_well(scene: Scene, name: str) -> None:
    fact = FACTS[name]
    async with scene.work() as session:
        await fact.happen(session, scene)
    await react(scene.engine, scene.tenant_id)  # the reactions plan nothing more and take nothing back by themselves
    held = await lease(scene.engine, scene.tenant_id)
    work = scene.engine.work("schedule", "test")
    await send(work, scene.engine.sender, channel_of(scene.engine, scene.tenant_id), held)
    await expect(scene, fact)


async def expect(scene: Scene, fact: Fact) -> None:
    """The notices concerned are withdrawn, the others are said, and with none left the message is withdrawn."""
    assert await notices(scene.database, scene.tenant_id) == outcome(fact)
    mails = await sent_mails(scene.database, scene.tenant_id)
    if len(fact.stops) == 2:
        assert mails == []
        assert await messages(scene.database, scene.tenant_id) == [("withdrawn", fact.stops["ONE"])]
        return
    (mail,) = mails
    assert [number in mail.text for number in ("ONE", "TWO")] == ["ONE" not in fact.stops, True]
    assert fact.says is None or fact.says in mail.text


@pytest.mark.parametrize("name", [name for name, fact in FACTS.items() if fact.stops])
async def test_a_fact_after_the_mark_changes_nothing_and_the_trace_says_so(scene: Scene, name: str) -> None:
    fact = FACTS[name]
    copies = await mark(scene.engine, scene.tenant_id, await lease(scene.engine, scene.tenant_id))
    async with scene.work() as session:
        await fact.happen(session, scene)
    await react(scene.engine, scene.tenant_id)
    await deliver(scene.engine, scene.tenant_id, copies)
    assert await notices(scene.database, scene.tenant_id) == LEFT
    assert await messages(scene.database, scene.tenant_id) == [("sent", "accepted")]
    (mail,) = await sent_mails(scene.database, scene.tenant_id)
    assert "240,00" in mail.text
    for number, invoice_id in (("ONE", scene.one), ("TWO", scene.two)):
        shown = await explained(scene.database, scene.tenant_id, invoice_id)
        late = [trace.blockers for trace in shown.instalments[0].trace if trace.made_by == "after_dispatch"]
        assert [codes[0] for codes in late] == ([fact.stops[number]] if number in fact.stops else [])


async def platform_switch(scene: Scene, *, stopped: bool, scope: str = "platform") -> None:
    async with scene.database.operator() as session:
        change = text("update app.platform_switch set stopped = :stopped where scope = :scope")
        await session.execute(change, {"stopped": stopped, "scope": scope})


@pytest.mark.parametrize("scope", ["platform", "channel:email"])
async def test_the_platforms_switch_stops_what_is_leased_and_not_what_is_marked(scene: Scene, scope: str) -> None:
    held = await lease(scene.engine, scene.tenant_id)
    await platform_switch(scene, stopped=True, scope=scope)
    assert await mark(scene.engine, scene.tenant_id, held) == []
    assert await messages(scene.database, scene.tenant_id) == [("withdrawn", "kill_switch")]
    await platform_switch(scene, stopped=False, scope=scope)
    await plan_at(scene.engine, scene.tenant_id, datetime(2026, 3, 6, 8, tzinfo=UTC))  # it looks again each morning
    copies = await mark(scene.engine, scene.tenant_id, await lease(scene.engine, scene.tenant_id))
    await platform_switch(scene, stopped=True, scope=scope)
    await deliver(scene.engine, scene.tenant_id, copies)
    assert await notices(scene.database, scene.tenant_id) == LEFT


async def test_the_platforms_switch_waits_for_what_is_being_marked(scene: Scene) -> None:
    held, thrown = await lease(scene.engine, scene.tenant_id), anyio.Event()
    copies: list[Copy] = []

    async def throw() -> None:
        await platform_switch(scene, stopped=True)
        thrown.set()

    async with anyio.create_task_group() as group:
        async with scene.work() as session:
            copies += await dispatch(session, scene.engine.sender, held, REMINDED)
            group.start_soon(throw)
            await until_waiting(scene.database)
            assert not thrown.is_set()
        await thrown.wait()
    assert len(copies) == 1


LOCKED: Final = (
    "full_receipt", "hold_on_debtor", "opt_out", "debtor_placed", "contact_archived", "later_due_date", "mode_off",
    "tenant_stopped", "channel_stopped",
)  # fmt: skip


@pytest.mark.parametrize("name", LOCKED)
async def test_a_fact_waits_for_the_last_look_and_then_changes_nothing(scene: Scene, name: str) -> None:
    fact, told = FACTS[name], anyio.Event()

    async def tell() -> None:
        async with scene.work() as session:
            await fact.happen(session, scene)
        told.set()

    held = await lease(scene.engine, scene.tenant_id)
    copies: list[Copy] = []
    async with anyio.create_task_group() as group:
        async with scene.work() as session:
            copies += await dispatch(session, scene.engine.sender, held, REMINDED)
            group.start_soon(tell)
            await until_waiting(scene.database)
            assert not told.is_set()
        await told.wait()
    await deliver(scene.engine, scene.tenant_id, copies)
    assert await notices(scene.database, scene.tenant_id) == LEFT
    shown = await explained(scene.database, scene.tenant_id, scene.one)
    assert "after_dispatch" in {trace.made_by for trace in shown.instalments[0].trace}


@pytest.mark.parametrize("name", LOCKED)
async def test_the_last_look_waits_for_a_fact_and_then_sees_it(scene: Scene, name: str) -> None:
    fact = FACTS[name]
    held = await lease(scene.engine, scene.tenant_id)
    async with anyio.create_task_group() as group, scene.work() as session:
        await fact.happen(session, scene)
        await session.flush()
        group.start_soon(mark, scene.engine, scene.tenant_id, held)
        await until_waiting(scene.database)
    after = await notices(scene.database, scene.tenant_id)
    stopped = {number: code for number, (state, code) in after.items() if state == "withdrawn"}
    assert stopped == fact.stops
