"""Pairs of debtors who may be one: found, shown with their reasons, accepted or rejected once and for all."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from kernel import ids
from kernel.errors import Fault, Invalid
from receivables import candidates, merging
from receivables.changes import expect
from receivables.errors import MatchNotOpen
from receivables.events import DebtorMatchSuggested
from receivables.likeness import Likeness, compare
from receivables.locks import lock_debtors
from receivables.matches import decide, match
from receivables.merges import roots_of
from receivables.party_models import DebtorMatch, MatchingRule, MatchState
from receivables.party_views import DebtorMatchView
from storage.bulk import insert_rows
from storage.events import emit
from storage.session import TenantSession, tenant_of

LINK_SCORE: Final = 90
SUGGEST_SCORE: Final = 60
CLEARLY: Final = 10  # by how much the best must be ahead of who is next to be linked
_COLUMNS: Final = ("tenant_id", "id", "version", "debtor_id", "candidate_id", "score", "reasons", "state", "known_at")


class Thresholds(Struct, frozen=True, kw_only=True):
    """From which score on a buyer is linked, and from which it is suggested; below both it is somebody new."""

    link_score: int = LINK_SCORE
    suggest_score: int = SUGGEST_SCORE


class MatchingRuleView(Struct, frozen=True, kw_only=True):
    """The tenant's thresholds, of 100. A `link_score` of 101 links nobody by likeness."""

    version: int
    link_score: int
    suggest_score: int


async def thresholds(session: TenantSession) -> MatchingRuleView:
    """The tenant's thresholds, or those that every tenant begins with."""
    row = await session.get(MatchingRule, tenant_of(session))
    if row is None:
        return MatchingRuleView(version=0, link_score=LINK_SCORE, suggest_score=SUGGEST_SCORE)
    return MatchingRuleView(version=row.version, link_score=row.link_score, suggest_score=row.suggest_score)


async def set_thresholds(
    session: TenantSession, wanted: Thresholds, *, expected_version: int | None = None
) -> MatchingRuleView:
    """Set the tenant's thresholds. Raises Invalid."""
    known = await thresholds(session)
    expect(known.version, expected_version)
    if not 1 <= wanted.suggest_score <= wanted.link_score:
        fault = Fault(pointer="/suggest_score", code="out_of_order", message="from 1 to link_score")
        raise Invalid(errors=[fault])
    values = {"link_score": wanted.link_score, "suggest_score": wanted.suggest_score}
    if values == {name: getattr(known, name) for name in values}:
        return known
    statement = insert(MatchingRule).values(tenant_id=tenant_of(session), version=1, **values)
    merged = statement.on_conflict_do_update(
        index_elements=["tenant_id"], set_={**values, "version": MatchingRule.version + 1}
    )
    await session.execute(merged)
    row = await session.get(MatchingRule, tenant_of(session), populate_existing=True)
    if row is None:
        raise RuntimeError("the rule was written")
    return MatchingRuleView(version=row.version, link_score=row.link_score, suggest_score=row.suggest_score)


async def suggest(session: TenantSession, debtor_ids: Iterable[UUID], now: datetime) -> None:
    """Look for whom these debtors may be one with; a pair that was ever suggested is not suggested again."""
    mine = await candidates.load(session, debtor_ids)
    mine = {key: each for key, each in mine.items() if not each.is_gone}
    found = await candidates.find(session, {key: each.card for key, each in mine.items()})
    wanted = {other for each in found.values() for other in each.debtor_ids}
    others = await candidates.load(session, wanted)
    roots = await roots_of(session, {*mine, *others})
    rule = await thresholds(session)
    pairs: dict[tuple[UUID, UUID], Likeness] = {}
    for key, one in mine.items():
        for other_id in found[key].debtor_ids:
            other = others.get(other_id)
            if other is None or other.is_gone or roots[key] == roots[other_id]:
                continue
            likeness = compare(one.card, other.card)
            if likeness.score >= rule.suggest_score:
                pairs[max(key, other_id), min(key, other_id)] = likeness
    await _write(session, pairs, now)


async def _write(session: TenantSession, pairs: dict[tuple[UUID, UUID], Likeness], now: datetime) -> None:
    tenant_id = tenant_of(session)
    rows = [
        DebtorMatch(
            tenant_id=tenant_id, id=ids.new_id(), version=1, debtor_id=younger, candidate_id=older,
            score=likeness.score, reasons=msgspec.json.encode(likeness.reasons).decode(), state=MatchState.OPEN,
            decided_at=None, known_at=now,
        )
        for (younger, older), likeness in sorted(pairs.items())
    ]  # fmt: skip
    if not rows:
        return
    values = [[getattr(row, name) for name in _COLUMNS] for row in rows]
    await insert_rows(session, DebtorMatch, _COLUMNS, values, on_conflict="on conflict do nothing")
    wanted = [row.id for row in rows]
    statement = select(DebtorMatch.id).where(DebtorMatch.tenant_id == tenant_id, DebtorMatch.id.in_(wanted))
    written = set(await session.scalars(statement))  # bounded: by the pairs
    for row in rows:
        if row.id in written:
            emit(session, DebtorMatchSuggested(DebtorMatchView.of(row), None, now))


async def accept(
    session: TenantSession, match_id: UUID, now: datetime, *, expected_version: int | None = None, force: bool = False
) -> DebtorMatchView:
    """Merge the younger into the older, at their roots. Raises MatchNotFound, MatchNotOpen, and what merge raises."""
    row = await _locked(session, match_id, expected_version)
    roots = await roots_of(session, [row.debtor_id, row.candidate_id])
    await merging.merge(session, roots[row.debtor_id], roots[row.candidate_id], now, force=force)
    await session.refresh(row)  # the merge has settled it
    return DebtorMatchView.of(row)


async def reject(
    session: TenantSession, match_id: UUID, now: datetime, *, expected_version: int | None = None
) -> DebtorMatchView:
    """The two are two; they are never suggested again. Raises MatchNotFound, MatchNotOpen."""
    row = await _locked(session, match_id, expected_version)
    return decide(session, row, MatchState.REJECTED, now)


async def _locked(session: TenantSession, match_id: UUID, expected_version: int | None) -> DebtorMatch:
    row = await match(session, match_id)
    await lock_debtors(session, [row.debtor_id, row.candidate_id])
    await session.refresh(row)
    expect(row.version, expected_version)
    if row.state is not MatchState.OPEN:
        raise MatchNotOpen
    return row
