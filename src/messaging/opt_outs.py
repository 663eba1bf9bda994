"""Opt-outs: a person closes a channel. It stops the messages there, opens a task, and never ends the chase silently."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from casework.tasks import open_task
from kernel import ids
from kernel.clock import day_of
from messaging.errors import LinkInvalid
from messaging.events import OptOutCreated
from messaging.models import OptOut
from messaging.views import OptOutView
from receivables.access import contact as contact_of
from receivables.locks import lock_debtors
from storage.events import emit
from storage.session import TenantSession, tenant_of

CHANNELS: Final = ("email",)
_TAG: Final = 16


class Link(Struct, frozen=True):
    """What an unsubscribe link says: which contact of which tenant closes which channel."""

    tenant_id: UUID
    contact_id: UUID
    channel: str


def token(secret: bytes, link: Link) -> str:
    """Write a link's token: signed, so that nobody can close another's channel."""
    body = bytes([CHANNELS.index(link.channel)]) + link.tenant_id.bytes + link.contact_id.bytes
    return base64.urlsafe_b64encode(_tag(secret, body) + body).decode().rstrip("=")


def read(secret: bytes, text: str) -> Link:
    """Read a link's token; raises LinkInvalid."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    tag, body = raw[:_TAG], raw[_TAG:]
    if len(body) != 33 or not hmac.compare_digest(tag, _tag(secret, body)):  # noqa: PLR2004 - 1 + 16 + 16
        raise LinkInvalid
    return Link(UUID(bytes=body[1:17]), UUID(bytes=body[17:]), CHANNELS[body[0]])


def _tag(secret: bytes, body: bytes) -> bytes:
    return hmac.new(secret, b"unsubscribe|" + body, hashlib.sha256).digest()[:_TAG]


async def close(session: TenantSession, contact_id: UUID, channel: str, now: datetime, zone: str) -> None:
    """Close a channel of a contact; closing it again changes nothing. Raises ContactNotFound."""
    contact = await contact_of(session, contact_id)
    await lock_debtors(session, [contact.debtor_id])
    tenant_id = tenant_of(session)
    values = {
        "tenant_id": tenant_id, "id": ids.new_id(), "version": 1, "debtor_id": contact.debtor_id,
        "contact_id": contact_id, "channel": channel, "effective_on": day_of(now, zone), "known_at": now,
    }  # fmt: skip
    made = await session.execute(insert(OptOut).values(values).on_conflict_do_nothing().returning(OptOut))
    row = made.scalar_one_or_none()
    if row is None:
        return
    emit(session, OptOutCreated(OptOutView.of(row), None, now))
    await open_task(
        session,
        kind="contact_opted_out",
        subject_id=contact_id,
        debtor_id=contact.debtor_id,
        title="This contact no longer wants e-mail: choose another way to reach the debtor",
        detail=None,
        now=now,
    )


async def closed(session: TenantSession, contact_ids: Iterable[UUID], channel: str) -> set[UUID]:
    """Which of these contacts have closed the channel, themselves or as another contact with the same address."""
    values = {"tenant_id": tenant_of(session), "ids": list(set(contact_ids)), "channel": channel}
    return set((await session.execute(_CLOSED, values)).scalars())


_CLOSED: Final = text("""
select distinct c.id
from app.contact c
join app.contact k on k.tenant_id = :tenant_id and k.debtor_id = c.debtor_id
  and (k.id = c.id or lower(k.email) = lower(c.email))
join app.opt_out o on o.tenant_id = :tenant_id and o.contact_id = k.id and o.channel = :channel
where c.tenant_id = :tenant_id and c.id = any(cast(:ids as uuid[]))
""")  # bounded: by the contacts asked for
