"""Session kinds: the type of a session says what it can reach, and none runs unbound.

`TenantSession` reaches one tenant's rows as `relance_app`; `QueueSession` the queue columns of all tenants as
`relance_dispatcher`; `PumpSession` the webhook deliveries of all tenants as `relance_pump`; `DirectorySession` only
the definer functions that resolve a credential or a slug; `OperatorSession` everything, as `relance_admin`, audited.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar, cast
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

T = TypeVar("T")

BIND: Final = text("select set_config('app.tenant_id', :tenant, true)")


class TenantContextMissing(RuntimeError):
    """A tenant's session began without a tenant."""


class Cause(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who or what made a change: kept on every event."""

    kind: str  # api_key | command | reaction | schedule | job | debtor
    id: str | None = None
    on_behalf_of: str | None = None
    request_id: str | None = None
    parent_event_id: str | None = None
    backfill: bool = False  # bulk history: recorded, but not delivered unless asked for


class BoundSession(Session):
    """The synchronous half of TenantSession, on which the binding hook listens."""


class TenantSession(AsyncSession):
    """One tenant's rows, one transaction."""

    sync_session_class = BoundSession


class QueueSession(AsyncSession):
    """Queue columns of every tenant: claim, promote, stamp, sweep. Never a body, never a debtor."""


class DirectorySession(AsyncSession):
    """Look-ups before a tenant is known: a key, a slug, an unsubscribe token."""


class PumpSession(AsyncSession):
    """Events, endpoints, deliveries and attempts of every tenant."""


class OperatorSession(AsyncSession):
    """The platform's owner across tenants; every use is audited."""


@event.listens_for(BoundSession, "after_begin")
def bind(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    """Bind each new transaction, also after a commit or a rollback."""
    if transaction.nested:  # a savepoint keeps the value
        return
    tenant_id = cast("UUID | None", session.info.get("tenant_id"))
    if tenant_id is None:
        raise TenantContextMissing
    connection.execute(BIND, {"tenant": str(tenant_id)})


def tenant_of(session: TenantSession) -> UUID:
    """The tenant that a session is bound to."""
    return cast("UUID", session.info["tenant_id"])


def cause_of(session: TenantSession) -> Cause:
    """Who or what this unit of work acts for."""
    return cast("Cause", session.info["cause"])


def memory(session: TenantSession, kind: type[T]) -> T:
    """One object of a kind that lives as long as this unit of work (what it emitted, whom it locked)."""
    info = session.info
    found = info.get(kind)
    if found is None:
        found = info[kind] = kind()
    return cast("T", found)


OpenTenant = Callable[[UUID], AbstractAsyncContextManager[TenantSession]]  # opens a unit of work in a tenant
