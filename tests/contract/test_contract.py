"""The API against its own document, by a tool that is not ours; with two tenants, by each other's ids."""

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from support.contract import serving, unleash

Api = tuple[str, tuple[str, str]]

SMALL = ("--include-path-regex", "^/v1/(policies|debtors|holds)")


@pytest.fixture(scope="module")
def api() -> Generator[Api]:
    folder = Path(tempfile.mkdtemp(prefix="relance-contract-"))  # short: sockets lie in it
    folder.chmod(0o755)
    try:
        with serving(folder) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def scope(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Everything in the full form, a few resources in the small one."""
    return () if request.config.getoption("--full") else SMALL


def test_every_answer_is_one_that_the_document_promises(api: Api, scope: tuple[str, ...], tmp_path: Path) -> None:
    base, keys = api
    said = unleash(base, tmp_path, keys, "--phases", "coverage,stateful", *scope, examples=3, peers=False)
    print(said[-4_000:])


def test_no_tenant_reaches_anothers_objects(api: Api, scope: tuple[str, ...], tmp_path: Path) -> None:
    base, keys = api
    checks = ("--checks", "object_level_authorization,not_a_server_error")
    said = unleash(base, tmp_path, keys, "--phases", "stateful", *checks, *scope, examples=10, peers=True)
    print(said[-4_000:])
