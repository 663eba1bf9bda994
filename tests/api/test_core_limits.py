"""Quotas: counted in Valkey for all processes together, said beforehand, and no obstacle when Valkey is away."""

import secrets
from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
from redis.asyncio import Redis

from api.limiting import Quota, RateSettings, ValkeyLimiter
from api.resources import Resources
from storage.database import Database
from support.api import app_of, client_of, make_key

SLOW = Quota(20, 86_400)  # in a test nothing of it comes back


AMPLE = Quota(1_000, 86_400)


def connect(url: str) -> Redis:
    return Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]


@pytest.fixture
async def valkey(redis_url: str) -> AsyncGenerator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


def limiter(valkey: Redis, prefix: str, key: Quota = SLOW, tenant: Quota = AMPLE) -> ValkeyLimiter:
    return ValkeyLimiter(valkey, RateSettings(key=key, tenant=tenant), prefix=prefix)


@pytest.fixture
def prefix() -> str:
    return f"test:{secrets.token_hex(8)}:"


async def test_a_quota_is_given_exactly_over_all_processes(valkey: Redis, prefix: str) -> None:
    processes = [limiter(valkey, prefix) for _ in range(3)]
    allowed = 0
    for turn in range(60):
        allowance = await processes[turn % 3].take("key_1", "t1")
        assert allowance is not None
        allowed += allowance.allowed
        assert allowance.policy == '"key";q=20;w=86400, "tenant";q=1000;w=86400'
    assert 18 <= allowed <= 20  # what a process took at once and has not spent is lost, never given twice
    refused = await processes[0].take("key_1", "t1")
    assert refused is not None
    assert (refused.allowed, refused.left.startswith('"key";r=0;t=')) == (False, True)
    assert 0 < refused.retry_after_s <= 86_400 / 20
    other = await processes[0].take("key_2", "t1")
    assert other is not None
    assert other.allowed


async def test_who_obeys_what_is_left_is_never_refused(valkey: Redis, prefix: str) -> None:
    processes = [limiter(valkey, prefix) for _ in range(2)]
    left, turn = 1, 0
    while left > 0:
        allowance = await processes[turn % 2].take("key_1", "t1")
        assert allowance is not None
        assert allowance.allowed
        left = int(allowance.left.split(";")[1].removeprefix("r="))
        turn += 1
    assert turn >= 10


async def test_keys_share_the_quota_of_their_tenant(valkey: Redis, prefix: str) -> None:
    counted = limiter(valkey, prefix, key=Quota(100, 86_400), tenant=SLOW)
    allowed = 0
    for turn in range(40):
        allowance = await counted.take(f"key_{turn % 4}", "t1")
        assert allowance is not None
        allowed += allowance.allowed
    assert 10 <= allowed <= 20
    other = await counted.take("key_9", "t2")
    assert other is not None
    assert other.allowed


async def test_without_valkey_everything_passes_and_nobody_waits(prefix: str) -> None:
    away = connect("redis://127.0.0.1:1/0")
    counted = limiter(away, prefix)
    for _ in range(50):
        assert await counted.take("key_1", "t1") is None
    await away.aclose()


async def test_the_limit_is_said_on_every_answer_and_ends_in_429(
    resources: Resources, database: Database, tenant_id: UUID, valkey: Redis, prefix: str
) -> None:
    resources.limiter = limiter(valkey, prefix, key=Quota(4, 86_400))
    app = app_of(resources)
    async with app.lifespan(), client_of(app, await make_key(database, tenant_id)) as client:
        for left in (3, 2, 1, 0):
            answer = await client.get("/v1/tenant" if left else "/v1/nothing/here")
            if left:
                assert answer.headers["RateLimit"].startswith(f'"key";r={left};')
        assert (await client.get("/v1/tenant", headers={"If-None-Match": "*"})).status_code == 304
        refused = await client.get("/v1/tenant")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.headers["RateLimit-Policy"].startswith('"key";q=4;')
        assert (await client.get("/health/live")).status_code == 200
