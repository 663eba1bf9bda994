"""Import addresses: open one, say who may send, close it, find it by what stands before the at sign."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct, UnsetType
from sqlalchemy import select, text

from billing_connectors.intakes import events
from billing_connectors.intakes.errors import BadSender, InboxClosed, InboxNotFound
from billing_connectors.intakes.models import Inbox
from billing_connectors.intakes.views import INBOX, InboxView
from kernel import ids
from kernel.errors import Fault, NotFound
from receivables import access
from receivables.changes import expect
from storage.events import emit
from storage.session import DirectorySession, TenantSession, tenant_of

MAX_SENDERS: Final = 100
MAX_SENDER: Final = 254
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}", re.ASCII)
_MAILBOX: Final = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}", re.ASCII)


class Found(Struct, frozen=True):
    """An import address as the mail server needs to know it."""

    tenant_id: UUID
    inbox_id: UUID
    senders: tuple[str, ...]

    def lets(self, sender: str) -> bool:
        """Whether this sender may send: by the envelope, which anybody can write; what it proves is little."""
        address = sender.strip().lower()
        domain = address.rpartition("@")[2]
        return not self.senders or address in self.senders or domain in self.senders


async def open_inbox(
    session: TenantSession, creditor_id: UUID | None, senders: Sequence[str], now: datetime
) -> InboxView:
    """Make an import address. Raises BadSender, CreditorNotFound."""
    if creditor_id is not None:
        await access.creditor(session, creditor_id)
    row = Inbox(
        tenant_id=tenant_of(session), id=ids.new_id(), version=1, creditor_id=creditor_id, senders=_checked(senders)
    )
    session.add(row)
    await session.flush()
    view = InboxView.of(row)
    emit(session, events.InboxOpened(view, None, now))
    return view


async def update_inbox(
    session: TenantSession,
    inbox_id: UUID,
    senders: Sequence[str] | UnsetType,
    now: datetime,
    *,
    expected_version: int | None = None,
) -> InboxView:
    """Say who may send; the same again changes nothing. Raises InboxNotFound, InboxClosed, BadSender."""
    row = await _locked(session, inbox_id)
    expect(row.version, expected_version)
    before = InboxView.of(row)
    wanted = row.senders if isinstance(senders, UnsetType) else _checked(senders)
    if wanted == row.senders:
        return before
    row.senders, row.version = wanted, row.version + 1
    after = InboxView.of(row)
    emit(session, events.InboxUpdated(after, before, now))
    return after


async def close_inbox(session: TenantSession, inbox_id: UUID, now: datetime) -> InboxView:
    """Take nothing more at this address, for good. Raises InboxNotFound, InboxClosed."""
    row = await _locked(session, inbox_id)
    before = InboxView.of(row)
    row.closed_at, row.version = now, row.version + 1
    after = InboxView.of(row)
    emit(session, events.InboxClosed(after, before, now))
    return after


async def inbox(session: TenantSession, inbox_id: UUID) -> Inbox:
    """Load one import address; another tenant's does not exist."""
    row = await session.get(Inbox, (tenant_of(session), inbox_id))
    if row is None:
        raise InboxNotFound
    return row


async def find_inbox(session: DirectorySession, address: str) -> Found | None:
    """The open import address of a recipient, whatever the domain and the case of the letters."""
    local = address.strip().strip("<>").rpartition("@")[0].partition("+")[0].lower()
    try:
        inbox_id = ids.decode(INBOX, local)
    except NotFound:
        return None
    row = (await session.execute(_FIND, {"id": inbox_id})).first()
    if row is None:
        return None
    return Found(row.tenant_id, inbox_id, tuple(row.senders.split("\n")) if row.senders else ())


async def _locked(session: TenantSession, inbox_id: UUID) -> Inbox:
    statement = (
        select(Inbox)
        .where(Inbox.tenant_id == tenant_of(session), Inbox.id == inbox_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
        .limit(1)
    )
    row = (await session.scalars(statement)).first()
    if row is None:
        raise InboxNotFound
    if row.closed_at is not None:
        raise InboxClosed
    return row


def _checked(senders: Sequence[str]) -> str:
    found: list[str] = []
    for place, each in enumerate(senders):
        plain = each.strip().lower().removeprefix("@")
        mailbox, at, domain = plain.rpartition("@")
        if len(plain) > MAX_SENDER or not _DOMAIN.fullmatch(domain) or (at and not _MAILBOX.fullmatch(mailbox)):
            raise BadSender(
                errors=[Fault(pointer=f"/body/senders/{place}", code="sender", message="no address or domain")]
            )
        found.append(plain)
    return "\n".join(dict.fromkeys(found))


_FIND: Final = text("select tenant_id, senders from app.find_inbox(:id) limit 1")
