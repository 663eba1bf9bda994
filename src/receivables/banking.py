"""Bank accounts of creditors: one of each currency is the default, which letters name.

The creditor's own `iban` and `bic` are those of the default account in its own currency, kept in step here.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, structs
from sqlalchemy import select, update

from kernel import ids
from kernel.errors import Fault, Invalid
from kernel.text import MAX_NAME
from receivables import access
from receivables.changes import copy_to, draft_of, expect, flush, named
from receivables.checking import Faults
from receivables.errors import BankAccountArchived, BankAccountNotFound, BankAccountTaken
from receivables.models import Creditor
from receivables.party_models import BankAccount
from receivables.party_views import BankAccountView
from storage.session import TenantSession, tenant_of

MAX_ACCOUNTS: Final = 50
_COLUMNS: Final = ("iban", "bic", "currency", "label", "is_default")
_REFUSALS: Final = {"uq_bank_account_iban": BankAccountTaken}


class NewBankAccount(Struct, frozen=True, kw_only=True):
    """An account to be paid on; the first of a currency is its default."""

    iban: str
    currency: str
    bic: str | None = None
    label: str | None = None
    is_default: bool = False


class BankAccountChange(Struct, frozen=True, kw_only=True):
    """What changes about an account; another IBAN is another account."""

    bic: str | UnsetType | None = UNSET
    label: str | UnsetType | None = UNSET
    is_default: bool | UnsetType = UNSET


async def account(session: TenantSession, creditor_id: UUID, account_id: UUID) -> BankAccount:
    """Load one account of a creditor. Raises BankAccountNotFound."""
    row = await session.get(BankAccount, (tenant_of(session), account_id))
    if row is None or row.creditor_id != creditor_id:
        raise BankAccountNotFound
    return row


async def add_account(session: TenantSession, creditor: Creditor, new: NewBankAccount) -> BankAccount:
    """Give a locked creditor an account; the caller tells of the creditor. Raises Invalid, BankAccountTaken."""
    new = _checked(new)
    known = (await access.creditor_view(session, creditor.id)).bank_accounts
    if len(known) >= MAX_ACCOUNTS:
        raise Invalid(errors=[Fault(pointer="", code="too_many", message=f"at most {MAX_ACCOUNTS} accounts")])
    is_default = new.is_default or not any(each.is_default and each.currency == new.currency for each in known)
    row = BankAccount(
        tenant_id=tenant_of(session), id=ids.new_id(), version=1, creditor_id=creditor.id, archived_at=None
    )
    copy_to(row, structs.replace(new, is_default=is_default), _COLUMNS)
    if is_default:
        await _no_default(session, creditor.id, new.currency)
    session.add(row)
    await flush(session, _REFUSALS)
    await derive(session, creditor)
    return row


async def change_account(
    session: TenantSession,
    creditor: Creditor,
    account_id: UUID,
    change: BankAccountChange,
    *,
    expected_version: int | None = None,
) -> BankAccount:
    """Change an account of a locked creditor. Raises Invalid, BankAccountNotFound, BankAccountArchived."""
    row = await _in_use(session, creditor.id, account_id)
    expect(row.version, expected_version)
    before = BankAccountView.of(row)
    new = _checked(structs.replace(draft_of(NewBankAccount, row), **named(change)))
    if new.is_default and not row.is_default:
        await _no_default(session, creditor.id, row.currency)
    copy_to(row, new, _COLUMNS)
    if BankAccountView.of(row) != before:
        row.version += 1
    await flush(session, _REFUSALS)
    await derive(session, creditor)
    return row


async def archive_account(session: TenantSession, creditor: Creditor, account_id: UUID, now: datetime) -> BankAccount:
    """Use an account no more; twice is once."""
    row = await account(session, creditor.id, account_id)
    if row.archived_at is None:
        row.archived_at, row.is_default, row.version = now, False, row.version + 1
    await session.flush()
    await derive(session, creditor)
    return row


async def derive(session: TenantSession, creditor: Creditor) -> None:
    """Bring a creditor's own IBAN and BIC in step with its default account."""
    found = await _default(session, creditor.id, creditor.currency)
    creditor.iban, creditor.bic = (None, None) if found is None else (found.iban, found.bic)


async def put_default(
    session: TenantSession, creditor: Creditor, iban: str | None, bic: str | None, *, currency: str
) -> None:
    """Make an IBAN the default account of a currency, adding it where it is new; none leaves the currency without."""
    if iban is None:
        await _no_default(session, creditor.id, currency)
        return
    statement = select(BankAccount).where(
        BankAccount.tenant_id == tenant_of(session),
        BankAccount.creditor_id == creditor.id,
        BankAccount.iban == iban,
        BankAccount.currency == currency,
        BankAccount.archived_at.is_(None),
    )
    row = (await session.execute(statement)).scalar_one_or_none()
    if row is None:
        await add_account(session, creditor, NewBankAccount(iban=iban, bic=bic, currency=currency, is_default=True))
        return
    if not row.is_default:
        await _no_default(session, creditor.id, currency)
    if (row.bic, row.is_default) != (bic, True):
        row.bic, row.is_default, row.version = bic, True, row.version + 1
    await session.flush()


async def _default(session: TenantSession, creditor_id: UUID, currency: str) -> BankAccount | None:
    statement = select(BankAccount).where(
        BankAccount.tenant_id == tenant_of(session),
        BankAccount.creditor_id == creditor_id,
        BankAccount.currency == currency,
        BankAccount.is_default,
        BankAccount.archived_at.is_(None),
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def _no_default(session: TenantSession, creditor_id: UUID, currency: str) -> None:
    statement = (
        update(BankAccount)
        .where(
            BankAccount.tenant_id == tenant_of(session),
            BankAccount.creditor_id == creditor_id,
            BankAccount.currency == currency,
            BankAccount.is_default,
        )
        .values(is_default=False, version=BankAccount.version + 1)
    )
    await session.flush()
    await session.execute(statement)


async def _in_use(session: TenantSession, creditor_id: UUID, account_id: UUID) -> BankAccount:
    row = await account(session, creditor_id, account_id)
    await session.refresh(row)
    if row.archived_at is not None:
        raise BankAccountArchived
    return row


def _checked(new: NewBankAccount) -> NewBankAccount:
    faults = Faults()
    faults.currency("/currency", new.currency)
    clean = structs.replace(
        new,
        iban=faults.iban("/iban", new.iban) or "",
        bic=faults.bic("/bic", new.bic),
        label=faults.optional_line("/label", new.label, MAX_NAME),
    )
    if not clean.iban:
        faults.add("/iban", "required", "it must not be empty")
    faults.stop()
    return clean
