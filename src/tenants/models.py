"""Tables of accounts and tenants. `account`, `tenant_slug` and `platform_switch` are global and without a grant."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, Index, LargeBinary, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, TenantRow, TextEnum, one_of


class TenantKind(StrEnum):
    """A live tenant writes to real people; a sandbox reaches nobody."""

    LIVE = "live"
    SANDBOX = "sandbox"


class Mode(StrEnum):
    """What the dunning engine does by itself: nothing, plan and explain, or send."""

    OFF = "off"
    REVIEW = "review"
    AUTOMATIC = "automatic"


class Account(Base):
    """A company as our customer: it has one live tenant and any number of sandboxes. Global."""

    __tablename__ = "account"
    __table_args__ = (Index("uq_account_slug", "slug", unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class TenantSlug(Base):
    """The name by which a command finds a tenant. Global, since the name is unique everywhere."""

    __tablename__ = "tenant_slug"
    __table_args__ = (
        Index("uq_tenant_slug_live", "account_id", unique=True, postgresql_where=text("kind = 'live'")),
        one_of("kind", TenantKind),
    )

    slug: Mapped[str] = mapped_column(Text, primary_key=True)
    tenant_id: Mapped[UUID]
    account_id: Mapped[UUID]
    kind: Mapped[TenantKind] = mapped_column(TextEnum(TenantKind))


class PlatformSwitch(Base):
    """The platform owner's kill switches: `platform`, or `channel:<name>`. Global."""

    __tablename__ = "platform_switch"

    scope: Mapped[str] = mapped_column(Text, primary_key=True)
    stopped: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    reason: Mapped[str | None] = mapped_column(Text)


class Tenant(Base):
    """One isolated world: a company's live data, or a sandbox of it."""

    __tablename__ = "tenant"
    __table_args__ = (one_of("kind", TenantKind), one_of("mode", Mode))

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    slug: Mapped[str] = mapped_column(Text)
    kind: Mapped[TenantKind] = mapped_column(TextEnum(TenantKind))
    mode: Mapped[Mode] = mapped_column(TextEnum(Mode), default=Mode.REVIEW)
    cell: Mapped[str] = mapped_column(Text, server_default=text("'default'"))
    version: Mapped[int] = mapped_column(default=1)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class KillSwitch(Base):
    """A tenant's own switches: `tenant` or `channel:<name>`; its rows exist from the start, to be locked."""

    __tablename__ = "kill_switch"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(Text, primary_key=True)
    stopped: Mapped[bool] = mapped_column(Boolean, default=False)
    reason: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1)


class SendBudget(Base):
    """How many messages a tenant may send in one hour of its clock, and how many it has."""

    __tablename__ = "send_budget"
    __table_args__ = (CheckConstraint("used >= 0 and cap >= 0", name="counts"),)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    hour_at: Mapped[datetime]
    used: Mapped[int] = mapped_column(default=0)
    cap: Mapped[int] = mapped_column(default=5_000)


class ApiKey(TenantRow, Base):
    """A program's credential: only a hash of its secret is kept."""

    __tablename__ = "api_key"
    __table_args__ = (Index("ix_api_key_id", "id"),)

    name: Mapped[str] = mapped_column(Text)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    last4: Mapped[str] = mapped_column(Text)
    scopes: Mapped[str] = mapped_column(Text)  # space-separated
    api_version: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_on: Mapped[date | None]
