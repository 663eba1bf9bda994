import asyncio
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import anyio
import psutil
from msgspec import Struct

from storage.database import Database
from storage.embedded import servers
from support.processes import Child, Place, until
from support.promises import Promises, judge_messages, judge_receipts, judge_webhooks, until_quiet
from support.storms import Answered, Client, Tenant, advance, bill, keep_receiving, make_tenants, receive

DELAY_S: Final = 10.0  # what losing the doorbell may cost
WORKERS: Final = 2
TENANTS: Final = 2


class Size(Struct, frozen=True):
    """How often."""

    debtors: int  # of each tenant
    timed: int  # writes whose way is timed, in each phase
    deaths: int  # of PostgreSQL


SMALL: Final = Size(debtors=20, timed=1, deaths=1)
FULL: Final = Size(debtors=200, timed=10, deaths=5)


class Scene(Struct, frozen=True):
    """Sandboxes with debts that are due, two workers and the API at work on them, and a client."""

    tenants: list[Tenant]
    workers: list[Child]
    client: Client


@asynccontextmanager
async def at_work(place: Place, database: Database, client: Client, debtors: int) -> AsyncGenerator[Scene]:
    """All of them must still run at the end, and then stop as they should."""
    await place.capture(delay_ms=60)
    tenants = await make_tenants(place, database, TENANTS, debtors)
    children = [place.relance("worker") for _ in range(WORKERS)]
    api = await place.serve()
    for worker in children:
        await worker.until_says("worker_started")
    yield Scene(tenants, children, client)
    for child in (*children, api):
        assert child.alive, child.tail()
        child.ask()
    for child in (*children, api):
        await child.end()


async def delay_s(place: Place, scene: Scene) -> float:
    """How long a write takes to arrive as a webhook."""
    answered = await receive(scene.client, scene.tenants[1], "timed")
    began = time.monotonic()
    await until(lambda: any(hook.object_id == answered.id for hook in place.hooked()), 60, "the webhook")
    return time.monotonic() - began


def kill_server(name: str, pid: int | None) -> psutil.Process:
    """End one of the place's own servers as a power cut would."""
    assert pid is not None
    process = psutil.Process(pid)
    assert process.name().startswith(name)
    process.send_signal(signal.SIGKILL)
    return process


async def test_work_goes_on_when_a_server_dies(
    place: Place, stricken: Database, client: Client, promises: Promises, *, full: bool
) -> None:
    size = FULL if full else SMALL
    async with at_work(place, stricken, client, size.debtors) as scene:
        await valkey_dies(place, scene, promises, size)
        await until_quiet(stricken, 120)
        for tenant in scene.tenants:
            await bill(stricken, tenant, size.debtors, series="G")
        acknowledged = await postgresql_dies(place, scene, promises, size)
        await until_quiet(stricken, 180)
        await judge_messages(promises, stricken, place, planned=2 * TENANTS * size.debtors)
        await judge_webhooks(promises, stricken, place)
        await judge_receipts(promises, stricken, scene.tenants[0], acknowledged, scene.client)
        promises.judge()


async def valkey_dies(place: Place, scene: Scene, promises: Promises, size: Size) -> None:
    """Messages fall due and receipts are recorded while it is away, before and after the doorbells have given up."""
    present = [await delay_s(place, scene) for _ in range(size.timed)]
    kill_server("valkey", servers.status(place.data_dir).valkey)
    await advance(scene.client, scene.tenants)
    absent = [await delay_s(place, scene) for _ in range(size.timed)]
    for worker in scene.workers:
        await worker.until_says("doorbell worker ended")
    absent += [await delay_s(place, scene) for _ in range(size.timed)]
    await anyio.to_thread.run_sync(place.start_servers)
    again = [await delay_s(place, scene) for _ in range(size.timed)]
    promises.tell("seconds from a write to its webhook, Valkey present", max(present))
    promises.at_most("seconds from a write to its webhook, Valkey absent", max(absent), DELAY_S)
    promises.at_most("seconds from a write to its webhook, Valkey back", max(again), DELAY_S)


async def postgresql_dies(place: Place, scene: Scene, promises: Promises, size: Size) -> list[Answered]:
    """Receipts are recorded and messages sent all the while; returns what the API acknowledged."""
    calm, back_s, captured = anyio.Event(), list[float](), len(place.captured())
    receiving = asyncio.create_task(keep_receiving(scene.client, scene.tenants[0], calm))
    advancing = asyncio.create_task(advance(scene.client, scene.tenants, minutes=2, within_s=120))
    for death in range(size.deaths):
        mails = captured + (death + 1) * TENANTS * size.debtors // (2 * size.deaths + 1)
        await until(lambda wanted=mails: len(place.captured()) >= wanted, 120, f"{mails} mails")
        back_s.append(await die_and_return(place, scene))
    calm.set()
    await advancing
    promises.tell("deaths of PostgreSQL", size.deaths)
    promises.at_least("503 with Retry-After while it was away", scene.client.unavailable, size.deaths)
    promises.at_most("seconds until writes succeed again", max(back_s), DELAY_S)
    return await receiving


async def die_and_return(place: Place, scene: Scene) -> float:
    """Kill PostgreSQL, let everybody notice, start it again; returns how long the API then took to write."""
    process = kill_server("postgres", servers.status(place.data_dir).postgres)
    before = scene.client.unavailable
    await until(lambda: scene.client.unavailable > before, 30, "the API to say that it is unavailable")
    await until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 30, "its end")
    await anyio.to_thread.run_sync(place.start_servers)
    began = time.monotonic()
    answered: Answered = await receive(scene.client, scene.tenants[1], "after a death", within_s=60)
    assert answered.id
    return time.monotonic() - began
