"""Policies: published versions, the one default, and what cannot be carried out is refused."""

from typing import Final
from uuid import UUID

import anyio
import pytest
from msgspec.structs import replace

from dunning import policies
from dunning.errors import PolicyNameTaken, PolicyNotFound
from dunning.rules import PolicyInvalid, default_body
from kernel import ids
from storage.database import Database
from support.chasing import at_work
from support.stories import rows
from support.tenants import NOW

BODY: Final = default_body()


async def test_a_tenant_begins_with_one_default_however_many_ask_at_once(database: Database, tenant_id: UUID) -> None:
    async def ask() -> None:
        async with at_work(database, tenant_id) as session:
            await policies.default_version(session, NOW)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
    found = await rows(database, tenant_id, "select name, is_default from app.policy")
    assert found == [("default", True)]
    assert await rows(database, tenant_id, "select number, state from app.policy_version") == [(1, "published")]


async def test_the_next_version_replaces_the_one_in_force_and_keeps_it(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        made = await policies.create(session, "ours", BODY, NOW)
    policy_id = ids.decode("pol", made.id)
    async with at_work(database, tenant_id) as session:
        later = await policies.publish(session, policy_id, replace(BODY, minimum_days_between=7), NOW)
        assert (made.number, later.number, later.rules.minimum_days_between) == (1, 2, 7)
        with pytest.raises(PolicyNotFound):
            await policies.publish(session, ids.new_id(), BODY, NOW)
    assert await rows(database, tenant_id, "select number, state from app.policy_version order by 1") == [
        (1, "archived"),
        (2, "published"),
    ]


async def test_a_name_is_taken_once_and_the_newest_default_counts(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        await policies.create(session, "one", BODY, NOW, default=True)
        await policies.create(session, "two", BODY, NOW, default=True)
    with pytest.raises(PolicyNameTaken):
        async with at_work(database, tenant_id) as session:
            await policies.create(session, "two", BODY, NOW)
    assert await rows(database, tenant_id, "select name from app.policy where is_default") == [("two",)]


async def test_a_step_that_nobody_can_word_is_refused(database: Database, tenant_id: UUID) -> None:
    unworded = replace(BODY, steps=(replace(BODY.steps[1], template="telegram"),))
    with pytest.raises(PolicyInvalid) as refused:
        async with at_work(database, tenant_id) as session:
            await policies.create(session, "ours", unworded, NOW)
    assert [(fault.pointer, fault.code) for fault in refused.value.errors] == [("/steps/0/template", "unknown")]
    assert await rows(database, tenant_id, "select count(*) from app.policy") == [(0,)]
