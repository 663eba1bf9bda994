"""Access rows: refusals, reads of secrets, log-ins. Each is committed by itself, since what it tells may roll back."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, func
from sqlalchemy.orm import Mapped, mapped_column

from kernel import ids
from storage.base import Base
from storage.session import TenantSession, tenant_of


class AccessRow(Base):
    """One look or refusal worth keeping: who, what, with which outcome."""

    __tablename__ = "access_row"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    caller: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[str | None] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


def note(
    session: TenantSession, *, caller: str, action: str, outcome: str, request_id: str | None, detail: str
) -> None:
    """Add an access row; open a unit of work of its own for it."""
    session.add(
        AccessRow(
            tenant_id=tenant_of(session),
            id=ids.new_id(),
            caller=caller,
            action=action,
            outcome=outcome,
            request_id=request_id,
            detail=detail[:500],
        )
    )
