"""Put messages into the outbox: one per recipient, channel, purpose and contact day, carrying every part due.

The caller holds the debtors' locks, so that nobody dispatches a message while parts join it.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from messaging.events import MessagePlanned
from messaging.letters import MAX_LINES
from messaging.models import Message, MessagePart, Purpose
from messaging.views import MessageView
from storage.bulk import Rows, insert_tables
from storage.events import Rung, emit
from storage.gate import Part
from storage.queues import Queue
from storage.session import TenantSession, memory, tenant_of

MAX_PARTS: Final = MAX_LINES  # what one letter says at most
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
    parts: tuple[Part, ...]  # the most important first: a full message leaves out the last

    @property
    def key(self) -> str:
        """What makes the message unique while it is neither withdrawn nor failed."""
        names = (self.creditor_id.hex, self.debtor_id.hex, self.contact_id.hex, self.channel, self.purpose.value)
        return ":".join((*names, self.contact_day.isoformat()))


class _Room(Struct):
    """A message that takes parts, and how many more."""

    message_id: UUID
    left: int


async def plan(session: TenantSession, drafts: Sequence[Draft], now: datetime) -> dict[UUID, UUID]:
    """The message that carries each part. A part is left out where that day's message has left, or is full."""
    if not drafts:
        return {}
    fresh = {draft.key: ids.new_id() for draft in drafts}
    tenant_id = tenant_of(session)
    values = {"tenant_id": tenant_id, "keys": list(fresh), "ids": list(fresh.values())}
    taken = {row.key for row in await session.execute(_TAKE_KEYS, values)}
    rooms = {key: _Room(fresh[key], MAX_PARTS) for key in taken}
    others = [key for key in fresh if key not in taken]
    if others:
        rooms |= await _waiting(session, tenant_id, others)
    new = [draft for draft in _firsts(drafts) if draft.key in taken]
    carried: list[tuple[UUID, Part]] = []
    for draft in drafts:
        room = rooms.get(draft.key)
        if room is not None:
            carried += [(room.message_id, part) for part in draft.parts[: room.left]]
            room.left -= min(room.left, len(draft.parts))
    parts = [(tenant_id, message_id, part.part_id, part.debt_id) for message_id, part in carried]
    await insert_tables(session, _rows(tenant_id, new, fresh, now), Rows(MessagePart, _PART_COLUMNS, parts))
    for draft in new:
        emit(session, MessagePlanned(_planned(draft, fresh[draft.key], now), None, now))
    if new:
        memory(session, Rung).queues.add("message")
    return {part.part_id: message_id for message_id, part in carried}


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


async def _waiting(session: TenantSession, tenant_id: UUID, keys: list[str]) -> dict[str, _Room]:
    """Messages of these keys that have not been dispatched: parts may still join them."""
    rows = await session.execute(_WAITING, {"tenant_id": tenant_id, "keys": keys})
    return {row.key: _Room(row.message_id, MAX_PARTS - row.parts) for row in rows}


_WAITING: Final = text("""
select k.key, k.message_id,
       (select count(*) from app.message_part p where p.tenant_id = :tenant_id and p.message_id = m.id) as parts
from app.message_key k
join app.message m on m.tenant_id = :tenant_id and m.id = k.message_id and m.state in ('pending', 'leased')
where k.tenant_id = :tenant_id and k.key = any(cast(:keys as text[]))
""")  # bounded: by the keys asked for

_COLUMNS: Final = (
    "tenant_id", "id", "version", "creditor_id", "debtor_id", "contact_id", "channel", "purpose", "contact_day",
    "level", "planned_at", "state",
)  # fmt: skip


_PART_COLUMNS: Final = ("tenant_id", "message_id", "part_id", "debt_id")


def _rows(tenant_id: UUID, drafts: list[Draft], fresh: dict[str, UUID], now: datetime) -> Rows:
    rows: list[tuple[Any, ...]] = [  # Any: one value per column
        (
            tenant_id, fresh[draft.key], 1, draft.creditor_id, draft.debtor_id, draft.contact_id, draft.channel,
            draft.purpose.value, draft.contact_day, draft.level, now, "pending",
        )
        for draft in drafts
    ]  # fmt: skip
    return Rows(Message, _COLUMNS, rows)


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
