"""The outbox: one message per recipient, channel, purpose and day, joined until it leaves or is full."""

from datetime import date, timedelta
from typing import Final
from uuid import UUID

import pytest
from sqlalchemy import text

from kernel import ids
from messaging import outbox
from messaging.models import Purpose
from messaging.outbox import MAX_PARTS, Draft
from receivables.locks import lock_debtors
from storage.database import Database
from storage.gate import Part
from support.chasing import at_work
from support.stories import Cast, make_cast, rows
from support.tenants import NOW

DAY: Final = date(2026, 3, 2)


@pytest.fixture
async def cast(database: Database, tenant_id: UUID) -> Cast:
    return await make_cast(database, tenant_id)


def draft(cast: Cast, parts: int = 1, *, day: date = DAY, level: int = 1, contact_id: UUID | None = None) -> Draft:
    return Draft(
        creditor_id=cast.creditor_id,
        debtor_id=cast.debtor_id,
        contact_id=contact_id or cast.contact_id,
        channel="email",
        purpose=Purpose.DUNNING,
        contact_day=day,
        level=level,
        parts=tuple(Part(ids.new_id(), ids.new_id()) for _ in range(parts)),
    )


async def put(database: Database, cast: Cast, *drafts: Draft) -> list[dict[UUID, int]]:
    """For each draft, how many of its parts which message carries."""
    async with at_work(database, cast.tenant_id) as session:
        await lock_debtors(session, [cast.debtor_id])
        carried = await outbox.plan(session, drafts, NOW)
    found: list[dict[UUID, int]] = []
    for each in drafts:
        by_message: dict[UUID, int] = {}
        for part in each.parts:
            if part.part_id in carried:
                message_id = carried[part.part_id]
                by_message[message_id] = by_message.get(message_id, 0) + 1
        found.append(by_message)
    return found


async def turn(database: Database, cast: Cast, state: str) -> None:
    """Every message is now in this state; withdrawn and failed ones give their key back."""
    async with at_work(database, cast.tenant_id) as session:
        changed = await session.execute(text("update app.message set state = :state returning id"), {"state": state})
        if state in {"withdrawn", "failed"}:
            await outbox.release_keys(session, list(changed.scalars()))


async def test_what_is_due_on_a_day_goes_in_one_message(database: Database, cast: Cast) -> None:
    first, second = await put(database, cast, draft(cast, 2), draft(cast, 3, level=2))
    (third,) = await put(database, cast, draft(cast, 1))
    assert first.keys() == second.keys() == third.keys()
    assert await rows(database, cast.tenant_id, "select level, state from app.message") == [(2, "pending")]
    assert await rows(database, cast.tenant_id, "select count(*) from app.message_part") == [(6,)]
    planned = await rows(database, cast.tenant_id, "select count(*) from app.event where type = 'message.planned'")
    assert planned == [(1,)]


async def test_another_day_or_recipient_is_another_message(database: Database, cast: Cast) -> None:
    other = await make_cast(database, cast.tenant_id)
    found = await put(
        database, cast, draft(cast), draft(cast, day=DAY + timedelta(days=1)), draft(cast, contact_id=other.contact_id)
    )
    assert len({message_id for of_draft in found for message_id in of_draft}) == 3


@pytest.mark.parametrize("state", ["pending", "leased"])
async def test_parts_join_what_has_not_left(database: Database, cast: Cast, state: str) -> None:
    (first,) = await put(database, cast, draft(cast))
    await turn(database, cast, state)
    assert (await put(database, cast, draft(cast)))[0].keys() == first.keys()


@pytest.mark.parametrize("state", ["dispatching", "sent", "unknown"])
async def test_what_has_left_takes_no_more_and_no_second_one_goes_that_day(
    database: Database, cast: Cast, state: str
) -> None:
    await put(database, cast, draft(cast))
    await turn(database, cast, state)
    assert await put(database, cast, draft(cast)) == [{}]
    assert (await put(database, cast, draft(cast, day=DAY + timedelta(days=1))))[0] != {}


@pytest.mark.parametrize("state", ["withdrawn", "failed"])
async def test_what_was_withdrawn_or_failed_makes_room_for_another(database: Database, cast: Cast, state: str) -> None:
    (first,) = await put(database, cast, draft(cast))
    await turn(database, cast, state)
    (second,) = await put(database, cast, draft(cast))
    assert first.keys() != second.keys()


async def test_a_full_message_leaves_the_last_parts_out(database: Database, cast: Cast) -> None:
    first, second = await put(database, cast, draft(cast, MAX_PARTS - 1), draft(cast, 3))
    assert (sum(first.values()), sum(second.values())) == (MAX_PARTS - 1, 1)
    assert await put(database, cast, draft(cast, 2)) == [{}]
