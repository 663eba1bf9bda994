"""What every test may ask for: servers, databases, tenants. See support.databases for how clean a database is."""

import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack
from typing import Protocol, cast
from uuid import UUID

import msgspec
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings

from cli.composition import build_registry
from storage.database import Database, Urls
from storage.encryption import KeyProvider, LocalKeyProvider
from storage.registry import Registry
from support.clusters import EMBEDDED, Cluster, Running, Server
from support.databases import Workbench
from support.tenants import make_tenant

RUNNING = pytest.StashKey[Running]()
HANDED = "relance_cluster"


class Node(Protocol):
    """A worker as xdist's controller sees it."""

    config: pytest.Config
    workerinput: dict[str, str]


settings.register_profile("relance", deadline=None)  # two cores carry the servers as well: time says nothing
settings.load_profile("relance")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="tests/contract and tests/faults at their full length")


def pytest_configure(config: pytest.Config) -> None:
    running = config.stash[RUNNING] = Running()
    handed: str | None = getattr(config, "workerinput", {}).get(HANDED)
    if handed is not None:
        running.given(msgspec.json.decode(handed, type=Cluster))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Node) -> None:
    """Runs in xdist's controller, once for each worker."""
    cluster = node.config.stash[RUNNING].cluster()
    node.workerinput[HANDED] = msgspec.json.encode(cluster).decode()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[RUNNING].leave()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Whether the whole of a long test is wanted, or the form that fits into every run."""
    return bool(pytestconfig.getoption("--full"))


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Cluster:
    """The servers of this run."""
    return pytestconfig.stash[RUNNING].cluster()


@pytest.fixture(scope="session")
def redis_url(cluster: Cluster) -> str:
    """The Valkey of this run, shared by all its tests: keys carry a random prefix."""
    return cluster.redis_url


@pytest.fixture(scope="session")
def portal() -> Generator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="session")
def workbenches(cluster: Cluster, portal: BlockingPortal) -> Generator[Callable[[Server], Workbench]]:
    made: dict[str, Workbench] = {}
    with ExitStack() as stack:

        def workbench_of(server: Server) -> Workbench:
            if server.name not in made:
                made[server.name] = Workbench(server, portal)
                stack.callback(made[server.name].close)
            return made[server.name]

        yield workbench_of


@pytest.fixture
def server(request: pytest.FixtureRequest, cluster: Cluster) -> Server:
    """The embedded server; a module marked `support.marks.both_servers` runs on PostgreSQL 15 as well."""
    name = cast("str", getattr(request, "param", EMBEDDED))
    if name in cluster.missing:
        why = f"no {name}: {cluster.missing[name]}"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return cluster.databases[name]


@pytest.fixture
def workbench(server: Server, workbenches: Callable[[Server], Workbench]) -> Workbench:
    return workbenches(server)


@pytest.fixture
def database_urls(workbench: Workbench) -> Generator[Urls]:
    """A migrated database with no rows, one URL a role; what the test commits is gone afterwards."""
    with workbench.database() as name:
        yield workbench.server.urls(name)


@pytest.fixture
def empty_database_url(workbench: Workbench) -> Generator[str]:
    """A superuser's URL of a database without anything, for tests of migrations."""
    with workbench.empty() as name:
        yield workbench.server.superuser(name)


@pytest.fixture(scope="session")
def key_provider(tmp_path_factory: pytest.TempPathFactory) -> KeyProvider:
    return LocalKeyProvider(tmp_path_factory.mktemp("keys") / "kek")


@pytest.fixture
def registry() -> Registry:
    """What the product is composed of; tests below the packages override it with `support.registries`."""
    return build_registry()


@pytest.fixture
async def database(database_urls: Urls, key_provider: KeyProvider, registry: Registry) -> AsyncGenerator[Database]:
    """The product's way into a fresh database."""
    database = Database(database_urls, key_provider, registry, application="relance-test")
    yield database
    await database.close()


@pytest.fixture
async def tenant_id(database: Database) -> UUID:
    """A sandbox in automatic mode whose test clock stands at NOW."""
    return await make_tenant(database)


@pytest.fixture
async def other_tenant_id(database: Database) -> UUID:
    """Another one, of another account."""
    return await make_tenant(database)
