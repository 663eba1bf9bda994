"""The servers of one test run: the embedded PostgreSQL and Valkey, and a PostgreSQL 15 where there is one.

The xdist controller starts them and hands them to its workers; without xdist the test process starts them when a test
first asks. Two runs in one checkout share the embedded servers; the last to leave stops them.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from msgspec import Struct
from sqlalchemy.engine import make_url

from storage.database import Urls
from storage.embedded import layout, servers
from storage.embedded.errors import DataDirTooLong, DataDirUnsafe, ServerFailed
from storage.roles import ADMIN, APP, DISPATCHER, PUMP
from support.servers import postgres_15

ROOT: Final = Path(__file__).resolve().parents[2]
EMBEDDED: Final = "embedded"
POSTGRES_15: Final = "postgres_15"
LOGIN_ROLES: Final = (APP, DISPATCHER, PUMP, ADMIN)
PASSWORD: Final = "relance-test"  # of the roles on a server that is not ours: the same for every run at once


class Server(Struct, frozen=True, kw_only=True):
    """A PostgreSQL that the tests may use as its superuser."""

    name: str
    superuser_url: str  # of a database that no test uses
    passwords: dict[str, str]

    def superuser(self, database: str) -> str:
        """The superuser's URL of a database."""
        return make_url(self.superuser_url).set(database=database).render_as_string(hide_password=False)

    def role(self, role: str, database: str) -> str:
        """A role's URL of a database."""
        url = make_url(self.superuser_url).set(username=role, password=self.passwords[role], database=database)
        return url.render_as_string(hide_password=False)

    def urls(self, database: str) -> Urls:
        """One URL a role: each logs in as itself, none is reached by SET ROLE."""
        return Urls(
            app=self.role(APP, database),
            dispatcher=self.role(DISPATCHER, database),
            pump=self.role(PUMP, database),
            admin=self.role(ADMIN, database),
            owner=self.superuser(database),
        )


class Cluster(Struct, frozen=True, kw_only=True):
    """What a run works with."""

    databases: dict[str, Server]
    redis_url: str
    missing: dict[str, str]  # which server is absent, and why


class Running:
    """The servers that this process uses, from its first question until `leave`."""

    def __init__(self) -> None:
        self._embedded: servers.Embedded | None = None
        self._cluster: Cluster | None = None

    def given(self, cluster: Cluster) -> None:
        """Use what the controller has started."""
        self._cluster = cluster

    def cluster(self) -> Cluster:
        """The servers, started now if nobody has."""
        if self._cluster is None:
            self._embedded = start_embedded()
            self._cluster = _describe(self._embedded)
        return self._cluster

    def leave(self) -> None:
        """Use them no longer; whoever started the last use stops them."""
        if self._embedded is not None:
            servers.leave(self._embedded)
        self._embedded = self._cluster = None


def start_embedded() -> servers.Embedded:
    """Start or adopt the embedded servers of this checkout; data that a crash has spoilt is thrown away."""
    home = _home()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return servers.start(home, fsync=False)
    except ServerFailed:  # without fsync, a power cut may leave files that no server can read
        servers.stop(home)
        shutil.rmtree(home)
        home.mkdir(mode=0o700)
        return servers.start(home, fsync=False)


def _home() -> Path:
    """A folder in the checkout, or elsewhere when its path is too long for a socket."""
    inside = ROOT / ".cache" / "relance-tests"
    try:
        return layout.layout(inside).data_dir
    except (DataDirTooLong, DataDirUnsafe):
        name = f"relance-tests-{os.geteuid()}-{hashlib.sha256(os.fsencode(ROOT)).hexdigest()[:8]}"
        return Path(tempfile.gettempdir()) / name


def _describe(embedded: servers.Embedded) -> Cluster:
    url = make_url(embedded.database_urls.owner).set(database="postgres").render_as_string(hide_password=False)
    databases = {EMBEDDED: Server(name=EMBEDDED, superuser_url=url, passwords=embedded.passwords)}
    missing: dict[str, str] = {}
    external, reason = postgres_15()
    if external is None:
        missing[POSTGRES_15] = reason
    else:
        passwords: dict[str, str] = dict.fromkeys(LOGIN_ROLES, PASSWORD)
        databases[POSTGRES_15] = Server(name=POSTGRES_15, superuser_url=external, passwords=passwords)
    return Cluster(databases=databases, redis_url=embedded.redis_url, missing=missing)
