"""Sources of a tenant: added, changed, paused, listed."""

from typing import Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select

from billing_connectors.sources.errors import SourceKeyTaken, SourceNotFound
from billing_connectors.sources.models import Source, SourceState
from kernel import ids
from receivables import access
from receivables.changes import flush
from receivables.checking import Faults
from storage.session import TenantSession, tenant_of

MAX_KEY: Final = 60
MAX_NAME: Final = 200
MAX_FRESH_S: Final = 30 * 86_400
_REFUSALS: Final = {"uq_source_key": SourceKeyTaken}


class NewSource(Struct, frozen=True, kw_only=True):
    """A source to read. The key is the connector's, with what tells two accounts of one tool apart."""

    key: str
    name: str
    creditor_id: UUID | None = None
    fresh_for_s: int | None = None  # how long a reading is recent enough to chase by; None: for ever


class SourceChange(Struct, frozen=True, kw_only=True):
    """What changes about a source."""

    name: str | UnsetType = UNSET
    fresh_for_s: int | UnsetType | None = UNSET
    state: SourceState | UnsetType = UNSET


async def add_source(session: TenantSession, new: NewSource) -> UUID:
    """Add a source that has not been read yet. Raises Invalid, CreditorNotFound, SourceKeyTaken."""
    faults = Faults()
    key, name = faults.line("/key", new.key, MAX_KEY), faults.line("/name", new.name, MAX_NAME)
    _check_fresh(faults, new.fresh_for_s)
    faults.stop()
    if new.creditor_id is not None:
        await access.creditor(session, new.creditor_id)
    row = Source(
        tenant_id=tenant_of(session), id=ids.new_id(), version=1, key=key, name=name, creditor_id=new.creditor_id,
        state=SourceState.ACTIVE, cursor=None, read_at=None, fresh_for_s=new.fresh_for_s, failure=None,
    )  # fmt: skip
    session.add(row)
    await flush(session, _REFUSALS)
    return row.id


async def change_source(session: TenantSession, source_id: UUID, change: SourceChange) -> None:
    """Change what the change names. Raises Invalid, SourceNotFound."""
    faults = Faults()
    name = change.name if isinstance(change.name, UnsetType) else faults.line("/name", change.name, MAX_NAME)
    if not isinstance(change.fresh_for_s, UnsetType):
        _check_fresh(faults, change.fresh_for_s)
    faults.stop()
    row = await source(session, source_id)
    if not isinstance(name, UnsetType):
        row.name = name
    if not isinstance(change.fresh_for_s, UnsetType):
        row.fresh_for_s = change.fresh_for_s
    if not isinstance(change.state, UnsetType):
        row.state = change.state
    row.version += 1


def _check_fresh(faults: Faults, fresh_for_s: int | None) -> None:
    if fresh_for_s is not None and not 60 <= fresh_for_s <= MAX_FRESH_S:  # noqa: PLR2004 - a minute
        faults.add("/fresh_for_s", "range", f"between 60 and {MAX_FRESH_S} seconds, or left out")


async def source(session: TenantSession, source_id: UUID) -> Source:
    """Load one source. Raises SourceNotFound."""
    found = await session.get(Source, (tenant_of(session), source_id))
    if found is None:
        raise SourceNotFound
    return found


async def sources(session: TenantSession, *, limit: int = 100) -> list[Source]:
    """The tenant's sources, the newest first."""
    statement = select(Source).where(Source.tenant_id == tenant_of(session)).order_by(Source.id.desc()).limit(limit)
    return list(await session.scalars(statement))
