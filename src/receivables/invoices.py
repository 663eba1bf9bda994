"""Open invoices: one statement for any number of them, each with its own outcome."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from kernel import ids
from kernel.errors import AppError
from receivables import refusals
from receivables.drafts import NewInvoice
from receivables.events import InvoiceOpened
from receivables.models import DocumentState, DueOnSource
from receivables.outcomes import Outcome
from receivables.rules import checked_invoice
from receivables.taxes import taxes_written
from receivables.views import InstalmentView, InvoiceView
from storage.events import emit
from storage.session import TenantSession, tenant_of

MAX_BATCH: Final = 5_000


class Opening(Struct, frozen=True):
    """An invoice about to be written, and the ids of its instalments."""

    id: UUID
    new: NewInvoice
    line_ids: tuple[UUID, ...]


async def open_invoice(session: TenantSession, new: NewInvoice, now: datetime) -> InvoiceView:
    """Open one invoice. Raises Invalid, CreditorNotFound, DebtorNotFound, InvoiceNumberTaken, ExternalIdTaken."""
    return (await open_invoices(session, [new], now))[0].get()


async def open_invoices(
    session: TenantSession, news: Sequence[NewInvoice], now: datetime
) -> list[Outcome[InvoiceView]]:
    """Open many invoices in one statement, at most MAX_BATCH; each has its own outcome, in order."""
    if len(news) > MAX_BATCH:
        raise ValueError(f"at most {MAX_BATCH} invoices at once")
    drafts = [_draft(new) for new in news]
    openings = [draft for draft in drafts if isinstance(draft, Opening)]
    written = await _insert(session, openings, now)
    refused = await refusals.of_invoices(session, [(each.id, each.new) for each in openings if each.id not in written])
    outcomes: list[Outcome[InvoiceView]] = []
    for draft in drafts:
        if isinstance(draft, AppError):
            outcomes.append(Outcome("refused", error=draft))
        elif draft.id in refused:
            outcomes.append(Outcome("refused", error=refused[draft.id]))
        else:
            view = _view(draft, now)
            emit(session, InvoiceOpened(view, None, now))
            outcomes.append(Outcome("created", view))
    return outcomes


def _draft(new: NewInvoice) -> Opening | AppError:
    try:
        clean = checked_invoice(new)
    except AppError as error:
        return error
    return Opening(ids.new_id(), clean, tuple(ids.new_id() for _ in clean.instalments))


def _view(opening: Opening, now: datetime) -> InvoiceView:
    new = opening.new
    lines = zip(opening.line_ids, new.instalments, strict=True)
    return InvoiceView(
        id=ids.encode("inv", opening.id),
        version=1,
        external_id=new.external_id,
        creditor_id=ids.encode("crd", new.creditor_id),
        debtor_id=ids.encode("dbt", new.debtor_id),
        number=new.number,
        issued_on=new.issued_on,
        due_on=new.due_on,
        due_on_source=new.due_on_source or DueOnSource.NONE,
        currency=new.currency,
        total_minor=new.total_minor,
        prepaid_minor=new.prepaid_minor,
        balance_minor=new.total_minor - new.prepaid_minor,
        document=DocumentState.OPEN,
        void_reason=None,
        purchase_order=new.purchase_order,
        payment_terms=new.payment_terms,
        direct_debit_on=new.direct_debit_on,
        contract=new.contract,
        project=new.project,
        delivery_note=new.delivery_note,
        buyer_reference=new.buyer_reference,
        taxes=new.taxes,
        exchange_rate=new.exchange_rate,
        source=new.source,
        known_at=now,
        instalments=tuple(
            InstalmentView(
                id=ids.encode("ins", line_id),
                place=place,
                due_on=line.due_on,
                amount_minor=line.amount_minor,
                balance_minor=line.amount_minor,
                discount_minor=line.discount_minor,
                discount_until=line.discount_until,
            )
            for place, (line_id, line) in enumerate(lines, start=1)
        ),
    )


async def _insert(session: TenantSession, openings: Sequence[Opening], now: datetime) -> set[UUID]:
    """Write invoices with their instalments; what a missing party or a taken number refuses is left out."""
    if not openings:
        return set()
    news = [opening.new for opening in openings]
    lines = [
        (line_id, opening.id, place, line)
        for opening in openings
        for place, (line_id, line) in enumerate(zip(opening.line_ids, opening.new.instalments, strict=True), start=1)
    ]
    values: dict[str, Any] = {  # Any: arrays of each column's type
        "tenant_id": tenant_of(session),
        "known_at": now,
        "ids": [opening.id for opening in openings],
        "issue_years": [new.issued_on.year for new in news],
        **{name: [getattr(new, name) for new in news] for name in _COLUMNS},
        "line_ids": [line[0] for line in lines],
        "line_invoice_ids": [line[1] for line in lines],
        "places": [line[2] for line in lines],
        "line_due_ons": [line[3].due_on for line in lines],
        "line_amounts": [line[3].amount_minor for line in lines],
        "discounts": [line[3].discount_minor for line in lines],
        "discount_days": [line[3].discount_until for line in lines],
        "taxes": [taxes_written(new.taxes) for new in news],
        "rate_currencies": [None if new.exchange_rate is None else new.exchange_rate.currency for new in news],
        "rates": [None if new.exchange_rate is None else new.exchange_rate.rate for new in news],
        "rate_days": [None if new.exchange_rate is None else new.exchange_rate.on for new in news],
        "entry_ids": [ids.new_id() for _ in lines],
    }
    return set((await session.execute(_INSERT, values)).scalars())


_COLUMNS: Final = (
    "creditor_id", "debtor_id", "external_id", "number", "issued_on", "due_on", "due_on_source", "currency",
    "total_minor", "prepaid_minor", "purchase_order", "payment_terms", "direct_debit_on", "contract", "project",
    "delivery_note", "buyer_reference", "source", "source_rank",
)  # fmt: skip
# Creditor and debtor are joined, so that one that is missing (or another tenant's) leaves its invoice out instead of
# breaking the transaction; the instalments and their entries in the ledger follow what was written.
_INSERT: Final = text("""
with written as (
  insert into app.invoice
    (tenant_id, id, version, creditor_id, debtor_id, external_id, number, issue_year, issued_on, due_on, due_on_source,
     currency, total_minor, prepaid_minor, balance_minor, document, purchase_order, payment_terms, direct_debit_on,
     contract, project, delivery_note, buyer_reference, taxes, reporting_currency, exchange_rate, exchange_rate_on,
     source, source_rank, known_at)
  select :tenant_id, u.id, 1, u.creditor_id, u.debtor_id, u.external_id, u.number, u.issue_year, u.issued_on, u.due_on,
         u.due_on_source, u.currency, u.total_minor, u.prepaid_minor, u.total_minor - u.prepaid_minor, 'open',
         u.purchase_order, u.payment_terms, u.direct_debit_on, u.contract, u.project, u.delivery_note,
         u.buyer_reference, u.taxes, u.rate_currency, u.rate, u.rate_on, u.source, u.source_rank, :known_at
  from unnest(cast(:ids as uuid[]), cast(:issue_years as bigint[]), cast(:creditor_id as uuid[]),
              cast(:debtor_id as uuid[]), cast(:external_id as text[]), cast(:number as text[]),
              cast(:issued_on as date[]), cast(:due_on as date[]), cast(:due_on_source as text[]),
              cast(:currency as text[]), cast(:total_minor as bigint[]), cast(:prepaid_minor as bigint[]),
              cast(:purchase_order as text[]), cast(:payment_terms as text[]), cast(:direct_debit_on as date[]),
              cast(:contract as text[]), cast(:project as text[]), cast(:delivery_note as text[]),
              cast(:buyer_reference as text[]), cast(:taxes as text[]), cast(:rate_currencies as text[]),
              cast(:rates as numeric[]), cast(:rate_days as date[]), cast(:source as text[]),
              cast(:source_rank as bigint[]))
    as u(id, issue_year, creditor_id, debtor_id, external_id, number, issued_on, due_on, due_on_source, currency,
         total_minor, prepaid_minor, purchase_order, payment_terms, direct_debit_on, contract, project, delivery_note,
         buyer_reference, taxes, rate_currency, rate, rate_on, source, source_rank)
  join app.creditor c on c.tenant_id = :tenant_id and c.id = u.creditor_id
  join app.debtor d on d.tenant_id = :tenant_id and d.id = u.debtor_id
  order by u.creditor_id, u.number, u.id
  on conflict do nothing
  returning id, creditor_id, debtor_id, currency, issued_on
), line as (
  select l.id, l.entry_id, l.invoice_id, l.place, l.due_on, l.amount_minor, l.discount, l.discount_day, w.creditor_id,
         w.debtor_id, w.currency, w.issued_on
  from unnest(cast(:line_ids as uuid[]), cast(:entry_ids as uuid[]), cast(:line_invoice_ids as uuid[]),
              cast(:places as bigint[]), cast(:line_due_ons as date[]), cast(:line_amounts as bigint[]),
              cast(:discounts as bigint[]), cast(:discount_days as date[]))
    as l(id, entry_id, invoice_id, place, due_on, amount_minor, discount, discount_day)
  join written w on w.id = l.invoice_id
), lines as (
  insert into app.instalment (tenant_id, id, version, invoice_id, debtor_id, place, due_on, amount_minor, balance_minor,
                              discount_minor, discount_until)
  select :tenant_id, l.id, 1, l.invoice_id, l.debtor_id, l.place, l.due_on, l.amount_minor, l.amount_minor,
         l.discount, l.discount_day
  from line l
), entries as (
  insert into app.ledger_entry (tenant_id, id, kind, creditor_id, debtor_id, currency, amount_minor, invoice_id,
                                instalment_id, due_on, effective_on, known_at)
  select :tenant_id, l.entry_id, 'invoice_opened', l.creditor_id, l.debtor_id, l.currency, l.amount_minor, l.invoice_id,
         l.id, l.due_on, l.issued_on, :known_at
  from line l
)
select id from written
""")
