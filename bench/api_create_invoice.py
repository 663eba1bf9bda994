"""`api_create_invoice`: POST /v1/invoices with key, idempotency and event, beside pgbench doing its statements."""

import asyncio
import re
import time
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from bench.equality import assert_same_rows
from bench.load import send_all
from bench.processes import serving
from bench.results import Result, middle
from bench.stage import CAUSE, Stage, dsn, make_tenants, opened
from kernel import ids
from kernel.clock import system_now
from storage.embedded.ownership import runner
from storage.embedded.programs import find
from tenants import keys

TENANTS: Final = 100
CONNECTIONS: Final = 16
SCRIPT: Final = Path(__file__).parent / "reference" / "api_create_invoice.sql"
# The event's payload before and after the number, with ids and instants of the same length as ours.
HEAD: Final = (
    '{"view":{"id":"inv_00000000000000000000000000","version":1,"external_id":null,'
    '"creditor_id":"crd_00000000000000000000000000","debtor_id":"dbt_00000000000000000000000000","number":"'
)
TAIL: Final = (
    '","issued_on":"2026-11-02","due_on":"2026-12-02","due_on_source":"document","currency":"EUR",'
    '"total_minor":120000,"prepaid_minor":0,"balance_minor":120000,"document":"open","void_reason":null,'
    '"purchase_order":null,"payment_terms":null,"direct_debit_on":null,"contract":null,'
    '"project":null,"delivery_note":null,"buyer_reference":null,"taxes":[],"exchange_rate":null,"source":"api",'
    '"known_at":"2026-11-21T20:34:48.613510Z","instalments":[{"id":"ins_00000000000000000000000000","place":1,'
    '"due_on":"2026-12-02","amount_minor":120000,"balance_minor":120000,"discount_minor":null,"discount_until":null}]},'
    '"previous":{}}'
)
CAUSED: Final = '{"kind":"api_key","id":"key_00000000000000000000000000","request_id":"req_000000000000000000000000"}'
_TPS: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


async def run(stage: Stage, *, quick: bool) -> Result:
    """Create invoices for many tenants on some connections, with us and with pgbench; the rates are compared."""
    each, rounds = (40, 1) if quick else (200, 5)
    template, secrets = await _prepared(stage)
    figures: list[float] = []
    references: list[float] = []
    for place in range(rounds):
        ours, reference = await stage.clone(template), await stage.clone(template)
        figures.append(await _ours(stage, ours, secrets, each))
        references.append(await _reference(stage, reference, each))
        if place == 0:
            rows = await assert_same_rows(stage, ours, reference)
            assert rows["invoice"] == rows["reaction"] == rows["idempotency"] == CONNECTIONS * each, rows
        await stage.drop(ours)
        await stage.drop(reference)
    await stage.drop(template)
    return Result(
        name="api_create_invoice",
        figure=middle(figures),
        unit="invoices/s",
        reference=middle(references),
        ratio=middle([mine / other for mine, other in zip(figures, references, strict=True)]),
        hold=0.12,
        aim=0.25,
        better="higher",
        rounds=rounds,
        note=f"{TENANTS} tenants, {CONNECTIONS} connections with {each} requests each, one process of ours",
    )


def _id(first: str, place: int) -> UUID:
    """Ids that the pgbench script can write too."""
    return UUID(f"{first}0000000-0000-7000-8000-{place:012d}")


async def _prepared(stage: Stage) -> tuple[str, list[str]]:
    """Tenants with a creditor, a debtor and an API key each; answers the keys."""
    name = await stage.clone()
    tenants = [_id("a", place) for place in range(TENANTS)]
    await make_tenants(stage, name, tenants)
    secrets: list[str] = []
    async with opened(stage, name) as database:
        for tenant_id in tenants:
            async with database.tenant(tenant_id, CAUSE) as session:
                await database.keys.current(session, [tenant_id])
                made = await keys.create(session, name="bench", scopes=["invoices:write"], now=system_now())
            secrets.append(made.secret or "")
    connection = await asyncpg.connect(dsn(stage.urls(name).owner or ""))
    try:
        for statement in (_CREDITORS, _DEBTORS, _USED):
            await connection.execute(statement)
    finally:
        await connection.close()
    await stage.settle(name)
    return name, secrets


_CREDITORS: Final = """
insert into app.creditor (tenant_id, id, version, name, zone, language, country, currency)
select tenant_id, overlay(tenant_id::text placing 'c' from 1)::uuid, 1, 'Atelier Fournier', 'Europe/Paris', 'fr', 'FR',
       'EUR'
from app.tenant
"""
_DEBTORS: Final = """
insert into app.debtor (tenant_id, id, version, kind, name, name_folded, language, country)
select tenant_id, overlay(tenant_id::text placing 'd' from 1)::uuid, 1, 'company', 'Durand SA', 'durand sa', 'fr', 'FR'
from app.tenant
"""
_USED: Final = "update app.api_key set last_used_on = (clock_timestamp() at time zone 'utc')::date"


async def _ours(stage: Stage, name: str, secrets: list[str], each: int) -> float:
    work = [[_request(secrets, client, n) for n in range(1, each + 1)] for client in range(CONNECTIONS)]
    with serving(stage, name) as port:
        await send_all(port, _warming(secrets), expected=404)
        await stage.checkpoint()
        start = time.perf_counter()
        await send_all(port, work, expected=201)
        return CONNECTIONS * each / (time.perf_counter() - start)


def _warming(secrets: list[str]) -> list[list[bytes]]:
    """Invoices of a creditor that does not exist: every key is recognised, every connection used, nothing kept."""
    return [
        [_request(secrets, client, n, creditor="e") for n in range(1, 1 + 2 * TENANTS // CONNECTIONS)]
        for client in range(CONNECTIONS)
    ]


def _request(secrets: list[str], client: int, n: int, *, creditor: str = "c") -> bytes:
    place = (client + n * CONNECTIONS) % TENANTS
    invoice = {
        "creditor_id": ids.encode("crd", _id(creditor, place)),
        "debtor_id": ids.encode("dbt", _id("d", place)),
        "number": f"B-{client}-{n}",
        "issued_on": "2026-11-02",
        "due_on": "2026-12-02",
        "currency": "EUR",
        "total_minor": 120_000,
    }
    body = msgspec.json.encode(invoice)
    head = (
        "POST /v1/invoices HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {secrets[place]}\r\nidempotency-key: bench-{client}-{n}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _reference(stage: Stage, name: str, each: int) -> float:
    """The same statements, prepared, in one transaction each, by as many connections in two threads."""
    program = find(runner(), stage.folder).postgres_bin / "pgbench"
    await stage.checkpoint()
    arguments = (
        "--no-vacuum", "--protocol=prepared", f"--client={CONNECTIONS}", "--jobs=2", f"--transactions={each}",
        f"--define=clients={CONNECTIONS}", f"--define=tenants={TENANTS}", "--define=n=0",
        f"--define=head={HEAD}", f"--define=tail={TAIL}", f"--define=cause={CAUSED}", f"--file={SCRIPT}",
        dsn(stage.urls(name).app),
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complaint = await process.communicate()
    found = _TPS.search(said.decode())
    assert found is not None, complaint.decode()[-1000:]
    assert process.returncode == 0, complaint.decode()[-1000:]
    return float(found[1])
