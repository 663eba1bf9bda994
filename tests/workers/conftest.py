from collections.abc import AsyncGenerator

import pytest

from cli.composition import build_registry
from storage.database import Database
from storage.registry import Registry
from support.stories import open_engine
from workers.engine import Engine


@pytest.fixture
def registry() -> Registry:
    """Everything composed, as in the product."""
    return build_registry()


@pytest.fixture
async def engine(database: Database) -> AsyncGenerator[Engine]:
    async with open_engine(database) as engine:
        yield engine
