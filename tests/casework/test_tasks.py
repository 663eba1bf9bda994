"""Tasks: one is open per cause; a person takes it and closes it."""

from uuid import UUID

import pytest

from casework import queries, tasks
from casework.errors import TaskNotFound, TaskNotOpen
from casework.models import TaskState
from casework.queries import TaskFilter
from casework.tasks import NewTask
from kernel import ids
from kernel.errors import Invalid, PreconditionFailed
from storage.database import Database
from support.events import bodies, told
from support.receivables import at_work, make_parties
from support.tenants import NOW


async def test_one_is_open_per_cause(database: Database, tenant_id: UUID) -> None:
    subject = ids.new_id()
    async with at_work(database, tenant_id) as session:
        for _ in range(2):
            await tasks.open_task(session, kind="message_unknown", subject_id=subject, title="Find out", now=NOW)
        news = [NewTask(kind=kind, subject_id=subject, title="x") for kind in ("message_unknown", "reaction_dead")]
        opened = await tasks.open_tasks(session, [*news, news[1]], NOW)
        every = await queries.tasks(session, TaskFilter(), limit=9)
    assert [task.kind for task in opened] == ["reaction_dead"]
    assert [(task.kind, task.subject_id) for task in every] == [
        ("reaction_dead", None),
        ("message_unknown", ids.encode("msg", subject)),
    ]
    async with at_work(database, tenant_id) as session:
        await tasks.close_task(session, ids.decode("tsk", every[1].id), TaskState.DONE, NOW)
        await session.flush()
        assert len(await tasks.open_tasks(session, news, NOW)) == 1


async def test_it_is_assigned_and_closed_once(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        news = [NewTask(kind="debtor_call", subject_id=parties.debtor_id, debtor_id=parties.debtor_id, title="Call")]
        (task,) = await tasks.open_tasks(session, news, NOW)
        task_id = ids.decode("tsk", task.id)
        taken = await tasks.assign_task(session, task_id, "Claire", NOW)
        same = await tasks.assign_task(session, task_id, " Claire ", NOW)
        with pytest.raises(PreconditionFailed):
            await tasks.close_task(session, task_id, TaskState.DONE, NOW, expected_version=1)
        closed = await tasks.close_task(session, task_id, TaskState.DISMISSED, NOW, expected_version=2)
        with pytest.raises(TaskNotOpen):
            await tasks.close_task(session, task_id, TaskState.DONE, NOW)
        with pytest.raises(TaskNotOpen):
            await tasks.assign_task(session, task_id, None, NOW)
        with pytest.raises(TaskNotFound):
            await tasks.assign_task(session, ids.new_id(), None, NOW)
    assert (taken.version, taken.assignee, taken.subject_id) == (2, "Claire", parties.debtor.id)
    assert same == taken
    assert (closed.version, closed.state, closed.closed_at) == (3, TaskState.DISMISSED, NOW)
    types = [event.type for event in await told(database, tenant_id) if event.object_id == task_id]
    assert types == ["task.opened", "task.assigned", "task.closed"]


async def test_what_is_no_task_is_refused(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        for kind, title in (("", "x"), ("k" * 61, "x"), ("k", " "), ("k", "x" * 201)):
            with pytest.raises(Invalid):
                await tasks.open_task(session, kind=kind, subject_id=ids.new_id(), title=title, now=NOW)


async def test_the_list_finds_what_it_names(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        mine = NewTask(kind="a", subject_id=ids.new_id(), debtor_id=parties.debtor_id, title="1", assignee="Claire")
        other = NewTask(kind="b", subject_id=ids.new_id(), title="2")
        await tasks.open_tasks(session, [mine, other], NOW)

        async def found(wanted: TaskFilter) -> set[str]:
            return {task.title for task in await queries.tasks(session, wanted, limit=9)}

        assert await found(TaskFilter()) == {"1", "2"}
        assert await found(TaskFilter(kind="b")) == {"2"}
        assert await found(TaskFilter(debtor_id=parties.debtor_id)) == {"1"}
        assert await found(TaskFilter(assignee="Claire")) == {"1"}
        assert await found(TaskFilter(state=TaskState.DONE)) == set()
    async with at_work(database, other_tenant_id) as session:
        assert await queries.tasks(session, TaskFilter(), limit=9) == []


async def test_details_without_a_debtor_are_sealed_too(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        await tasks.open_task(session, kind="a", subject_id=ids.new_id(), title="x", detail="Ask Jean", now=NOW)
    rows = [row for row in await told(database, tenant_id) if row.type == "task.opened"]
    assert "Jean" not in rows[0].payload
    assert (await bodies(database, tenant_id, rows))[0].view["detail"] == "Ask Jean"
