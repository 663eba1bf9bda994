"""Contacts: the persons and mailboxes of a debtor. Reminders go to those that are for billing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs
from sqlalchemy import select

from kernel import ids
from kernel.text import MAX_NAME
from receivables import access
from receivables.changes import copy_to, draft_of, expect, named
from receivables.checking import Faults
from receivables.drafts import ContactChange, NewContact
from receivables.errors import ContactArchived as Archived
from receivables.events import ContactArchived, ContactCreated, ContactUpdated
from receivables.locks import lock_debtors
from receivables.models import Contact
from receivables.views import ContactView
from storage.bulk import insert_rows
from storage.events import emit
from storage.session import TenantSession, tenant_of

_COLUMNS: Final = ("name", "email", "language", "zone", "billing")
_INSERTED: Final = ("tenant_id", "id", "version", "debtor_id", *_COLUMNS)


async def create_contact(session: TenantSession, new: NewContact, now: datetime) -> ContactView:
    """Give a debtor a contact. Raises Invalid, DebtorNotFound."""
    clean = _checked(new)
    await lock_debtors(session, [new.debtor_id])
    return (await add(session, [clean], now))[0]


async def add(session: TenantSession, news: Sequence[NewContact], now: datetime) -> list[ContactView]:
    """Write contacts that were checked, of debtors that are locked or new."""
    tenant_id = tenant_of(session)
    rows = [Contact(tenant_id=tenant_id, id=ids.new_id(), version=1, archived_at=None) for _ in news]
    for row, new in zip(rows, news, strict=True):
        copy_to(row, new, ("debtor_id", *_COLUMNS))
    await insert_rows(session, Contact, _INSERTED, [[getattr(row, name) for name in _INSERTED] for row in rows])
    views = [ContactView.of(row) for row in rows]
    for view in views:
        emit(session, ContactCreated(view, None, now))
    return views


async def update_contact(
    session: TenantSession,
    contact_id: UUID,
    change: ContactChange,
    now: datetime,
    *,
    expected_version: int | None = None,
) -> ContactView:
    """Change what the change names; the same again changes nothing. Raises Invalid, ContactArchived."""
    row = await access.contact(session, contact_id, lock=True)
    expect(row.version, expected_version)
    if row.archived_at is not None:
        raise Archived
    before = ContactView.of(row)
    copy_to(row, _checked(structs.replace(draft_of(NewContact, row), **named(change))), _COLUMNS)
    if ContactView.of(row) == before:
        return before
    row.version += 1
    after = ContactView.of(row)
    emit(session, ContactUpdated(after, before, now))
    return after


async def archive_contact(
    session: TenantSession, contact_id: UUID, now: datetime, *, expected_version: int | None = None
) -> ContactView:
    """Send nothing to the contact any more; twice is once."""
    row = await access.contact(session, contact_id, lock=True)
    expect(row.version, expected_version)
    before = ContactView.of(row)
    if row.archived_at is not None:
        return before
    row.archived_at, row.version = now, row.version + 1
    after = ContactView.of(row)
    emit(session, ContactArchived(after, before, now))
    return after


async def follow_email(
    session: TenantSession, debtor_id: UUID, old: str | None, new: str | None, now: datetime
) -> None:
    """Keep the mailbox that stands for a debtor's own address in step with it; the debtor is locked."""
    mailbox = await _mailbox(session, debtor_id, old) if old is not None else None
    if mailbox is None and new is not None:
        await add(session, [NewContact(debtor_id=debtor_id, email=new)], now)
    elif mailbox is not None and new is not None:
        await update_contact(session, mailbox, ContactChange(email=new), now)
    elif mailbox is not None:
        await archive_contact(session, mailbox, now)


async def _mailbox(session: TenantSession, debtor_id: UUID, email: str) -> UUID | None:
    statement = (
        select(Contact.id)
        .where(
            Contact.tenant_id == tenant_of(session),
            Contact.debtor_id == debtor_id,
            Contact.email == email,
            Contact.name.is_(None),
            Contact.archived_at.is_(None),
        )
        .order_by(Contact.id)
        .limit(1)
    )
    return (await session.execute(statement)).scalar_one_or_none()


def _checked(new: NewContact) -> NewContact:
    faults = Faults()
    faults.language("/language", new.language)
    faults.zone("/zone", new.zone)
    clean = structs.replace(
        new,
        name=faults.optional_line("/name", new.name, MAX_NAME),
        email=faults.email("/email", new.email),
    )
    faults.stop()
    return clean
