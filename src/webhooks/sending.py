"""The HTTP half of delivery: sign, post, judge. No database: results are handed over as they come.

A slow endpoint costs the others nothing that they would notice. Each endpoint has a lane that starts narrow, widens
with each answer and shrinks to one after a silence; lanes known to be slow share at most half of the slots; and what
cannot start in time is handed back, so that its lease does not run out in here.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from kernel.clock import system_now
from runtime import logs
from runtime.http import Answer, Http
from webhooks.schedule import (
    CONTROL_HEADER,
    RETRY_AFTER_HEADER,
    ErrorKind,
    Verdict,
    judge,
    judge_failure,
    read_retry_after,
)
from webhooks.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, SigningKey, sign

FIRST_WIDTH: Final = 2
MAX_KNOWN_SLOW: Final = 10_000
KEPT: Final = ("content-type", RETRY_AFTER_HEADER, CONTROL_HEADER)
OWN_HEADERS: Final = frozenset({  # which an endpoint's own headers may not set
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "host",
    "keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
    ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER,
})  # fmt: skip

log = logs.logger(__name__)


class SendLimits(Struct, frozen=True, kw_only=True):
    """How much is under way at once in one process."""

    at_once: int = 100
    slow_at_once: int = 50  # of these, what endpoints known to be slow may take together
    per_endpoint: int = 10
    held: int = 200  # under way, waiting and not yet taken: what may be claimed
    slow_s: float = 1.0  # an endpoint that takes longer is slow
    wait_s: float = 5.0  # for a slot; then the delivery is handed back


DEFAULT_LIMITS: Final = SendLimits()


class Outgoing(Struct, frozen=True, kw_only=True):
    """One attempt to make: what is posted where, and whose lease it runs under."""

    delivery_id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    fence: int
    url: str
    event_id: str  # the same over all tries
    body: bytes
    keys: tuple[SigningKey, ...]
    timeout_s: float
    headers: Mapping[str, str] = {}

    def __repr__(self) -> str:  # headers may hold a credential of the receiver's, the body is a tenant's
        return f"Outgoing({self.delivery_id})"


class Attempted(Struct, frozen=True, kw_only=True):
    """What came of an attempt: a status, or the error class that stands in its place."""

    delivery_id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    fence: int
    started_at: datetime
    duration_ms: int
    status: int | None
    error: ErrorKind | None
    detail: str  # of an error, in words that the endpoint's owner may read
    response_head: bytes  # at most 16 KiB
    verdict: Verdict
    retry_after_s: float | None


class NotStarted(Struct, frozen=True, kw_only=True):
    """A delivery that found no slot in time: nothing was sent, no try is used up."""

    delivery_id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    fence: int


Result = Attempted | NotStarted


async def attempt(http: Http, outgoing: Outgoing) -> Attempted:
    """Sign and post once; every end is a value. The test of an endpoint goes this way too."""
    started_at = system_now()
    try:
        headers = {name: value for name, value in outgoing.headers.items() if name.lower() not in OWN_HEADERS}
        headers["content-type"] = "application/json"
        headers |= sign(outgoing.keys, outgoing.event_id, int(started_at.timestamp()), outgoing.body)
        answer = await http.post(outgoing.url, outgoing.body, headers, outgoing.timeout_s, keep=KEPT)
    except Exception:  # one delivery that meets a fault of ours must not stop those of everyone else
        log.exception("webhook_attempt_failed", delivery_id=outgoing.delivery_id, tenant_id=outgoing.tenant_id)
        return _attempted(outgoing, started_at, "internal_error", "the attempt failed on our side", 0)
    if not isinstance(answer, Answer):
        return _attempted(outgoing, started_at, answer.kind, answer.detail, answer.duration_ms)
    return Attempted(
        delivery_id=outgoing.delivery_id,
        tenant_id=outgoing.tenant_id,
        endpoint_id=outgoing.endpoint_id,
        fence=outgoing.fence,
        started_at=started_at,
        duration_ms=answer.duration_ms,
        status=answer.status,
        error=None,
        detail="",
        response_head=answer.body_head,
        verdict=judge(answer.status, answer.headers),
        retry_after_s=read_retry_after(answer.headers.get(RETRY_AFTER_HEADER), started_at),
    )


def _attempted(outgoing: Outgoing, at: datetime, error: ErrorKind, detail: str, duration_ms: int) -> Attempted:
    return Attempted(
        delivery_id=outgoing.delivery_id,
        tenant_id=outgoing.tenant_id,
        endpoint_id=outgoing.endpoint_id,
        fence=outgoing.fence,
        started_at=at,
        duration_ms=duration_ms,
        status=None,
        error=error,
        detail=detail,
        response_head=b"",
        verdict=judge_failure(error),
        retry_after_s=None,
    )


class _Lane:
    """The deliveries of one endpoint."""

    __slots__ = ("endpoint_id", "listed", "moved_at", "slow", "under_way", "waiting", "width")

    def __init__(self, endpoint_id: UUID, *, slow: bool) -> None:
        self.endpoint_id = endpoint_id
        self.slow = slow
        self.width = 1 if slow else FIRST_WIDTH
        self.under_way = 0
        self.waiting: deque[tuple[Outgoing, float]] = deque()  # with the time at which each is handed back
        self.moved_at = 0.0  # when the lane last began or ended something
        self.listed = False


class Sender:
    """Posts what is submitted; holds slots, lanes and results between the batches of a pump."""

    def __init__(self, http: Http, limits: SendLimits = DEFAULT_LIMITS) -> None:
        self._http = http
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[UUID, _Lane] = {}
        self._quick: deque[_Lane] = deque()  # lanes that may begin something, in turn
        self._slow: deque[_Lane] = deque()
        self._known_slow: dict[UUID, None] = {}  # outlives the lane; the oldest is forgotten first
        self._tasks: set[asyncio.Task[None]] = set()
        self._slow_under_way = 0
        self._waiting = 0
        self._done: list[Result] = []
        self._wanted = 1
        self._news = asyncio.Event()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> int:
        """Deliveries under way or waiting."""
        return len(self._tasks) + self._waiting

    @property
    def room(self) -> int:
        """How many more may be submitted; results that nobody took count, so that a slow recorder slows the claim."""
        return max(0, self._limits.held - self.busy - len(self._done))

    def submit(self, deliveries: Sequence[Outgoing]) -> None:
        """Post these as soon as there are slots; no more at once than there is room for."""
        if len(deliveries) > self.room:
            raise ValueError("more deliveries than there is room for")
        give_back_at = self._loop.time() + self._limits.wait_s
        for outgoing in deliveries:
            lane = self._lanes.get(outgoing.endpoint_id)
            if lane is None:
                slow = outgoing.endpoint_id in self._known_slow
                lane = self._lanes[outgoing.endpoint_id] = _Lane(outgoing.endpoint_id, slow=slow)
            lane.waiting.append((outgoing, give_back_at))
            self._waiting += 1
            self._list(lane)
        self._begin()
        for lane in {outgoing.endpoint_id: self._lanes[outgoing.endpoint_id] for outgoing in deliveries}.values():
            self._shorten(lane)
        self._keep_watch()

    async def results(self, *, at_least: int = 1, within_s: float) -> list[Result]:
        """Take what has ended, once it is so many, or no more is to be expected soon, or the time is up."""
        self._wanted = at_least
        if not self._enough():
            self._news.clear()
            try:
                async with asyncio.timeout(within_s):
                    await self._news.wait()
            except TimeoutError:
                pass
        done, self._done = self._done, []
        return done

    async def close(self) -> None:
        """Break off what is under way; the leases of these deliveries bring them back."""
        if self._watch is not None:
            self._watch.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _enough(self) -> bool:
        more_soon = len(self._tasks) > self._slow_under_way or bool(self._quick)
        return len(self._done) >= self._wanted or (bool(self._done) and not more_soon)

    def _list(self, lane: _Lane) -> None:
        if lane.waiting and not lane.listed and lane.under_way < lane.width:
            (self._slow if lane.slow else self._quick).append(lane)
            lane.listed = True

    def _next(self) -> _Lane | None:
        while self._quick:
            lane = self._quick.popleft()
            if not lane.slow:
                return lane
            self._slow.append(lane)
        if self._slow and self._slow_under_way < self._limits.slow_at_once:
            return self._slow.popleft()
        return None

    def _begin(self) -> None:
        while len(self._tasks) < self._limits.at_once and (lane := self._next()) is not None:
            lane.listed = False
            if not lane.waiting or lane.under_way >= lane.width:  # narrowed or emptied while it stood in line
                continue
            outgoing, _ = lane.waiting.popleft()
            self._waiting -= 1
            if lane.under_way == 0:
                lane.moved_at = self._loop.time()
            lane.under_way += 1
            self._slow_under_way += lane.slow
            self._tasks.add(self._loop.create_task(self._send(lane, outgoing)))
            self._list(lane)

    async def _send(self, lane: _Lane, outgoing: Outgoing) -> None:
        attempted = await attempt(self._http, outgoing)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.discard(task)  # here and not in a callback, so that `busy` is true when the result is seen
        lane.under_way -= 1
        self._slow_under_way -= lane.slow
        lane.moved_at = self._loop.time()
        lane.width = 1 if attempted.status is None else min(lane.width + 1, self._limits.per_endpoint)
        self._mark(lane, slow=attempted.duration_ms > self._limits.slow_s * 1000)
        self._list(lane)
        if lane.under_way == 0 and not lane.waiting:
            del self._lanes[lane.endpoint_id]
        self._begin()
        self._ended(attempted)

    def _mark(self, lane: _Lane, *, slow: bool) -> None:
        if slow is not lane.slow:
            self._slow_under_way += lane.under_way if slow else -lane.under_way
        lane.slow = slow
        self._known_slow.pop(lane.endpoint_id, None)
        if slow:
            self._known_slow[lane.endpoint_id] = None
            if len(self._known_slow) > MAX_KNOWN_SLOW:
                del self._known_slow[next(iter(self._known_slow))]
            self._shorten(lane)

    def _shorten(self, lane: _Lane) -> None:
        """A slow endpoint keeps nobody waiting in here for long, nor the claim of others without room."""
        while lane.slow and len(lane.waiting) > 2 * lane.width:
            self._hand_back(lane.waiting.pop()[0])

    def _hand_back(self, outgoing: Outgoing) -> None:
        self._waiting -= 1
        self._ended(
            NotStarted(
                delivery_id=outgoing.delivery_id,
                tenant_id=outgoing.tenant_id,
                endpoint_id=outgoing.endpoint_id,
                fence=outgoing.fence,
            )
        )

    def _ended(self, result: Result) -> None:
        self._done.append(result)
        if self._enough():
            self._news.set()

    def _keep_watch(self) -> None:
        if self._watch is None and self.busy:
            self._watch = self._loop.call_later(min(self._limits.slow_s, self._limits.wait_s) / 4, self._look)

    def _look(self) -> None:
        """Find endpoints that have gone silent before their time limit tells, and what has waited too long."""
        now = self._loop.time()
        for lane in list(self._lanes.values()):
            if lane.under_way and now - lane.moved_at > self._limits.slow_s and not lane.slow:
                self._mark(lane, slow=True)
            while lane.waiting and lane.waiting[0][1] <= now:
                self._hand_back(lane.waiting.popleft()[0])
            if lane.under_way == 0 and not lane.waiting:
                del self._lanes[lane.endpoint_id]
        self._begin()
        self._watch = None
        self._keep_watch()


@asynccontextmanager
async def open_sender(http: Http, limits: SendLimits = DEFAULT_LIMITS) -> AsyncGenerator[Sender]:
    """A sender for the life of a pump; what is under way at the end is broken off."""
    sender = Sender(http, limits)
    try:
        yield sender
    finally:
        await sender.close()


async def post_batch(
    http: Http, deliveries: Sequence[Outgoing], *, limits: SendLimits = DEFAULT_LIMITS
) -> AsyncGenerator[list[Result]]:
    """Post a batch and yield results in bunches as they come, each delivery once, until all have ended."""
    left = deque(deliveries)
    open_results = len(left)
    async with open_sender(http, limits) as sender:
        while open_results:
            sender.submit([left.popleft() for _ in range(min(len(left), sender.room))])
            done = await sender.results(within_s=limits.wait_s)
            open_results -= len(done)
            if done:
                yield done
