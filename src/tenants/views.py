"""Tenants, keys, clocks and jobs as the world sees them, in answers and in events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from kernel import ids
from storage.clocks import BusinessClock
from storage.jobs import JobRow
from tenants.models import ApiKey, KillSwitch, Mode, Tenant, TenantKind

JobState = Literal["queued", "running", "done", "failed"]
_JOB_STATES: dict[str, JobState] = {"pending": "queued", "leased": "running", "done": "done"}


class SwitchView(Struct, frozen=True, kw_only=True):
    """A kill switch: while it is stopped nothing leaves by that way."""

    scope: str  # `tenant`, or `channel:<name>`
    stopped: bool
    reason: str | None

    @classmethod
    def of(cls, row: KillSwitch) -> "SwitchView":
        """Show a switch."""
        return cls(scope=row.scope, stopped=row.stopped, reason=row.reason)


class TenantView(Struct, frozen=True, kw_only=True):
    """One isolated world: a company's live data, or a sandbox of it."""

    id: str
    version: int
    account_id: str
    slug: str
    kind: TenantKind
    mode: Mode
    switches: list[SwitchView]

    @classmethod
    def of(cls, row: Tenant, switches: Sequence[KillSwitch]) -> "TenantView":
        """Show a tenant with its switches, in the order of their scopes."""
        return cls(
            id=ids.encode("ten", row.tenant_id),
            version=row.version,
            account_id=ids.encode("acc", row.account_id),
            slug=row.slug,
            kind=row.kind,
            mode=row.mode,
            switches=[SwitchView.of(switch) for switch in sorted(switches, key=lambda switch: switch.scope)],
        )


class ApiKeyView(Struct, frozen=True, kw_only=True):
    """A program's credential; the secret itself is shown once, when it is made."""

    id: str
    version: int
    name: str
    last4: str
    scopes: list[str]
    api_version: str
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: ApiKey) -> "ApiKeyView":
        """Show a key."""
        return cls(
            id=ids.encode("key", row.id),
            version=row.version,
            name=row.name,
            last4=row.last4,
            scopes=row.scopes.split(),
            api_version=row.api_version,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )


class NewApiKey(Struct, frozen=True, kw_only=True):
    """A key with its secret, which is never shown again: a repeated request answers null."""

    api_key: ApiKeyView
    secret: str | None


class ClockView(Struct, frozen=True, kw_only=True):
    """The test clock of a sandbox; it stands still between advances."""

    id: str
    version: int  # grows with the instant that it shows
    now_at: datetime

    @classmethod
    def of(cls, row: BusinessClock) -> "ClockView":
        """Show a clock."""
        version = int(row.now_at.timestamp() * 1_000_000)
        return cls(id=ids.encode("clk", row.tenant_id), version=version, now_at=row.now_at)


class JobView(Struct, frozen=True, kw_only=True):
    """Long work that goes on after its request was answered."""

    id: str
    kind: str
    state: JobState
    progress: str | None
    error: str | None
    recorded_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: JobRow) -> "JobView":
        """Show a job."""
        return cls(
            id=ids.encode("job", row.id),
            kind=row.kind,
            state=_JOB_STATES.get(row.state, "failed"),
            progress=row.progress,
            error=row.error,
            recorded_at=row.recorded_at,
            finished_at=row.finished_at,
        )
