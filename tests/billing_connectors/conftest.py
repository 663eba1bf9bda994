"""An importer into the test's tenant; the confined reader serves all tests of the process."""

from collections.abc import Generator
from uuid import UUID

import pytest

from billing_connectors.documents.confined import ConfinedReader
from storage.database import Database
from support.importing import Importer


@pytest.fixture(scope="session")
def reader() -> Generator[ConfinedReader]:
    with ConfinedReader() as reader:
        yield reader


@pytest.fixture
def importer(database: Database, tenant_id: UUID, reader: ConfinedReader) -> Importer:
    return Importer(database, tenant_id, reader)
