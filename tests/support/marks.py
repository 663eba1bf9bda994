"""Marks that more than one module puts on its tests."""

from typing import Final

import pytest

from support.clusters import EMBEDDED, POSTGRES_15

# `pytestmark = both_servers`: production is older than the embedded server, and is reached over TCP.
both_servers: Final = pytest.mark.parametrize("server", [EMBEDDED, POSTGRES_15], indirect=True)
