"""Creditors: the legal entities of the tenant."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs

from kernel import ids
from kernel.text import MAX_NAME
from receivables import access, identifiers
from receivables.changes import copy_to, draft_of, expect, flush, named
from receivables.checking import MAX_EXTERNAL_ID, MAX_TEXT, Faults
from receivables.drafts import CreditorChange, NewCreditor
from receivables.errors import ExternalIdTaken
from receivables.events import CreditorCreated, CreditorUpdated
from receivables.identifiers import CREDITORS
from receivables.models import Creditor
from receivables.views import CreditorView
from storage.events import emit
from storage.session import TenantSession, tenant_of

_COLUMNS: Final = (
    "external_id", "name", "zone", "language", "country", "currency", "address", "reply_to", "iban", "bic",
    "allocation_rule",
)  # fmt: skip
_REFUSALS: Final = {"uq_creditor_external_id": ExternalIdTaken}


async def create_creditor(session: TenantSession, new: NewCreditor, now: datetime) -> CreditorView:
    """Make a creditor known. Raises Invalid, ExternalIdTaken, IdentifierTaken."""
    new = _checked(new)
    row = Creditor(tenant_id=tenant_of(session), id=ids.new_id(), version=1)
    copy_to(row, new, _COLUMNS)
    session.add(row)
    await flush(session, _REFUSALS)
    await identifiers.give(session, CREDITORS, [(row.id, each) for each in new.identifiers])
    view = CreditorView.of(row, new.identifiers)
    emit(session, CreditorCreated(view, None, now))
    return view


async def update_creditor(
    session: TenantSession,
    creditor_id: UUID,
    change: CreditorChange,
    now: datetime,
    *,
    expected_version: int | None = None,
) -> CreditorView:
    """Change what the change names; the same again changes nothing. Raises what create_creditor raises."""
    row = await access.creditor(session, creditor_id, lock=True)
    expect(row.version, expected_version)
    held = (await identifiers.held_by(session, CREDITORS, [creditor_id]))[creditor_id]
    before = CreditorView.of(row, held)
    new = _checked(structs.replace(draft_of(NewCreditor, row, identifiers=held), **named(change)))
    copy_to(row, new, _COLUMNS)
    if CreditorView.of(row, new.identifiers) == before:
        return before
    row.version += 1
    await flush(session, _REFUSALS)
    if new.identifiers != held:
        await identifiers.replace(session, CREDITORS, creditor_id, new.identifiers)
    after = CreditorView.of(row, new.identifiers)
    emit(session, CreditorUpdated(after, before, now))
    return after


def _checked(new: NewCreditor) -> NewCreditor:
    faults = Faults()
    faults.zone("/zone", new.zone)
    faults.language("/language", new.language)
    faults.country("/country", new.country)
    faults.currency("/currency", new.currency)
    clean = structs.replace(
        new,
        name=faults.line("/name", new.name, MAX_NAME),
        address=faults.lines("/address", new.address, MAX_TEXT),
        reply_to=faults.email("/reply_to", new.reply_to),
        iban=faults.iban("/iban", new.iban),
        bic=faults.bic("/bic", new.bic),
        external_id=faults.optional_line("/external_id", new.external_id, MAX_EXTERNAL_ID),
        identifiers=identifiers.check(faults, "/identifiers", new.identifiers),
    )
    faults.stop()
    return clean
