"""Decisions as they are kept: every `act`, every change of verdict, and what the gate or a late fact said."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text

from dunning.deciding import Decision, Verdict
from dunning.gathering import Case
from dunning.models import DecisionRow
from kernel import ids
from storage.bulk import insert_rows
from storage.session import TenantSession, tenant_of

RUN: Final = "run"
GATE: Final = "gate"
AFTER: Final = "after_dispatch"


class Traced(Struct, frozen=True):
    """A decision about a case, to be kept."""

    case: Case
    decision: Decision


_COLUMNS: Final = (
    "tenant_id", "id", "instalment_id", "course_id", "made_by", "decided_at", "verdict", "step", "blockers", "facts",
    "policy_version_id", "cycle",
)  # fmt: skip


def summary(decision: Decision) -> str:
    """The verdict in one word list: what must change for a decision to be worth keeping again."""
    return " ".join((decision.verdict, decision.step or "-", *decision.codes))


async def keep(session: TenantSession, made_by: str, traced: Sequence[Traced], now: datetime) -> None:
    """Write decisions: an `act` always, anything else when it differs from the last of its course."""
    tenant_id = tenant_of(session)
    rows: list[tuple[object, ...]] = []
    changed: dict[UUID, str] = {}
    for item in traced:
        course, said = item.case.course, summary(item.decision)
        if made_by == RUN and item.decision.verdict is not Verdict.ACT and course.trace == said:
            continue
        if course.trace != said:
            changed[course.id] = said
        rows.append(
            (
                tenant_id, ids.new_id(), course.instalment_id, course.id, made_by, now, item.decision.verdict.value,
                item.decision.step, " ".join(item.decision.codes), msgspec.json.encode(item.case.facts).decode(),
                course.policy_version_id, course.cycle,
            )
        )  # fmt: skip
    await insert_rows(session, DecisionRow, _COLUMNS, rows)
    if made_by == RUN and changed:
        values = {"tenant_id": tenant_id, "ids": list(changed), "said": list(changed.values())}
        await session.execute(_REMEMBER, values)


_REMEMBER: Final = text(
    "update app.course c set trace = u.said from unnest(cast(:ids as uuid[]), cast(:said as text[])) as u(id, said)"
    " where c.tenant_id = :tenant_id and c.id = u.id"
)
