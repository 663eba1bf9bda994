"""A reminder never rests on what was read too long ago: its source is asked once more, or nobody is written to."""

from datetime import timedelta
from typing import Final
from uuid import UUID

import pytest
from msgspec import structs

from billing_connectors.csv_files.mapping import find_mapping
from billing_connectors.desks import Desk
from billing_connectors.documents.confined import ConfinedReader
from billing_connectors.sources.applying import apply_page
from billing_connectors.sources.registering import NewSource, add_source
from dunning.gating import DunningGate
from receivables.creditors import create_creditor
from receivables.drafts import NewCreditor
from storage.blobs import PostgresBlobs
from storage.clocks import now_of
from storage.database import Database
from support.chasing import at_work, messages, said
from support.stories import advance, at, rows, sent_mails
from support.tools import ISSUED, Tool
from workers.engine import Engine

DUE: Final = ISSUED + timedelta(days=30)
FIRST: Final = DUE + timedelta(days=3)  # the default policy's first reminder


async def connect(engine: Engine, tenant_id: UUID) -> tuple[Engine, Tool]:
    """A tool with two invoices that was read a long time ago, and the engine that can ask it."""
    tool, database = Tool(), engine.database
    async with at_work(database, tenant_id) as session:
        await create_creditor(session, NewCreditor(name="Atelier", reply_to="a@atelier.example"), await now_of(session))
        source_id = await add_source(session, NewSource(key="tool", name="The tool", fresh_for_s=600))
    desk = Desk(
        open=lambda: at_work(database, tenant_id), keys=database.keys, blobs=PostgresBlobs(database.keys),
        reader=ConfinedReader(), mapping=find_mapping("generic"),
    )  # fmt: skip
    tool.put("A")
    tool.put("B")
    async for page in tool.read(None):
        await apply_page(desk, source_id, page, after=None)
    await forget(database, tenant_id)
    sender = structs.replace(engine.sender, gate=DunningGate({"tool": tool}))
    return structs.replace(engine, sender=sender), tool


async def forget(database: Database, tenant_id: UUID) -> None:
    """Make what was read an hour older."""
    for table in ("source", "remote_record"):
        await rows(database, tenant_id, f"update app.{table} set read_at = read_at - interval '1 hour' returning 1")


async def test_what_was_paid_meanwhile_is_not_chased(engine: Engine, tenant_id: UUID) -> None:
    connected, tool = await connect(engine, tenant_id)
    await advance(connected, tenant_id, at(FIRST - timedelta(days=1)))
    before = len(await sent_mails(engine.database, tenant_id))
    await forget(engine.database, tenant_id)
    tool.pay("A", 0)
    tool.asked.clear()
    await advance(connected, tenant_id, at(FIRST))
    assert sorted(tool.asked) == ["A", "B"]
    told = [(number, step) for number, step, _ in await said(engine.database, tenant_id) if step == "first_reminder"]
    assert told == [("B", "first_reminder")]
    assert len(await sent_mails(engine.database, tenant_id)) == before + 1


async def test_while_its_source_is_away_nobody_is_written_to(engine: Engine, tenant_id: UUID) -> None:
    connected, tool = await connect(engine, tenant_id)
    await advance(connected, tenant_id, at(FIRST - timedelta(days=1)))
    before = len(await sent_mails(engine.database, tenant_id))
    await forget(engine.database, tenant_id)
    tool.away = "timeout"
    await advance(connected, tenant_id, at(FIRST))
    assert len(await sent_mails(engine.database, tenant_id)) == before
    assert ("withdrawn", "stale_data") in await messages(engine.database, tenant_id)
    tool.away = None
    await advance(connected, tenant_id, at(FIRST) + timedelta(hours=2))
    assert len(await sent_mails(engine.database, tenant_id)) == before + 1


@pytest.mark.parametrize("code", ["reauth_required", "crash"])
async def test_a_fault_of_a_connector_stops_no_other_message(
    engine: Engine, tenant_id: UUID, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected, tool = await connect(engine, tenant_id)
    await advance(connected, tenant_id, at(FIRST - timedelta(days=1)))
    await forget(engine.database, tenant_id)
    if code == "crash":
        monkeypatch.setattr(tool, "record", None)
    else:
        tool.away = code
    await advance(connected, tenant_id, at(FIRST))
    assert ("withdrawn", "stale_data") in await messages(engine.database, tenant_id)
