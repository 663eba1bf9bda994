"""What the opening journal carries over from last year, and which of it is known already: it is never owed twice."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Row, text

from billing_connectors.fec.lettering import Piece
from billing_connectors.fec.parsing import Books
from billing_connectors.matching import account_code
from billing_connectors.merging import LEDGER
from receivables import links
from receivables.links import Link
from receivables.merges import roots_of
from storage.session import TenantSession, tenant_of


class Carried(Struct, frozen=True):
    """A carried piece that is known: its object, or none where it is a total of what is known one by one."""

    object_id: UUID | None
    warnings: tuple[str, ...] = ()


async def find_carried(
    session: TenantSession, creditor_id: UUID, books: Books, pieces: Mapping[int, Piece]
) -> dict[int, Carried]:
    """Which carried documents are known, by their places.

    The number decides, of the latest year before these books, whatever day the opening entry bears: many tools give
    it the first day of the year. A total without a number of its own tells what is known of its debtor once more.
    """
    carried = {place: piece for place, piece in pieces.items() if piece.carried and piece.kind != "receipt"}
    if not carried:
        return {}
    debtors = await debtors_of(session, creditor_id, (piece.code for piece in carried.values()))
    found: dict[int, Carried] = {}
    new_codes: dict[str, UUID] = {}
    for kind in ("invoice", "credit_note"):
        wanted = {place: piece for place, piece in carried.items() if piece.kind == kind}
        rows = await _numbered(session, kind, creditor_id, {piece.number for piece in wanted.values()}, books.begins_on)
        roots = await roots_of(session, {*debtors.values(), *(row.debtor_id for row in rows.values())})
        for place, piece in wanted.items():
            row = rows.get(piece.number)
            if row is None or row.currency != piece.currency:
                continue
            debtor_id = debtors.get(piece.code)
            if debtor_id is not None and roots[debtor_id] != roots[row.debtor_id]:
                continue
            if debtor_id is None:
                new_codes[account_code(creditor_id, piece.code)] = row.debtor_id
            same = piece.amount_minor in {row.total_minor, row.left_minor}
            found[place] = Carried(row.id, () if same else ("carried_amount_differs",))
    await links.link(session, LEDGER, "debtor", [Link(code, debtor_id) for code, debtor_id in new_codes.items()])
    known = await known_before(session, creditor_id, debtors.values(), books.begins_on)
    for place, piece in carried.items():
        if place not in found and not piece.named and debtors.get(piece.code) in known:
            found[place] = Carried(None, ("carried_total",))
    return found


async def debtors_of(session: TenantSession, creditor_id: UUID, codes: Iterable[str]) -> dict[str, UUID]:
    """The debtors of these accounts, as far as they are known."""
    named = {account_code(creditor_id, code): code for code in codes}
    linked = await links.linked(session, LEDGER, "debtor", named)
    return {named[name]: link.object_id for name, link in linked.items()}


async def known_before(session: TenantSession, creditor_id: UUID, debtor_ids: Iterable[UUID], day: date) -> set[UUID]:
    """Of these debtors those of whom a document or a receipt from before that day is known."""
    values = {"tenant_id": tenant_of(session), "creditor_id": creditor_id, "debtors": list(debtor_ids), "day": day}
    return set((await session.execute(_KNOWN_BEFORE, values)).scalars())


async def _numbered(
    session: TenantSession, kind: str, creditor_id: UUID, numbers: Iterable[str], day: date
) -> dict[str, Row[tuple[object, ...]]]:
    values = {"tenant_id": tenant_of(session), "creditor_id": creditor_id, "numbers": list(numbers), "day": day}
    return {row.number: row for row in await session.execute(_NUMBERED[kind], values)}


_SQL: Final = """
select distinct on (u.number) u.number, v.id, v.debtor_id, v.currency, v.total_minor, v.{left} as left_minor
from unnest(cast(:numbers as text[])) as u(number)
join app.{table} v on v.tenant_id = :tenant_id and v.creditor_id = :creditor_id and v.number = u.number
  and v.issued_on <= :day
order by u.number, v.issued_on desc, v.id
"""  # bounded: by the numbers asked for
_NUMBERED: Final = {
    "invoice": text(_SQL.replace("{table}", "invoice").replace("{left}", "balance_minor")),
    "credit_note": text(_SQL.replace("{table}", "credit_note").replace("{left}", "remaining_minor")),
}
_KNOWN_BEFORE: Final = text("""
select u.id from unnest(cast(:debtors as uuid[])) as u(id)
where exists (select 1 from app.invoice v where v.tenant_id = :tenant_id and v.debtor_id = u.id
                and v.creditor_id = :creditor_id and v.issued_on < :day)
   or exists (select 1 from app.receipt r where r.tenant_id = :tenant_id and r.debtor_id = u.id
                and r.creditor_id = :creditor_id and r.effective_on < :day)
""")  # bounded: by the debtors asked for
