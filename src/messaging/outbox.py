"""Put messages into the outbox: one per recipient, channel, purpose and contact day, carrying every part due.

The caller holds the debtors' locks, so that nobody dispatches a message while parts are added to it.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from messaging.events import MessagePlanned
from messaging.models import Message, MessagePart, Purpose
from messaging.views import MessageView
from storage.bulk import insert_rows
from storage.events import Rung, emit
from storage.gate import Part
from storage.queues import Queue
from storage.session import TenantSession, memory, tenant_of

MESSAGES: Final = Queue(name="message", table="app.message", per_tenant=100, tenants=8)


class Draft(Struct, frozen=True, kw_only=True):
    """A message to be: who writes to whom about what, on which day."""

    creditor_id: UUID
    debtor_id: UUID
    contact_id: UUID
    channel: str
    purpose: Purpose
    contact_day: date
    level: int
    parts: tuple[Part, ...]

    @property
    def key(self) -> str:
        """What makes the message unique while it is neither withdrawn nor failed."""
        names = (self.creditor_id.hex, self.debtor_id.hex, self.contact_id.hex, self.channel, self.purpose.value)
        return ":".join((*names, self.contact_day.isoformat()))


async def plan(session: TenantSession, drafts: Sequence[Draft], now: datetime) -> list[UUID | None]:
    """The message that carries each draft, in order; None where that day's message has left already."""
    if not drafts:
        return []
    fresh = {draft.key: ids.new_id() for draft in drafts}
    tenant_id = tenant_of(session)
    values = {"tenant_id": tenant_id, "keys": list(fresh), "ids": list(fresh.values())}
    taken = {row.key for row in await session.execute(_TAKE_KEYS, values)}
    owners = dict.fromkeys(fresh)
    owners |= {key: fresh[key] for key in taken}
    others = [key for key in fresh if key not in taken]
    if others:
        owners |= await _waiting(session, tenant_id, others)
    new = [draft for draft in _firsts(drafts) if draft.key in taken]
    await _write(session, tenant_id, new, fresh, now)
    parts = [
        (tenant_id, message_id, part.part_id, part.debt_id)
        for draft in drafts
        if (message_id := owners[draft.key]) is not None
        for part in draft.parts
    ]
    await insert_rows(session, MessagePart, ("tenant_id", "message_id", "part_id", "debt_id"), parts)
    return [owners[draft.key] for draft in drafts]


_TAKE_KEYS: Final = text(
    "insert into app.message_key (tenant_id, key, message_id)"
    " select :tenant_id, u.key, u.id from unnest(cast(:keys as text[]), cast(:ids as uuid[])) as u(key, id)"
    " order by u.key on conflict do nothing returning key"
)


def _firsts(drafts: Sequence[Draft]) -> list[Draft]:
    """One draft per key, with the highest level of those that share it."""
    best: dict[str, Draft] = {}
    for draft in drafts:
        if draft.key not in best or draft.level > best[draft.key].level:
            best[draft.key] = draft
    return list(best.values())


async def _waiting(session: TenantSession, tenant_id: UUID, keys: list[str]) -> dict[str, UUID | None]:
    """Messages of these keys that have not been dispatched: parts may still join them."""
    rows = await session.execute(_WAITING, {"tenant_id": tenant_id, "keys": keys})
    return {row.key: row.message_id if row.state in {"pending", "leased"} else None for row in rows}


_WAITING: Final = text(  # bounded: by the keys asked for
    "select k.key, k.message_id, m.state from app.message_key k"
    " join app.message m on m.tenant_id = k.tenant_id and m.id = k.message_id"
    " where k.tenant_id = :tenant_id and k.key = any(cast(:keys as text[]))"
)

_COLUMNS: Final = (
    "tenant_id", "id", "version", "creditor_id", "debtor_id", "contact_id", "channel", "purpose", "contact_day",
    "level", "planned_at", "state",
)  # fmt: skip


async def _write(
    session: TenantSession, tenant_id: UUID, drafts: list[Draft], fresh: dict[str, UUID], now: datetime
) -> None:
    rows = [
        (
            tenant_id, fresh[draft.key], 1, draft.creditor_id, draft.debtor_id, draft.contact_id, draft.channel,
            draft.purpose.value, draft.contact_day, draft.level, now, "pending",
        )
        for draft in drafts
    ]  # fmt: skip
    await insert_rows(session, Message, _COLUMNS, rows)
    for draft in drafts:
        emit(session, MessagePlanned(_planned(draft, fresh[draft.key], now), None, now))
    if drafts:
        memory(session, Rung).queues.add("message")


def _planned(draft: Draft, message_id: UUID, now: datetime) -> MessageView:
    return MessageView(
        id=ids.encode("msg", message_id),
        version=1,
        creditor_id=ids.encode("crd", draft.creditor_id),
        debtor_id=ids.encode("dbt", draft.debtor_id),
        contact_id=ids.encode("ctc", draft.contact_id),
        channel=draft.channel,
        purpose=draft.purpose,
        contact_day=draft.contact_day,
        level=draft.level,
        template=None,
        language=None,
        tone=None,
        state="planned",
        code=None,
        provider_ref=None,
        planned_at=now,
        sent_at=None,
    )


async def release_keys(session: TenantSession, message_ids: Sequence[UUID]) -> None:
    """A withdrawn or failed message no longer stands in the way of another on that day."""
    values = {"tenant_id": tenant_of(session), "ids": list(message_ids)}
    await session.execute(_RELEASE_KEYS, values)


_RELEASE_KEYS: Final = text(
    "delete from app.message_key where tenant_id = :tenant_id and message_id = any(cast(:ids as uuid[]))"
)
