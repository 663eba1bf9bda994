"""A PostgreSQL of the oldest supported version, for the tests that the embedded one alone cannot decide."""

import asyncio
import atexit
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from storage.embedded.ownership import Runner, give, runner

OLDEST = 150_000  # server_version_num
STANDARD_PORT = (  # trust or peer authentication; whoever set a password sets RELANCE_TEST_DATABASE_URL
    "postgresql+asyncpg://postgres@localhost:5432/postgres",
    "postgresql+asyncpg://postgres@/postgres?host=/var/run/postgresql&port=5432",
    "postgresql+asyncpg://root@/postgres?host=/var/run/postgresql&port=5432",
)
DEBIAN = Path("/usr/lib/postgresql/15/bin")
START_LIMIT_S = 30


@cache
def postgres_15() -> tuple[str | None, str]:
    """The SQLAlchemy URL of a superuser on a PostgreSQL 15 or newer, or None, and where it is or why there is none.

    It may start a private cluster, which ends with this process: call it once a run, in the xdist controller.
    """
    given = os.environ.get("RELANCE_TEST_DATABASE_URL")
    if given:
        flaw = _flaw(given)
        return (None, f"RELANCE_TEST_DATABASE_URL: {flaw}") if flaw else (given, "RELANCE_TEST_DATABASE_URL")
    flaws: list[str] = []
    for url in STANDARD_PORT:
        flaw = _flaw(url)
        if flaw is None:
            return url, "the server on the standard port"
        flaws.append(flaw)
    if (DEBIAN / "initdb").exists():
        return _private_cluster(), "a private cluster of Debian's programs"
    return None, f"no RELANCE_TEST_DATABASE_URL; standard port: {'; '.join(flaws)}; no programs in {DEBIAN}"


def require_postgres_15() -> str:
    """The same, or a skip that says why, which in CI is a failure."""
    url, reason = postgres_15()
    if url is not None:
        return url
    if os.environ.get("CI"):
        pytest.fail(f"no PostgreSQL 15 in CI: {reason}")
    pytest.skip(reason)


def _flaw(url: str) -> str | None:
    """What keeps the tests from using the server, if anything."""
    with ThreadPoolExecutor(1) as apart:  # the caller may already run an event loop
        return apart.submit(asyncio.run, _look(url.replace("+asyncpg", "", 1))).result()


async def _look(dsn: str) -> str | None:
    try:
        connection = await asyncpg.connect(dsn, timeout=5)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return str(error) or type(error).__name__
    try:
        number = int(await connection.fetchval("show server_version_num"))
        may = await connection.fetchval("select rolsuper from pg_roles where rolname = current_user")
    finally:
        await connection.close()
    if number < OLDEST:
        return f"server version {number} is older than {OLDEST}"
    return None if may else "not a superuser, who alone makes roles that bypass row-level security"


def _private_cluster() -> str:
    """A cluster without a port in a folder that nobody else can enter, so that it needs no password."""
    who = runner()
    home = Path(tempfile.mkdtemp(prefix="relance-pg15-", dir="/tmp"))
    give(home, who)
    data, options = home / "data", f"-k {home} -c listen_addresses='' -c fsync=off -c synchronous_commit=off"
    _run(who, home, "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    _run(who, home, "pg_ctl", "start", "-D", data, "-w", "-l", home / "log", "-o", options)
    atexit.register(_run, who, home, "pg_ctl", "stop", "-D", data, "-m", "immediate")
    return f"postgresql+asyncpg://postgres@/postgres?host={quote(str(home))}&port=5432"


def _run(who: Runner, home: Path, program: str, *arguments: str | Path) -> None:
    subprocess.run(
        (DEBIAN / program, *arguments), cwd=home, check=True, timeout=START_LIMIT_S, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        user=who.user, group=who.group, extra_groups=who.groups,
    )  # fmt: skip
