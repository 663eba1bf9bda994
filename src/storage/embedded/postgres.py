"""The embedded PostgreSQL: its files, its settings, and whether it answers."""

import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

import psutil

from storage.embedded.errors import ServerFailed
from storage.embedded.layout import POSTGRES_PORT, POSTGRES_SOCKET, Layout
from storage.embedded.locks import within
from storage.embedded.ownership import Runner, make_folder, write_private
from storage.embedded.passwords import SUPERUSER, Secrets
from storage.embedded.processes import CLEAN, Server, failure, is_alive
from storage.embedded.programs import Programs

DATABASE: Final = "relance"
INIT_LIMIT_S: Final = 60.0
START_LIMIT_S: Final = 30.0
RECOVERY_LIMIT_S: Final = 300.0  # it says that it is replaying what a crash left, at most max_wal_size
ASK_LIMIT_S: Final = 10.0
READY, STARTING = 0, 1  # exit codes of pg_isready

# Every role needs its password, on the socket too; there is no line for TCP or replication.
ACCESS: Final = "local all all scram-sha-256\n"

SETTINGS: Final = """\
# Written at each start.
listen_addresses = ''
unix_socket_directories = '{run}'
unix_socket_permissions = 0700
port = {port}
cluster_name = '{cluster}'
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = '128MB'
min_wal_size = '80MB'
max_wal_size = '1GB'
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
log_destination = 'stderr'
logging_collector = off
log_line_prefix = '%m [%p] '
log_checkpoints = off
log_error_verbosity = terse # the details and statements of errors hold personal data
log_min_error_statement = panic
"""
CREATE_DATABASE: Final = (
    f"select 'create database {DATABASE}' where not exists "  # noqa: S608 - a constant
    f"(select from pg_database where datname = '{DATABASE}') \\gexec\n"
)


def server(place: Layout, runner: Runner) -> Server:
    """How PostgreSQL is started, known and ended."""
    return Server(
        name="postgres",
        arguments=("-D", str(place.of("postgres"))),
        children=f"postgres: {_cluster(place)}: ",
        folder=place.of("postgres"),
        pid_path=place.of("postgres.pid"),
        log_path=place.of("postgres.log"),
        ask=signal.SIGINT,  # fast: roll back, close, write a checkpoint
        insist=signal.SIGQUIT,
        runner=runner,
    )


def prepare(place: Layout, runner: Runner, programs: Programs, kept: Secrets, *, fsync: bool, lock: int) -> None:
    """Make the cluster if there is none, write its settings, and clear away what a crash left."""
    folder = place.of("postgres")
    if not folder.exists():
        _initialise(place, runner, programs, kept, fsync=fsync, lock=lock)
    make_folder(folder, runner)
    durable = "on" if fsync else "off"
    settings = SETTINGS.format(run=place.of("run"), port=POSTGRES_PORT, cluster=_cluster(place), durable=durable)
    write_private(folder / "relance.conf", settings, runner)
    write_private(folder / "pg_hba.conf", ACCESS, runner)
    # Nothing of ours runs here. A pid in these files that lives belongs to somebody else by now, and PostgreSQL
    # would take it for a running server; a dead one it handles itself, looking after shared memory.
    for stale in (folder / "postmaster.pid", place.of("run") / f"{POSTGRES_SOCKET}.lock"):
        if _names_a_living_process(stale):
            stale.unlink()


def wait_until_ready(server: Server, place: Layout, programs: Programs, kept: Secrets) -> None:
    """Wait until it answers to our password and has our database."""
    probe = (str(programs.postgres_bin / "pg_isready"), "-q", "-h", str(place.of("run")), "-p", str(POSTGRES_PORT))
    replaying = False
    for limit_s in (START_LIMIT_S, RECOVERY_LIMIT_S):
        for _ in within(limit_s):
            if not is_alive(server):
                raise failure(server, "ended while it started")
            said = _run_client(probe, {})
            if said.returncode == READY:
                _ensure_database(server, place, programs, kept)
                return
            replaying = said.returncode == STARTING
        if not replaying:
            break
    raise failure(server, f"did not answer within {RECOVERY_LIMIT_S if replaying else START_LIMIT_S:.0f} s")


def _initialise(place: Layout, runner: Runner, programs: Programs, kept: Secrets, *, fsync: bool, lock: int) -> None:
    """Make the cluster beside its place and move it there whole, so that a crash leaves none or all of it.

    initdb keeps the lock: were we killed, it would go on, and the next start must not begin before it has ended.
    """
    draft = place.of("postgres.new")
    password_path = place.of("run") / "initdb"
    if draft.exists():
        shutil.rmtree(draft)
    make_folder(draft, runner)
    write_private(password_path, kept.postgres[SUPERUSER] + "\n", runner)
    command = [
        str(programs.postgres_bin / "initdb"), f"--pgdata={draft}", f"--username={SUPERUSER}",
        f"--pwfile={password_path}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
        *(() if fsync else ("--no-sync",)),
    ]  # fmt: skip
    try:
        made = subprocess.run(
            command, cwd=draft, env=CLEAN, timeout=INIT_LIMIT_S, check=False, pass_fds=(lock,),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, umask=0o077, user=runner.user, group=runner.group, extra_groups=runner.groups,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ServerFailed(f"initdb did not end within {INIT_LIMIT_S:.0f} s.") from error
    finally:
        password_path.unlink()
    if made.returncode != 0:
        raise ServerFailed(f"initdb said:\n{made.stdout[-2000:].strip()}")
    settings = (draft / "postgresql.conf").read_text(encoding="utf-8")
    write_private(draft / "postgresql.conf", settings + "include_if_exists = 'relance.conf'\n", runner)
    draft.rename(place.of("postgres"))


def _ensure_database(server: Server, place: Layout, programs: Programs, kept: Secrets) -> None:
    command = (
        str(programs.postgres_bin / "psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1",
        f"--host={place.of('run')}", f"--port={POSTGRES_PORT}", f"--username={SUPERUSER}", "--dbname=postgres",
    )  # fmt: skip
    said = _run_client(command, {"PGPASSWORD": kept.postgres[SUPERUSER]}, CREATE_DATABASE)
    if said.returncode != 0:
        raise failure(server, f"refused us: {said.stderr.strip()}")


def _run_client(
    command: tuple[str, ...], environment: dict[str, str], text: str = ""
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, env={**CLEAN, "PGCONNECT_TIMEOUT": "5", **environment}, cwd="/", input=text,
            capture_output=True, text=True, check=False, timeout=ASK_LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, returncode=2, stdout="", stderr="no answer in time")


def _cluster(place: Layout) -> str:
    """A name that tells this server's processes from those of any other."""
    return "relance-" + hashlib.sha256(os.fsencode(place.data_dir)).hexdigest()[:16]


def _names_a_living_process(path: Path) -> bool:
    try:
        first = path.read_text(encoding="ascii", errors="replace").partition("\n")[0]
        return psutil.pid_exists(int(first))
    except FileNotFoundError:
        return False
    except ValueError:  # torn by a crash: PostgreSQL calls it bogus and gives up
        return True
