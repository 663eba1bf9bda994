"""What the tests of webhooks share: the API, the outbound client and a receiver on loopback."""

from collections.abc import AsyncGenerator

import pytest

from runtime.http import Http, open_http
from support.api import *  # noqa: F403 - the fixtures of every test that speaks to the API
from support.receivers import Receiver, open_receiver
from support.webhooks import LOOPBACK


@pytest.fixture
async def http() -> AsyncGenerator[Http]:
    async with open_http(LOOPBACK) as http:
        yield http


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    """Verifies once its `secret` is that of an endpoint."""
    async with open_receiver() as receiver:
        yield receiver
