"""What a fault test sets in motion: tenants with debts that fall due, a client that writes all the while, a watch."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, Self
from uuid import UUID, uuid4

import anyio
import httpx
from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from messaging.channels.email.settings import SmtpSettings
from receivables.creditors import create_creditor
from receivables.debtors import create_debtor
from receivables.drafts import NewCreditor, NewDebtor, NewInvoice
from receivables.invoices import open_invoice
from storage.database import Database
from support.processes import Place
from support.tenants import CAUSE, NOW, make_tenant
from support.webhooks import make_endpoint
from tenants import keys

DUE_ON: Final = date(2026, 3, 5)  # three days before it is 2 March: the day of NOW, on which the first word is due
ROWS: Final = 25  # debtors made in one transaction
AT_ONCE: Final = SmtpSettings(host="127.0.0.1", port=25, security="none").at_once  # what a channel sends at once
TRY_AGAIN_S: Final = 0.1
BREATH_S: Final = 0.05  # between two writes of one client


class Tenant(Struct, frozen=True):
    """A sandbox with an endpoint at the receiver, a key to it, and a debtor who pays though he owes nothing."""

    id: UUID
    key: str
    creditor_id: str
    payer_id: str


async def make_tenants(place: Place, database: Database, count: int, debtors: int) -> list[Tenant]:
    """Sandboxes in which one message to each debtor is due as soon as the test clock is advanced."""
    base = await place.receiver()
    made: list[Tenant] = []
    secrets: dict[str, str] = {}
    for _ in range(count):
        tenant_id = await make_tenant(database)
        endpoint = await make_endpoint(database, tenant_id, f"{base}{tenant_id}", types=("*",))
        secrets[str(tenant_id)] = endpoint.secret or ""
        async with database.tenant(tenant_id, CAUSE) as session:
            key = await keys.create(session, name="storm", scopes=("*",), now=NOW)
            new = NewCreditor(name="Atelier Nord", reply_to="compta@nord.example")
            creditor = await create_creditor(session, new, NOW)
            payer = await create_debtor(session, NewDebtor(name="Payer"), NOW)
        made.append(Tenant(tenant_id, key.secret or "", creditor.id, payer.id))
        await bill(database, made[-1], debtors)
    place.secrets.write_text(json.dumps(secrets))
    return made


async def bill(database: Database, tenant: Tenant, debtors: int, *, series: str = "F") -> None:
    """So many debtors with an invoice each."""
    for start in range(0, debtors, ROWS):
        async with database.tenant(tenant.id, CAUSE) as session:
            for number in range(start, min(start + ROWS, debtors)):
                name = f"{series}-{number}"
                debtor = await create_debtor(session, NewDebtor(name=name, email=f"d{number}@petit.example"), NOW)
                new = NewInvoice(
                    creditor_id=ids.decode("crd", tenant.creditor_id), debtor_id=ids.decode("dbt", debtor.id),
                    number=name, currency="EUR", issued_on=DUE_ON - timedelta(days=30), due_on=DUE_ON,
                    total_minor=120_00,
                )  # fmt: skip
                await open_invoice(session, new, NOW)


class Answered(Struct, frozen=True):
    """What the API acknowledged: the object's id, and after how many tries."""

    id: str
    tries: int


class Client:
    """A client as the documentation asks for: one Idempotency-Key a request, sent again until it is answered."""

    def __init__(self, place: Place) -> None:
        self._http = httpx.AsyncClient(base_url=place.url, timeout=10)
        self.unavailable = 0  # answers 503, each of which named a time to wait
        self.other: list[tuple[int, str]] = []  # answers that no client should see

    async def post(self, tenant: Tenant, path: str, body: dict[str, Any], *, within_s: float) -> Answered:
        """Write once, however often it takes. Fails after the time."""
        headers = {"Authorization": f"Bearer {tenant.key}", "Idempotency-Key": str(uuid4())}
        end, tries = time.monotonic() + within_s, 0
        while time.monotonic() < end:
            tries += 1
            with suppress(httpx.TransportError):  # killed before it answered: nobody knows, so ask again
                answer = await self._http.post(path, json=body, headers=headers)
                if answer.is_success:
                    return Answered(str(answer.json()["id"]), tries)
                self._refused(answer)
            await anyio.sleep(TRY_AGAIN_S)
        raise TimeoutError(f"{path} was not acknowledged within {within_s:.0f} s: {self.other[-3:]}")

    def _refused(self, answer: httpx.Response) -> None:
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and int(answer.headers.get("Retry-After", 0)) > 0:
            self.unavailable += 1
        elif answer.status_code != HTTPStatus.CONFLICT or answer.json()["code"] != "idempotency_key_in_use":
            self.other.append((answer.status_code, answer.text[:300]))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()


async def receive(client: Client, tenant: Tenant, reference: str, *, within_s: float = 30) -> Answered:
    """Record that money arrived: once, whatever happens meanwhile."""
    body = {
        "creditor_id": tenant.creditor_id, "debtor_id": tenant.payer_id, "currency": "EUR", "amount_minor": 100,
        "reference": reference,
    }  # fmt: skip
    return await client.post(tenant, "/v1/receipts", body, within_s=within_s)


async def keep_receiving(
    client: Client, tenant: Tenant, stopping: anyio.Event, *, within_s: float = 120
) -> list[Answered]:
    """Record one receipt after the other until told to stop."""
    done: list[Answered] = []
    while not stopping.is_set():
        done.append(await receive(client, tenant, f"storm {len(done)}", within_s=within_s))
        await anyio.sleep(BREATH_S)
    return done


async def advance(client: Client, tenants: Sequence[Tenant], *, minutes: int = 1, within_s: float = 60) -> None:
    """Let a minute of business time go by, in which everything that is due is said."""
    body = {"to": (NOW + timedelta(minutes=minutes)).isoformat()}
    for tenant in tenants:
        await client.post(tenant, "/v1/test_helpers/clock/advance", body, within_s=within_s)


class Held(Struct, frozen=True):
    """A row in somebody's hands."""

    queue: str
    tenant_id: UUID
    id: UUID
    fence: int
    lease_until: datetime


class Watch:
    """How long work stays in the hands of the dead: from each kill until the last of it is anybody's again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._mourned: list[tuple[float, dict[tuple[str, UUID, int], datetime]]] = []
        self.resumed_s: list[float] = []

    async def mourn(self) -> None:
        """Remember what is held at the moment of a kill."""
        held = {(row.queue, row.id, row.fence): row.lease_until for row in await self._held()}
        self._mourned.append((time.monotonic(), held))

    async def look(self) -> None:
        """Forget what the living hold or have done; note when the dead hold nothing more."""
        now_held = {(row.queue, row.id, row.fence): row.lease_until for row in await self._held()}
        now = time.monotonic()
        left: list[tuple[float, dict[tuple[str, UUID, int], datetime]]] = []
        for since, rows in self._mourned:
            still = {key: until for key, until in rows.items() if now_held.get(key) == until}  # not renewed
            if still:
                left.append((since, still))
            else:
                self.resumed_s.append(now - since)
        self._mourned = left

    @property
    def waiting(self) -> int:
        """Kills whose work is not yet anybody's again."""
        return len(self._mourned)

    async def run(self, every_s: float = 0.2) -> None:
        """Look until cancelled; a database that is away is looked at later."""
        while True:
            with suppress(Exception):
                await self.look()
            await asyncio.sleep(every_s)

    async def _held(self) -> list[Held]:
        async with self._database.operator() as session:
            return [Held(*row) for row in await session.execute(_HELD)]


_HELD: Final = text("""
select 'tick', tenant_id, id, fence, lease_until from app.tick where state = 'leased'
union all select 'reaction', tenant_id, id, fence, lease_until from app.reaction where state = 'leased'
union all select 'job', tenant_id, id, fence, lease_until from app.job where state = 'leased'
union all select 'message', tenant_id, id, fence, lease_until from app.message where state in ('leased', 'dispatching')
union all select 'delivery', tenant_id, id, fence, lease_until from app.delivery where state = 'leased'
limit 100000
""")
