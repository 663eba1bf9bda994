"""Contacts: the persons and mailboxes of a debtor. Reminders go to those that are for billing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs
from sqlalchemy import select

from kernel import ids
from kernel.errors import Fault, Invalid
from kernel.text import MAX_NAME
from receivables import access
from receivables.changes import copy_to, expect, named
from receivables.checking import Faults
from receivables.drafts import ContactChange, NewContact
from receivables.errors import ContactArchived as Archived
from receivables.errors import DebtorErased
from receivables.events import ContactArchived, ContactCreated, ContactUpdated
from receivables.locks import lock_debtors
from receivables.models import Contact
from receivables.party_models import ContactRole
from receivables.views import ContactView
from storage.bulk import insert_rows
from storage.events import emit
from storage.session import TenantSession, tenant_of

MAX_POSITION: Final = 9_999
_COLUMNS: Final = ("name", "email", "phone", "language", "zone", "position")
_INSERTED: Final = (
    "tenant_id", "id", "version", "debtor_id", *_COLUMNS, "roles", "billing", "is_primary",
)  # fmt: skip


async def create_contact(session: TenantSession, new: NewContact, now: datetime) -> ContactView:
    """Give a debtor a contact. Raises Invalid, DebtorNotFound, DebtorErased."""
    clean = _checked(new)
    await lock_debtors(session, [new.debtor_id])
    if (await access.debtor(session, new.debtor_id)).erased_at is not None:
        raise DebtorErased
    if clean.primary:
        await _step_down(session, new.debtor_id, now)
    return (await add(session, [clean], now))[0]


async def add(session: TenantSession, news: Sequence[NewContact], now: datetime) -> list[ContactView]:
    """Write contacts that were checked, of debtors that are locked or new."""
    tenant_id = tenant_of(session)
    rows = [Contact(tenant_id=tenant_id, id=ids.new_id(), version=1, archived_at=None) for _ in news]
    for row, new in zip(rows, news, strict=True):
        copy_to(row, new, ("debtor_id", *_COLUMNS))
        _play(row, new)
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
    """Change what the change names; the same again changes nothing. Raises Invalid, ContactArchived.

    `billing` gives or takes the role of that name. Whoever becomes the primary contact takes the place of another.
    """
    row = await access.contact(session, contact_id, lock=True)
    expect(row.version, expected_version)
    if row.archived_at is not None:
        raise Archived
    before = ContactView.of(row)
    new = _checked(_changed(before, change))
    if new.primary and not row.is_primary:
        await _step_down(session, row.debtor_id, now)
    copy_to(row, new, _COLUMNS)
    _play(row, new)
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
    row.archived_at, row.is_primary, row.version = now, False, row.version + 1
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


def _changed(known: ContactView, change: ContactChange) -> NewContact:
    """A contact as a change leaves it."""
    changes = named(change)
    roles: tuple[ContactRole, ...] = changes.get("roles", known.roles)
    billing = changes.get("billing")
    if billing is not None:
        others = [role for role in roles if role is not ContactRole.BILLING]
        if "roles" in changes and billing != (ContactRole.BILLING in roles):
            fault = Fault(pointer="/billing", code="differs", message="it says otherwise than roles")
            raise Invalid(errors=[fault])
        roles = (ContactRole.BILLING, *others) if billing else tuple(others)
    fields = {name: getattr(known, name) for name in ("primary", *_COLUMNS)}
    left = {name: value for name, value in changes.items() if name not in {"roles", "billing"}}
    return NewContact(debtor_id=ids.decode("dbt", known.debtor_id), roles=roles, **fields | left)


def _play(row: Contact, new: NewContact) -> None:
    """Write a contact's roles; who has the role of billing receives reminders."""
    roles = new.roles if new.roles is not None else (ContactRole.BILLING,) if new.billing else ()
    row.roles = " ".join(role.value for role in ContactRole if role in roles)
    row.billing, row.is_primary = ContactRole.BILLING in roles, new.primary


async def _step_down(session: TenantSession, debtor_id: UUID, now: datetime) -> None:
    """The debtor's primary contact is so no more; the debtor is locked."""
    await session.flush()
    statement = select(Contact).where(
        Contact.tenant_id == tenant_of(session),
        Contact.debtor_id == debtor_id,
        Contact.is_primary,
        Contact.archived_at.is_(None),
    )
    row = (await session.execute(statement.execution_options(populate_existing=True))).scalar_one_or_none()
    if row is not None:
        before = ContactView.of(row)
        row.is_primary, row.version = False, row.version + 1
        emit(session, ContactUpdated(ContactView.of(row), before, now))
        await session.flush()


def _checked(new: NewContact) -> NewContact:
    faults = Faults()
    faults.language("/language", new.language)
    faults.zone("/zone", new.zone)
    clean = structs.replace(
        new,
        name=faults.optional_line("/name", new.name, MAX_NAME),
        email=faults.email("/email", new.email),
        phone=faults.phone("/phone", new.phone),
    )
    if not 0 <= new.position <= MAX_POSITION:
        faults.add("/position", "out_of_range", f"from 0 to {MAX_POSITION}")
    faults.stop()
    return clean
