"""Promises with their figures: what a fault test counts in the database and holds against the sinks' own ledgers."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import anyio
from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from storage.database import Database
from storage.waiting import patiently
from support.processes import Place
from support.storms import Answered, Client, Tenant, Watch

PAUSE_S: Final = 0.2


class Promise(Struct, frozen=True):
    """One line of the table: what is promised, what was counted, and whether it holds."""

    scenario: str
    promise: str
    figure: float
    bound: str
    kept: bool


class Promises:
    """The promises of one scenario; all are counted before any is judged."""

    def __init__(self, scenario: str, table: list[Promise]) -> None:
        self._scenario, self._table = scenario, table
        self._broken: list[Promise] = []

    def at_most(self, promise: str, figure: float, bound: float) -> None:
        self._note(promise, figure, f"≤ {bound:g}", kept=figure <= bound)

    def at_least(self, promise: str, figure: float, bound: float) -> None:
        self._note(promise, figure, f"≥ {bound:g}", kept=figure >= bound)

    def exactly(self, promise: str, figure: float, bound: float) -> None:
        self._note(promise, figure, f"= {bound:g}", kept=figure == bound)

    def tell(self, what: str, figure: float) -> None:
        """A figure without a bound."""
        self._note(what, figure, "", kept=True)

    def judge(self) -> None:
        """Fail where one of them does not hold."""
        assert not self._broken, "\n".join(
            f"{each.promise}: {each.figure:g}, not {each.bound}" for each in self._broken
        )

    def _note(self, promise: str, figure: float, bound: str, *, kept: bool) -> None:
        line = Promise(self._scenario, promise, figure, bound, kept)
        self._table.append(line)
        if not kept:
            self._broken.append(line)


def shown(table: Sequence[Promise]) -> str:
    """The table as it is printed."""
    wide = max((len(line.promise) for line in table), default=0)
    lines: list[str] = []
    scenario = ""
    for line in table:
        if line.scenario != scenario:
            scenario = line.scenario
            lines += ["", scenario.removeprefix("test_").replace("_", " ")]
        figure = f"{line.figure:.1f}" if isinstance(line.figure, float) else str(line.figure)
        lines.append(
            f"  {line.promise:<{wide}}  {figure:>8}  {line.bound:<10}{'' if line.kept else '  BROKEN'}".rstrip()
        )
    return "\n".join(lines[1:])


async def left_to_do(database: Database) -> dict[str, int]:
    """What is not yet done, of every queue, by name; what is done is left out."""
    async with database.operator() as session:
        rows = await session.execute(_LEFT)
        return {name: count for name, count in rows if count}


_LEFT: Final = text("""
select 'unnumbered events', count(*) from app.event where log_position is null
union all select 'endpoints behind', count(*) from app.endpoint e join app.log_head h using (tenant_id)
  where e.position < h.position
union all select 'ticks', count(*) from app.tick where state <> 'dead'
union all select 'reactions', count(*) from app.reaction where state <> 'dead'
union all select 'jobs', count(*) from app.job where state in ('pending', 'leased')
union all select 'messages', count(*) from app.message where state in ('pending', 'leased', 'dispatching')
union all select 'deliveries', count(*) from app.delivery where state in ('pending', 'leased')
limit 10
""")


async def judge_messages(
    promises: Promises, database: Database, place: Place, *, planned: int, unknown_at_most: int = 0
) -> None:
    """Every planned message went once, failed, or is held with a task; the sink's ledger says so too."""
    async with database.operator() as session:
        states = {row.id: row.state for row in await session.execute(_MESSAGES)}
        asked = set((await session.execute(_ASKED)).scalars())
        given_up = (await session.execute(_GIVEN_UP)).scalar_one()
    arrived = Counter(message_of(entry.message_id) for entry in place.captured())
    count = Counter(states.values())
    unknown = {message_id for message_id, state in states.items() if state == "unknown"}
    sent = {message_id for message_id, state in states.items() if state == "sent"}
    promises.exactly("messages planned", len(states), planned)
    promises.exactly("sent, failed or unknown", count["sent"] + count["failed"] + count["unknown"], planned)
    promises.tell("failed", count["failed"])
    promises.at_most("unknown", len(unknown), unknown_at_most)
    promises.exactly("unknown without an open task", len(unknown - asked), 0)
    promises.exactly("twice in the sink's ledger", sum(1 for times in arrived.values() if times > 1), 0)
    promises.exactly("sent, but not in the sink's ledger", len(sent - arrived.keys()), 0)
    promises.exactly("in the sink's ledger, but neither sent nor unknown", len(arrived.keys() - sent - unknown), 0)
    promises.exactly("work given up", given_up, 0)


_MESSAGES: Final = text("select id, state from app.message limit 100000")
_ASKED: Final = text("select subject_id from app.task where kind = 'message_unknown' and state = 'open' limit 100000")
_GIVEN_UP: Final = text("""
select (select count(*) from app.tick where state = 'dead') + (select count(*) from app.reaction where state = 'dead')
     + (select count(*) from app.job where state = 'failed')
""")


async def judge_webhooks(promises: Promises, database: Database, place: Place) -> None:
    """Every event of the log reached its tenant's receiver, and the log has no gap."""
    async with database.operator() as session:
        events = {(row.tenant_id, row.id) for row in await session.execute(_EVENTS)}
        gaps = (await session.execute(_GAPS)).scalar_one()
        endless = (await session.execute(_UNDELIVERED)).scalar_one()
    hooks = place.hooked()
    took = Counter((UUID(hook.whose), ids.decode("evt", hook.webhook_id)) for hook in hooks if hook.verified)
    promises.tell("events", len(events))
    promises.exactly("events never delivered", len(events - took.keys()), 0)
    promises.exactly("webhooks of no event", len(took.keys() - events), 0)
    promises.exactly("webhooks not verified", sum(1 for hook in hooks if not hook.verified), 0)
    promises.exactly("deliveries not recorded as made", endless, 0)
    promises.exactly("tenants whose log has a gap", gaps, 0)
    promises.tell("webhooks delivered more than once", sum(1 for times in took.values() if times > 1))


_EVENTS: Final = text("select tenant_id, id from app.event limit 1000000")
_UNDELIVERED: Final = text("select count(*) from app.delivery where state <> 'delivered'")
_GAPS: Final = text("""
select count(*) from (
  select h.tenant_id from app.log_head h join app.event e using (tenant_id)
  group by h.tenant_id, h.position
  having count(*) <> h.position or count(distinct e.log_position) <> h.position
      or min(e.log_position) <> 1 or max(e.log_position) <> h.position
) gaps
""")


async def judge_receipts(
    promises: Promises, database: Database, tenant: Tenant, acknowledged: Sequence[Answered], client: Client
) -> None:
    """Whatever the API acknowledged is there once, with one event, and nothing else is."""
    async with database.operator() as session:
        there = {ids.encode("rcp", row.id): row.events for row in await session.execute(_RECEIPTS, {"id": tenant.id})}
    wanted = {answered.id for answered in acknowledged}
    promises.at_least("writes acknowledged", len(acknowledged), 1)
    promises.exactly("acknowledged writes lost", len(wanted - there.keys()), 0)
    promises.exactly("acknowledged twice as one", len(acknowledged) - len(wanted), 0)
    promises.exactly("writes that nobody acknowledged", len(there.keys() - wanted), 0)
    promises.exactly("writes without exactly one event", sum(1 for events in there.values() if events != 1), 0)
    promises.tell("writes asked for again with their key", sum(1 for answered in acknowledged if answered.tries > 1))
    promises.tell("answers 503 with Retry-After", client.unavailable)
    promises.exactly(f"answers of another kind {client.other[:2] or ''}".strip(), len(client.other), 0)


_RECEIPTS: Final = text("""
select r.id, count(e.id) as events from app.receipt r
left join app.event e on e.tenant_id = r.tenant_id and e.object_id = r.id and e.type = 'receipt.recorded'
where r.tenant_id = :id group by r.id limit 100000
""")


async def until_quiet(database: Database, within_s: float, watch: Watch | None = None) -> None:
    """Wait until nothing is left to do, and nobody's work is missed."""
    end = time.monotonic() + within_s
    while (left := await patiently(lambda: left_to_do(database))) or (watch is not None and watch.waiting):
        assert time.monotonic() < end, f"still to do after {within_s:.0f} s: {left}"
        await anyio.sleep(PAUSE_S)


def message_of(header: str) -> UUID:
    """The message that a Message-ID names."""
    return UUID(header.strip("<>").partition("@")[0])
