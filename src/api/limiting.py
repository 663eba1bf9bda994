"""How many requests a key and its tenant may make: GCRA in Valkey, one script for both, decided by Valkey's clock.

A process that finds plenty left takes a handful of requests at once and spends them without asking again: near the
limit, where it matters, it asks for each. When Valkey is away nothing is counted and everything passes: a limit
protects us, and must not stop who pays us.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, Final, cast

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from api.resources import Allowance
from runtime import logs

log = logs.logger(__name__)
TIMEOUT_S: Final = 0.1
PAUSE_S: Final = 5.0  # after Valkey has failed, it is not asked for so long
_HANDFUL: Final = 20
_SPEND_S: Final = 1.0  # what was taken at once is spent within this time, or lost
_MAX_STOCKS: Final = 10_000

# The theoretical arrival time of each quota: how far ahead of now its requests have been promised already.
_SCRIPT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost = tonumber(ARGV[1])
local answer, refused = {}, 0
local tats = {}
for place, key in ipairs(KEYS) do
  local quota, window = tonumber(ARGV[2 * place]), tonumber(ARGV[2 * place + 1])
  local interval = window / quota
  local tat = tonumber(redis.call('GET', key) or now)
  if tat < now then tat = now end
  local after = tat + interval * cost
  if after - now > window then
    refused = math.max(refused, after - now - window)
    after = tat
  end
  tats[place] = {tat, after, interval, window}
end
for place, key in ipairs(KEYS) do
  local tat, after, interval, window = unpack(tats[place])
  if refused > 0 then after = tat end
  if after > now and refused == 0 then
    redis.call('SET', key, string.format('%d', after), 'PX', math.ceil((after - now) / 1000) + 1)
  end
  table.insert(answer, math.floor((window - (after - now)) / interval))
  table.insert(answer, math.ceil((after - now) / 1000000))
end
table.insert(answer, 1, math.ceil(refused / 1000000))
return answer
"""
_SHA: Final = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Quota(Struct, frozen=True):
    """So many requests in a window, which may all come at once."""

    requests: int
    window_s: int


class RateSettings(Struct, frozen=True, kw_only=True):
    """The quotas of one key and of all keys of a tenant."""

    key: Quota = Quota(1_200, 60)
    tenant: Quota = Quota(6_000, 60)


class _Stock(Struct):
    """Requests taken in advance."""

    left: int
    until: float
    remaining: tuple[int, int]
    reset_s: tuple[int, int]


class ValkeyLimiter:
    """Counts in Valkey under `prefix`."""

    def __init__(self, client: Redis, settings: RateSettings | None = None, *, prefix: str = "relance:rate:") -> None:
        quotas = settings or RateSettings()
        self._client, self._prefix = client, prefix
        self._quotas = (quotas.key, quotas.tenant)
        self._handful = max(1, min(_HANDFUL, min(quota.requests for quota in self._quotas) // 8))
        self._policy = ", ".join(
            f'"{name}";q={quota.requests};w={quota.window_s}'
            for name, quota in zip(("key", "tenant"), self._quotas, strict=True)
        )
        self._stocks: OrderedDict[str, _Stock] = OrderedDict()
        self._quiet_until = 0.0

    async def take(self, caller: str, tenant: str) -> Allowance | None:
        """Count one request; None when nothing can be said."""
        now = time.monotonic()
        stock = self._stocks.get(caller)
        if stock is not None and stock.left > 0 and stock.until > now:
            stock.left -= 1
            return self._said(stock.remaining, stock.reset_s, 0)
        if now < self._quiet_until:
            return None
        wanted = 1 if stock is None or not self._is_plenty(stock.remaining) else self._handful
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._ask(caller, tenant, wanted)
        except (RedisError, OSError, TimeoutError) as error:
            self._quiet_until = now + PAUSE_S
            log.warning("rate_limits_not_counted", error=type(error).__name__)
            return None
        retry_after_s, remaining, reset_s = answer[0], (answer[1], answer[3]), (answer[2], answer[4])
        self._keep(caller, _Stock(0 if retry_after_s else wanted - 1, now + _SPEND_S, remaining, reset_s))
        return self._said(remaining, reset_s, retry_after_s)

    async def _ask(self, caller: str, tenant: str, wanted: int) -> list[int]:
        keys = (f"{self._prefix}{{{tenant}}}{caller}", f"{self._prefix}{{{tenant}}}")  # braces: one slot of a cluster
        numbers: list[int] = [wanted]
        for quota in self._quotas:
            numbers += [quota.requests, quota.window_s * 1_000_000]
        try:
            return await _call(self._client.evalsha, _SHA, 2, *keys, *numbers)
        except NoScriptError:
            return await _call(self._client.eval, _SCRIPT, 2, *keys, *numbers)

    def _is_plenty(self, remaining: Sequence[int]) -> bool:
        """Whether more than half of every quota is left, so that a handful more or less does not matter."""
        return all(2 * left > quota.requests for left, quota in zip(remaining, self._quotas, strict=True))

    def _said(self, remaining: tuple[int, int], reset_s: tuple[int, int], retry_after_s: int) -> Allowance:
        left = ", ".join(
            f'"{name}";r={rest};t={reset}'
            for name, rest, reset in zip(("key", "tenant"), remaining, reset_s, strict=True)
        )
        return Allowance(retry_after_s == 0, self._policy, left, ceil(retry_after_s))

    def _keep(self, caller: str, stock: _Stock) -> None:
        self._stocks[caller] = stock
        if len(self._stocks) > _MAX_STOCKS:
            self._stocks.popitem(last=False)


async def _call(run: Callable[..., Any], *arguments: str | int) -> list[int]:  # Any: the client's types tell little
    return cast("list[int]", await run(*arguments))
