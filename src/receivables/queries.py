"""Lists: newest first, a page at a time by keyset. `after` is the last id of the page before."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, Date, Select, Text, any_, cast, exists, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from kernel.text import fold
from receivables import access, identifiers
from receivables.identifiers import Identifier
from receivables.ledger import Charge
from receivables.ledger_views import ReversalView
from receivables.merges import group_of
from receivables.models import (
    Allocation,
    Contact,
    CreditNote,
    Creditor,
    Debtor,
    DocumentState,
    Instalment,
    Invoice,
    Receipt,
    ReceiptState,
    Reversal,
)
from receivables.party_models import ContactRole, DebtorIdentifier, DebtorLabel, DebtorMatch, MatchState
from receivables.party_views import DebtorMatchView
from receivables.views import (
    AllocationView,
    ContactView,
    CreditNoteView,
    CreditorView,
    DebtorView,
    InvoiceView,
    ReceiptView,
)
from storage.session import TenantSession, tenant_of

MAX_ROWS: Final = 1_000
S = TypeVar("S", bound="Select[*tuple[Any, ...]]")  # Any: whatever is listed


class DebtorFilter(Struct, frozen=True, kw_only=True):
    """Which debtors: by the beginning of the name, by a name of the caller's own, by a legal id, by labels.

    Children of a parent are also those of everybody merged into it.
    """

    name_prefix: str | None = None
    external_id: str | None = None
    identifier: Identifier | None = None
    parent_id: UUID | None = None
    labels: tuple[tuple[str, str], ...] = ()  # all of them, as key and value
    archived: bool | None = None
    merged: bool | None = None


class InvoiceFilter(Struct, frozen=True, kw_only=True):
    """Which invoices. A debtor stands for everybody merged into it."""

    debtor_id: UUID | None = None
    creditor_id: UUID | None = None
    document: DocumentState | None = None
    settled: bool | None = None
    overdue: bool | None = None  # something is to pay since before the creditor's today
    due_from: date | None = None
    due_to: date | None = None
    issued_from: date | None = None
    issued_to: date | None = None
    external_id: str | None = None
    number_prefix: str | None = None


class CreditNoteFilter(Struct, frozen=True, kw_only=True):
    """Which credit notes."""

    debtor_id: UUID | None = None
    creditor_id: UUID | None = None
    document: DocumentState | None = None
    used_up: bool | None = None
    issued_from: date | None = None
    issued_to: date | None = None
    external_id: str | None = None
    number_prefix: str | None = None


class ReceiptFilter(Struct, frozen=True, kw_only=True):
    """Which receipts."""

    debtor_id: UUID | None = None
    creditor_id: UUID | None = None
    state: ReceiptState | None = None
    unapplied: bool | None = None
    effective_from: date | None = None
    effective_to: date | None = None
    external_id: str | None = None


class AllocationFilter(Struct, frozen=True, kw_only=True):
    """Which allocations: of a receipt, credit note or write-off, to an invoice or charge."""

    receipt_id: UUID | None = None
    credit_note_id: UUID | None = None
    write_off_id: UUID | None = None
    invoice_id: UUID | None = None
    charge_id: UUID | None = None


async def creditors(
    session: TenantSession, *, external_id: str | None = None, after: UUID | None = None, limit: int
) -> list[CreditorView]:
    """Creditors, the newest first."""
    statement = select(Creditor).where(
        Creditor.tenant_id == tenant_of(session), *is_value(Creditor.external_id, external_id)
    )
    rows = list(await session.scalars(newest(statement, Creditor.id, after=after, limit=limit)))
    return await access.creditor_views(session, rows)


async def creditors_by_id(session: TenantSession, creditor_ids: Iterable[UUID]) -> list[CreditorView]:
    """These creditors, for an answer that names them."""
    wanted = list(creditor_ids)
    statement = select(Creditor).where(Creditor.tenant_id == tenant_of(session), Creditor.id.in_(wanted))
    return await access.creditor_views(session, list(await session.scalars(statement)))  # bounded: by the ids asked for


async def debtors(
    session: TenantSession, wanted: DebtorFilter, *, after: UUID | None = None, limit: int
) -> list[DebtorView]:
    """Debtors, the newest first."""
    statement = select(Debtor).where(
        Debtor.tenant_id == tenant_of(session), *is_value(Debtor.external_id, wanted.external_id)
    )
    if wanted.name_prefix is not None:
        statement = statement.where(*_begins(Debtor.name_folded, fold(wanted.name_prefix)))
    if wanted.identifier is not None:
        named = identifiers.canonical(wanted.identifier.scheme, wanted.identifier.value)
        holds = exists().where(
            DebtorIdentifier.tenant_id == Debtor.tenant_id,
            DebtorIdentifier.scheme == named.scheme,
            DebtorIdentifier.value == named.value,
            DebtorIdentifier.debtor_id == Debtor.id,
        )
        statement = statement.where(holds)
    if wanted.parent_id is not None:
        statement = statement.where(Debtor.parent_id.in_(await group_of(session, wanted.parent_id)))
    for key, value in wanted.labels:
        labelled = exists().where(
            DebtorLabel.tenant_id == Debtor.tenant_id,
            DebtorLabel.debtor_id == Debtor.id,
            DebtorLabel.key == key,
            DebtorLabel.value == value,
        )
        statement = statement.where(labelled)
    if wanted.archived is not None:
        statement = statement.where(Debtor.archived_at.is_not(None) == wanted.archived)
    if wanted.merged is not None:
        statement = statement.where(Debtor.merged_into_id.is_not(None) == wanted.merged)
    rows = list(await session.scalars(newest(statement, Debtor.id, after=after, limit=limit)))
    return await access.debtor_views(session, rows)


async def debtors_by_id(session: TenantSession, debtor_ids: Iterable[UUID]) -> list[DebtorView]:
    """These debtors, for an answer that names them."""
    wanted = list(debtor_ids)
    statement = select(Debtor).where(Debtor.tenant_id == tenant_of(session), Debtor.id.in_(wanted))
    return await access.debtor_views(session, list(await session.scalars(statement)))  # bounded: by the ids asked for


async def debtors_by_external_id(session: TenantSession, external_ids: Iterable[str]) -> dict[str, UUID]:
    """The debtors that a source's own names lead to; an unknown name is absent."""
    wanted = list(external_ids)
    statement = select(Debtor.external_id, Debtor.id).where(
        Debtor.tenant_id == tenant_of(session), Debtor.external_id.in_(wanted)
    )
    rows = await session.execute(statement)  # bounded: by the names asked for
    return {name: debtor_id for name, debtor_id in rows if name is not None}


async def debtors_by_name(session: TenantSession, names: Iterable[str]) -> dict[str, UUID]:
    """The only debtor of each exact name, however it is written; a name that several bear is absent."""
    folded = {name: fold(name) for name in names}
    statement = (
        select(Debtor.name_folded, func.min(cast(Debtor.id, Text)).label("id"))
        .where(Debtor.tenant_id == tenant_of(session), Debtor.name_folded.in_(set(folded.values())))
        .group_by(Debtor.name_folded)
        .having(func.count() == 1)
    )
    found = {name: UUID(id_) for name, id_ in await session.execute(statement)}  # bounded: by the names asked for
    return {name: found[key] for name, key in folded.items() if key in found}


async def contacts(
    session: TenantSession,
    *,
    debtor_id: UUID | None = None,
    role: ContactRole | None = None,
    archived: bool | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[ContactView]:
    """Contacts, the newest first."""
    statement = select(Contact).where(Contact.tenant_id == tenant_of(session))
    if debtor_id is not None:
        statement = statement.where(Contact.debtor_id.in_(await group_of(session, debtor_id)))
    if role is not None:
        statement = statement.where(literal(role.value) == any_(func.string_to_array(Contact.roles, " ")))
    if archived is not None:
        statement = statement.where(Contact.archived_at.is_not(None) == archived)
    return [
        ContactView.of(row) for row in await session.scalars(newest(statement, Contact.id, after=after, limit=limit))
    ]


async def debtor_matches(
    session: TenantSession,
    *,
    debtor_id: UUID | None = None,
    state: MatchState | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[DebtorMatchView]:
    """Pairs of debtors who may be one, the newest first; of a debtor and everybody who is one with it."""
    statement = select(DebtorMatch).where(
        DebtorMatch.tenant_id == tenant_of(session), *is_value(DebtorMatch.state, state)
    )
    if debtor_id is not None:
        group = await group_of(session, debtor_id)
        statement = statement.where(DebtorMatch.debtor_id.in_(group) | DebtorMatch.candidate_id.in_(group))
    rows = await session.scalars(newest(statement, DebtorMatch.id, after=after, limit=limit))
    return [DebtorMatchView.of(row) for row in rows]


async def invoices(
    session: TenantSession, wanted: InvoiceFilter, *, now: datetime, after: UUID | None = None, limit: int
) -> list[InvoiceView]:
    """Invoices with their instalments, the newest first."""
    statement = select(Invoice).where(
        Invoice.tenant_id == tenant_of(session),
        *await of_debtor(session, Invoice.debtor_id, wanted.debtor_id),
        *is_value(Invoice.creditor_id, wanted.creditor_id),
        *is_value(Invoice.document, wanted.document),
        *is_value(Invoice.external_id, wanted.external_id),
        *within(Invoice.due_on, wanted.due_from, wanted.due_to),
        *within(Invoice.issued_on, wanted.issued_from, wanted.issued_to),
        *_begins(Invoice.number, wanted.number_prefix),
    )
    if wanted.settled is not None:
        statement = statement.where((Invoice.balance_minor == 0) == wanted.settled)
    if wanted.overdue is not None:
        statement = statement.where(_overdue(now) == wanted.overdue)
    rows = list(await session.scalars(newest(statement, Invoice.id, after=after, limit=limit)))
    lines = await access.instalments(session, [row.id for row in rows])
    return [InvoiceView.of(row, lines[row.id]) for row in rows]


async def invoices_by_id(session: TenantSession, invoice_ids: Iterable[UUID]) -> dict[str, InvoiceView]:
    """These invoices as they are now, by their ids as the world writes them."""
    wanted = list(invoice_ids)
    statement = select(Invoice).where(Invoice.tenant_id == tenant_of(session), Invoice.id.in_(wanted))
    rows = list(await session.scalars(statement))  # bounded: by the ids asked for
    lines = await access.instalments(session, [row.id for row in rows])
    views = [InvoiceView.of(row, lines[row.id]) for row in rows]
    return {view.id: view for view in views}


def _overdue(now: datetime) -> ColumnElement[bool]:
    """Whether something of an invoice is still to pay and its day has passed, where the creditor is."""
    today = (
        select(cast(func.timezone(Creditor.zone, literal(now)), Date))
        .where(Creditor.tenant_id == Invoice.tenant_id, Creditor.id == Invoice.creditor_id)
        .correlate(Invoice)
        .scalar_subquery()
    )
    return exists().where(
        Instalment.tenant_id == Invoice.tenant_id,
        Instalment.invoice_id == Invoice.id,
        Instalment.balance_minor > 0,
        Instalment.due_on < today,
    )


async def credit_notes(
    session: TenantSession, wanted: CreditNoteFilter, *, after: UUID | None = None, limit: int
) -> list[CreditNoteView]:
    """Credit notes, the newest first."""
    statement = select(CreditNote).where(
        CreditNote.tenant_id == tenant_of(session),
        *await of_debtor(session, CreditNote.debtor_id, wanted.debtor_id),
        *is_value(CreditNote.creditor_id, wanted.creditor_id),
        *is_value(CreditNote.document, wanted.document),
        *is_value(CreditNote.external_id, wanted.external_id),
        *within(CreditNote.issued_on, wanted.issued_from, wanted.issued_to),
        *_begins(CreditNote.number, wanted.number_prefix),
    )
    if wanted.used_up is not None:
        statement = statement.where((CreditNote.remaining_minor == 0) == wanted.used_up)
    return [
        CreditNoteView.of(row)
        for row in await session.scalars(newest(statement, CreditNote.id, after=after, limit=limit))
    ]


async def receipts(
    session: TenantSession, wanted: ReceiptFilter, *, after: UUID | None = None, limit: int
) -> list[ReceiptView]:
    """Receipts, the newest first."""
    statement = select(Receipt).where(
        Receipt.tenant_id == tenant_of(session),
        *await of_debtor(session, Receipt.debtor_id, wanted.debtor_id),
        *is_value(Receipt.creditor_id, wanted.creditor_id),
        *is_value(Receipt.state, wanted.state),
        *is_value(Receipt.external_id, wanted.external_id),
        *within(Receipt.effective_on, wanted.effective_from, wanted.effective_to),
    )
    if wanted.unapplied is not None:
        statement = statement.where((Receipt.unapplied_minor > 0) == wanted.unapplied)
    rows = list(await session.scalars(newest(statement, Receipt.id, after=after, limit=limit)))
    return [ReceiptView.of(row) for row in rows]


async def reversals(
    session: TenantSession, receipt: Receipt, *, after: UUID | None = None, limit: int
) -> list[ReversalView]:
    """How a receipt's money went back, the newest first."""
    statement = select(Reversal).where(Reversal.tenant_id == tenant_of(session), Reversal.receipt_id == receipt.id)
    rows = await session.scalars(newest(statement, Reversal.id, after=after, limit=limit))
    return [ReversalView.of(row, receipt) for row in rows]


async def allocations(
    session: TenantSession, wanted: AllocationFilter, *, after: UUID | None = None, limit: int
) -> list[AllocationView]:
    """Allocations and what undid them, the newest first."""
    statement = (
        select(Allocation, func.coalesce(Invoice.currency, Charge.currency))
        .outerjoin(Invoice, (Invoice.tenant_id == Allocation.tenant_id) & (Invoice.id == Allocation.invoice_id))
        .outerjoin(Charge, (Charge.tenant_id == Allocation.tenant_id) & (Charge.id == Allocation.charge_id))
        .where(
            Allocation.tenant_id == tenant_of(session),
            *is_value(Allocation.receipt_id, wanted.receipt_id),
            *is_value(Allocation.credit_note_id, wanted.credit_note_id),
            *is_value(Allocation.write_off_id, wanted.write_off_id),
            *is_value(Allocation.invoice_id, wanted.invoice_id),
            *is_value(Allocation.charge_id, wanted.charge_id),
        )
    )
    rows = await session.execute(newest(statement, Allocation.id, after=after, limit=limit))
    return [AllocationView.of(row, currency) for row, currency in rows]


def newest(statement: S, key: InstrumentedAttribute[UUID], *, after: UUID | None, limit: int) -> S:
    """A page of a list, the newest first, after the last id of the page before."""
    if after is not None:
        statement = statement.where(key < after)
    return statement.order_by(key.desc()).limit(min(limit, MAX_ROWS))


async def of_debtor(
    session: TenantSession, column: InstrumentedAttribute[UUID], debtor_id: UUID | None
) -> list[ColumnElement[bool]]:
    """Of a debtor, who stands for everybody merged into it."""
    return [] if debtor_id is None else [column.in_(await group_of(session, debtor_id))]


def is_value(
    column: InstrumentedAttribute[Any], value: object
) -> list[ColumnElement[bool]]:  # Any: columns of every type
    """Equal to a value, where one is asked for."""
    return [] if value is None else [column == value]


def within(
    column: InstrumentedAttribute[Any],
    first: date | None,
    last: date | None,  # Any: a date that may be null or not
) -> list[ColumnElement[bool]]:
    """From one day to another, both included."""
    return [*([column >= first] if first is not None else []), *([column <= last] if last is not None else [])]


def _begins(column: InstrumentedAttribute[str], prefix: str | None) -> list[ColumnElement[bool]]:
    """Texts that begin like this, as a range: `^@` is not leakproof, so that under row security no index serves it."""
    if prefix is None:
        return []
    last = f"{prefix}\U0010ffff"  # no text goes on with it: it is no character
    return [column.op("~>=~", is_comparison=True)(prefix), column.op("~<~", is_comparison=True)(last)]
