import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from storage.database import Database
from storage.embedded import servers
from storage.migrating import migrate_now
from support.processes import Place
from support.promises import Promise, Promises, shown
from support.storms import Client

TABLE = pytest.StashKey[list[Promise]]()
FAILED = pytest.StashKey[bool]()
LEASE_S = 3


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    table = config.stash.setdefault(TABLE, [])
    if table and config.getoption("--full"):
        terminalreporter.section("promises and figures")
        terminalreporter.write_line(shown(table))


@pytest.fixture
def promises(request: pytest.FixtureRequest) -> Promises:
    """Counts what this scenario promises; `make fault` prints it."""
    return Promises(request.node.name, request.config.stash.setdefault(TABLE, []))


@pytest.fixture(scope="session")
def template() -> Generator[Path]:
    """A data folder whose database has been migrated, at rest."""
    folder = Path(tempfile.mkdtemp(prefix="relance-", dir="/tmp"))
    embedded = servers.start(folder / "data")
    try:
        migrate_now(embedded.database_urls.owner, embedded.passwords)
    finally:
        servers.leave(embedded)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def place(request: pytest.FixtureRequest, template: Path, *, full: bool) -> Generator[Place]:
    """Servers of this test's own, durable as in production; the ends of all logs are shown when it fails."""
    place = Place(lease_s=LEASE_S, template=template, forked=not full)
    try:
        place.start_servers()
        yield place
        if request.node.stash.get(FAILED, False):
            print(*(child.tail() for child in place.children), sep="\n")
    finally:
        place.close()


@pytest.fixture
async def stricken(place: Place) -> AsyncGenerator[Database]:
    """The place's database, seen by the test."""
    database = place.open_database()
    yield database
    await database.close()


@pytest.fixture
async def client(place: Place) -> AsyncGenerator[Client]:
    """Who writes through the API."""
    async with Client(place) as client:
        yield client
