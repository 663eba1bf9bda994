"""Make the two companies: an account, a sandbox with a test clock, a creditor, a policy, their documents."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from billing_connectors.documents.report import Verdict
from billing_connectors.importing import import_paths
from dunning import policies
from dunning.rules import PolicyBody, Step, Tone
from kernel import ids
from receivables.creditors import create_creditor
from receivables.drafts import NewCreditor
from receivables.identifiers import Identifier
from storage.clocks import now_of
from storage.database import Database
from storage.session import Cause
from tenants import keys
from tenants.accounts import create_account
from tenants.creation import create_tenant, find_tenant
from tenants.errors import TenantNotFound
from tenants.models import Mode, TenantKind

EXAMPLES: Final = Path(__file__).resolve().parents[3] / "examples"
SLUGS: Final = ("atelier-belleville", "menuiserie-roux")
BEGINS_AT: Final = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
CAUSE: Final = Cause(kind="command", id="demo")
POLICY: Final = PolicyBody(
    steps=(
        Step(key="before_due", days=-3, tone=Tone.COURTEOUS, template="before_due"),
        Step(key="first_reminder", days=3, tone=Tone.COURTEOUS, template="reminder"),
        Step(key="second_reminder", days=10, tone=Tone.FIRM, template="reminder"),
        Step(key="last_reminder", days=25, tone=Tone.FORMAL, template="reminder"),
    )
)


class _Address(Struct, frozen=True):
    lines: list[str]
    postcode: str
    city: str
    country: str


class Company(Struct, frozen=True):
    """A company of `examples/`, as its company.json says."""

    slug: str
    name: str
    siren: str
    siret: str
    vat: str
    address: _Address
    email: str
    iban: str
    zone: str
    language: str
    currency: str

    @property
    def folder(self) -> Path:
        """Where its documents are."""
        return EXAMPLES / self.slug


class Member(Struct, frozen=True):
    """A company with its tenant and a key to it."""

    company: Company
    tenant_id: UUID
    key: str


def read_companies() -> list[Company]:
    """The companies of the examples."""
    return [msgspec.json.decode((EXAMPLES / slug / "company.json").read_bytes(), type=Company) for slug in SLUGS]


async def exists(database: Database, company: Company) -> bool:
    """Whether the company has been made before."""
    async with database.directory() as directory:
        try:
            await find_tenant(directory, company.slug)
        except TenantNotFound:
            return False
    return True


async def make(database: Database, company: Company) -> Member:
    """Account, sandbox, creditor, policy, key."""
    async with database.directory() as directory:
        await create_account(directory, company.slug, company.name)
    made = await create_tenant(
        database,
        account_slug=company.slug,
        slug=company.slug,
        kind=TenantKind.SANDBOX,
        cause=CAUSE,
        clock_at=BEGINS_AT,
        mode=Mode.AUTOMATIC,
    )
    tenant_id = ids.decode("ten", made.id)
    address = company.address
    async with database.tenant(tenant_id, CAUSE) as session:
        now = await now_of(session)
        new = NewCreditor(
            name=company.name,
            zone=company.zone,
            language=company.language,
            currency=company.currency,
            address="\n".join((*address.lines, f"{address.postcode} {address.city}")),
            reply_to=company.email,
            iban=company.iban,
            identifiers=(Identifier("siret", company.siret), Identifier("vat", company.vat)),
        )
        await create_creditor(session, new, now)
        await policies.create(session, "default", POLICY, now, default=True)
        key = await keys.create(session, name="demo", scopes=["*"], now=now)
    return Member(company, tenant_id, key.secret or "")


async def bring_documents(database: Database, member: Member, progress: Callable[[Verdict], None]) -> Sequence[Verdict]:
    """Import the company's e-invoices and its accounting export, as `relance import documents` does."""
    folder = member.company.folder
    paths = [folder / "einvoices", folder / "invoices.csv"]
    return await import_paths(database, member.tenant_id, paths, mapping=str(folder / "mapping.json"), each=progress)
