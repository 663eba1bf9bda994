"""Find messages whose call may have been made by a worker that is no more."""

from typing import Final

from sqlalchemy import text

from storage.queues import Claim
from storage.session import QueueSession


async def lost_in_dispatch(session: QueueSession, *, limit: int = 500) -> list[Claim]:
    """Messages in `dispatching` beyond the end of their lease; settling them is the tenant's unit of work."""
    return [Claim(*row) for row in await session.execute(_LOST, {"rows": limit})]


_LOST: Final = text(
    "select tenant_id, id, fence from app.message"
    " where state = 'dispatching' and lease_until < (select clock_timestamp()) order by lease_until limit :rows"
)
