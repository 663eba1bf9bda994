"""`webhook_pump`: from event rows to recorded 204s, beside a bare client that posts the same to the same sink."""

import asyncio
import resource
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from ipaddress import ip_network
from typing import Final

import aiohttp
from msgspec import Struct
from sqlalchemy import text

from bench.results import Result, middle
from bench.sink import Sink, Tally, open_sink
from bench.stage import CAUSE, Stage, make_tenants, new_ids, opened
from dunning.events import NoticePlanned
from dunning.views import NoticeView
from kernel import ids
from kernel.clock import system_now
from runtime.egress import HttpSettings
from runtime.http import open_http
from storage import relay
from storage.database import Database
from storage.events import emit
from webhooks import endpoints
from webhooks.bodies import Stored, Written, body_of
from webhooks.endpoints import API_VERSION, NewWebhookEndpoint
from webhooks.pumping import deliver, fan_out
from webhooks.signing import SigningKey, new_secret, read_key, sign

TENANTS: Final = 100
AT_ONCE: Final = 50  # what the bare client does best with, on two cores
LOOPBACK: Final = HttpSettings(allow_private=(ip_network("127.0.0.0/8"),), allow_http=True)


class Took(Struct, frozen=True):
    """What a run cost: by the clock, and of this process's CPU."""

    wall_s: float
    cpu_s: float


async def run(stage: Stage, *, quick: bool) -> Result:
    """Deliver everything, with us and with the bare client; rates and CPU are compared."""
    each, rounds = (20, 1) if quick else (50, 5)
    count = TENANTS * each
    with open_sink() as sink:
        template = await _prepared(stage, sink, each)
        bodies = await _bodies(stage, template)
        expected = (await _ours(stage, template, sink, count))[1]  # warms up, and says what both must post
        ours: list[Took] = []
        references: list[Took] = []
        for _ in range(rounds):
            for runs, (took, tally) in (
                (ours, await _ours(stage, template, sink, count)),
                (references, await _reference(sink, bodies)),
            ):
                assert tally == expected, f"{tally} was posted instead of {expected}"
                runs.append(took)
        await stage.drop(template)
    cpu = middle([mine.cpu_s / other.cpu_s for mine, other in zip(ours, references, strict=True)])
    return Result(
        name="webhook_pump",
        figure=middle([count / each.wall_s for each in ours]),
        unit="deliveries/s",
        reference=middle([count / each.wall_s for each in references]),
        ratio=middle([other.wall_s / mine.wall_s for mine, other in zip(ours, references, strict=True)]),
        hold=0.25,
        aim=0.40,
        better="higher",
        rounds=rounds,
        figures={
            "cpu_ratio": cpu,
            "cpu_ratio_hold": CPU_HOLD,
            "cpu_ms_each": middle([1000 * each.cpu_s / count for each in ours]),
            "reference_cpu_ms_each": middle([1000 * each.cpu_s / count for each in references]),
        },
        also_holds=cpu <= CPU_HOLD,
        note=f"{TENANTS} tenants with one endpoint and {each} events each",
    )


CPU_HOLD: Final = 2.5


async def _prepared(stage: Stage, sink: Sink, each: int) -> str:
    name = await stage.clone()
    tenants = new_ids(TENANTS)
    await make_tenants(stage, name, tenants)
    async with opened(stage, name) as database:
        for place, tenant_id in enumerate(tenants):
            new = NewWebhookEndpoint(url=f"{sink.url}/hooks/{place}", types=("notice.*",))
            async with database.tenant(tenant_id, CAUSE) as session:
                await endpoints.create(session, new, system_now(), ring=database.keys, http=LOOPBACK)
            async with database.tenant(tenant_id, CAUSE) as session:
                for _ in range(each):
                    emit(session, NoticePlanned(_notice(), None, system_now()))
    await stage.settle(name)
    return name


def _notice() -> NoticeView:
    new = ids.new_id
    return NoticeView(
        id=ids.encode("ntc", new()),
        version=1,
        course_id=ids.encode("crs", new()),
        instalment_id=ids.encode("ins", new()),
        invoice_id=ids.encode("inv", new()),
        debtor_id=ids.encode("dbt", new()),
        message_id=ids.encode("msg", new()),
        cycle=1,
        step="first_reminder",
        occurrence=1,
        level=1,
        state="planned",
        code=None,
        planned_at=system_now(),
        issued_at=None,
    )


async def _bodies(stage: Stage, template: str) -> list[Written]:
    """What is to be posted, written beforehand: the bare client only signs and posts."""
    name = await stage.clone(template)
    async with opened(stage, name) as database:
        await _stamp(database)
        async with database.pump() as session:
            rows = (await session.execute(_EVENTS)).all()
    await stage.drop(name)
    return [body_of(Stored(*row), API_VERSION, {}) for row in rows]


_EVENTS: Final = text(
    "select tenant_id, id, type, sequence, occurred_at, log_position, payload, subject_id, key_version, sealed"
    " from app.event where type = 'notice.planned' order by log_position, tenant_id"
)


async def _ours(stage: Stage, template: str, sink: Sink, count: int) -> tuple[Took, Tally]:
    name = await stage.clone(template)
    await stage.checkpoint()
    async with opened(stage, name) as database, open_http(LOOPBACK) as http:
        async with database.queue(), database.pump():  # a worker has its connections already
            pass
        clock = _Clock()
        await _stamp(database)
        while await fan_out(database):
            pass
        await deliver(database, http)
        took = clock.took()
        async with database.pump() as session:
            recorded = (await session.execute(_RECORDED)).scalar_one()
    assert recorded == count, f"{recorded} of {count} deliveries are recorded"
    await stage.drop(name)
    return took, sink.tally()


_RECORDED: Final = text(
    "select count(*) from app.delivery d join app.delivery_attempt a"
    " on a.tenant_id = d.tenant_id and a.delivery_id = d.id where d.state = 'delivered' and a.status = 204"
)


async def _stamp(database: Database) -> None:
    stamped = 1
    while stamped:
        async with database.queue() as session:
            stamped = await relay.stamp(session)


class _Clock:
    def __init__(self) -> None:
        self._wall_s, self._cpu_s = time.perf_counter(), _cpu_s()

    def took(self) -> Took:
        return Took(time.perf_counter() - self._wall_s, _cpu_s() - self._cpu_s)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _reference(sink: Sink, bodies: Sequence[Written]) -> tuple[Took, Tally]:
    """One session, so many at once, signed, nothing stored."""
    keys = (read_key(new_secret()),)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        clock = _Clock()
        left = iter(bodies)
        async with asyncio.TaskGroup() as group:
            for place in range(AT_ONCE):
                group.create_task(_post(session, f"{sink.url}/hooks/{place}", left, keys))
        took = clock.took()
    return took, sink.tally()


async def _post(
    session: aiohttp.ClientSession, url: str, left: Iterator[Written], keys: tuple[SigningKey, ...]
) -> None:
    for written in left:
        headers = sign(keys, written.event_id, int(time.time()), written.body) | {"content-type": "application/json"}
        async with session.post(url, data=written.body, headers=headers) as answer:
            await answer.read()
            assert answer.status == HTTPStatus.NO_CONTENT
