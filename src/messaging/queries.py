"""Lists of messages, by keyset."""

from uuid import UUID

from sqlalchemy import select

from messaging.errors import MessageNotFound
from messaging.models import Message, MessageState, OptOut
from storage.session import TenantSession, tenant_of

_STATES = {"planned": (MessageState.PENDING, MessageState.LEASED)}  # two states of ours are one to the world


async def messages(
    session: TenantSession, *, debtor_id: UUID | None, state: str | None, after: UUID | None, limit: int
) -> list[Message]:
    """Messages, the newest first, after one of them."""
    wanted = select(Message).where(Message.tenant_id == tenant_of(session))
    if debtor_id is not None:
        wanted = wanted.where(Message.debtor_id == debtor_id)
    if state is not None:
        wanted = wanted.where(Message.state.in_(_STATES.get(state, (state,))))
    if after is not None:
        wanted = wanted.where(Message.id < after)
    return list(await session.scalars(wanted.order_by(Message.id.desc()).limit(limit)))


async def message(session: TenantSession, message_id: UUID) -> Message:
    """One message; raises MessageNotFound."""
    row = await session.get(Message, (tenant_of(session), message_id))
    if row is None:
        raise MessageNotFound
    return row


async def opt_outs(session: TenantSession, *, debtor_id: UUID | None, after: UUID | None, limit: int) -> list[OptOut]:
    """Opt-outs, the newest first, after one of them."""
    wanted = select(OptOut).where(OptOut.tenant_id == tenant_of(session))
    if debtor_id is not None:
        wanted = wanted.where(OptOut.debtor_id == debtor_id)
    if after is not None:
        wanted = wanted.where(OptOut.id < after)
    return list(await session.scalars(wanted.order_by(OptOut.id.desc()).limit(limit)))
