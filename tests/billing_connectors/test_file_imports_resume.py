"""Imports that are killed at any step, run by two at once, or lose their job: each row once, the same final state."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import anyio
import pytest

from billing_connectors.file_imports import running
from billing_connectors.file_imports.running import Params, Work, carry_out, cause_of
from kernel import ids
from storage.database import Database
from storage.jobs import Paused
from storage.session import TenantSession
from support.file_imports import Files, invoices, line, table


class Killed(BaseException):
    """The process ends here."""


def work_of(database: Database, tenant_id: UUID, import_id: str, *, dies_at: int = 10**9, batch: int = 7) -> Work:
    """The work of an import, in small batches, by a process that dies at the n-th step: before its commit, or after."""
    own = ids.decode("imp", import_id)
    steps = 0

    @asynccontextmanager
    async def step() -> AsyncGenerator[TenantSession]:
        nonlocal steps
        steps += 1
        async with database.tenant(tenant_id, cause_of(Params(own))) as session:
            yield session
            if steps == dies_at:
                raise Killed
        if steps == dies_at + 1:
            raise Killed

    return Work(step=step, keys=database.keys, import_id=own, batch=batch)


@pytest.mark.parametrize("seed", range(4))
async def test_killed_at_any_step_each_row_is_judged_once(files: Files, tenant_id: UUID, seed: int) -> None:
    """The whole life of a file of 60 rows, killed again and again; every kill is at another step."""
    chance = random.Random(seed)
    await files.creditor()
    import_id = await files.lay_out(table(*(line(n) for n in range(1, 60)), "F-5;02/03/2026;;Petit;;1,00;1,00"))
    await files.ok("post", f"/v1/imports/{import_id}/run")
    for _ in range(30):
        work = work_of(files.database, tenant_id, import_id, dies_at=chance.randint(2, 9))
        try:
            await carry_out(work)
        except Killed:
            continue
        break
    await carry_out(work_of(files.database, tenant_id, import_id))
    done = await files.ok("get", f"/v1/imports/{import_id}")
    assert done["state"] == "done"
    assert (done["rows"]["read"], done["rows"]["created"], done["rows"]["quarantined"]) == (60, 59, 1)
    assert await files.count("select count(*) from app.import_row") == 60
    assert await files.count("select count(*) from app.invoice") == 59
    assert await files.count("select count(*) from app.event where type = 'invoice.opened'") == 59
    assert (await files.events("import"))[-1] == "import.finished"


async def test_two_workers_on_one_import_bring_each_row_in_once(files: Files, tenant_id: UUID) -> None:
    await files.creditor()
    import_id = await files.lay_out(invoices(40))
    await files.ok("post", f"/v1/imports/{import_id}/run")

    async def carried_out() -> None:
        with suppress(running.JobLost):
            await carry_out(work_of(files.database, tenant_id, import_id, batch=5))

    async with anyio.create_task_group() as group:
        group.start_soon(carried_out)
        group.start_soon(carried_out)
    await carried_out()
    assert (await files.ok("get", f"/v1/imports/{import_id}"))["rows"]["created"] == 40
    assert await files.count("select count(*) from app.invoice") == 40


async def test_two_imports_of_one_file_at_once_bring_each_row_in_once(files: Files, tenant_id: UUID) -> None:
    await files.creditor()
    imports = [await files.lay_out(invoices(40)) for _ in range(2)]
    for import_id in imports:
        await files.ok("post", f"/v1/imports/{import_id}/run")
    async with anyio.create_task_group() as group:
        for import_id in imports:
            group.start_soon(carry_out, work_of(files.database, tenant_id, import_id, batch=5))
    done = [await files.ok("get", f"/v1/imports/{import_id}") for import_id in imports]
    assert sum(each["rows"]["created"] for each in done) == 40
    assert sum(each["rows"]["unchanged"] for each in done) == 40
    assert await files.count("select count(*) from app.invoice") == 40


async def test_a_worker_that_pauses_goes_on_later(files: Files, tenant_id: UUID) -> None:
    await files.creditor()
    import_id = await files.lay_out(invoices(20))
    await files.ok("post", f"/v1/imports/{import_id}/run")
    turns = iter([False, True])
    work = work_of(files.database, tenant_id, import_id, batch=5)
    paused = Work(step=work.step, keys=work.keys, import_id=work.import_id, batch=5, pausing=lambda: next(turns, False))
    with pytest.raises(Paused):
        await carry_out(paused)
    assert (await files.ok("get", f"/v1/imports/{import_id}"))["rows"]["read"] == 5
    done = await files.worked(import_id)
    assert (done["state"], done["rows"]["created"]) == ("done", 20)


async def test_one_row_that_breaks_its_batch_is_refused_alone(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in one row: planted, since none is known."""
    await files.creditor()
    judge = running.judging.judge

    async def faulty(*given: Any) -> Any:  # Any: the function's own
        if any(row.document is not None and row.document.number == "F-3" for row in given[-1]):
            raise RuntimeError("planted")
        return await judge(*given)

    monkeypatch.setattr(running.judging, "judge", faulty)
    done = await files.run(invoices(5))
    assert (done["state"], done["rows"]["created"], done["rows"]["reasons"]) == ("done", 4, {"internal": 1})


async def test_a_cancelled_import_stops_after_its_batch(files: Files, tenant_id: UUID) -> None:
    await files.creditor()
    import_id = await files.lay_out(invoices(20))
    await files.ok("post", f"/v1/imports/{import_id}/run")
    work = work_of(files.database, tenant_id, import_id, dies_at=5, batch=5)
    with pytest.raises(Killed):
        await carry_out(work)
    await files.ok("post", f"/v1/imports/{import_id}/cancel")
    done = await files.worked(import_id)
    assert done["state"] == "cancelled"
    assert 0 < done["rows"]["read"] < 20
    assert done["rows"]["created"] == await files.count("select count(*) from app.invoice")
