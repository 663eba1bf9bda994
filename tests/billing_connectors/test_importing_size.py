"""An export of thousands of rows: few statements, an interruption that costs nothing, one copy of the bytes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import event

from billing_connectors.importing import CHUNK, desk_of, import_file
from storage.session import TenantSession
from support.importing import Importer
from support.tenants import CAUSE

ROWS = 2 * CHUNK + 100
BLOBS = "select kind, retention, size, subject_id = id from app.blob"


def export(rows: int, *, left: str = "") -> bytes:
    """Invoices over ten years, of forty debtors."""
    lines = ["Numéro de facture;Date facture;Échéance;Code client;Raison sociale;E-mail;Montant TTC;Reste dû;Devise"]
    for place in range(rows):
        issued_on = date(2026, 2, 27) - timedelta(days=place * 3650 // rows)
        due_on, debtor = issued_on + timedelta(days=30), place % 40
        lines.append(
            f"FA-{place:05d};{issued_on:%d/%m/%Y};{due_on:%d/%m/%Y};C{debtor};Client {debtor};"
            f"compta{debtor}@client.example;{100 + place},50;{left or f'{100 + place},50'};EUR"
        )
    return "\n".join(lines).encode()


async def counts(importer: Importer) -> tuple[Any, ...]:  # Any: counts
    """Invoices, debtors, contacts, documents, links of invoices."""
    (found,) = await importer.rows("""
        select (select count(*) from app.invoice), (select count(*) from app.debtor),
               (select count(*) from app.contact), (select count(*) from app.imported_document),
               (select count(*) from app.source_link where kind = 'invoice')
        """)
    return found


async def test_thousands_of_rows_and_again(importer: Importer) -> None:
    await importer.creditor()
    content = export(ROWS)
    first = [one.verdict for one in await importer.content(content, "export.csv")]
    assert ([one.number for one in first], {one.status for one in first}) == (
        [f"FA-{place:05d}" for place in range(ROWS)],
        {"imported"},
    )
    assert await counts(importer) == (ROWS, 40, 40, ROWS + 1, ROWS)
    assert await importer.rows(BLOBS) == [("export", "raw_export", len(content), True)]
    before = await importer.events()
    for again in (content, content + b"\n"):  # the same bytes, and other bytes that say the same
        assert {one.verdict.status for one in await importer.content(again, "export.csv")} == {"unchanged"}
    assert await importer.events() == before
    assert await counts(importer) == (ROWS, 40, 40, ROWS + 2, ROWS)  # one more for the second file as a whole
    assert len(await importer.rows(BLOBS)) == 1


async def test_an_interrupted_import_is_run_again(importer: Importer) -> None:
    await importer.creditor()
    content = export(CHUNK + 50)
    desk = desk_of(importer.database, importer.tenant_id, importer.reader, cause=CAUSE)
    opened = 0

    @asynccontextmanager
    async def open_until_killed() -> AsyncGenerator[TenantSession]:
        nonlocal opened
        async with desk.open() as session:
            yield session
            opened += 1
            if opened == 3:  # the look at the file, the first chunk, and now the second at its end
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async for _ in import_file(structs.replace(desk, open=open_until_killed), "export.csv", content):
            pass
    assert (await counts(importer))[0] == CHUNK
    statuses = [one.verdict.status for one in await importer.content(content, "export.csv")]
    assert statuses == ["unchanged"] * CHUNK + ["imported"] * 50
    assert (await counts(importer))[:2] == (CHUNK + 50, 40)


async def test_statements_do_not_grow_with_the_rows(importer: Importer) -> None:
    await importer.creditor()
    few = await counted(importer, export(40))
    many = await counted(importer, export(900, left="1,00"))
    assert many <= few + 10


async def counted(importer: Importer, content: bytes) -> int:
    """How many statements an import takes."""
    sent = 0

    def count(*_: object) -> None:
        nonlocal sent
        sent += 1

    engine = importer.database.engine("app").sync_engine
    event.listen(engine, "before_cursor_execute", count)
    try:
        await importer.content(content, "export.csv")
    finally:
        event.remove(engine, "before_cursor_execute", count)
    return sent
