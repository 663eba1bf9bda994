"""The demo's documents through two sources at once: one invoice each, whoever is first."""

import asyncio
import json
from collections import Counter
from uuid import UUID

import pytest

from billing_connectors.documents.confined import ConfinedReader
from storage.database import Database
from support.documents import EXAMPLES
from support.importing import Importer
from support.tenants import make_tenant


async def ready(database: Database, tenant_id: UUID, reader: ConfinedReader, company: str) -> Importer:
    importer = Importer(database, tenant_id, reader)
    told = json.loads((EXAMPLES / company / "company.json").read_text("utf-8"))
    await importer.creditor(told["name"], f"siren:{told['siren']}", f"siret:{told['siret']}", f"vat:{told['vat']}")
    return importer


@pytest.mark.parametrize("company", ["atelier-belleville", "menuiserie-roux"])
async def test_the_demos_documents_through_two_sources_at_once_are_one_invoice_each(
    database: Database, tenant_id: UUID, reader: ConfinedReader, company: str
) -> None:
    folder = EXAMPLES / company
    export, documents = folder / "invoices.csv", folder / "einvoices"
    mapping = str(folder / "mapping.json")
    at_once = await ready(database, tenant_id, reader, company)
    with ConfinedReader() as another:
        beside = Importer(database, tenant_id, another)
        told = await asyncio.gather(at_once.paths(export, mapping=mapping), beside.paths(documents, mapping=mapping))
    accepted = [one for verdicts in told for one in verdicts if one.status in {"imported", "updated", "unchanged"}]
    numbers = {one.number for one in accepted if one.kind == "invoice"}
    both = Counter(one.number for one in accepted if one.kind == "invoice")
    assert max(both.values()) == 2  # some invoices came through both
    assert {number for (number,) in await at_once.rows("select number from app.invoice")} == numbers
    assert await at_once.rows("select count(*) - count(distinct number) from app.invoice") == [(0,)]

    alone = await ready(database, await make_tenant(database), reader, company)
    await alone.paths(documents, mapping=mapping)
    await alone.paths(export, mapping=mapping)
    assert await at_once.state() == await alone.state()
    before = await at_once.events()
    await at_once.paths(export, documents, mapping=mapping)
    assert await at_once.events() == before
