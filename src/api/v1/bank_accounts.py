"""Bank accounts and logos of creditors: what a letter shows of who is to be paid."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Final

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from api.fields import Currency, Name
from api.problems import problems
from api.resources import Resources
from api.routes import needs
from api.v1.creditors import Bic, Iban
from api.v1.drafting import sent
from kernel import ids
from kernel.errors import PreconditionFailed
from receivables import access, creditors
from receivables.banking import BankAccountChange, NewBankAccount, account
from receivables.errors import (
    BankAccountArchived,
    BankAccountNotFound,
    BankAccountTaken,
    CreditorNotFound,
    LogoNotFound,
    LogoRefused,
)
from receivables.images import MAX_BYTES, read_picture
from receivables.party_views import BankAccountView
from receivables.views import CreditorView
from storage.blobs import PostgresBlobs
from storage.session import TenantSession

MAX_BASE64: Final = (MAX_BYTES + 2) // 3 * 4


class BankAccountIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account to be paid on; the first of a currency becomes its default. Without a currency, the creditor's own."""

    iban: Iban
    currency: Currency | None = None
    bic: Bic | None = None
    label: Name | None = None
    is_default: bool = False


class BankAccountPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of an account can be changed; another IBAN is another account."""

    bic: Bic | UnsetType | None = UNSET
    label: Name | UnsetType | None = UNSET
    is_default: bool | UnsetType = UNSET


class LogoIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A PNG or JPEG; what it is is read from its bytes."""

    content: Annotated[str, Meta(min_length=1, max_length=MAX_BASE64, description="The picture in base64.")]


class Logo(Struct, frozen=True, kw_only=True):
    """A creditor's logo as it is kept: taken apart and put together anew, without metadata."""

    id: str
    media_type: str
    width: int  # pixels
    height: int
    content: str  # base64


class BankAccounts(Controller):
    """A letter names the default account of its currency."""

    path = "/v1/creditors/{creditor_id:str}"
    tags = ["Creditors"]

    @post(
        "/bank_accounts",
        operation_id="addBankAccount",
        opt=needs("creditors:write"),
        responses=problems(CreditorNotFound, BankAccountTaken),
    )
    async def add(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        creditor_id: FromPath[str],
        data: JSONBody[BankAccountIn],
    ) -> BankAccountView:
        """Add an account."""
        wanted = ids.decode("crd", creditor_id)
        currency = data.currency or (await access.creditor(session, wanted)).currency
        new = NewBankAccount(**sent(data, currency=currency))
        return await creditors.add_bank_account(session, wanted, new, now)

    @get(
        "/bank_accounts/{bank_account_id:str}",
        operation_id="getBankAccount",
        opt=needs("creditors:read"),
        responses=problems(CreditorNotFound, BankAccountNotFound),
    )
    async def read(
        self, session: NamedDependency[TenantSession], creditor_id: FromPath[str], bank_account_id: FromPath[str]
    ) -> BankAccountView:
        """Read one account; those in use are listed with the creditor."""
        row = await access.creditor(session, ids.decode("crd", creditor_id))
        return BankAccountView.of(await account(session, row.id, ids.decode("bac", bank_account_id)))

    @patch(
        "/bank_accounts/{bank_account_id:str}",
        operation_id="updateBankAccount",
        opt=needs("creditors:write"),
        responses=problems(CreditorNotFound, BankAccountNotFound, BankAccountArchived, PreconditionFailed),
    )
    async def update(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        *,
        expected_version: NamedDependency[int | None],
        creditor_id: FromPath[str],
        bank_account_id: FromPath[str],
        data: JSONBody[BankAccountPatch],
    ) -> BankAccountView:
        """Change an account, or make it its currency's default."""
        return await creditors.change_bank_account(
            session,
            ids.decode("crd", creditor_id),
            ids.decode("bac", bank_account_id),
            BankAccountChange(**sent(data)),
            now,
            expected_version=expected_version,
        )

    @post(
        "/bank_accounts/{bank_account_id:str}/archive",
        operation_id="archiveBankAccount",
        status_code=200,
        opt=needs("creditors:write"),
        responses=problems(CreditorNotFound, BankAccountNotFound),
    )
    async def archive(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        creditor_id: FromPath[str],
        bank_account_id: FromPath[str],
    ) -> BankAccountView:
        """Use an account no more; letters of its currency name none until another one is the default."""
        return await creditors.archive_bank_account(
            session, ids.decode("crd", creditor_id), ids.decode("bac", bank_account_id), now
        )

    @put(
        "/logo",
        operation_id="putCreditorLogo",
        opt=needs("creditors:write"),
        responses=problems(CreditorNotFound, LogoRefused, PreconditionFailed),
    )
    async def put_logo(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        *,
        resources: NamedDependency[Resources],
        expected_version: NamedDependency[int | None],
        creditor_id: FromPath[str],
        data: JSONBody[LogoIn],
    ) -> CreditorView:
        """Set the creditor's logo."""
        try:
            content = base64.b64decode(data.content, validate=True)
        except (binascii.Error, ValueError):
            raise LogoRefused("not base64") from None
        blobs = PostgresBlobs(resources.database.keys)
        wanted = ids.decode("crd", creditor_id)
        return await creditors.set_logo(session, blobs, wanted, content, now, expected_version=expected_version)

    @get(
        "/logo",
        operation_id="getCreditorLogo",
        opt=needs("creditors:read"),
        responses=problems(CreditorNotFound, LogoNotFound),
    )
    async def read_logo(
        self,
        session: NamedDependency[TenantSession],
        resources: NamedDependency[Resources],
        creditor_id: FromPath[str],
    ) -> Logo:
        """Read the creditor's logo."""
        row = await access.creditor(session, ids.decode("crd", creditor_id))
        if row.logo_id is None:
            raise LogoNotFound
        picture = read_picture(await PostgresBlobs(resources.database.keys).get(session, row.logo_id))
        return Logo(
            id=ids.encode("blb", row.logo_id),
            media_type=picture.media_type,
            width=picture.width,
            height=picture.height,
            content=base64.b64encode(picture.content).decode(),
        )

    @delete(
        "/logo",
        operation_id="removeCreditorLogo",
        status_code=200,
        opt=needs("creditors:write"),
        responses=problems(CreditorNotFound, PreconditionFailed),
    )
    async def remove_logo(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        *,
        resources: NamedDependency[Resources],
        expected_version: NamedDependency[int | None],
        creditor_id: FromPath[str],
    ) -> CreditorView:
        """Show no logo any more."""
        blobs = PostgresBlobs(resources.database.keys)
        wanted = ids.decode("crd", creditor_id)
        return await creditors.set_logo(session, blobs, wanted, None, now, expected_version=expected_version)
