"""Tables of webhooks: endpoints, deliveries (event × endpoint) and their attempts."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Index, LargeBinary, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, TenantRow, TextEnum, one_of
from storage.queues import Queued


class EndpointState(StrEnum):
    """A disabled endpoint gets nothing until it is enabled again; a removed one is kept for its deliveries alone."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    REMOVED = "removed"


class DeliveryState(StrEnum):
    """`pending` → `leased` → `delivered`, or back to `pending` until the last try has left it `exhausted`."""

    PENDING = "pending"
    LEASED = "leased"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    PARKED = "parked"  # its endpoint is disabled; enabling it brings the delivery back
    DROPPED = "dropped"  # nobody wants it: the receiver said so, or its endpoint was removed


class Endpoint(TenantRow, Base):
    """Where a tenant wants its events posted."""

    __tablename__ = "endpoint"
    __table_args__ = (one_of("state", EndpointState), Index("ix_endpoint_position", "tenant_id", "position"))

    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    types: Mapped[str] = mapped_column(Text)  # space-separated globs
    api_version: Mapped[str] = mapped_column(Text)
    include_backfill: Mapped[bool] = mapped_column(Boolean, default=False)
    timeout_s: Mapped[int] = mapped_column(default=15)
    state: Mapped[EndpointState] = mapped_column(TextEnum(EndpointState))
    disabled_code: Mapped[str | None] = mapped_column(Text)
    disabled_at: Mapped[datetime | None]  # in the tenant's time
    key_version: Mapped[int] = mapped_column(BigInteger)
    secrets: Mapped[bytes] = mapped_column(LargeBinary)  # sealed under the tenant's key
    position: Mapped[int] = mapped_column(BigInteger)  # the log position up to which deliveries exist
    failing_since_at: Mapped[datetime | None]  # system time of the first failure since the last success


class Delivery(Queued, Base):
    """One event for one endpoint."""

    __tablename__ = "delivery"
    __table_args__ = (
        one_of("state", DeliveryState),
        # By endpoint, so that a claim steps from one to the next: no backlog of one stands before the others.
        Index(
            "ix_delivery_pending", "tenant_id", "endpoint_id", "run_at", "id",
            postgresql_where=text("state = 'pending'"),
        ),
        Index("ix_delivery_held", "lease_until", postgresql_where=text("state = 'leased'")),
        Index("ix_delivery_endpoint", "tenant_id", "endpoint_id", "id"),
        Index("ix_delivery_event", "tenant_id", "event_id"),
        {"postgresql_partition_by": "RANGE (id)"},
    )  # fmt: skip

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID]
    event_id: Mapped[UUID]
    delivered_at: Mapped[datetime | None]
    last_status: Mapped[int | None] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class DeliveryAttempt(Base):
    """One try: what was answered, or why nothing was."""

    __tablename__ = "delivery_attempt"
    __table_args__ = (
        Index("ix_delivery_attempt_delivery", "tenant_id", "delivery_id", "id"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    delivery_id: Mapped[UUID]
    endpoint_id: Mapped[UUID]
    fence: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[str | None] = mapped_column(Text)  # of an error, in words that the endpoint's owner may read
    duration_ms: Mapped[int] = mapped_column(BigInteger)
    response: Mapped[bytes | None] = mapped_column(LargeBinary)  # at most 16 KiB
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
