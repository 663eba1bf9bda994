"""Start, adopt and stop the embedded servers of a data folder.

Whoever calls `start` uses the servers until it calls `leave` or dies. The last to leave stops them; those whose
users all died by `kill -9` run on, and the next `start` adopts them. Everything here blocks and is meant to run
before any event loop.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from storage.embedded import postgres, processes, valkey
from storage.embedded.errors import ServerFailed
from storage.embedded.layout import POSTGRES_PORT, VALKEY_SOCKET, Layout, check_owned, layout
from storage.embedded.locks import Use, held
from storage.embedded.ownership import Runner, let_through, make_folder, runner
from storage.embedded.passwords import SUPERUSER, Secrets, load_or_make
from storage.embedded.programs import Programs, find

TURN_LIMIT_S: Final = 60.0
UNRESPONSIVE_LIMIT_S: Final = 5.0
USE_LIMIT_S: Final = 5.0
FORKED_LIMIT_S: Final = 1.0  # a server that is just being forked holds our own lock until it is itself


class Urls(Struct, frozen=True, kw_only=True):
    """One SQLAlchemy URL a role; `owner` is the superuser, who becomes relance_owner by SET ROLE."""

    app: str
    dispatcher: str
    pump: str
    owner: str
    admin: str

    def __repr__(self) -> str:
        return "Urls(…)"


class Embedded(Struct, frozen=True, kw_only=True):
    """The running servers, as their users need them."""

    data_dir: Path
    database_urls: Urls
    redis_url: str
    redis_socket_path: str
    redis_password: str
    passwords: dict[str, str]  # of each LOGIN role, for whoever creates the roles
    started: bool  # whether this call started a server, or only adopted both
    use: Use

    def __repr__(self) -> str:
        return f"Embedded({str(self.data_dir)!r}, started={self.started})"


class Status(Struct, frozen=True, kw_only=True):
    """The pid of each server that runs."""

    postgres: int | None
    valkey: int | None


def start(data_dir: Path, *, fsync: bool = True) -> Embedded:
    """Start or adopt both servers, and use them from now on; `fsync` counts only for a server that is started."""
    place = layout(data_dir)
    place.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_owned(place)
    who = runner()
    let_through(place.data_dir, who)
    with held(place.of("lock"), limit_s=TURN_LIMIT_S) as lock:
        programs = find(who, place.of("programs"))
        use = Use(place.of("users.lock"), limit_s=USE_LIMIT_S)
        try:
            make_folder(place.of("run"), who)
            kept = load_or_make(place)
            began = _start_postgres(place, who, programs, kept, fsync=fsync, lock=lock)
            began = _start_valkey(place, who, programs, kept, fsync=fsync) or began
        except BaseException:  # also Ctrl-C: what nobody uses must not stay behind
            if use.end(limit_s=FORKED_LIMIT_S):
                processes.end(_servers(place, who))
            raise
    return _embedded(place, kept, use, started=began)


def leave(embedded: Embedded) -> bool:
    """Use the servers no longer; stops them, and says so, when nobody else does."""
    place = layout(embedded.data_dir)
    with held(place.of("lock"), limit_s=TURN_LIMIT_S):
        last = embedded.use.end()
        if last:
            processes.end(_servers(place, runner()))
    return last


def stop(data_dir: Path) -> None:
    """Stop both servers, whoever uses them; none runs afterwards, and none need have run before."""
    place = layout(data_dir)
    if place.of("lock").exists():
        check_owned(place)
        with held(place.of("lock"), limit_s=TURN_LIMIT_S):
            processes.end(_servers(place, runner()))


def status(data_dir: Path) -> Status:
    """What runs now; disturbs nobody."""
    place = layout(data_dir)
    if not place.of("lock").exists():
        return Status(postgres=None, valkey=None)
    check_owned(place)
    database, doorbell = _servers(place, runner())
    return Status(postgres=processes.pid_of(database), valkey=processes.pid_of(doorbell))


def _servers(place: Layout, who: Runner) -> tuple[processes.Server, processes.Server]:
    return postgres.server(place, who), valkey.server(place, who)


def _start_postgres(place: Layout, who: Runner, programs: Programs, kept: Secrets, *, fsync: bool, lock: int) -> bool:
    server = postgres.server(place, who)
    if _adopted(server, lambda: postgres.wait_until_ready(server, place, programs, kept)):
        return False
    postgres.prepare(place, who, programs, kept, fsync=fsync, lock=lock)
    processes.launch(server, programs.postgres_bin / "postgres")
    postgres.wait_until_ready(server, place, programs, kept)
    return True


def _start_valkey(place: Layout, who: Runner, programs: Programs, kept: Secrets, *, fsync: bool) -> bool:
    server = valkey.server(place, who)
    if _adopted(server, lambda: valkey.wait_until_ready(server, place, kept)):
        return False
    valkey.prepare(place, who, kept, fsync=fsync)
    processes.launch(server, programs.valkey)
    valkey.wait_until_ready(server, place, kept)
    return True


def _adopted(server: processes.Server, wait: Callable[[], None]) -> bool:
    """Whether a server that runs can be used; one that hangs, or is but the rest of one that was killed, is ended."""
    if not processes.is_alive(server):
        return False
    if processes.pid_of(server) is not None:
        with suppress(ServerFailed):
            wait()
            return True
    processes.end([server], limit_s=UNRESPONSIVE_LIMIT_S)
    return False


def _embedded(place: Layout, kept: Secrets, use: Use, *, started: bool) -> Embedded:
    socket_path = str(place.of("run") / VALKEY_SOCKET)
    return Embedded(
        data_dir=place.data_dir,
        database_urls=Urls(
            app=_url(place, kept, "relance_app"),
            dispatcher=_url(place, kept, "relance_dispatcher"),
            pump=_url(place, kept, "relance_pump"),
            owner=_url(place, kept, SUPERUSER),
            admin=_url(place, kept, "relance_admin"),
        ),
        redis_url=f"unix://:{kept.valkey}@{socket_path}",
        redis_socket_path=socket_path,
        redis_password=kept.valkey,
        passwords={role: password for role, password in kept.postgres.items() if role != SUPERUSER},
        started=started,
        use=use,
    )


def _url(place: Layout, kept: Secrets, role: str) -> str:
    """The port names the socket, and keeps the driver from asking the environment for one."""
    where = f"host={quote(str(place.of('run')))}&port={POSTGRES_PORT}"
    return f"postgresql+asyncpg://{role}:{kept.postgres[role]}@/{postgres.DATABASE}?{where}"
