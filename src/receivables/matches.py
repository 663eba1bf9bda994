"""Matches: pairs of debtors who may be one, and what was decided of each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import select, text

from receivables.errors import MatchNotFound
from receivables.events import DebtorMatchAccepted, DebtorMatchRejected, DebtorMatchWithdrawn
from receivables.party_models import DebtorMatch, MatchState
from receivables.party_views import DebtorMatchView
from storage.events import emit
from storage.session import TenantSession, tenant_of

_EVENTS: Final = {
    MatchState.ACCEPTED: DebtorMatchAccepted,
    MatchState.REJECTED: DebtorMatchRejected,
    MatchState.WITHDRAWN: DebtorMatchWithdrawn,
}


async def match(session: TenantSession, match_id: UUID) -> DebtorMatch:
    """Load one match. Raises MatchNotFound."""
    row = await session.get(DebtorMatch, (tenant_of(session), match_id))
    if row is None:
        raise MatchNotFound
    return row


async def settle_within(session: TenantSession, members: Sequence[UUID], now: datetime) -> None:
    """These debtors are one from now on: open matches between them are answered."""
    await session.flush()
    for row in await _open(session, members):
        if row.debtor_id in members and row.candidate_id in members:
            decide(session, row, MatchState.ACCEPTED, now)
    await session.flush()


async def withdraw(session: TenantSession, debtor_ids: Sequence[UUID], now: datetime) -> None:
    """Nothing can be said of these debtors any more: their open matches are no questions."""
    for row in await _open(session, debtor_ids):
        decide(session, row, MatchState.WITHDRAWN, now)
    await session.flush()


def decide(
    session: TenantSession,
    row: DebtorMatch,
    state: Literal[MatchState.ACCEPTED, MatchState.REJECTED, MatchState.WITHDRAWN],
    now: datetime,
) -> DebtorMatchView:
    """Say what became of an open match, and tell of it."""
    before = DebtorMatchView.of(row)
    row.state, row.decided_at, row.version = state, now, row.version + 1
    after = DebtorMatchView.of(row)
    emit(session, _EVENTS[state](after, before, now))
    return after


async def _open(session: TenantSession, debtor_ids: Sequence[UUID]) -> list[DebtorMatch]:
    values = {"tenant_id": tenant_of(session), "ids": list(debtor_ids)}
    wanted = list((await session.execute(_OPEN, values)).scalars())
    statement = select(DebtorMatch).where(DebtorMatch.tenant_id == tenant_of(session), DebtorMatch.id.in_(wanted))
    ordered = statement.order_by(DebtorMatch.id).execution_options(populate_existing=True)
    return list(await session.scalars(ordered))  # bounded: by the matches found


_OPEN: Final = text("""
select m.id from app.debtor_match m
where m.tenant_id = :tenant_id and m.debtor_id = any(cast(:ids as uuid[])) and m.state = 'open'
union
select m.id from app.debtor_match m
where m.tenant_id = :tenant_id and m.candidate_id = any(cast(:ids as uuid[])) and m.state = 'open'
""")  # bounded: by the matches of the debtors asked for
