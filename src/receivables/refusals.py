"""Why some documents of a batch were not written: the database left them out, and the caller is told which rule."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from kernel import ids
from kernel.errors import AppError, Conflict
from receivables.drafts import NewCreditNote, NewInvoice
from receivables.errors import (
    CreditNoteNumberTaken,
    CreditorNotFound,
    DebtorNotFound,
    ExternalIdTaken,
    InvoiceNumberTaken,
)
from storage.session import TenantSession, tenant_of

Left = Iterable[tuple[UUID, NewInvoice | NewCreditNote]]


async def of_invoices(session: TenantSession, left: Left) -> dict[UUID, AppError]:
    """Why each of these invoices was left out."""
    return await _why(session, left, "invoice", "inv", InvoiceNumberTaken)


async def of_credit_notes(session: TenantSession, left: Left) -> dict[UUID, AppError]:
    """Why each of these credit notes was left out."""
    return await _why(session, left, "credit_note", "crn", CreditNoteNumberTaken)


async def _why(
    session: TenantSession, left: Left, table: str, prefix: str, number_taken: type[Conflict]
) -> dict[UUID, AppError]:
    drafts = list(left)
    if not drafts:
        return {}
    names = ("creditor_id", "debtor_id", "number", "external_id")
    values: dict[str, Any] = {  # Any: arrays of each column's type
        "tenant_id": tenant_of(session),
        "ids": [draft_id for draft_id, _ in drafts],
        "years": [new.issued_on.year for _, new in drafts],
        **{name: [getattr(new, name) for _, new in drafts] for name in names},
    }
    rows = await session.execute(_STATEMENTS[table], values)
    return {row.id: _reason(row, prefix, number_taken) for row in rows}


def _reason(row: Any, prefix: str, number_taken: type[Conflict]) -> AppError:  # Any: a row of _WHY
    if not row.creditor_known:
        return CreditorNotFound()
    if not row.debtor_known:
        return DebtorNotFound()
    if row.same_number is None and row.same_external_id is not None:
        return ExternalIdTaken(ids.encode(prefix, row.same_external_id))
    return number_taken("earlier in this batch" if row.same_number is None else ids.encode(prefix, row.same_number))


_WHY: Final = """
select u.id,
  exists (select from app.creditor c where c.tenant_id = :tenant_id and c.id = u.creditor_id) as creditor_known,
  exists (select from app.debtor d where d.tenant_id = :tenant_id and d.id = u.debtor_id) as debtor_known,
  (select v.id from app.{table} v where v.tenant_id = :tenant_id and v.creditor_id = u.creditor_id
     and v.number = u.number and v.issue_year = u.issue_year) as same_number,
  (select v.id from app.{table} v where v.tenant_id = :tenant_id and v.external_id = u.external_id) as same_external_id
from unnest(cast(:ids as uuid[]), cast(:creditor_id as uuid[]), cast(:debtor_id as uuid[]), cast(:number as text[]),
            cast(:years as bigint[]), cast(:external_id as text[]))
  as u(id, creditor_id, debtor_id, number, issue_year, external_id)
"""
_STATEMENTS: Final = {table: text(_WHY.replace("{table}", table)) for table in ("invoice", "credit_note")}
