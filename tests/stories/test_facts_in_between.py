"""A fact that arrives while a message is on its way out: before the mark it counts, after the mark it is too late."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Final
from uuid import UUID

import pytest
from msgspec import Struct

from casework.handlings import HandlingTarget, set_handling
from casework.holds import NewHold, set_hold
from casework.models import HandlingKind
from dunning.explaining import explain
from messaging.channels.port import Channel
from messaging.opt_outs import close
from messaging.outbox import MESSAGES
from messaging.sending import dispatch, send
from messaging.settling import settle
from receivables.contacts import archive_contact
from receivables.corrections import void_invoice
from receivables.drafts import NewReceipt
from receivables.locks import lock_debtors
from receivables.models import ReceiptState, VoidReason
from receivables.receipts import record_receipt
from storage.clocks import now_of, promote_clocked, set_clock
from storage.queues import Claim
from storage.session import TenantSession
from support.stories import CAUSE, Cast, advance, at, bill, make_cast, rows, sent_mails
from tenants.models import Mode
from tenants.modes import set_mode
from tenants.switches import resume, stop
from workers import rounds
from workers.draining import drain
from workers.engine import Engine

DUE: Final = date(2026, 3, 20)
DAY: Final = at(DUE + timedelta(days=3))


class Scene(Struct, frozen=True):
    """Two invoices of one debtor, both due to be said in one message that is leased."""

    engine: Engine
    cast: Cast
    first: UUID
    second: UUID
    held: list[Claim]

    @property
    def channel(self) -> Channel:
        return self.engine.channel_of("email", self.cast.tenant_id, True)

    async def send(self) -> None:
        await send(self.engine.work("schedule", "test"), self.engine.sender, self.channel, self.held)


Fact = Callable[[TenantSession, Scene], Awaitable[object]]


async def leased(engine: Engine, tenant_id: UUID) -> Scene:
    """Walk to the day of the first reminder and stop between the lease and the last look."""
    cast = await make_cast(engine.database, tenant_id)
    first = await bill(engine.database, cast, "F-1", DUE)
    second = await bill(engine.database, cast, "F-2", DUE)
    await advance(engine, tenant_id, at(DUE - timedelta(days=2)))  # the preventive word has gone out
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        await set_clock(session, DAY)
        await promote_clocked(session, DAY)
    while (
        await rounds.stamps(engine, tenant_id)
        + await rounds.reactions(engine, tenant_id)
        + await rounds.ticks(engine, tenant_id)
    ):
        pass
    held = await rounds.claim_from(engine, MESSAGES, tenant_id)
    assert len(held) == 1
    return Scene(engine, cast, first, second, held)


async def happen(scene: Scene, fact: Fact) -> None:
    async with scene.engine.database.tenant(scene.cast.tenant_id, CAUSE) as session:
        await fact(session, scene)


async def outcome(scene: Scene) -> tuple[str, set[str]]:
    """The message's state, and which invoices the newest mail names."""
    tenant_id = scene.cast.tenant_id
    state = await rows(
        scene.engine.database, tenant_id, "select state from app.message order by planned_at desc, id desc limit 1"
    )
    mails = await sent_mails(scene.engine.database, tenant_id)
    newest = mails[-1].text if len(mails) > 1 else ""
    return state[0][0], {number for number in ("F-1", "F-2") if number in newest}


def pay(amount_minor: int, state: ReceiptState = ReceiptState.FINAL) -> Fact:
    async def fact(session: TenantSession, scene: Scene) -> None:
        new = NewReceipt(
            creditor_id=scene.cast.creditor_id,
            debtor_id=scene.cast.debtor_id,
            currency="EUR",
            amount_minor=amount_minor,
            state=ReceiptState.FINAL if state is ReceiptState.FINAL else ReceiptState.PROVISIONAL,
            allocations="auto" if state is ReceiptState.FINAL else (),
        )
        await record_receipt(session, new, await now_of(session))

    return fact


async def hold_one(session: TenantSession, scene: Scene) -> None:
    await set_hold(session, NewHold(invoice_id=scene.first), await now_of(session))


async def hold_debtor(session: TenantSession, scene: Scene) -> None:
    await set_hold(session, NewHold(debtor_id=scene.cast.debtor_id), await now_of(session))


async def void_one(session: TenantSession, scene: Scene) -> None:
    await void_invoice(session, scene.first, VoidReason.ERROR, await now_of(session))


async def outsource_one(session: TenantSession, scene: Scene) -> None:
    target = HandlingTarget(invoice_id=scene.first)
    await set_handling(session, target, HandlingKind.OUTSOURCED, await now_of(session))


async def outsource_all(session: TenantSession, scene: Scene) -> None:
    target = HandlingTarget(creditor_id=scene.cast.creditor_id, debtor_id=scene.cast.debtor_id)
    await set_handling(session, target, HandlingKind.OUTSOURCED, await now_of(session))


async def opt_out(session: TenantSession, scene: Scene) -> None:
    await close(session, scene.cast.contact_id, "email", await now_of(session), "Europe/Paris")


async def archive(session: TenantSession, scene: Scene) -> None:
    await archive_contact(session, scene.cast.contact_id, await now_of(session))


async def stop_tenant(session: TenantSession, _: Scene) -> None:
    await stop(session, "tenant", "a test", await now_of(session))


async def stop_channel(session: TenantSession, _: Scene) -> None:
    await stop(session, "channel:email", "a test", await now_of(session))


async def switch_off(session: TenantSession, _: Scene) -> None:
    await set_mode(session, Mode.OFF, await now_of(session))


IN_PROCESS = pay(1, ReceiptState.PROVISIONAL)

CASES = [
    pytest.param(pay(120_00), "sent", {"F-2"}, id="a payment of one"),
    pytest.param(pay(240_00), "withdrawn", set[str](), id="a payment of both"),
    pytest.param(IN_PROCESS, "withdrawn", set[str](), id="money in process"),
    pytest.param(hold_one, "sent", {"F-2"}, id="a hold on one"),
    pytest.param(hold_debtor, "withdrawn", set[str](), id="a hold on the debtor"),
    pytest.param(void_one, "sent", {"F-2"}, id="one is void"),
    pytest.param(outsource_one, "sent", {"F-2"}, id="one is outsourced"),
    pytest.param(outsource_all, "withdrawn", set[str](), id="all is outsourced"),
    pytest.param(opt_out, "withdrawn", set[str](), id="an opt-out"),
    pytest.param(archive, "withdrawn", set[str](), id="the contact is archived"),
    pytest.param(stop_tenant, "withdrawn", set[str](), id="the tenant's kill switch"),
    pytest.param(stop_channel, "withdrawn", set[str](), id="the channel's kill switch"),
    pytest.param(switch_off, "withdrawn", set[str](), id="the mode is off"),
]


@pytest.mark.parametrize(("fact", "state", "named"), CASES)
async def test_before_the_mark_a_fact_removes_what_it_concerns(
    engine: Engine, tenant_id: UUID, fact: Fact, state: str, named: set[str]
) -> None:
    scene = await leased(engine, tenant_id)
    await happen(scene, fact)
    await scene.send()
    assert await outcome(scene) == (state, named)
    notices = await rows(
        engine.database, tenant_id, "select state, count(*) from app.notice where level = 1 group by 1 order by 1"
    )
    issued = len(named)
    assert dict(notices) == {key: count for key, count in (("issued", issued), ("withdrawn", 2 - issued)) if count}


@pytest.mark.parametrize(("fact", "state", "named"), CASES)
async def test_after_the_mark_it_is_too_late_and_the_trace_says_so(
    engine: Engine, tenant_id: UUID, fact: Fact, state: str, named: set[str]
) -> None:
    scene = await leased(engine, tenant_id)
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        copies = await dispatch(session, engine.sender, scene.held, await now_of(session))
    await happen(scene, fact)
    outcomes = await scene.channel.send(copies)
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        await settle(session, engine.sender.gate, outcomes, await now_of(session))
    assert await outcome(scene) == ("sent", {"F-1", "F-2"})
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        view = await explain(session, scene.first, await now_of(session))
    (instalment,) = view.instalments
    assert [notice.state for notice in instalment.notices] == ["issued", "issued"]
    late = [trace for trace in instalment.trace if trace.made_by == "after_dispatch"]
    assert [trace.verdict for trace in late] in (["hold"], ["skip"])


async def test_a_fact_waits_for_the_last_look_and_the_last_look_for_a_fact(engine: Engine, tenant_id: UUID) -> None:
    scene = await leased(engine, tenant_id)
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        await lock_debtors(session, [scene.cast.debtor_id])
        sending = asyncio.create_task(scene.send())  # waits for the lock that this transaction holds
        done, _ = await asyncio.wait([sending], timeout=0.3)
        assert not done
        await pay(240_00)(session, scene)
    await sending
    assert await outcome(scene) == ("withdrawn", set())


async def test_what_a_kill_switch_held_back_goes_out_afterwards(engine: Engine, tenant_id: UUID) -> None:
    scene = await leased(engine, tenant_id)
    await happen(scene, stop_tenant)
    await scene.send()
    async with engine.database.tenant(tenant_id, CAUSE) as session:
        await resume(session, "tenant", await now_of(session))
    await drain(engine, tenant_id)
    await advance(engine, tenant_id, DAY + timedelta(hours=1))
    assert await outcome(scene) == ("sent", {"F-1", "F-2"})
    assert len(await sent_mails(engine.database, tenant_id)) == 2
