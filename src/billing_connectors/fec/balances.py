"""Whether the ledger equals the books: what each account owes by a FEC, and what it owes here."""

from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from billing_connectors.fec.carrying import debtors_of
from billing_connectors.fec.parsing import read_fec
from billing_connectors.fec.pieces import find_pieces
from receivables.merges import groups_of, roots_of
from storage.session import TenantSession, tenant_of


class Balance(Struct, frozen=True, kw_only=True):
    """One account: debits less credits by the books, invoices less receipts and credit notes here, in minor units.

    Several accounts of one debtor have one line, under the first of them. Debts in other currencies than the books'
    are compared in `books_minor` only: here they stay in their own.
    """

    code: str
    name: str
    currency: str
    books_minor: int
    exchange_minor: int  # of the books' balance: what only rates of exchange have moved
    ours_minor: int
    difference_minor: int


async def balances(session: TenantSession, content: bytes, name: str, creditor_id: UUID) -> list[Balance]:
    """Compare each account of a FEC with what is owed here today. Raises Rejected where it cannot be read."""
    books = read_fec(content, name)
    found = find_pieces(books)
    debtors = await debtors_of(session, creditor_id, found.balances)
    roots = await roots_of(session, debtors.values())
    lines: dict[str, list[str]] = {}
    for code in found.balances:
        debtor_id = debtors.get(code)
        lines.setdefault(code if debtor_id is None else roots[debtor_id].hex, []).append(code)
    groups = await groups_of(session, set(roots.values()))
    values = {
        "tenant_id": tenant_of(session),
        "creditor_id": creditor_id,
        "currency": books.currency,
        "roots": [root for root, members in groups.items() for _ in members],
        "members": [member for members in groups.values() for member in members],
    }
    owed = {row.root.hex: int(row.owed_minor) for row in await session.execute(_OWED, values)}
    answers: list[Balance] = []
    for key, codes in lines.items():
        books_minor = sum(found.balances[code] for code in codes)
        exchange_minor = sum(found.exchanged.get(code, 0) for code in codes)
        ours_minor = owed.get(key, 0)
        answers.append(
            Balance(
                code=codes[0],
                name=found.names.get(codes[0], codes[0]),
                currency=books.currency,
                books_minor=books_minor,
                exchange_minor=exchange_minor,
                ours_minor=ours_minor,
                difference_minor=ours_minor - books_minor,
            )
        )
    return answers


_OWED = text("""
select u.root, sum(
    coalesce((select sum(v.balance_minor) from app.invoice v where v.tenant_id = :tenant_id
      and v.debtor_id = u.member and v.creditor_id = :creditor_id and v.currency = :currency), 0)
  - coalesce((select sum(n.remaining_minor) from app.credit_note n where n.tenant_id = :tenant_id
      and n.debtor_id = u.member and n.creditor_id = :creditor_id and n.currency = :currency), 0)
  - coalesce((select sum(r.unapplied_minor) from app.receipt r where r.tenant_id = :tenant_id
      and r.debtor_id = u.member and r.creditor_id = :creditor_id and r.currency = :currency), 0)) as owed_minor
from unnest(cast(:roots as uuid[]), cast(:members as uuid[])) as u(root, member)
group by u.root
""")  # bounded: by the accounts of the file
