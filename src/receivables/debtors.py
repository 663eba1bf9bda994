"""Debtors: who owes. Their e-mail address is a billing contact without a name."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import structs
from sqlalchemy import text

from kernel import ids
from kernel.errors import AppError
from kernel.text import MAX_NAME, fold
from receivables import access, contacts, identifiers
from receivables.changes import copy_to, draft_of, expect, flush, named
from receivables.checking import MAX_EXTERNAL_ID, MAX_TEXT, Faults
from receivables.drafts import DebtorChange, NewContact, NewDebtor
from receivables.errors import ExternalIdTaken
from receivables.events import DebtorCreated, DebtorUpdated
from receivables.identifiers import DEBTORS
from receivables.models import Debtor
from receivables.outcomes import Outcome
from receivables.views import DebtorView
from storage.events import emit
from storage.session import TenantSession, tenant_of

_COLUMNS: Final = ("external_id", "kind", "name", "language", "zone", "country", "address", "email")
_REFUSALS: Final = {"uq_debtor_external_id": ExternalIdTaken}


async def create_debtor(session: TenantSession, new: NewDebtor, now: datetime) -> DebtorView:
    """Make a debtor known. Raises Invalid, ExternalIdTaken, IdentifierTaken."""
    return (await create_debtors(session, [new], now))[0].get()


async def create_debtors(session: TenantSession, news: Sequence[NewDebtor], now: datetime) -> list[Outcome[DebtorView]]:
    """Make many debtors known in few statements; each has its own outcome, in order.

    Raises IdentifierTaken when a legal id is another debtor's: look them up first (`identifiers.owners`).
    """
    drafts = [_draft(session, new) for new in news]
    rows = [row for row, _ in drafts if not isinstance(row, AppError)]
    written = await _insert(session, rows)
    created = [(row, new) for row, new in drafts if not isinstance(row, AppError) and row.id in written]
    given = [(row.id, each) for row, new in created for each in new.identifiers]
    await identifiers.give(session, DEBTORS, given)
    for row, new in created:
        emit(session, DebtorCreated(DebtorView.of(row, new.identifiers), None, now))
    mailboxes = [NewContact(debtor_id=row.id, email=row.email) for row, _ in created if row.email is not None]
    await contacts.add(session, mailboxes, now)
    return [_outcome(row, new, written) for row, new in drafts]


async def update_debtor(
    session: TenantSession, debtor_id: UUID, change: DebtorChange, now: datetime, *, expected_version: int | None = None
) -> DebtorView:
    """Change what the change names; the same again changes nothing. Raises what create_debtor raises."""
    row = await access.debtor(session, debtor_id, lock=True)
    expect(row.version, expected_version)
    held = (await identifiers.held_by(session, DEBTORS, [debtor_id]))[debtor_id]
    before = DebtorView.of(row, held)
    changes = named(change)
    insolvent_on = changes.pop("insolvent_on", row.insolvent_on)
    new = _checked(structs.replace(draft_of(NewDebtor, row, identifiers=held), **changes), insolvent_on)
    copy_to(row, new, _COLUMNS)
    row.insolvent_on, row.name_folded = insolvent_on, fold(new.name)
    if DebtorView.of(row, new.identifiers) == before:
        return before
    row.version += 1
    await flush(session, _REFUSALS)
    if new.identifiers != held:
        await identifiers.replace(session, DEBTORS, debtor_id, new.identifiers)
    after = DebtorView.of(row, new.identifiers)
    emit(session, DebtorUpdated(after, before, now))
    if after.email != before.email:
        await contacts.follow_email(session, debtor_id, before.email, after.email, now)
    return after


def _draft(session: TenantSession, new: NewDebtor) -> tuple[Debtor | AppError, NewDebtor]:
    try:
        clean = _checked(new)
    except AppError as error:
        return error, new
    row = Debtor(tenant_id=tenant_of(session), id=ids.new_id(), version=1, name_folded=fold(clean.name))
    copy_to(row, clean, _COLUMNS)
    return row, clean


def _outcome(row: Debtor | AppError, new: NewDebtor, written: set[UUID]) -> Outcome[DebtorView]:
    if isinstance(row, AppError):
        return Outcome("refused", error=row)
    if row.id not in written:
        return Outcome("refused", error=ExternalIdTaken(new.external_id or ""))
    return Outcome("created", DebtorView.of(row, new.identifiers))


async def _insert(session: TenantSession, rows: Sequence[Debtor]) -> set[UUID]:
    """Insert debtors; those whose external_id another one has are left out."""
    if not rows:
        return set()
    values = {
        "tenant_id": tenant_of(session),
        "ids": [row.id for row in rows],
        "kinds": [row.kind.value for row in rows],
        "folded": [row.name_folded for row in rows],
        **{name: [getattr(row, name) for row in rows] for name in _TEXTS},
    }
    return set((await session.execute(_INSERT, values)).scalars())


_TEXTS: Final = ("external_id", "name", "language", "zone", "country", "address", "email")
_INSERT: Final = text("""
insert into app.debtor
  (tenant_id, id, version, kind, name_folded, external_id, name, language, zone, country, address, email)
select :tenant_id, u.id, 1, u.kind, u.folded, u.external_id, u.name, u.language, u.zone, u.country, u.address, u.email
from unnest(cast(:ids as uuid[]), cast(:kinds as text[]), cast(:folded as text[]), cast(:external_id as text[]),
            cast(:name as text[]), cast(:language as text[]), cast(:zone as text[]), cast(:country as text[]),
            cast(:address as text[]), cast(:email as text[]))
  as u(id, kind, folded, external_id, name, language, zone, country, address, email)
order by u.external_id
on conflict do nothing returning id
""")


def _checked(new: NewDebtor, insolvent_on: date | None = None) -> NewDebtor:
    faults = Faults()
    faults.day("/insolvent_on", insolvent_on)
    faults.zone("/zone", new.zone)
    faults.language("/language", new.language)
    faults.country("/country", new.country)
    clean = structs.replace(
        new,
        name=faults.line("/name", new.name, MAX_NAME),
        address=faults.lines("/address", new.address, MAX_TEXT),
        email=faults.email("/email", new.email),
        external_id=faults.optional_line("/external_id", new.external_id, MAX_EXTERNAL_ID),
        identifiers=identifiers.check(faults, "/identifiers", new.identifiers),
    )
    faults.stop()
    return clean
