"""What the API stands on, built once by `cli` and passed down; nothing here is global."""

from typing import Final, Protocol

from msgspec import Struct

from runtime.egress import HttpSettings
from runtime.metrics import Metrics
from storage.blobs import PostgresBlobs
from storage.database import Database

MAX_BODY_BYTES: Final = 1_000_000


class Allowance(Struct, frozen=True):
    """What a limiter says of one request."""

    allowed: bool
    policy: str  # the value of RateLimit-Policy
    left: str  # the value of RateLimit
    retry_after_s: int = 0


class Limiter(Protocol):
    """Counts requests; one that cannot count lets them pass."""

    async def take(self, caller: str, tenant: str) -> Allowance | None:
        """Count one request of a caller and its tenant; None when nothing can be said."""
        ...


class ApiSettings(Struct, frozen=True, kw_only=True):
    """How the API presents itself."""

    public_url: str = "http://127.0.0.1:8000"  # how the world reaches it: in links and problem types
    metrics_token: str | None = None  # without one, /metrics does not exist
    key_cache_s: float = 5.0  # a revoked key may still be recognised for so long
    body_timeout_s: float = 30.0  # a client that stops in the middle of its body


class Drain:
    """Says whether the process is on its way out: readiness then fails, and connections are closed after an answer."""

    def __init__(self) -> None:
        self.begun = False

    def start(self) -> None:
        """Take no new clients from now on."""
        self.begun = True


class Egress:
    """Which URLs that callers give may be called: a class, since the framework looks into structs."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings


class Resources(Struct, kw_only=True):
    """Everything that handlers reach, each owned by whoever built it."""

    database: Database
    signing_secret: bytes  # of cursors and links
    metrics: Metrics
    egress: Egress = Egress(HttpSettings())
    limiter: Limiter | None = None
    blobs: PostgresBlobs | None = None
    drain: Drain
