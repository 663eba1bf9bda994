"""Every operation of the document, with another tenant's ids in path, query and body: as if they had never existed."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import AsyncClient, Response
from msgspec import Struct

from billing_connectors.csv_files.mapping import built_in
from billing_connectors.file_imports import asking, mappings, uploads
from billing_connectors.file_imports.asking import NewImport
from billing_connectors.file_imports.models import ImportKind
from billing_connectors.intakes.inboxes import open_inbox
from casework.handlings import HandlingTarget, set_handling
from casework.holds import NewHold, set_hold
from casework.models import HandlingKind
from casework.tasks import open_task
from dunning import policies
from dunning.rules import default_body
from kernel import ids
from receivables.charges import book_charge
from receivables.creditors import set_logo, update_creditor
from receivables.debtors import create_debtor
from receivables.drafts import CreditorChange, NewCharge, NewDebtor, NewWriteOff
from receivables.ledger import ChargeKind, WriteOffReason
from receivables.merging import merge
from receivables.write_offs import write_off
from runtime.egress import HttpSettings
from storage.blobs import PostgresBlobs
from storage.clocks import now_of
from storage.database import Database
from support.api import make_key, number_events
from support.file_imports import invoices
from support.pictures import make_png
from support.stories import CAUSE, advance, bill, make_cast, open_engine, pay, rows
from tenants import clocks
from webhooks import endpoints
from webhooks.endpoints import NewWebhookEndpoint

KINDS = {
    "creditor": "crd", "debtor": "dbt", "contact": "ctc", "invoice": "inv", "instalment": "ins", "credit_note": "crn",
    "receipt": "rcp", "allocation": "alc", "hold": "hld", "handling": "hnd", "task": "tsk", "policy": "pol",
    "course": "crs", "message": "msg", "endpoint": "whe", "delivery": "dlv", "event": "evt", "job": "job",
    "upload": "upl", "mapping": "imm", "import": "imp", "key": "key", "object": "inv", "subject": "inv",
    "into": "dbt", "parent": "dbt", "match": "dmt", "conflict": "cfl", "charge": "chg", "write_off": "wof",
    "bank_account": "bac", "inbox": "inb", "intake": "itk",
}  # fmt: skip
TABLES = {
    "inb": "inbox",
    "crd": "creditor", "dbt": "debtor", "ctc": "contact", "inv": "invoice", "ins": "instalment", "rcp": "receipt",
    "alc": "allocation", "hld": "hold", "hnd": "handling", "tsk": "task", "pol": "policy", "crs": "course",
    "msg": "message", "whe": "endpoint", "evt": "event", "job": "job", "key": "api_key",
    "upl": "upload", "imm": "import_mapping", "imp": "import_run",
    "dmt": "debtor_match", "bac": "bank_account", "chg": "charge", "wof": "write_off",
}  # fmt: skip


class Slot(Struct, frozen=True):
    """Where an id stands in a request: in the path, the query or the body, and of which kind."""

    where: str
    name: str
    kind: str


async def furnish(database: Database, tenant_id: UUID) -> dict[str, str]:
    """An object of each kind, made by the product; answers an id of each."""
    await make_key(database, tenant_id, "jobs:read")
    cast = await make_cast(database, tenant_id)
    invoice_id = await bill(database, cast, "F-1", date(2026, 3, 20))
    await bill(database, cast, "F-2", date(2026, 3, 20))
    await pay(database, cast, 20_00)
    async with database.tenant(tenant_id, CAUSE) as session:
        now = await now_of(session)
        await policies.create(session, "other", default_body(), now)
        iban = "FR7630006000011234567890189"
        await update_creditor(session, cast.creditor_id, CreditorChange(iban=iban), now)
        await set_logo(session, PostgresBlobs(database.keys), cast.creditor_id, make_png(2, 2), now)
        for phone in ("01 42 00 00 01", "0142000001"):
            twin = await create_debtor(session, NewDebtor(name="Jumeau SARL", phone=phone, country="FR"), now)
        await book_charge(session, NewCharge(kind=ChargeKind.FEE, amount_minor=100, invoice_id=invoice_id), now)
        given_up = NewWriteOff(invoice_id=invoice_id, reason=WriteOffReason.GOODWILL, amount_minor=1)
        await write_off(session, given_up, now)
        await open_task(session, kind="invoice_look", subject_id=invoice_id, title="Look", now=now)
        new = NewWebhookEndpoint(url="https://hooks.example.com/x", types=("*",))
        await endpoints.create(session, new, now, ring=database.keys, http=HttpSettings())
        await open_inbox(session, None, [], now)
    async with open_engine(database) as engine:
        await advance(engine, tenant_id, datetime(2026, 3, 18, 12, tzinfo=UTC))
    async with database.tenant(tenant_id, CAUSE) as session:
        now = await now_of(session)
        await set_hold(session, NewHold(invoice_id=invoice_id), now)
        await merge(session, cast.debtor_id, ids.decode("dbt", twin.id), now)
        await set_handling(session, HandlingTarget(invoice_id=invoice_id), HandlingKind.OUTSOURCED, now)
        await clocks.advance(session, now + timedelta(days=1))
        upload = await uploads.keep(session, database.keys, io.BytesIO(invoices(2).encode()), now)
        await mappings.create(session, "export", ImportKind.INVOICES, built_in("generic"), now)
        await asking.create(session, database.keys, NewImport(upload_id=ids.decode("upl", upload.id)), now)
    await number_events(database)
    found: dict[str, str] = {}
    for kind, table in TABLES.items():
        (row,) = await rows(database, tenant_id, f"select id from app.{table} order by id limit 1")
        found[kind] = ids.encode(kind, row[0])
    return found


def kind_of(name: str) -> str | None:
    """The kind that a name in the document stands for."""
    noun = re.sub(r"_ids?$", "", name).removeprefix("webhook_").removeprefix("api_")
    return KINDS.get(noun)


class Operation:
    """One operation of the document, with a body that would be accepted."""

    def __init__(self, document: dict[str, Any], path: str, method: str) -> None:
        self.document, self.path, self.method = document, path, method
        self.spec = document["paths"][path][method]
        content = self.spec.get("requestBody", {}).get("content", {})
        body = content.get("application/json", {}).get("schema")
        self.file = b"a file" if "application/octet-stream" in content else None
        self.slots = [*self._parameters(), *self._of_body(body, "")]
        self.body = body

    def _parameters(self) -> Iterator[Slot]:
        for parameter in self.spec.get("parameters", []):
            given = self._resolved(parameter)
            kind = kind_of(given["name"])
            is_id = given["in"] == "path" or "pattern" in self._resolved(given.get("schema", {}))
            if kind is not None and is_id and given["in"] in {"path", "query"}:
                yield Slot(given["in"], given["name"], kind)

    def _of_body(self, schema: dict[str, Any] | None, at: str) -> Iterator[Slot]:
        for name, _ in self._properties(schema):
            kind = kind_of(name) if name.endswith(("_id", "_ids")) and name != "external_id" else None
            if kind is not None:
                yield Slot("body", f"{at}{name}", kind)

    def _properties(self, schema: dict[str, Any] | None) -> list[tuple[str, dict[str, Any]]]:
        return [] if schema is None else list(self._resolved(schema).get("properties", {}).items())

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            found: Any = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema

    def sample(self, schema: dict[str, Any], name: str, given: dict[str, str]) -> Any:  # noqa: PLR0911 - a line a type
        """A value that the schema accepts; ids are those given."""
        schema = self._resolved(schema)
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                real = [each for each in schema[choice] if self._resolved(each).get("type") != "null"]
                return self.sample(real[0], name, given)
        kind = kind_of(name) if name.endswith(("_id", "_ids")) else None
        if "enum" in schema:
            return schema["enum"][0]
        if "const" in schema:
            return schema["const"]
        match schema.get("type"):
            case "object":
                wanted = schema.get("required", [])
                properties = schema.get("properties", {})
                filled = {key: self.sample(properties[key], key, given) for key in wanted}
                own = [key for key in properties if key.endswith(("_id", "_ids")) and kind_of(key)]
                return filled | {key: self.sample(properties[key], key, given) for key in own if f"!{key}" not in given}
            case "array":
                return [self.sample(schema["items"], name, given)] if schema.get("minItems") or kind else []
            case "integer":
                return max(schema.get("minimum", 1), 1)
            case "boolean":
                return True
            case _ if kind is not None:
                return given[kind]
            case _:
                return self._text(schema)

    @staticmethod
    def _text(schema: dict[str, Any]) -> str:
        form = schema.get("format")
        if form == "date":
            return "2026-03-01"
        if form == "date-time":
            return "2026-12-01T00:00:00Z"
        if schema.get("pattern") == "^[A-Z]{3}$":
            return "EUR"
        return "https://hooks.example.com/y"[: schema.get("maxLength", 30)].ljust(schema.get("minLength", 0), "x")

    async def call(self, client: AsyncClient, given: dict[str, str]) -> Response:
        """Send it with these ids."""
        path = self.path
        query: dict[str, str] = {}
        for slot in self.slots:
            if slot.where == "path":
                path = path.replace("{" + slot.name + "}", given[slot.kind])
            elif slot.where == "query":
                query[slot.name] = given[slot.kind]
        body = None if self.body is None else self.sample(self.body, "", given)
        headers = {"Idempotency-Key": str(uuid4())} if self.method == "post" else {}
        if self.file is not None:
            headers["Content-Type"] = "application/octet-stream"
            return await client.request(self.method.upper(), path, params=query, content=self.file, headers=headers)
        return await client.request(self.method.upper(), path, params=query, json=body, headers=headers)


async def operations(client: AsyncClient) -> list[Operation]:
    document = (await client.get("/openapi.json")).json()
    found = [
        Operation(document, path, method)
        for path, methods in document["paths"].items()
        for method in methods
        if method in {"get", "post", "patch", "put", "delete"}
    ]
    return [operation for operation in found if operation.slots]


@pytest.fixture
async def alices(database: Database, tenant_id: UUID) -> dict[str, str]:
    return await furnish(database, tenant_id)


async def test_another_tenants_ids_are_like_ids_of_nothing(bob: AsyncClient, alices: dict[str, str]) -> None:
    tried = 0
    for operation in await operations(bob):
        kinds = {slot.kind for slot in operation.slots}
        foreign = {kind: alices.get(kind, ids.encode(kind, ids.new_id())) for kind in kinds}
        absent = {kind: ids.encode(kind, ids.new_id()) for kind in kinds}
        theirs, nobodys = await operation.call(bob, foreign), await operation.call(bob, absent)
        where = f"{operation.method} {operation.path}"
        assert theirs.status_code == nobodys.status_code, (where, theirs.text, nobodys.text)
        assert theirs.content == nobodys.content, (where, theirs.text, nobodys.text)
        assert theirs.status_code < 300 or theirs.status_code in {404, 422}, (where, theirs.text)
        tried += 1
    assert tried > 50


async def test_each_id_alone_is_like_an_id_of_nothing(
    bob: AsyncClient, database: Database, alices: dict[str, str], other_tenant_id: UUID
) -> None:
    own = await furnish(database, other_tenant_id)
    for operation in await operations(bob):
        kinds = sorted({slot.kind for slot in operation.slots})
        if len(kinds) < 2:  # the test above has tried it
            continue
        for kind in kinds:
            base = {each: own.get(each, ids.encode(each, ids.new_id())) for each in kinds}
            foreign = base | {kind: alices.get(kind, ids.encode(kind, ids.new_id()))}
            theirs = await operation.call(bob, foreign)
            nobodys = await operation.call(bob, base | {kind: ids.encode(kind, ids.new_id())})
            where = f"{kind} in {operation.method} {operation.path}"
            assert theirs.status_code == nobodys.status_code, (where, theirs.text, nobodys.text)
            assert theirs.content == nobodys.content, (where, theirs.text, nobodys.text)


async def test_the_owner_is_answered(alice: AsyncClient, alices: dict[str, str]) -> None:
    answered = 0
    for operation in await operations(alice):
        readable = operation.method == "get" and all(slot.where == "path" for slot in operation.slots)
        if readable and all(slot.kind in alices for slot in operation.slots):
            answer = await operation.call(alice, alices)
            assert answer.status_code == 200, (operation.path, answer.text)
            answered += 1
    assert answered > 12
