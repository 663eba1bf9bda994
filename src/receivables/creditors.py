"""Creditors: the legal entities of the tenant, with their bank accounts and logos."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs

from kernel import ids
from kernel.text import MAX_NAME
from receivables import access, banking, identifiers
from receivables.banking import BankAccountChange, NewBankAccount
from receivables.changes import copy_to, draft_of, expect, flush, named
from receivables.checking import MAX_EXTERNAL_ID, MAX_TEXT, Faults
from receivables.drafts import CreditorChange, NewCreditor
from receivables.errors import ExternalIdTaken, LogoRefused
from receivables.events import CreditorCreated, CreditorUpdated
from receivables.identifiers import CREDITORS
from receivables.images import NotAPicture, read_picture
from receivables.models import Creditor
from receivables.party_views import BankAccountView
from receivables.views import CreditorView
from storage.blobs import PostgresBlobs
from storage.events import emit
from storage.session import TenantSession, tenant_of

LOGO_RETENTION: Final = "logo"
_COLUMNS: Final = (
    "external_id", "name", "zone", "language", "country", "currency", "address", "reply_to", "payment_terms",
    "eom_reading", "allocation_rule",
)  # fmt: skip
_REFUSALS: Final = {"uq_creditor_external_id": ExternalIdTaken}


async def create_creditor(session: TenantSession, new: NewCreditor, now: datetime) -> CreditorView:
    """Make a creditor known. Raises Invalid, ExternalIdTaken, IdentifierTaken."""
    new = _checked(new)
    row = Creditor(tenant_id=tenant_of(session), id=ids.new_id(), version=1, logo_id=None)
    copy_to(row, new, (*_COLUMNS, "iban", "bic"))
    session.add(row)
    await flush(session, _REFUSALS)
    await identifiers.give(session, CREDITORS, [(row.id, each) for each in new.identifiers])
    await banking.put_default(session, row, new.iban, new.bic, currency=new.currency)
    view = (await access.creditor_views(session, [row]))[0]
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
    """Change what the change names; the same again changes nothing. Raises what create_creditor raises.

    An IBAN becomes the default account in the creditor's currency; another currency brings its own default with it.
    """
    row, before = await _locked(session, creditor_id, expected_version)
    held = before.identifiers
    changes = named(change)
    new = _checked(structs.replace(draft_of(NewCreditor, row, identifiers=held), **changes))
    copy_to(row, new, _COLUMNS)
    await flush(session, _REFUSALS)
    if new.identifiers != held:
        await identifiers.replace(session, CREDITORS, creditor_id, new.identifiers)
    if changes.keys() & {"iban", "bic"}:
        await banking.put_default(session, row, new.iban, new.bic, currency=new.currency)
    await banking.derive(session, row)
    return await _tell(session, row, before, now)


async def add_bank_account(
    session: TenantSession, creditor_id: UUID, new: NewBankAccount, now: datetime
) -> BankAccountView:
    """Give a creditor an account. Raises Invalid, CreditorNotFound, BankAccountTaken."""
    row, before = await _locked(session, creditor_id, None)
    added = await banking.add_account(session, row, new)
    await _tell(session, row, before, now)
    return BankAccountView.of(added)


async def change_bank_account(
    session: TenantSession,
    creditor_id: UUID,
    account_id: UUID,
    change: BankAccountChange,
    now: datetime,
    *,
    expected_version: int | None = None,
) -> BankAccountView:
    """Change an account. Raises Invalid, CreditorNotFound, BankAccountNotFound, BankAccountArchived."""
    row, before = await _locked(session, creditor_id, None)
    changed = await banking.change_account(session, row, account_id, change, expected_version=expected_version)
    await _tell(session, row, before, now)
    return BankAccountView.of(changed)


async def archive_bank_account(
    session: TenantSession, creditor_id: UUID, account_id: UUID, now: datetime
) -> BankAccountView:
    """Use an account no more; twice is once. Raises CreditorNotFound, BankAccountNotFound."""
    row, before = await _locked(session, creditor_id, None)
    archived = await banking.archive_account(session, row, account_id, now)
    await _tell(session, row, before, now)
    return BankAccountView.of(archived)


async def set_logo(
    session: TenantSession,
    blobs: PostgresBlobs,
    creditor_id: UUID,
    content: bytes | None,
    now: datetime,
    *,
    expected_version: int | None = None,
) -> CreditorView:
    """Keep a creditor's logo, taken apart and put together anew; None for no logo. Raises LogoRefused."""
    row, before = await _locked(session, creditor_id, expected_version)
    if content is None:
        row.logo_id = None
    else:
        try:
            picture = read_picture(content)
        except NotAPicture as error:
            raise LogoRefused(str(error)) from error
        ref = await blobs.put(session, content=picture.content, kind=picture.media_type, retention=LOGO_RETENTION)
        row.logo_id = ref.id
    return await _tell(session, row, before, now)


async def _locked(
    session: TenantSession, creditor_id: UUID, expected_version: int | None
) -> tuple[Creditor, CreditorView]:
    row = await access.creditor(session, creditor_id, lock=True)
    expect(row.version, expected_version)
    return row, (await access.creditor_views(session, [row]))[0]


async def _tell(session: TenantSession, row: Creditor, before: CreditorView, now: datetime) -> CreditorView:
    """The creditor as it is now; an event where that is not what it was."""
    if (await access.creditor_views(session, [row]))[0] == before:
        return before
    row.version += 1
    await flush(session, _REFUSALS)
    after = (await access.creditor_views(session, [row]))[0]
    emit(session, CreditorUpdated(after, before, now))
    return after


def _checked(new: NewCreditor) -> NewCreditor:
    faults = Faults()
    faults.zone("/zone", new.zone)
    faults.language("/language", new.language)
    faults.country("/country", new.country)
    faults.currency("/currency", new.currency)
    faults.eom_reading("/eom_reading", new.eom_reading)
    clean = structs.replace(
        new,
        name=faults.line("/name", new.name, MAX_NAME),
        address=faults.lines("/address", new.address, MAX_TEXT),
        reply_to=faults.email("/reply_to", new.reply_to),
        iban=faults.iban("/iban", new.iban),
        bic=faults.bic("/bic", new.bic),
        payment_terms=faults.optional_line("/payment_terms", new.payment_terms, MAX_NAME),
        external_id=faults.optional_line("/external_id", new.external_id, MAX_EXTERNAL_ID),
        identifiers=identifiers.check(faults, "/identifiers", new.identifiers),
    )
    faults.stop()
    return clean
