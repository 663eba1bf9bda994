"""Holds are set, changed, released, and end by themselves."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from casework import access, holds, queries
from casework.errors import HoldNotFound, HoldNotOpen
from casework.facts import Held, active_holds
from casework.holds import ENDS, HoldChange, NewHold, end_holds
from casework.models import HoldReason, HoldSource, OnEnd
from casework.queries import HoldFilter, TaskFilter
from casework.views import HoldView
from kernel import ids
from kernel.errors import Invalid, NotFound, PreconditionFailed
from receivables.errors import DebtorNotFound, InstalmentNotFound, InvoiceNotFound
from receivables.locks import lock_debtors
from receivables.views import InvoiceView
from storage.clocks import Due
from storage.database import Database
from storage.session import TenantSession
from support.casework import facts_of, make_hold
from support.counting import statements
from support.events import bodies, told
from support.merging import merge
from support.receivables import (
    DUE,
    Parties,
    at_work,
    instalment_ids,
    lines,
    make_debtor,
    make_invoice,
    make_parties,
    make_receipt,
)
from support.tenants import NOW

SOON = NOW + timedelta(days=3)


def hld(view: HoldView) -> UUID:
    return ids.decode("hld", view.id)


async def waiting(session: TenantSession) -> list[tuple[UUID, object]]:
    """What is due to end."""
    await session.flush()
    rows = await session.execute(select(Due.object_id, Due.due_at).where(Due.kind == ENDS))
    return [(object_id, due_at) for object_id, due_at in rows]


async def test_the_narrowest_target_is_held(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        view = await make_invoice(session, parties)
        (line,) = instalment_ids([view])
        on_debtor = await make_hold(session, debtor_id=parties.debtor_id)
        on_invoice = await make_hold(session, invoice_id=ids.decode("inv", view.id), amount_minor=500)
        on_line = await make_hold(session, instalment_id=line, ends_at=SOON)
        assert await waiting(session) == [(hld(on_line), SOON)]
    assert (on_debtor.debtor_id, on_debtor.invoice_id, on_debtor.instalment_id) == (parties.debtor.id, None, None)
    assert (on_invoice.debtor_id, on_invoice.invoice_id, on_invoice.instalment_id) == (parties.debtor.id, view.id, None)
    assert (on_line.invoice_id, on_line.instalment_id) == (view.id, view.instalments[0].id)
    assert (on_line.starts_at, on_line.ends_at, on_line.version) == (NOW, SOON, 1)


async def test_what_cannot_be_held_is_refused(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    async with at_work(database, other_tenant_id) as session:
        foreign = await make_invoice(session, await make_parties(session))
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        view = await make_invoice(session, parties)
        invoice_id = ids.decode("inv", view.id)
        other = ids.decode("dbt", (await make_debtor(session)).id)
        invalid: list[tuple[dict[str, Any], str]] = [  # Any: fields of a draft
            ({}, "/debtor_id"),
            ({"debtor_id": parties.debtor_id, "amount_minor": 5}, "/amount_minor"),
            ({"invoice_id": invoice_id, "amount_minor": 0}, "/amount_minor"),
            ({"invoice_id": invoice_id, "debtor_id": other}, "/debtor_id"),
            ({"instalment_id": instalment_ids([view])[0], "invoice_id": ids.new_id()}, "/invoice_id"),
            ({"debtor_id": other, "ends_at": NOW}, "/ends_at"),
            ({"debtor_id": other, "starts_at": SOON, "ends_at": SOON}, "/ends_at"),
            ({"debtor_id": other, "note": "x" * 2_001}, "/note"),
        ]
        for fields, pointer in invalid:
            with pytest.raises(Invalid) as refused:
                await make_hold(session, **fields)
            assert [fault.pointer for fault in refused.value.errors] == [pointer]
        absent: list[tuple[dict[str, Any], type[NotFound]]] = [  # Any: as above
            ({"debtor_id": ids.new_id()}, DebtorNotFound),
            ({"invoice_id": ids.decode("inv", foreign.id)}, InvoiceNotFound),
            ({"instalment_id": instalment_ids([foreign])[0]}, InstalmentNotFound),
        ]
        for fields, error in absent:
            with pytest.raises(error):
                await make_hold(session, **fields)
        assert await queries.holds(session, HoldFilter(), now=NOW, limit=5) == []


async def test_release_then_conflict(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        view = await make_hold(session, debtor_id=parties.debtor_id, ends_at=SOON)
        with pytest.raises(PreconditionFailed):
            await holds.release(session, hld(view), NOW, expected_version=7)
        released = await holds.release(session, hld(view), NOW, expected_version=1)
        assert await waiting(session) == []
        with pytest.raises(HoldNotOpen):
            await holds.release(session, hld(view), NOW)
        with pytest.raises(HoldNotOpen):
            await holds.change_hold(session, hld(view), HoldChange(note="late"), NOW)
    assert (released.ends_at, released.ended_at, released.version) == (NOW, NOW, 2)


async def test_one_that_has_not_begun_never_begins(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        (line,) = instalment_ids([await make_invoice(session, parties)])
        view = await make_hold(session, debtor_id=parties.debtor_id, starts_at=SOON)
        facts = await facts_of(session, [line])
        assert await active_holds(session, facts, NOW) == {}
        assert list(await active_holds(session, facts, SOON)) == [line]
        released = await holds.release(session, hld(view), NOW)
        await session.flush()
        assert await active_holds(session, facts, SOON) == {}
    assert (released.starts_at, released.ends_at) == (SOON, SOON)


async def test_a_change_moves_the_end(database: Database, tenant_id: UUID) -> None:
    later = SOON + timedelta(days=1)
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        view = await make_hold(session, debtor_id=parties.debtor_id, ends_at=SOON)
        moved = await holds.change_hold(session, hld(view), HoldChange(ends_at=later, note="Waiting"), NOW)
        assert await waiting(session) == [(hld(view), later)]
        same = await holds.change_hold(session, hld(view), HoldChange(ends_at=later), NOW)
        with pytest.raises(Invalid):
            await holds.change_hold(session, hld(view), HoldChange(amount_minor=5), NOW)
    async with at_work(database, tenant_id) as session:
        with pytest.raises(Invalid):
            await holds.change_hold(session, hld(view), HoldChange(ends_at=NOW), NOW)
    async with at_work(database, tenant_id) as session:
        forever = await holds.change_hold(session, hld(view), HoldChange(ends_at=None), NOW)
        assert await waiting(session) == []
    assert (moved.version, moved.ends_at, moved.note) == (2, later, "Waiting")
    assert same == moved
    assert (forever.version, forever.ends_at) == (3, None)


async def test_its_end_is_told_once_and_opens_the_task_that_it_asks_for(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        asks = await make_hold(session, debtor_id=parties.debtor_id, ends_at=SOON, on_end=OnEnd.TASK, note="Call back")
        quiet = await make_hold(session, debtor_id=parties.debtor_id, ends_at=SOON)
        gone = await make_hold(session, debtor_id=parties.debtor_id, ends_at=SOON)
        moved = await make_hold(session, debtor_id=parties.debtor_id, ends_at=SOON)
        await holds.release(session, hld(gone), NOW)
        await holds.change_hold(session, hld(moved), HoldChange(ends_at=SOON + timedelta(days=9)), NOW)
    every = [hld(view) for view in (asks, quiet, gone, moved)]
    late = SOON + timedelta(hours=5)
    for _ in range(2):
        async with at_work(database, tenant_id) as session:
            await end_holds(session, every, late)
    ended = [event for event in await told(database, tenant_id) if event.type == "hold.ended"]
    assert {event.object_id for event in ended} == {hld(asks), hld(quiet)}
    assert {event.occurred_at for event in ended} == {SOON}
    async with at_work(database, tenant_id) as session:
        (task,) = await queries.tasks(session, TaskFilter(), limit=5)
        row = await access.hold(session, hld(asks))
    assert (task.kind, task.subject_id, task.debtor_id, task.detail) == (
        "hold_ended", asks.id, parties.debtor.id, "Call back",
    )  # fmt: skip
    assert (row.ended_at, row.ends_at, row.version) == (late, SOON, 2)


async def test_a_source_sets_its_hold_once(database: Database, tenant_id: UUID) -> None:
    source: dict[str, Any] = {
        "source": HoldSource.DISPUTE,
        "source_id": ids.new_id(),
        "reason": HoldReason.DISPUTE,
    }  # Any: as above
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        first = await make_hold(session, debtor_id=parties.debtor_id, **source)
        again = await make_hold(session, debtor_id=parties.debtor_id, **source)
        assert len(await queries.holds(session, HoldFilter(), now=NOW, limit=5)) == 1
    assert again == first


async def test_what_holds_a_debt(database: Database, tenant_id: UUID) -> None:
    split = lines((4_000, DUE + timedelta(days=30)), (6_000, DUE))
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        cut = await make_invoice(session, parties, "F-1", due_on=None, instalments=split)
        whole = await make_invoice(session, parties, "F-2")
        free = await make_invoice(session, Parties(parties.creditor, await make_debtor(session)), "F-3")
        last, first = instalment_ids([cut])
        (second,), (third,) = instalment_ids([whole]), instalment_ids([free])
        part = await make_hold(session, invoice_id=ids.decode("inv", cut.id), amount_minor=7_000, ends_at=SOON)
        extra = await make_hold(session, instalment_id=last, amount_minor=100, reason=HoldReason.DISPUTE)
        block = await make_hold(session, invoice_id=ids.decode("inv", whole.id), reason=HoldReason.DATA_ERROR)
        facts = await facts_of(session, [last, first, second, third])
        held = await active_holds(session, facts, NOW)
        assert held == {
            first: Held((), 6_000, (hld(part),), SOON),
            last: Held((), 1_100, (hld(part), hld(extra)), SOON),
            second: Held(("data_error",), 0, (hld(block),), None),
        }
        await make_receipt(session, parties, 6_000, allocations="auto")
        after = await active_holds(session, await facts_of(session, [last, first]), NOW)
    assert (after[last].amount_minor, first in after) == (4_000, False)


async def test_a_merged_debtors_hold_holds_the_group(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        root = await make_parties(session)
        member = Parties(root.creditor, await make_debtor(session))
        await merge(session, member.debtor_id, root.debtor_id)
        (line,) = instalment_ids([await make_invoice(session, root)])
        await make_hold(session, debtor_id=member.debtor_id, reason=HoldReason.INSOLVENCY)
        held = await active_holds(session, await facts_of(session, [line]), NOW)
    assert held[line].reasons == ("insolvency",)


async def test_the_queries_do_not_grow_with_the_debts(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        views: list[InvoiceView] = []
        for place in range(6):
            parties = await make_parties(session)
            views.append(await make_invoice(session, parties, f"F-{place}"))
            await make_hold(session, invoice_id=ids.decode("inv", views[-1].id), amount_minor=10)
        every = instalment_ids(views)
        counts: list[int] = []
        for some in (every[:1], every):
            facts = await facts_of(session, some)
            with statements(database) as sent:
                assert len(await active_holds(session, facts, NOW)) == len(some)
            counts.append(len(sent))
    assert counts == [2, 2]


async def test_a_hold_waits_for_whoever_is_sending(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        view = await make_hold(session, debtor_id=parties.debtor_id)

    async def impatiently(*, release: bool) -> None:
        async with at_work(database, tenant_id) as session:
            await session.execute(text("set local lock_timeout = '50ms'"))
            if release:
                await holds.release(session, hld(view), NOW)
            else:
                await holds.set_hold(session, NewHold(debtor_id=parties.debtor_id), NOW)

    async with at_work(database, tenant_id) as sender:
        await lock_debtors(sender, [parties.debtor_id])
        for release in (False, True):
            with pytest.raises(DBAPIError, match="lock timeout"):
                await impatiently(release=release)
    for release in (False, True):
        await impatiently(release=release)


async def test_another_tenants_hold_does_not_exist(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        view = await make_hold(session, debtor_id=(await make_parties(session)).debtor_id)
    async with at_work(database, other_tenant_id) as session:
        with pytest.raises(HoldNotFound):
            await holds.release(session, hld(view), NOW)


async def test_the_lists_find_what_they_name(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties, others = await make_parties(session), await make_parties(session)
        opened = await make_invoice(session, parties)
        one = await make_hold(session, debtor_id=parties.debtor_id, reason=HoldReason.PROMISE)
        two = await make_hold(session, invoice_id=ids.decode("inv", opened.id), starts_at=SOON)
        three = await make_hold(session, debtor_id=others.debtor_id)

        async def found(wanted: HoldFilter) -> list[str]:
            return [view.id for view in await queries.holds(session, wanted, now=NOW, limit=10)]

        assert await found(HoldFilter()) == [three.id, two.id, one.id]
        assert await found(HoldFilter(debtor_id=parties.debtor_id)) == [two.id, one.id]
        assert await found(HoldFilter(invoice_id=ids.decode("inv", opened.id))) == [two.id]
        assert await found(HoldFilter(reason=HoldReason.PROMISE)) == [one.id]
        assert await found(HoldFilter(active=True)) == [three.id, one.id]
        assert await found(HoldFilter(active=False)) == [two.id]


async def test_a_note_is_kept_under_the_debtors_key(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        await make_hold(session, debtor_id=(await make_parties(session)).debtor_id, note="Ill until Monday")
    rows = [row for row in await told(database, tenant_id) if row.type == "hold.set"]
    assert "Monday" not in rows[0].payload
    assert (await bodies(database, tenant_id, rows))[0].view["note"] == "Ill until Monday"
