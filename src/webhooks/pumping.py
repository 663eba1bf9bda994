"""From deliveries to receivers: claim, sign and post, record, all three at once, for every tenant in its turn.

    async with open_pump(database, http, lease=LEASE) as pump:
        while await pump.round(): ...

Posting goes on between the rounds, so that an endpoint that takes half a minute to answer keeps nobody waiting.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import anyio
from msgspec import Struct

from kernel import ids
from kernel.clock import system_now
from runtime import logs
from runtime.http import Http
from runtime.metrics import Metrics
from storage.database import Database
from storage.queues import LEASE
from storage.session import PumpSession
from webhooks import claiming, recording
from webhooks.claiming import NOBODY, Leased
from webhooks.disabling import disable_by_answer
from webhooks.fanning_out import fan_out
from webhooks.preparing import Preparer
from webhooks.recording import Ended
from webhooks.rota import Rota, Turn
from webhooks.sending import NotStarted, Result, Sender, SendLimits, open_sender

__all__ = ["Pump", "PumpLimits", "deliver", "fan_out", "open_pump"]

log = logs.logger(__name__)


Key = tuple[UUID, int]  # a delivery and its fence


class Hold(Struct):
    """A delivery in our hands, and since when (of the event loop's clock) its lease runs."""

    leased: Leased
    since: float


class PumpLimits(Struct, frozen=True, kw_only=True):
    """How much one process takes on."""

    sending: SendLimits = SendLimits(held=512)
    batch: int = 128  # results to record at once, room to claim into
    per_endpoint: int = 32  # deliveries of one endpoint in our hands
    per_slow_endpoint: int = 3
    scan: int = 256  # endpoints looked at in one go
    scans: int = 100  # in a row, when none of them has work
    scan_every_s: float = 0.25  # while there is work
    scan_after_news_s: float = 0.03  # and when there is word of more
    results_within_s: float = 0.05  # for a batch to come together
    full_results_within_s: float = 0.25  # while there is a batch under way: few large batches cost less than many small
    slow_for_s: float = 60.0  # how long an endpoint counts as slow after it kept us waiting
    pause_s: float = 1.0  # before its next claim
    sweep_every_s: float = 2.0
    finish_within_s: float = 5.0  # at the end, for what is under way
    kept: int = 10_000  # endpoints remembered as slow


class Pump:
    """What a process holds between the rounds: whose turn it is, what is leased, what is under way."""

    def __init__(
        self, database: Database, sender: Sender, *, lease: timedelta, limits: PumpLimits, metrics: Metrics | None
    ) -> None:
        self._database, self._sender = database, sender
        self._lease, self._limits, self._metrics = lease, limits, metrics
        self._loop = asyncio.get_running_loop()
        self._woken, self._news = asyncio.Event(), False
        self._rota = Rota()
        self._cursor = (NOBODY, NOBODY)
        self._scanned_at = self._swept_at = float("-inf")
        self._held: dict[Key, Hold] = {}
        self._held_of: Counter[UUID] = Counter()  # by endpoint
        self._slow_until: dict[UUID, float] = {}
        self._paused_until: dict[UUID, float] = {}
        self._ended: list[Ended] = []  # not yet recorded
        self._back: list[Leased] = []  # not yet given back
        self._preparer = Preparer(database.keys)
        self.attempts = 0  # recorded so far

    @property
    def busy(self) -> int:
        """Deliveries in our hands."""
        return len(self._held)

    def wake(self) -> None:
        """Say that there may be new work: a round that waits for a slow answer then ends and the next one claims."""
        self._news = True
        self._woken.set()

    async def round(self) -> int:
        """Claim what there is room for and record what has ended; returns how much was done."""
        self._woken.clear()
        if not self._held and not await self._claim():
            return 0
        found = await asyncio.gather(self._claim(), self._record(), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return sum(each for each in found if isinstance(each, int))

    async def finish(self) -> None:
        """Claim no more; wait a while for what is under way, then give back the rest."""
        until = self._loop.time() + self._limits.finish_within_s
        while self._sender.busy and self._loop.time() < until:
            await self._record()
        await self._sender.close()
        for result in await self._results(wait=False):
            self._take(result)
        ended = {(each.leased.id, each.leased.fence) for each in self._ended}
        self._back = [hold.leased for key, hold in self._held.items() if key not in ended]
        await self._record(wait=False)

    async def keep_leases(self) -> None:
        """Renew what has been in our hands for long, so that only the dead lose their leases. Runs until cancelled."""
        third_s = self._lease.total_seconds() / 3
        while True:
            await asyncio.sleep(third_s)
            now = self._loop.time()
            old = [hold for hold in self._held.values() if now - hold.since >= third_s / 2]
            try:
                if old:
                    async with self._database.pump() as session:
                        await claiming.renew(session, [hold.leased for hold in old], lease=self._lease)
            except Exception as error:  # noqa: BLE001 - at worst a delivery is made twice
                log.warning("leases_not_renewed", count=len(old), error=error)
            else:
                for hold in old:
                    hold.since = now

    async def _claim(self) -> int:
        """Lease and submit; nothing is posted before its lease is committed."""
        room = self._sender.room - len(self._ended) - len(self._back)
        if room < self._limits.batch:
            return 0
        async with self._database.pump() as session:
            await claiming.go_by_index(session)
            await self._sweep(session)
            turns = await self._turns(session, room)
            if not turns:
                return 0
            claimed = await claiming.claim(session, turns, lease=self._lease)
            unlocked = await self._preparer.unlock(session, claimed.leased)
        for turn in turns:
            if claimed.taken[turn.endpoint_id] < turn.rows:
                self._rota.drop(turn.tenant_id, turn.endpoint_id)
        now = self._loop.time()
        for leased in claimed.leased:
            self._held[leased.id, leased.fence] = Hold(leased, now)
            self._held_of[leased.endpoint_id] += 1
        try:
            ready, failed = self._preparer.prepare(claimed.leased, unlocked)
            self._sender.submit(ready)
        except BaseException:
            self._back += claimed.leased  # or they would stay leased for as long as this process lives
            raise
        for attempted in failed:
            self._take(attempted)
        return claimed.taken.total()

    async def _sweep(self, session: PumpSession) -> None:
        now = self._loop.time()
        if now - self._swept_at < self._limits.sweep_every_s:
            return
        self._swept_at = now
        swept = await claiming.sweep(session)
        if swept:
            log.warning("leases_expired", queue="delivery", count=swept)
        for known in (self._slow_until, self._paused_until):
            if len(known) > self._limits.kept:
                known.clear()

    async def _turns(self, session: PumpSession, room: int) -> list[Turn]:
        """Whose turn it is; looks for more when nobody's is, when there is news, and from time to time."""
        age_s = self._loop.time() - self._scanned_at
        fresh = age_s < (self._limits.scan_after_news_s if self._news else self._limits.scan_every_s)
        if not fresh:
            await self._scan(session)
        turns = self._rota.take(room, self._limit_of)
        if not turns and fresh:
            await self._scan(session)
            turns = self._rota.take(room, self._limit_of)
        return turns

    async def _scan(self, session: PumpSession) -> None:
        """Look at the endpoints after those of the last look, at the end from the start again, until one is new."""
        self._scanned_at, self._news = self._loop.time(), False
        for _ in range(self._limits.scans):
            from_start = self._cursor == (NOBODY, NOBODY)
            waiting = await claiming.scan(session, self._cursor, limit=self._limits.scan)
            added = self._rota.add((each.tenant_id, each.endpoint_id) for each in waiting if each.is_due)
            at_end = len(waiting) < self._limits.scan
            self._cursor = (NOBODY, NOBODY) if at_end else (waiting[-1].tenant_id, waiting[-1].endpoint_id)
            if added or (at_end and from_start):
                return

    def _limit_of(self, endpoint_id: UUID) -> int:
        now = self._loop.time()
        if self._paused_until.get(endpoint_id, now) > now:
            return 0
        slow = self._slow_until.get(endpoint_id, now) > now
        most = self._limits.per_slow_endpoint if slow else self._limits.per_endpoint
        return most - self._held_of[endpoint_id]

    async def _record(self, *, wait: bool = True) -> int:
        """Take what has ended and keep it; what could not be kept is tried again in the next round."""
        for result in await self._results(wait=wait):
            self._take(result)
        ended, back = self._ended, self._back
        if not ended and not back:
            return 0
        self._ended, self._back = [], []
        try:
            async with self._database.pump() as session:
                if back:
                    await claiming.give_back(session, back)
                if ended:
                    await recording.record(session, ended)
        except BaseException:
            self._ended, self._back = ended + self._ended, back + self._back
            raise
        for leased in (*back, *(each.leased for each in ended)):
            self._let_go(leased)
        self.attempts += len(ended)
        await self._conclude(ended)
        return len(ended) + len(back)

    async def _results(self, *, wait: bool) -> list[Result]:
        """Wait for a batch to come together; while there is less than one under way, new work ends the wait."""
        limits, sender = self._limits, self._sender
        if not wait or not sender.busy:
            return await sender.results(at_least=1, within_s=0)
        if sender.busy >= limits.batch:
            return await sender.results(at_least=limits.batch, within_s=limits.full_results_within_s)
        taking = asyncio.ensure_future(sender.results(at_least=limits.batch, within_s=limits.results_within_s))
        waking = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait((taking, waking), return_when=asyncio.FIRST_COMPLETED)
            return taking.result() if taking.done() else []  # what has ended stays with the sender until it is taken
        finally:
            taking.cancel()
            waking.cancel()

    def _let_go(self, leased: Leased) -> None:
        if self._held.pop((leased.id, leased.fence), None) is None:
            return
        self._held_of[leased.endpoint_id] -= 1
        if not self._held_of[leased.endpoint_id]:
            del self._held_of[leased.endpoint_id]

    def _take(self, result: Result) -> None:
        """Sort one result in, and remember who kept us waiting."""
        hold = self._held.get((result.delivery_id, result.fence))
        if hold is None:
            return
        now, endpoint_id = self._loop.time(), result.endpoint_id
        if isinstance(result, NotStarted):
            self._slow_until[endpoint_id] = now + self._limits.slow_for_s
            self._paused_until[endpoint_id] = now + self._limits.pause_s
            self._back.append(hold.leased)
            return
        if result.duration_ms <= self._limits.sending.slow_s * 1000:
            self._slow_until.pop(endpoint_id, None)
        else:
            self._slow_until[endpoint_id] = now + self._limits.slow_for_s
        self._ended.append(Ended(hold.leased, result, ids.new_id()))

    async def _conclude(self, ended: Sequence[Ended]) -> None:
        """Count, and disable endpoints that ask for it or have failed for too long."""
        if self._metrics is not None:
            for outcome, count in Counter(each.attempted.verdict.outcome for each in ended).items():
                self._metrics.webhook_delivery_attempts_total.labels(outcome.value).inc(count)
        for (tenant_id, endpoint_id), code in recording.to_disable(ended, system_now()).items():
            try:
                await disable_by_answer(self._database, tenant_id, endpoint_id, code)
            except Exception:  # its next failure asks again
                log.exception("endpoint_not_disabled", tenant_id=tenant_id, endpoint_id=endpoint_id)


@asynccontextmanager
async def open_pump(
    database: Database,
    http: Http,
    *,
    lease: timedelta = LEASE,
    limits: PumpLimits | None = None,
    metrics: Metrics | None = None,
) -> AsyncGenerator[Pump]:
    """A pump for the life of a worker; at the end it waits a little for what is under way and gives back the rest."""
    chosen = limits or PumpLimits()
    async with open_sender(http, chosen.sending) as sender:
        pump = Pump(database, sender, lease=lease, limits=chosen, metrics=metrics)
        keeping = asyncio.create_task(pump.keep_leases())
        try:
            yield pump
        finally:
            with anyio.CancelScope(shield=True):  # bounded by finish_within_s and the statement timeout
                try:
                    await pump.finish()
                except Exception as error:  # noqa: BLE001 - the database is away: the leases end by themselves
                    log.warning("pump_not_finished", count=pump.busy, error=error)
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)


async def deliver(database: Database, http: Http, *, lease: timedelta = LEASE, within_s: float = 30.0) -> int:
    """Deliver until nothing is due and nothing is under way, or the time is up; returns how many attempts were made."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    async with open_pump(database, http, lease=lease) as pump:
        while (await pump.round() or pump.busy) and loop.time() < until:
            pass
    return pump.attempts
