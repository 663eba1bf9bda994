import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from typing import Final

import httpx
import psutil
from anyio import to_thread

from storage.database import Database
from storage.embedded import servers
from storage.embedded.layout import POSTGRES_SOCKET, VALKEY_SOCKET
from support.processes import END_S, START_S, Child, Place, answers, living, until
from support.promises import Promises
from support.storms import Client, Tenant, make_tenants, receive

ROOT: Final = os.geteuid() == 0
INTRUDER: Final = """
import json, os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
def tried(path):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
    except PermissionError:
        return "denied"
    return "open"
print(json.dumps([tried(path) for path in sys.argv[1:]]))
"""


async def up(place: Place) -> Child:
    """`relance up`, once its API answers and its worker works."""
    child = place.relance("up", "--no-demo")
    await until(
        lambda: (answers(place.port) and child.says("worker_started")) or not child.alive, START_S, "relance up"
    )
    assert child.alive, child.tail()
    return child


def family(place: Place, child: Child) -> list[int]:
    """It, everything that it started, and the servers with everything that they started."""
    running = servers.status(place.data_dir)
    roots = [psutil.Process(pid) for pid in (child.process.pid, running.postgres, running.valkey) if pid is not None]
    return [each.pid for root in roots for each in (root, *root.children(recursive=True))]


def left_behind(place: Place) -> list[int]:
    """Whoever runs with the place's folder in its words or its environment's name of the data folder."""
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            words, named = process.cmdline(), process.environ().get("RELANCE_DATA_DIR")
        except psutil.Error:
            continue
        if named == str(place.data_dir) or any(str(place.data_dir) in word for word in words):
            found.append(process.pid)
    return found


async def test_what_was_up_is_up_again_after_a_kill(
    place: Place, stricken: Database, client: Client, promises: Promises, *, full: bool
) -> None:
    (tenant,) = await make_tenants(place, stricken, 1, 0)
    await stricken.close()
    place.leave_servers()
    references = list[str]()
    for kill in range(2 if full else 1):
        first = await up(place)
        everybody = family(place, first)
        references.append((await receive(client, tenant, f"before the kill {kill}")).id)
        first.kill()
        await until(
            lambda of=everybody[1:]: not [p for p in living(of) if is_ours(p)], END_S, "serve and worker to end"
        )
    second = await up(place)
    everybody = family(place, second)
    if ROOT:
        denied = await to_thread.run_sync(nobody_tries, place)
        promises.exactly("servers that another user of the machine can connect to", denied.count("open"), 0)
    there = {receipt["id"] for receipt in await receipts(place, tenant)}
    promises.exactly("writes lost by a kill of everything", len(set(references) - there), 0)
    references.append((await receive(client, tenant, "after the kill")).id)
    if full:
        await child_dies(place, second)
        references.append((await receive(client, tenant, "after a child's death")).id)
        everybody += family(place, second)
    took_s = await second.end()
    promises.at_most("seconds until a stop has ended everything", took_s, END_S)
    promises.exactly("processes left after a stop", len(living(everybody)) + len(left_behind(place)), 0)
    promises.judge()


async def child_dies(place: Place, child: Child) -> None:
    """Kill the API alone; another one takes its place."""
    (api,) = [each for each in psutil.Process(child.process.pid).children() if "serve" in each.cmdline()]
    api.send_signal(signal.SIGKILL)
    await until(lambda: not living([api.pid]), END_S, "its death")
    await until(lambda: answers(place.port), START_S, "another API")


def is_ours(process: psutil.Process) -> bool:
    """A process of the product, not a server: those may wait for the next start."""
    try:
        return any("cli" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def nobody_tries(place: Place) -> list[str]:
    """What `nobody` meets at the servers' doors, with the folder before them open."""
    place.folder.chmod(0o755)
    place.data_dir.chmod(0o755)
    doors = [str(place.data_dir / "run" / name) for name in (POSTGRES_SOCKET, VALKEY_SOCKET)]
    command = [sys.executable, "-c", INTRUDER, *doors]
    found: list[str] = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=END_S).stdout)
    return found


async def receipts(place: Place, tenant: Tenant) -> list[dict[str, str]]:
    async with httpx.AsyncClient(base_url=place.url) as http:
        answer = await http.get("/v1/receipts?limit=100", headers={"Authorization": f"Bearer {tenant.key}"})
    found: list[dict[str, str]] = answer.raise_for_status().json()["data"]
    return found


async def test_up_that_is_stopped_while_it_starts_leaves_nothing(place: Place, *, full: bool) -> None:
    place.leave_servers()
    moments = ("postgres.pid", "valkey.pid")
    for moment in moments * 5 if full else moments[:1]:  # a stop that came at a bad instant was lost once in thirty
        for name in moments:
            (place.data_dir / name).unlink(missing_ok=True)
        child = place.relance("up", "--no-demo")
        await until((place.data_dir / moment).exists, START_S, moment)
        await asyncio.sleep(random.uniform(0, 0.3))
        child.ask()
        await until(lambda of=child: not of.alive, END_S, "relance up to stop")
        assert child.process.returncode in {0, 128 + signal.SIGTERM}, child.tail()  # 0 once it was up
        assert left_behind(place) == []
