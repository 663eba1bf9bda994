"""An importer into the test's tenant, and a program that imports over the API; the reader serves all tests."""

from collections.abc import AsyncGenerator, Generator
from uuid import UUID

import pytest
from httpx import AsyncClient

from billing_connectors.documents.confined import ConfinedReader
from storage.database import Database
from support.api import *  # noqa: F403 - fixtures
from support.file_imports import Files
from support.importing import Importer
from support.stories import open_engine


@pytest.fixture(scope="session")
def reader() -> Generator[ConfinedReader]:
    with ConfinedReader() as reader:
        yield reader


@pytest.fixture
def importer(database: Database, tenant_id: UUID, reader: ConfinedReader) -> Importer:
    return Importer(database, tenant_id, reader)


@pytest.fixture
async def files(alice: AsyncClient, database: Database, tenant_id: UUID) -> AsyncGenerator[Files]:
    async with open_engine(database) as engine:
        yield Files(alice, engine, tenant_id)
