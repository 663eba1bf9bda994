"""Erase a debtor (GDPR, article 17), as far as the law that keeps accounts lets us.

A person's name, addresses, mail, telephone, legal ids, names in sources and contacts go; so does everything sealed
under the person's key. What stays is what accounts are made of (C. com. L123-22: ten years; LPF L102 B: six): documents
with number, day and amounts, receipts, allocations, and of a company, which the regulation does not protect
(recital 14), its name and legal ids. Nothing can be taken back.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, text, update

from receivables import access, beside, candidates, identifiers, matches, owing
from receivables.changes import expect
from receivables.errors import DebtorOwes
from receivables.events import ContactArchived, PersonErased
from receivables.identifiers import DEBTORS
from receivables.ledger import WriteOff
from receivables.locks import lock_debtors
from receivables.merges import groups_of
from receivables.models import Contact, Debtor, DebtorKind, Receipt
from receivables.views import ContactView, DebtorView
from storage import access_log
from storage.events import emit
from storage.registry import erases
from storage.session import TenantSession, cause_of, tenant_of
from tenants import erasing


async def erase_debtor(  # the options by name
    session: TenantSession,
    debtor_id: UUID,
    reason: str,
    now: datetime,
    *,
    force: bool = False,
    expected_version: int | None = None,
) -> DebtorView:
    """Erase a debtor with everybody who is one with it; twice is once.

    `force` erases also who still owes: nobody can be written to about it afterwards. Raises DebtorNotFound, DebtorOwes.
    """
    root_id = (await lock_debtors(session, [debtor_id]))[debtor_id]
    row = await access.debtor(session, debtor_id, lock=True)
    if row.erased_at is not None:
        return await access.debtor_view(session, debtor_id)
    expect(row.version, expected_version)
    members = (await groups_of(session, [root_id]))[root_id]
    if not force and await owing.is_open(session, members):
        raise DebtorOwes
    cause = cause_of(session)
    access_log.note(
        session,
        caller=cause.id or cause.kind,
        action="debtor.erase",
        outcome="erased",
        request_id=cause.request_id,
        detail=f"{len(members)} debtor(s): {reason}",
    )
    await erasing.erase(session, members, now)
    return await access.debtor_view(session, debtor_id)


@erases
async def forget(session: TenantSession, subjects: Sequence[UUID], now: datetime) -> None:
    """Blank what receivables know of these debtors; their events say nothing of what was there before."""
    await session.flush()
    statement = select(Debtor).where(
        Debtor.tenant_id == tenant_of(session), Debtor.id.in_(subjects), Debtor.erased_at.is_(None)
    )
    fresh = statement.order_by(Debtor.id).execution_options(populate_existing=True)
    rows = list(await session.scalars(fresh))  # bounded: by the debtors asked for
    gone = [row.id for row in rows]
    persons = [row.id for row in rows if row.kind is DebtorKind.PERSON]
    await matches.withdraw(session, gone, now)
    await candidates.forget_keys(session, gone)
    await beside.write(session, {debtor_id: ((), {}) for debtor_id in gone})
    for row in rows:
        _blank(row, now)
    await session.flush()
    for person_id in persons:
        await identifiers.replace(session, DEBTORS, person_id, ())
    values = {"tenant_id": tenant_of(session), "ids": persons}
    await session.execute(_UNNAME, values)
    await session.execute(
        update(Receipt)
        .where(Receipt.tenant_id == tenant_of(session), Receipt.debtor_id.in_(persons))
        .values(reference=None)
    )
    await session.execute(
        update(WriteOff)
        .where(WriteOff.tenant_id == tenant_of(session), WriteOff.debtor_id.in_(persons))
        .values(note=None)
    )
    await _forget_contacts(session, gone, now)
    for view in await access.debtor_views(session, rows):
        emit(session, PersonErased(view, None, now))


_UNNAME: Final = text("""
delete from app.source_link
where tenant_id = :tenant_id and object_id = any(cast(:ids as uuid[])) and kind = 'debtor'
""")


def _blank(row: Debtor, now: datetime) -> None:
    row.address = row.email = row.phone = None
    if row.kind is DebtorKind.PERSON:
        row.name = row.name_folded = ""
        row.external_id = row.language = row.zone = None
    row.erased_at, row.archived_at, row.version = now, row.archived_at or now, row.version + 1


async def _forget_contacts(session: TenantSession, debtor_ids: Sequence[UUID], now: datetime) -> None:
    statement = select(Contact).where(Contact.tenant_id == tenant_of(session), Contact.debtor_id.in_(debtor_ids))
    fresh = statement.order_by(Contact.id).execution_options(populate_existing=True)
    for row in await session.scalars(fresh):  # bounded: by the contacts of the debtors
        row.name = row.email = row.phone = row.language = row.zone = None
        row.is_primary, row.archived_at, row.version = False, row.archived_at or now, row.version + 1
        emit(session, ContactArchived(ContactView.of(row), None, now))
    await session.flush()
