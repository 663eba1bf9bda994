"""The seam of connectors: pages and cursors together, nothing told twice, nothing older after something newer."""

from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_connectors.csv_files.mapping import find_mapping
from billing_connectors.desks import Desk
from billing_connectors.documents.canonical import Document
from billing_connectors.documents.confined import ConfinedReader
from billing_connectors.sources.applying import Applied, apply_one, apply_page, start_again
from billing_connectors.sources.errors import CursorMoved, SourceKeyTaken, SourceNotFound
from billing_connectors.sources.models import Absence
from billing_connectors.sources.ports import Page
from billing_connectors.sources.registering import NewSource, add_source, source
from kernel import ids
from storage.blobs import PostgresBlobs
from support.importing import Importer
from support.receivables import at_work
from support.tools import Tool


class Reading:
    """One tool, read into one tenant."""

    def __init__(self, importer: Importer, source_id: UUID) -> None:
        self.importer, self.source_id, self.tool = importer, source_id, Tool()
        database, tenant_id = importer.database, importer.tenant_id
        self.desk = Desk(
            open=lambda: at_work(database, tenant_id), keys=database.keys, blobs=PostgresBlobs(database.keys),
            reader=ConfinedReader(), mapping=find_mapping("generic"),
        )  # fmt: skip

    async def cursor(self) -> str | None:
        async with at_work(self.importer.database, self.importer.tenant_id) as session:
            return (await source(session, self.source_id)).cursor

    async def read(self, pages: int = 99) -> list[dict[str, int]]:
        """Read on, as an engine does; at most so many pages, as one that is killed."""
        after, done = await self.cursor(), list[dict[str, int]]()
        async for page in self.tool.read(after):
            if len(done) == pages:
                break
            done.append((await self.apply(page, after)).counts)
            after = page.next_cursor
        return done

    async def apply(self, page: Page, after: str | None) -> Applied:
        return await apply_page(self.desk, self.source_id, page, after=after)

    async def balances(self) -> list[tuple[str, int, str]]:
        found = await self.importer.rows("select number, balance_minor, document from app.invoice order by number")
        return [(number, balance, document) for number, balance, document in found]


@pytest.fixture
async def reading(importer: Importer) -> Reading:
    creditor_id = await importer.creditor()
    async with at_work(importer.database, importer.tenant_id) as session:
        source_id = await add_source(
            session, NewSource(key="tool", name="The tool", creditor_id=creditor_id, fresh_for_s=600)
        )
    return Reading(importer, source_id)


async def test_pages_are_brought_in_and_say_nothing_twice(reading: Reading) -> None:
    for number in ("A", "B", "C"):
        reading.tool.put(number)
    assert await reading.read() == [{"imported": 2}, {"imported": 1}]
    told = await reading.importer.events()
    assert await reading.read() == [{}]
    async with at_work(reading.importer.database, reading.importer.tenant_id) as session:
        await start_again(session, reading.source_id)
    assert await reading.read() == [{"unchanged": 2}, {"unchanged": 1}]
    assert await reading.importer.events() == told
    reading.tool.pay("B", 50_00)
    assert await reading.read() == [{"updated": 1}]
    assert await reading.balances() == [("A", 120_00, "open"), ("B", 50_00, "open"), ("C", 120_00, "open")]


async def test_an_older_word_never_comes_after_a_newer(reading: Reading) -> None:
    reading.tool.put("A")
    (old,) = [page async for page in reading.tool.read(None)]
    reading.tool.pay("A", 20_00)
    await apply_one(reading.desk, reading.source_id, reading.tool.record("A"))  # asked for just in time
    assert (await reading.apply(old, None)).counts == {"outdated": 1}
    assert await reading.balances() == [("A", 20_00, "open")]
    assert await reading.read() == [{"unchanged": 1}]


async def test_of_two_readings_at_once_one_goes_on(reading: Reading) -> None:
    reading.tool.put("A")
    (page,) = [page async for page in reading.tool.read(None)]
    assert (await reading.apply(page, None)).counts == {"imported": 1}
    with pytest.raises(CursorMoved):
        await reading.apply(page, None)
    with pytest.raises(SourceNotFound):
        await apply_page(reading.desk, ids.new_id(), page, after=None)


async def test_a_record_that_cannot_be_read_holds_up_no_other(reading: Reading) -> None:
    reading.tool.put("A")
    reading.tool.put("B")
    reading.tool.spoil("A")
    assert await reading.read() == [{"imported": 1, "quarantined": 1}]
    question = "select remote_id, fault from app.remote_record where fault is not null"
    assert await reading.importer.rows(question) == [("A", "bad_amount")]
    reading.tool.put("A")
    assert await reading.read() == [{"imported": 1}]
    assert await reading.importer.rows(question) == []


async def test_what_is_gone_is_held_and_asked_about(reading: Reading) -> None:
    reading.tool.put("A")
    reading.tool.put("B")
    await reading.read()
    reading.tool.remove("A")
    reading.tool.remove("B", Absence.VOIDED)
    assert await reading.read() == [{"gone": 2}]
    assert await reading.balances() == [("A", 120_00, "open"), ("B", 0, "void")]
    held = "select reason, note from app.hold where ended_at is null"
    assert await reading.importer.rows(held) == [("data_error", "deleted")]
    assert await reading.importer.rows("select kind from app.task where state = 'open'") == [("invoice_gone",)]
    reading.tool.put("A")
    assert await reading.read() == [{"unchanged": 1}]
    assert await reading.importer.rows(held) == []


async def test_a_key_names_one_source(reading: Reading) -> None:
    with pytest.raises(SourceKeyTaken):
        async with at_work(reading.importer.database, reading.importer.tenant_id) as session:
            await add_source(session, NewSource(key="tool", name="Another"))


CHANGES = st.lists(
    st.tuples(st.sampled_from("ABC"), st.sampled_from(["put", "pay", "spoil", "remove", "read", "killed", "get"])),
    max_size=14,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
async def test_whatever_happens_in_between_we_end_as_the_tool(reading: Reading, changes: list[tuple[str, str]]) -> None:
    """Read now and then, killed now and then, asked for single records: the end is what the tool says."""
    tool = reading.tool
    for number, what in changes:
        if what == "put":
            tool.put(number)
        elif what in {"read", "killed"}:
            await reading.read(1 if what == "killed" else 99)
        elif number in tool.now and what == "get":
            await apply_one(reading.desk, reading.source_id, tool.record(number))
        elif number in tool.now and what == "pay" and not isinstance(tool.now[number], Absence):
            tool.pay(number, 10_00 + tool.revision)
        elif number in tool.now and what == "spoil":
            tool.spoil(number)
        elif number in tool.now and what == "remove":
            tool.remove(number)
    await reading.read()
    kept = await reading.importer.rows(
        "select remote_id, revision, absence is null, fault is null from app.remote_record"
    )
    said = {name: (tool.changed[name], not isinstance(what, Absence)) for name, what in tool.now.items()}
    assert {name: (revision, there) for name, revision, there, _ in kept} == said
    left = {number: balance for number, balance, _ in await reading.balances()}
    for name, what in tool.now.items():
        if isinstance(what, Document) and name in left:
            assert left[name] == what.amount_due_minor
