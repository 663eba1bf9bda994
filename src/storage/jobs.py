"""Durable jobs: long work with progress that survives the death of whoever does it (advancing a clock, an import)."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base
from storage.events import Rung
from storage.queues import Queue, Queued, queue_indexes
from storage.session import TenantSession, memory, tenant_of

if TYPE_CHECKING:
    from storage.database import Database


class JobRow(Queued, Base):
    """One piece of long work: `pending`, `leased`, `done` or `failed`; it says how far it is."""

    __tablename__ = "job"
    __table_args__ = queue_indexes("job")

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(server_default=text("1"))
    kind: Mapped[str] = mapped_column(Text)
    params: Mapped[str] = mapped_column(Text)
    progress: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    finished_at: Mapped[datetime | None]


JOBS: Final = Queue(name="job", table="app.job", per_tenant=1, tenants=1)  # one a claim: others are for other workers


class Paused(Exception):
    """The job gives its worker back for others, to be gone on with later; written to be resumed."""


def _never() -> bool:
    return False


class JobContext(Struct, frozen=True):
    """What a job's handler works with: its row, a way to open units of work, and a pump for one tenant's queues."""

    database: "Database"
    tenant_id: UUID
    job_id: UUID
    fence: int
    params: str
    drain: Callable[[], Awaitable[bool]]  # works off what is runnable now; False when the tenant is quiet
    pausing: Callable[[], bool] = _never  # whether the job is to raise Paused at its next step


async def add(session: TenantSession, job_id: UUID, kind: str, params: str) -> None:
    """Queue long work."""
    row = JobRow(tenant_id=tenant_of(session), id=job_id, kind=kind, params=params, state="pending")
    session.add(row)
    memory(session, Rung).queues.add("job")
