"""Mails that sandboxes sent: kept sealed, readable by the tenant's developers, delivered to nobody."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from email import message_from_bytes, policy
from email.parser import BytesHeaderParser
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import select

from kernel import ids
from messaging.capture.server import Received
from messaging.models import CapturedMail
from storage.encryption import KeyRing, place_of
from storage.session import TenantSession, tenant_of

MAX_PAGE: Final = 100


class Mail(Struct, frozen=True, kw_only=True):
    """A captured mail as a developer wants to see it."""

    id: str
    message_id: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    html: str
    captured_at: datetime


class _Kept(Struct, frozen=True):
    sender: str
    recipients: tuple[str, ...]
    content: bytes


class DatabaseSink:
    """Keeps captured mails in the tenant that sent them: the login at the capture server is the tenant's id."""

    def __init__(self, work: Callable[[UUID], AbstractAsyncContextManager[TenantSession]], keys: KeyRing) -> None:
        self._work, self._keys = work, keys

    async def accept(self, envelope: Received, content: bytes) -> None:
        """Keep one mail; the answer 250 is given only after the commit."""
        tenant_id = UUID(envelope.login)
        header = BytesHeaderParser(policy=policy.compat32).parsebytes(content)["Message-ID"]
        async with self._work(tenant_id) as session:
            key = (await self._keys.current(session, [tenant_id]))[tenant_id]
            mail_id = ids.new_id()
            kept = _Kept(envelope.sender, envelope.recipients, content)
            sealed = key.seal(msgspec.msgpack.encode(kept), place_of(tenant_id, "captured_mail", mail_id))
            session.add(
                CapturedMail(
                    tenant_id=tenant_id,
                    id=mail_id,
                    message_id="".join(str(header or "").split())[:500],  # a long header is folded
                    subject_id=tenant_id,
                    key_version=key.version,
                    sealed=sealed,
                )
            )


async def mails(
    session: TenantSession, keys: KeyRing, *, after: UUID | None = None, limit: int = MAX_PAGE
) -> list[Mail]:
    """Captured mails of the tenant, oldest first, after an id."""
    tenant_id = tenant_of(session)
    statement = select(CapturedMail).where(CapturedMail.tenant_id == tenant_id).order_by(CapturedMail.id).limit(limit)
    if after is not None:
        statement = statement.where(CapturedMail.id > after)
    rows = list((await session.execute(statement)).scalars())
    opened = await keys.of_versions(session, [(tenant_id, row.subject_id, row.key_version) for row in rows])
    return [
        _read(row, opened[tenant_id, row.subject_id, row.key_version].open(
            row.sealed, place_of(tenant_id, "captured_mail", row.id)
        ))
        for row in rows
        if (tenant_id, row.subject_id, row.key_version) in opened
    ]  # fmt: skip


def _read(row: CapturedMail, plain: bytes) -> Mail:
    kept = msgspec.msgpack.decode(plain, type=_Kept)
    mail = message_from_bytes(kept.content, policy=policy.default)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    return Mail(
        id=ids.encode("mai", row.id),
        message_id=row.message_id,
        sender=kept.sender,
        recipients=kept.recipients,
        subject=str(mail["Subject"] or ""),
        text="" if text is None else str(text.get_content()),
        html="" if html is None else str(html.get_content()),
        captured_at=row.recorded_at,
    )
