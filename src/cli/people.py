"""`relance account`, `relance tenant`, `relance key`: who may act for which company."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import click
import msgspec

from cli.settings import read
from cli.world import open_database, servers
from kernel import ids
from kernel.errors import Fault, Invalid
from receivables.creditors import create_creditor
from receivables.drafts import NewCreditor
from receivables.identifiers import Identifier
from storage.clocks import now_of
from storage.database import Database
from storage.session import Cause
from tenants import keys
from tenants.accounts import create_account
from tenants.creation import create_tenant, find_tenant
from tenants.models import Mode, TenantKind

T = TypeVar("T")
CAUSE = Cause(kind="command", id="relance")


def run(work: Callable[[Database], Awaitable[T]]) -> T:
    """Do one thing in the database and close it."""
    settings = read()
    with servers(settings) as where:

        async def whole() -> T:
            database = open_database(settings, where, application="relance-command", pool_size=2)
            try:
                return await work(database)
            finally:
                await database.close()

        return asyncio.run(whole())


def say(as_json: bool, fields: dict[str, object], sentence: str) -> None:  # noqa: FBT001 - the option's own value
    """Answer in the form that was asked for."""
    click.echo(msgspec.json.encode(fields).decode() if as_json else sentence)


@click.group()
def account() -> None:
    """Companies as customers of this deployment."""


@account.command("create")
@click.argument("slug")
@click.option("--name", help="The company's name; the slug where it is not given.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def account_create(slug: str, name: str | None, as_json: bool) -> None:  # noqa: FBT001 - a click option
    """Make an account."""

    async def work(database: Database) -> str:
        async with database.directory() as session:
            return ids.encode("acc", await create_account(session, slug, name or slug))

    made = run(work)
    say(as_json, {"id": made, "slug": slug}, f"Account {slug} ({made}).")


@click.group()
def tenant() -> None:
    """Isolated worlds of an account: one live, any number of sandboxes."""


@tenant.command("create")
@click.argument("slug")
@click.option("--account", "account_slug", required=True, help="The account's slug.")
@click.option("--sandbox", is_flag=True, help="A sandbox: nothing in it reaches a real person.")
@click.option(
    "--clock", "clock", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="A sandbox's test clock (UTC)."
)
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), default=Mode.REVIEW.value, show_default=True)
@click.option("--creditor", help="The name of its first creditor (legal entity).")
@click.option("--legal-id", "legal_ids", multiple=True, metavar="SCHEME:VALUE", help="siren:…, siret:…, vat:… of it.")
@click.option("--zone", default="Europe/Paris", show_default=True, help="The creditor's time zone.")
@click.option("--language", default="fr", show_default=True)
@click.option("--country", default="FR", show_default=True)
@click.option("--currency", default="EUR", show_default=True)
@click.option("--reply-to", help="Where debtors' answers go.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def tenant_create(
    *,
    slug: str,
    account_slug: str,
    sandbox: bool,
    clock: datetime | None,
    mode: str,
    creditor: str | None,
    legal_ids: tuple[str, ...],
    zone: str,
    language: str,
    country: str,
    currency: str,
    reply_to: str | None,
    as_json: bool,
) -> None:
    """Make a tenant, and its first creditor."""
    if clock is not None and not sandbox:
        raise click.UsageError("only a sandbox has a test clock: add --sandbox")
    if legal_ids and creditor is None:
        raise click.UsageError("--legal-id belongs to a creditor: add --creditor NAME")
    numbers = tuple(_legal_id(text) for text in legal_ids)

    async def work(database: Database) -> dict[str, object]:
        made = await create_tenant(
            database,
            account_slug=account_slug,
            slug=slug,
            kind=TenantKind.SANDBOX if sandbox else TenantKind.LIVE,
            cause=CAUSE,
            clock_at=None if clock is None else clock.replace(tzinfo=UTC),
            mode=Mode(mode),
        )
        answer: dict[str, object] = {
            "id": made.id,
            "slug": slug,
            "kind": made.kind,
            "mode": made.mode,
            "creditor_id": None,
        }
        if creditor is not None:
            async with database.tenant(ids.decode("ten", made.id), CAUSE) as session:
                new = NewCreditor(
                    name=creditor, zone=zone, language=language, country=country, currency=currency,
                    reply_to=reply_to, identifiers=numbers,
                )  # fmt: skip
                answer["creditor_id"] = (await create_creditor(session, new, await now_of(session))).id
        return answer

    answer = run(work)
    say(as_json, answer, f"Tenant {slug} ({answer['id']}), {answer['kind']}, mode {answer['mode']}.")


def _legal_id(text: str) -> Identifier:
    scheme, colon, value = text.partition(":")
    if not colon or not scheme or not value:
        fault = Fault(pointer="--legal-id", code="form", message=f"{text!r} is not SCHEME:VALUE")
        raise Invalid(errors=[fault])
    return Identifier(scheme.strip().lower(), value.strip())


@click.group()
def key() -> None:
    """API keys."""


@key.command("create")
@click.option("--tenant", "tenant_slug", required=True, help="The tenant's slug.")
@click.option("--scope", "scopes", multiple=True, required=True, help="resource:read|write|approve, or * for all.")
@click.option("--name", default="command line", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def key_create(tenant_slug: str, scopes: tuple[str, ...], name: str, as_json: bool) -> None:  # noqa: FBT001 - click
    """Make an API key; it is shown once."""

    async def work(database: Database) -> tuple[str, str]:
        async with database.directory() as directory:
            found = await find_tenant(directory, tenant_slug)
        async with database.tenant(found.tenant_id, CAUSE) as session:
            made = await keys.create(session, name=name, scopes=scopes, now=await now_of(session))
            return made.api_key.id, made.secret or ""

    key_id, token = run(work)
    say(as_json, {"id": key_id, "key": token, "tenant": tenant_slug}, token)
