"""What came of it, counted in the database and held against what the outside saw."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from cli.demo.companies import CAUSE
from cli.demo.receiver import Receiver
from storage.database import Database

WAIT_S: Final = 60.0
POLL_S: Final = 0.2


class Summary(Struct, frozen=True, kw_only=True):
    """What `relance demo --json` prints."""

    tenants: int
    documents_imported: int
    documents_rejected: int
    reminders_sent: int
    receipts: int
    webhooks_delivered: int
    webhooks_verified: int
    duplicates: int
    reminders_withheld: dict[str, int]
    duration_s: float


class Tally(Struct, frozen=True, kw_only=True):
    """One tenant's rows. Its endpoint was made before its log was begun, so every event is for it."""

    sent: int
    captured: int
    captured_twice: int
    receipts: int
    events: int
    delivered: int
    withheld: dict[str, int]


async def settle(database: Database, tenant_ids: Sequence[UUID]) -> None:
    """Wait until every event has been delivered."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if not any([await _undelivered(database, tenant_id) for tenant_id in tenant_ids]):
            return
        await asyncio.sleep(POLL_S)
    raise TimeoutError("webhooks are still waiting: see the worker's log")


async def _undelivered(database: Database, tenant_id: UUID) -> bool:
    async with database.tenant(tenant_id, CAUSE) as session:
        return bool((await session.execute(_UNDELIVERED, {"tenant_id": tenant_id})).scalar_one())


_UNDELIVERED: Final = text("""
select exists (select from app.event where tenant_id = :tenant_id and log_position is null)
    or exists (select from app.endpoint e join app.log_head h using (tenant_id)
               where e.tenant_id = :tenant_id and e.position < h.position)
    or exists (select from app.delivery where tenant_id = :tenant_id and state in ('pending', 'leased'))
""")


async def tally(database: Database, tenant_id: UUID) -> Tally:
    """Count one tenant's rows."""
    async with database.tenant(tenant_id, CAUSE) as session:
        row = (await session.execute(_COUNTS, {"tenant_id": tenant_id})).one()
        withheld = {
            found.code: int(found.debts) for found in await session.execute(_WITHHELD, {"tenant_id": tenant_id})
        }
    return Tally(
        sent=row.sent,
        captured=row.captured,
        captured_twice=row.captured - row.captured_once,
        receipts=row.receipts,
        events=row.events,
        delivered=row.delivered,
        withheld=withheld,
    )


_COUNTS: Final = text("""
select (select count(*) from app.message where tenant_id = :tenant_id and state = 'sent') as sent,
       (select count(*) from app.captured_mail where tenant_id = :tenant_id) as captured,
       (select count(distinct message_id) from app.captured_mail where tenant_id = :tenant_id) as captured_once,
       (select count(*) from app.receipt where tenant_id = :tenant_id) as receipts,
       (select count(*) from app.event where tenant_id = :tenant_id and log_position is not null) as events,
       (select count(*) from app.delivery where tenant_id = :tenant_id and state = 'delivered') as delivered
""")
# A step whose day had come and that was not taken: by its first blocker, once per instalment, cycle and step.
_WITHHELD: Final = text("""
select split_part(blockers, ' ', 1) as code, count(distinct (instalment_id, cycle, step)) as debts
from app.decision
where tenant_id = :tenant_id and verdict <> 'act' and blockers <> ''
  and blockers not like '%not_yet%' and split_part(blockers, ' ', 1) not in ('finished', 'settled', 'not_open')
group by 1 order by 1 limit 50
""")


def summary(
    tallies: Sequence[Tally], statuses: Counter[str], receiver: Receiver, in_review: int, duration_s: float
) -> Summary:
    """Put the counts together."""
    withheld: Counter[str] = Counter()
    for each in tallies:
        withheld.update(each.withheld)
    if in_review:
        withheld["course_in_review"] += in_review
    return Summary(
        tenants=len(tallies),
        documents_imported=statuses["imported"],
        documents_rejected=statuses["rejected"] + statuses["quarantined"],
        reminders_sent=sum(each.sent for each in tallies),
        receipts=sum(each.receipts for each in tallies),
        webhooks_delivered=sum(each.delivered for each in tallies),
        webhooks_verified=len(receiver.verified),
        duplicates=sum(each.captured_twice for each in tallies) + receiver.duplicates,
        reminders_withheld=dict(sorted(withheld.items())),
        duration_s=round(duration_s, 1),
    )


def disagreements(tallies: Sequence[Tally], receiver: Receiver, counts: Summary) -> list[str]:
    """What is wrong with the outcome; nothing, when the demo has worked."""
    wrong = [
        f"no {name.replace('_', ' ')}"
        for name in ("documents_imported", "reminders_sent", "receipts", "webhooks_delivered")
        if getattr(counts, name) <= 0
    ]
    if receiver.refused:
        wrong.append(f"{receiver.refused} webhooks were not verified")
    if counts.duplicates:
        wrong.append(f"{counts.duplicates} duplicates reached a sink")
    if counts.webhooks_verified != counts.webhooks_delivered:
        wrong.append(f"{counts.webhooks_delivered} webhooks delivered, {counts.webhooks_verified} verified")
    for each in tallies:
        if each.sent != each.captured:
            wrong.append(f"{each.sent} messages sent, {each.captured} captured")
        if each.delivered != each.events:
            wrong.append(f"{each.events} events, {each.delivered} delivered")
    return wrong


async def in_review(database: Database, tenant_id: UUID) -> int:
    """Debts that were old at first sight and wait for a person."""
    async with database.tenant(tenant_id, CAUSE) as session:
        return int((await session.execute(_IN_REVIEW, {"tenant_id": tenant_id})).scalar_one())


_IN_REVIEW: Final = text("select count(*) from app.course where tenant_id = :tenant_id and state = 'review'")
