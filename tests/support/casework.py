"""Holds and facts for tests of casework."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from casework import holds
from casework.holds import NewHold
from casework.views import HoldView
from receivables.facts import DebtFacts, debt_facts
from storage.session import TenantSession
from support.tenants import NOW


async def make_hold(session: TenantSession, *, now: datetime = NOW, **fields: Any) -> HoldView:  # Any: of a draft
    return await holds.set_hold(session, NewHold(**fields), now)


async def facts_of(session: TenantSession, instalment_ids: Sequence[UUID]) -> list[DebtFacts]:
    """The facts of instalments, in the order asked for."""
    await session.flush()
    facts = await debt_facts(session, instalment_ids)
    return [facts[each] for each in instalment_ids]
