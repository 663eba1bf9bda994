"""Take two debtors for one, and take that back: a pointer is set and removed, and no other row moves.

Reads, locks and the keys of messages go by the root. Whoever is merged keeps everything that hangs on it, so that
unmerging returns it to the cent, with all that has come in under its own name meanwhile.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from receivables import access, identifiers, matches
from receivables.changes import expect
from receivables.errors import DebtorErased, DebtorMerged, DebtorNotMerged, MergeContradicts, MergeInvalid
from receivables.events import DebtorMerged as Merged
from receivables.events import DebtorUnmerged as Unmerged
from receivables.identifiers import DEBTORS, Identifier, contradict, implied
from receivables.locks import lock_debtors, regroup
from receivables.merges import groups_of
from receivables.models import Debtor
from receivables.views import DebtorView, encoded
from storage.events import emit
from storage.session import TenantSession, tenant_of

MAX_LEVELS: Final = 30  # of merges one into the other; reads follow 32


class Moved(Struct, frozen=True, kw_only=True):
    """What would be seen under another debtor, or by itself again."""

    invoices: int
    open_instalments: int
    credit_notes: int
    receipts: int
    contacts: int
    holds: int
    open_minor: dict[str, int]  # to pay, by currency, in minor units
    unapplied_minor: dict[str, int]  # money and credit notes that nobody has used


class MergePreview(Struct, frozen=True, kw_only=True):
    """What a merge, or its undoing, would change in the eyes of who reads."""

    debtor_id: str
    root_id: str | None  # under whom it would be seen; null: by itself
    members: tuple[str, ...]  # everybody who would come along
    contradicts: bool  # whether the legal ids cannot be one entity's
    moved: Moved


async def preview_merge(session: TenantSession, debtor_id: UUID, into_id: UUID) -> MergePreview:
    """What merging would change; writes nothing. Raises what merge raises, but not MergeContradicts."""
    mine, root = await _checked(session, debtor_id, into_id)
    members = (await groups_of(session, [mine.id]))[mine.id]
    contradicts = contradict(await _forms(session, members), await _forms(session, await _group(session, root.id)))
    return await _preview(session, mine.id, root.id, members, contradicts=contradicts)


async def preview_unmerge(session: TenantSession, debtor_id: UUID) -> MergePreview:
    """What undoing the debtor's merge would change; writes nothing. Raises DebtorNotFound, DebtorNotMerged."""
    row = await access.debtor(session, debtor_id)
    if row.merged_into_id is None:
        raise DebtorNotMerged
    return await _preview(session, row.id, None, await _group(session, row.id), contradicts=False)


async def merge(  # the options by name
    session: TenantSession,
    debtor_id: UUID,
    into_id: UUID,
    now: datetime,
    *,
    force: bool = False,
    expected_version: int | None = None,
) -> DebtorView:
    """Take a debtor for one with another; the same again changes nothing.

    `force` merges also whose legal ids contradict each other. Raises DebtorNotFound, DebtorMerged, DebtorErased,
    MergeInvalid, MergeContradicts.
    """
    await lock_debtors(session, [debtor_id, into_id])
    row = await access.debtor(session, debtor_id, lock=True)
    if row.merged_into_id == into_id:
        return await access.debtor_view(session, debtor_id)
    expect(row.version, expected_version)
    row, root = await _checked(session, debtor_id, into_id)
    members, others = await _group(session, row.id), await _group(session, root.id)
    if not force and contradict(await _forms(session, members), await _forms(session, others)):
        raise MergeContradicts
    before = await access.debtor_view(session, debtor_id)
    row.merged_into_id, row.version = into_id, row.version + 1
    root.group_version = Debtor.group_version + 1
    await session.flush()
    regroup(session, members, root.id)
    after = await access.debtor_view(session, debtor_id)
    emit(session, Merged(after, before, now))
    await matches.settle_within(session, [*members, *others], now)
    return after


async def unmerge(
    session: TenantSession, debtor_id: UUID, now: datetime, *, expected_version: int | None = None
) -> DebtorView:
    """Let a debtor be one of its own again, with everybody who was merged into it.

    Raises DebtorNotFound, DebtorNotMerged.
    """
    root_id = (await lock_debtors(session, [debtor_id]))[debtor_id]
    row = await access.debtor(session, debtor_id, lock=True)
    expect(row.version, expected_version)
    if row.merged_into_id is None:
        raise DebtorNotMerged
    root = await access.debtor(session, root_id, lock=True)
    before = await access.debtor_view(session, debtor_id)
    row.merged_into_id, row.version = None, row.version + 1
    root.group_version = Debtor.group_version + 1  # who waits for the root's lock looks again whose root it still is
    await session.flush()
    regroup(session, await _group(session, row.id), row.id)
    after = await access.debtor_view(session, debtor_id)
    emit(session, Unmerged(after, before, now))
    return after


async def _checked(session: TenantSession, debtor_id: UUID, into_id: UUID) -> tuple[Debtor, Debtor]:
    """The debtor, and the root that it would come under."""
    row, into = await access.debtor(session, debtor_id), await access.debtor(session, into_id)
    levels = (await session.execute(_LEVELS, {"tenant_id": tenant_of(session), "id": row.id, "into": into.id})).one()
    root = await access.debtor(session, levels.root_id)
    if row.erased_at is not None or root.erased_at is not None:
        raise DebtorErased
    if row.merged_into_id is not None:
        raise DebtorMerged(encoded("dbt", row.merged_into_id) or "")
    if root.id == row.id or levels.above + levels.below > MAX_LEVELS:
        raise MergeInvalid
    return row, root


_LEVELS: Final = text("""
with recursive up as (
  select d.id, d.merged_into_id, 1 as level from app.debtor d where d.tenant_id = :tenant_id and d.id = :into
  union all
  select d.id, d.merged_into_id, up.level + 1 from up
  join app.debtor d on d.tenant_id = :tenant_id and d.id = up.merged_into_id where up.level < 32
), down as (
  select cast(:id as uuid) as id, 1 as level
  union all
  select d.id, down.level + 1 from down
  join app.debtor d on d.tenant_id = :tenant_id and d.merged_into_id = down.id where down.level < 32
)
select (select id from up where merged_into_id is null limit 1) as root_id, (select max(level) from up) as above,
       (select max(level) from down) as below limit 1
""")


async def _group(session: TenantSession, root_id: UUID) -> list[UUID]:
    return (await groups_of(session, [root_id]))[root_id]


async def _forms(session: TenantSession, debtor_ids: Sequence[UUID]) -> set[Identifier]:
    held = await identifiers.held_by(session, DEBTORS, debtor_ids)
    return {form for each in held.values() for one in each for form in implied(one)}


async def _preview(
    session: TenantSession, debtor_id: UUID, root_id: UUID | None, members: Sequence[UUID], *, contradicts: bool
) -> MergePreview:
    values = {"tenant_id": tenant_of(session), "ids": list(members)}
    counts = (await session.execute(_COUNTS, values)).one()
    open_minor: dict[str, int] = {}
    unapplied_minor: dict[str, int] = {}
    for row in await session.execute(_AMOUNTS, values):
        (open_minor if row.is_debt else unapplied_minor)[row.currency] = row.amount_minor
    return MergePreview(
        debtor_id=ids.encode("dbt", debtor_id),
        root_id=encoded("dbt", root_id),
        members=tuple(ids.encode("dbt", member) for member in sorted(members)),
        contradicts=contradicts,
        moved=Moved(**counts._mapping, open_minor=open_minor, unapplied_minor=unapplied_minor),  # noqa: SLF001 - a row's public mapping
    )


_COUNTS: Final = text("""
select
  (select count(*) from app.invoice v where v.tenant_id = :tenant_id and v.debtor_id = any(cast(:ids as uuid[])))
    as invoices,
  (select count(*) from app.instalment i where i.tenant_id = :tenant_id and i.debtor_id = any(cast(:ids as uuid[]))
     and i.balance_minor > 0) as open_instalments,
  (select count(*) from app.credit_note n where n.tenant_id = :tenant_id and n.debtor_id = any(cast(:ids as uuid[])))
    as credit_notes,
  (select count(*) from app.receipt r where r.tenant_id = :tenant_id and r.debtor_id = any(cast(:ids as uuid[])))
    as receipts,
  (select count(*) from app.contact k where k.tenant_id = :tenant_id and k.debtor_id = any(cast(:ids as uuid[]))
     and k.archived_at is null) as contacts,
  (select count(*) from app.hold h where h.tenant_id = :tenant_id and h.debtor_id = any(cast(:ids as uuid[]))
     and h.ended_at is null) as holds limit 1
""")
_AMOUNTS: Final = text("""
select true as is_debt, v.currency, cast(sum(i.balance_minor) as bigint) as amount_minor
from app.instalment i join app.invoice v on v.tenant_id = :tenant_id and v.id = i.invoice_id
where i.tenant_id = :tenant_id and i.debtor_id = any(cast(:ids as uuid[])) and i.balance_minor > 0
group by v.currency
union all
select false, m.currency, cast(sum(m.amount_minor) as bigint) from (
  select r.currency, r.unapplied_minor as amount_minor from app.receipt r
  where r.tenant_id = :tenant_id and r.debtor_id = any(cast(:ids as uuid[])) and r.unapplied_minor > 0
  union all
  select n.currency, n.remaining_minor from app.credit_note n
  where n.tenant_id = :tenant_id and n.debtor_id = any(cast(:ids as uuid[])) and n.remaining_minor > 0
) m group by m.currency
""")  # bounded: by the currencies of the debtors asked for
