"""Debtors who become one and two again: roots, locks, amounts, whatever the order of merges and their undoing."""

import asyncio
from contextlib import nullcontext
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from kernel import ids
from receivables import identifiers, queries
from receivables.contacts import update_contact
from receivables.debtors import update_debtor
from receivables.drafts import ContactChange, DebtorChange, NewDebtor
from receivables.errors import (
    DebtorMerged,
    DebtorNotFound,
    DebtorNotMerged,
    MergeContradicts,
    MergeInvalid,
    ParentInvalid,
)
from receivables.facts import billing_contacts, debt_facts
from receivables.identifiers import DEBTORS, Identifier
from receivables.locks import debtors_locked, lock_debtors
from receivables.merges import groups_of, roots_of
from receivables.merging import merge, preview_merge, preview_unmerge, unmerge
from receivables.queries import DebtorFilter, InvoiceFilter
from storage.database import Database
from storage.session import TenantSession
from support.events import told
from support.receivables import (
    at_work,
    instalment_ids,
    make_contact,
    make_debtor,
    make_invoice,
    make_parties,
    make_receipt,
)
from support.tenants import NOW, make_tenant

SIREN, OTHER_SIREN = Identifier("siren", "552100554"), Identifier("siren", "542065479")


async def debtor(session: TenantSession, **fields: Any) -> UUID:  # Any: fields
    return ids.decode("dbt", (await make_debtor(session, **fields)).id)


async def test_merged_debtors_are_read_as_one_and_nothing_moves(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        one, two = await make_parties(session), await make_parties(session)
        two.creditor_id = one.creditor_id
        views = [await make_invoice(session, one, "F-1"), await make_invoice(session, two, "F-2", 5_000)]
        await make_receipt(session, two, 700)
        await make_contact(session, two.debtor_id, email="two@petit.example")
    async with at_work(database, tenant_id) as session:
        preview = await preview_merge(session, two.debtor_id, one.debtor_id)
        view = await merge(session, two.debtor_id, one.debtor_id, NOW)
    assert (preview.moved.invoices, preview.moved.contacts, preview.moved.receipts) == (1, 1, 1)
    assert (preview.moved.open_minor, preview.moved.unapplied_minor) == ({"EUR": 5_000}, {"EUR": 700})
    assert (view.merged_into_id, view.version) == (ids.encode("dbt", one.debtor_id), 2)
    async with at_work(database, tenant_id) as session:
        listed = await queries.invoices(session, InvoiceFilter(debtor_id=two.debtor_id), now=NOW, limit=9)
        assert {each.debtor_id for each in listed} == {ids.encode("dbt", each.debtor_id) for each in (one, two)}
        facts = await debt_facts(session, instalment_ids(views))
        assert {fact.debtor_id for fact in facts.values()} == {one.debtor_id}
        assert {fact.unapplied_minor for fact in facts.values()} == {700}
        assert [each.email for each in (await billing_contacts(session, [one.debtor_id]))[one.debtor_id]] == [
            "two@petit.example"
        ]
        assert (await preview_unmerge(session, two.debtor_id)).moved == preview.moved
        await unmerge(session, two.debtor_id, NOW)
    async with at_work(database, tenant_id) as session:
        (only,) = await queries.invoices(session, InvoiceFilter(debtor_id=two.debtor_id), now=NOW, limit=9)
        assert only.number == "F-2"
        facts = await debt_facts(session, instalment_ids(views))
        assert [facts[each].unapplied_minor for each in instalment_ids(views)] == [0, 700]
    assert [row.type for row in await told(database, tenant_id) if row.type.endswith("merged")] == [
        "debtor.merged",
        "debtor.unmerged",
    ]


async def test_what_cannot_be_merged_is_refused(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    async with at_work(database, other_tenant_id) as session:
        stranger = await debtor(session)
    async with at_work(database, tenant_id) as session:
        one, two, three = [await debtor(session, name=f"D{place}") for place in range(3)]
        for into in (stranger, ids.new_id()):
            with pytest.raises(DebtorNotFound):
                await merge(session, one, into, NOW)
        with pytest.raises(MergeInvalid):
            await merge(session, one, one, NOW)
        with pytest.raises(DebtorNotMerged):
            await unmerge(session, one, NOW)
        first = await merge(session, one, two, NOW)
        assert await merge(session, one, two, NOW) == first
        with pytest.raises(MergeInvalid):  # a circle
            await merge(session, two, one, NOW)
        with pytest.raises(DebtorMerged):
            await merge(session, one, three, NOW)


async def test_ids_that_contradict_must_be_forced(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        one = await debtor(session, identifiers=(SIREN,))
        two = await debtor(session, identifiers=(OTHER_SIREN,))
        assert (await preview_merge(session, two, one)).contradicts
        with pytest.raises(MergeContradicts):
            await merge(session, two, one, NOW)
        await merge(session, two, one, NOW, force=True)
        found = await identifiers.owners(session, DEBTORS, [SIREN, OTHER_SIREN])
        assert found == {SIREN: one, OTHER_SIREN: two}  # no id moves: both lead to one root


async def test_a_merge_and_its_undoing_keep_the_lock_true(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        one, two, three = [await debtor(session) for _ in range(3)]
        await lock_debtors(session, [one, two])
        await merge(session, one, two, NOW)
        assert await lock_debtors(session, [one]) == {one: two}
        await unmerge(session, one, NOW)
        assert await lock_debtors(session, [one]) == {one: one}
        await merge(session, two, three, NOW)
        assert debtors_locked(session) == {one, three}


async def _waits(database: Database, tenant_id: UUID) -> bool:
    async with database.engine("owner").connect() as connection:
        waiting = text(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        return bool((await connection.execute(waiting)).scalar_one())


@pytest.mark.parametrize("verb", ["merge", "unmerge"])
async def test_who_waits_for_the_lock_finds_the_new_root(database: Database, tenant_id: UUID, verb: str) -> None:
    """A member whose group changes while somebody waits for its root: the waiter must hold the root of afterwards."""
    async with at_work(database, tenant_id) as session:
        one, two = await debtor(session), await debtor(session)
        if verb == "unmerge":
            await merge(session, one, two, NOW)

    async def wait_for_it() -> dict[UUID, UUID]:
        async with at_work(database, tenant_id) as session:
            return await lock_debtors(session, [one])

    async with at_work(database, tenant_id) as session:
        await (merge(session, one, two, NOW) if verb == "merge" else unmerge(session, one, NOW))
        waiter = asyncio.create_task(wait_for_it())
        while not await _waits(database, tenant_id):
            assert not waiter.done()
    assert await waiter == {one: two if verb == "merge" else one}


class Model:
    """Pointers as plain Python has them."""

    def __init__(self, count: int) -> None:
        self.into: dict[int, int | None] = dict.fromkeys(range(count))

    def root(self, one: int) -> int:
        above = self.into[one]
        return one if above is None else self.root(above)

    def group(self, one: int) -> set[int]:
        return {each for each in self.into if self.root(each) == self.root(one)}


STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=14)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_any_sequence_of_merges_gives_the_roots_of_plain_pointers(
    database: Database, steps: list[tuple[bool, int, int]]
) -> None:
    tenant_id = await make_tenant(database)
    async with at_work(database, tenant_id) as session:
        made = [await debtor(session, name=f"D{place}") for place in range(6)]
    model = Model(6)
    for is_merge, one, other in steps:
        expected = _step(model, is_merge, one, other)
        with nullcontext() if expected is None else pytest.raises(expected):
            async with at_work(database, tenant_id) as session:
                await (merge(session, made[one], made[other], NOW) if is_merge else unmerge(session, made[one], NOW))
    async with at_work(database, tenant_id) as session:
        roots = await roots_of(session, made)
        assert roots == {made[each]: made[model.root(each)] for each in range(6)}
        groups = await groups_of(session, set(roots.values()))
        for root, members in groups.items():
            assert set(members) == {made[each] for each in model.group(made.index(root))}
        for each in (place for place in range(6) if model.into[place] is not None):
            await unmerge(session, made[each], NOW)
        assert await roots_of(session, made) == {each: each for each in made}


def _step(model: Model, is_merge: bool, one: int, other: int) -> type[Exception] | None:  # noqa: FBT001 - drawn
    if not is_merge:
        refused = DebtorNotMerged if model.into[one] is None else None
        model.into[one] = None
        return refused
    if model.into[one] == other:
        return None
    if model.into[one] is not None:
        return DebtorMerged
    if model.root(other) == one:
        return MergeInvalid
    model.into[one] = other
    return None


async def test_parents_make_a_tree(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    async with at_work(database, other_tenant_id) as session:
        stranger = await debtor(session)
    async with at_work(database, tenant_id) as session:
        group = await debtor(session, name="Holding")
        child = await debtor(session, name="Filiale", parent_id=group)
        grandchild = await debtor(session, name="Magasin", parent_id=child)
        for debtor_id, parent_id in ((group, group), (group, grandchild), (child, stranger), (child, ids.new_id())):
            with pytest.raises(ParentInvalid):
                await update_debtor(session, debtor_id, DebtorChange(parent_id=parent_id), NOW)
        with pytest.raises(ParentInvalid):
            await debtor(session, parent_id=stranger)
        listed = await queries.debtors(session, DebtorFilter(parent_id=group), limit=9)
        assert [view.name for view in listed] == ["Filiale"]
        moved = await update_debtor(session, grandchild, DebtorChange(parent_id=None), NOW)
        assert (moved.parent_id, moved.version) == (None, 2)
        above = group
        for place in range(18):
            above = await debtor(session, name=f"L{place}", parent_id=above)
        with pytest.raises(ParentInvalid):  # deeper than 20
            await update_debtor(
                session, group, DebtorChange(parent_id=await debtor(session, parent_id=grandchild)), NOW
            )


async def test_primary_contacts_come_first_then_their_order(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        debtor_id = await debtor(session)
        views = [
            await make_contact(session, debtor_id, email=f"{name}@petit.example", position=place)
            for name, place in (("late", 9), ("early", 1))
        ]
        first = await make_contact(session, debtor_id, email="boss@petit.example", primary=True, position=5)

        async def order() -> list[str]:
            await session.flush()
            return [each.email.split("@")[0] for each in (await billing_contacts(session, [debtor_id]))[debtor_id]]

        assert await order() == ["boss", "early", "late"]
        await update_contact(session, ids.decode("ctc", views[0].id), ContactChange(primary=True), NOW)
        assert await order() == ["late", "early", "boss"]
        again = await queries.contacts(session, debtor_id=debtor_id, limit=9)
        assert [(view.id, view.primary, view.version) for view in again if view.id == first.id] == [
            (first.id, False, 2)
        ]


async def test_labels_and_addresses_change_as_a_whole_and_are_found(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        new = NewDebtor(name="Marchal", labels={"region": "nord", "segment": "retail"})
        debtor_id = await debtor(session, labels=new.labels)
        await debtor(session, labels={"region": "sud"})
        wanted = DebtorFilter(labels=(("region", "nord"), ("segment", "retail")))
        (view,) = await queries.debtors(session, wanted, limit=9)
        assert view.labels == {"region": "nord", "segment": "retail"}
        changed = await update_debtor(session, debtor_id, DebtorChange(labels={"region": "sud"}), NOW)
        assert (changed.labels, changed.version) == ({"region": "sud"}, 2)
        assert await queries.debtors(session, wanted, limit=9) == []
        assert len(await queries.debtors(session, DebtorFilter(labels=(("region", "sud"),)), limit=9)) == 2
