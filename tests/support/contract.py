"""A real API process over a real database, and schemathesis let loose on it."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from casework.holds import NewHold, set_hold
from casework.tasks import open_task
from cli.settings import Settings, read
from cli.supervising import start, stop_all
from cli.world import Servers, open_database, servers
from dunning import policies
from dunning.rules import default_body
from storage.clocks import now_of
from storage.database import Database
from support.stories import bill, make_cast, pay
from support.tenants import CAUSE, make_tenant
from tenants import keys as api_keys

TIMEOUT_S: Final = 1_800

CONFIG: Final = """
seed = 1
continue-on-failure = true
[generation]
max-examples = {examples}
[checks]
max_response_time = 10.0
[checks.positive_data_acceptance]
expected-statuses = ["2xx","3xx","401","403","404","409","412","422","429"]
[checks.negative_data_rejection]
expected-statuses = ["400","401","403","404","405","406","409","412","415","422","428","429"]
[checks.missing_required_header]
expected-statuses = ["400","401","403","406","415","422","428"]
[warnings]
fail-on = ["missing_auth", "unused_openapi_auth"]
"""
ONE_TENANT: Final = """
[auth.openapi.apiKey]
bearer = "${CONTRACT_KEY_A}"
"""
TWO_TENANTS: Final = """
[auth.wfc]
path = "wfc.yaml"
user = "a"
peers = ["a", "b"]
"""
WFC: Final = """
auth:
  - name: a
    fixedHeaders: [{{name: Authorization, value: "Bearer {a}"}}]
  - name: b
    fixedHeaders: [{{name: Authorization, value: "Bearer {b}"}}]
"""


@contextmanager
def serving(folder: Path) -> Generator[tuple[str, tuple[str, str]]]:
    """A real `relance serve` over servers of its own; answers where it listens and the keys of two tenants."""
    settings = replace(read({}), data_dir=folder / "data")
    with servers(settings) as where:
        keys = asyncio.run(_two_tenants(settings, where))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        environment = {
            "RELANCE_DATA_DIR": str(settings.data_dir),
            "RELANCE_PORT": str(port),
            "RELANCE_REQUESTS_PER_MINUTE": "10000000",
        }
        with (folder / "serve.log").open("ab") as log:
            child = start(["serve"], environment=environment, output=log)
            try:
                _wait_until_ready(f"http://127.0.0.1:{port}", folder)
                yield f"http://127.0.0.1:{port}", keys
            finally:
                stop_all([child])


async def _two_tenants(settings: Settings, where: Servers) -> tuple[str, str]:
    database = open_database(settings, where, application="contract")
    try:
        made = [await _key_of(database, await make_tenant(database)) for _ in range(2)]
    finally:
        await database.close()
    return made[0], made[1]


async def _furnish(database: Database, tenant_id: UUID) -> None:
    """One object of each kind that lists show first, so that links between operations lead somewhere."""
    cast = await make_cast(database, tenant_id)
    invoice_id = await bill(database, cast, "F-1", date(2026, 3, 20))
    await pay(database, cast, 20_00)
    async with database.tenant(tenant_id, CAUSE) as session:
        now = await now_of(session)
        await set_hold(session, NewHold(invoice_id=invoice_id), now)
        await policies.create(session, "default", default_body(), now, default=True)
        await open_task(session, kind="invoice_look", subject_id=invoice_id, title="Look", now=now)


async def _key_of(database: Database, tenant_id: UUID) -> str:
    await _furnish(database, tenant_id)
    async with database.tenant(tenant_id, CAUSE) as session:
        key = await api_keys.create(session, name="contract", scopes=["*"], now=await now_of(session))
    assert key.secret is not None
    return key.secret


def _wait_until_ready(base: str, folder: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{base}/health/ready", timeout=1):  # noqa: S310 - our own server
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError((folder / "serve.log").read_text("utf-8", "replace")[-2_000:])


def unleash(base: str, folder: Path, keys: tuple[str, str], *options: str, examples: int, peers: bool) -> str:
    """Run schemathesis; returns what it said. Raises AssertionError with it when it found anything."""
    auth = TWO_TENANTS if peers else ONE_TENANT
    (folder / "schemathesis.toml").write_text(CONFIG.format(examples=examples) + auth, "utf-8")
    (folder / "wfc.yaml").write_text(WFC.format(a=keys[0], b=keys[1]), "utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{base}/openapi.json", "--workers", "1", *options]
    environment = os.environ | {"CONTRACT_KEY_A": keys[0], "PYTHONWARNINGS": "default", "NO_COLOR": "1"}
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said[-30_000:]
    assert "passed" in said, said[-3_000:]  # a run that tried nothing proves nothing
    return said
