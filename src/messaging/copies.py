"""What was said, to whom, byte for byte: sealed under the debtor's own key, written once."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import select

from messaging.errors import CopyErased
from messaging.models import MessageCopy
from storage.bulk import insert_rows
from storage.encryption import KeyRing, place_of
from storage.session import TenantSession, tenant_of


class Said(Struct, frozen=True, kw_only=True):
    """A rendered message: its recipient, subject and both bodies, and the whole as it goes over the wire."""

    sender: str
    recipient: str
    subject: str
    text: str
    html: str
    mime: bytes


class Rendering(Struct, frozen=True):
    """A copy to keep: of which message, under which fence, about whom."""

    message_id: UUID
    fence: int
    debtor_id: UUID
    said: Said


_COLUMNS: Final = ("tenant_id", "id", "fence", "subject_id", "key_version", "sealed")


async def keep(session: TenantSession, ring: KeyRing, renderings: Sequence[Rendering]) -> None:
    """Store what is about to be said."""
    tenant_id = tenant_of(session)
    keys = await ring.current(session, {rendering.debtor_id for rendering in renderings})
    rows = [
        (
            tenant_id,
            rendering.message_id,
            rendering.fence,
            rendering.debtor_id,
            keys[rendering.debtor_id].version,
            keys[rendering.debtor_id].seal(
                msgspec.msgpack.encode(rendering.said), place_of(tenant_id, "message_copy", rendering.message_id)
            ),
        )
        for rendering in renderings
    ]
    await insert_rows(session, MessageCopy, _COLUMNS, rows)


async def read(session: TenantSession, ring: KeyRing, message_id: UUID) -> Said:
    """What a message said at its last dispatch; raises CopyErased."""
    tenant_id = tenant_of(session)
    statement = (
        select(MessageCopy)
        .where(MessageCopy.tenant_id == tenant_id, MessageCopy.id == message_id)
        .order_by(MessageCopy.fence.desc())
        .limit(1)
    )
    row = (await session.execute(statement)).scalar_one_or_none()
    if row is None:
        raise CopyErased
    wanted = (tenant_id, row.subject_id, row.key_version)
    keys = await ring.of_versions(session, [wanted])
    if wanted not in keys:
        raise CopyErased
    plain = keys[wanted].open(row.sealed, place_of(tenant_id, "message_copy", message_id))
    return msgspec.msgpack.decode(plain, type=Said)
