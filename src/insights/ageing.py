"""Aged receivables: what is open, by how long it has been, on any day and as known at any instant.

The choices are those of reference/connectors section 10: by due or by invoice date, in periods of one's own, with
credits beside the open amounts or netted against them, per currency, and converted only by a rate that was given.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from insights.cells import Key, Wanted, cells
from insights.figures import Cell, Held, converted, figures
from insights.held import HeldBy, held_by, held_of
from insights.views import (
    AgedFigures,
    AgedItem,
    AgedRow,
    AgedSummary,
    AgedTerms,
    Converted,
    CreditorDay,
    Credits,
    GroupBy,
    Rate,
)
from kernel import ids
from kernel.clock import at, day_of
from receivables.errors import DebtorNotFound
from receivables.facts import creditor_cards, debtor_cards
from receivables.merges import group_of, roots_of
from receivables.open_items import After, Item, open_items
from receivables.periods import USUAL, Basis, Periods
from receivables.seeing import Scope
from storage.session import TenantSession, tenant_of

MAX_CREDITORS: Final = 10_000


class Conversion(Struct, frozen=True, kw_only=True):
    """Into which currency everything is converted, by whose rates of which day."""

    currency: str
    rates: Mapping[str, Decimal]
    rates_on: date


class Question(Struct, frozen=True, kw_only=True):
    """What a report is about. Without a day it is today, where each creditor is."""

    now: datetime
    as_of: date | None = None
    as_known_at: datetime | None = None
    basis: Basis = Basis.DUE_DATE
    periods: Periods = USUAL
    credits: Credits = Credits.SEPARATE
    group_by: GroupBy = GroupBy.DEBTOR
    creditor_id: UUID | None = None
    debtor_id: UUID | None = None
    currency: str | None = None
    conversion: Conversion | None = None


class Row(Struct, frozen=True, kw_only=True):
    """A row with the key that it is sorted by."""

    key: Key
    view: AgedRow


class Report(Struct, frozen=True, kw_only=True):
    """Rows after a position, and the totals of all of them."""

    summary: AgedSummary
    rows: list[Row]


class Detail(Struct, frozen=True, kw_only=True):
    """One debtor's items after a position, and its totals."""

    terms: AgedTerms
    debtor_id: UUID
    name: str
    totals: tuple[AgedFigures, ...]
    items: list[tuple[Item, AgedItem]]


async def report(session: TenantSession, asked: Question, *, after: Key | None, limit: int) -> Report:
    """So many rows after a key, in the order of their ids; with a limit of nothing only the totals.

    Four statements for the figures and two for the names, whatever the number of rows.
    """
    scope, at_, merged = await _scope(session, asked)
    wanted = Wanted(
        basis=asked.basis, periods=asked.periods, credits=asked.credits, group_by=asked.group_by,
        after=after, limit=limit, merged=merged,
    )  # fmt: skip
    found = await cells(session, scope, wanted)
    held = await held_by(session, scope, at_, asked.group_by, found.rows)
    names = await _names(session, asked.group_by, found.rows)
    totals = _figures(asked, found.totals, held, None)
    summary = AgedSummary(terms=_terms(asked, scope), totals=totals, converted=_converted(asked, totals))
    rows = [Row(key=key, view=_row(asked, key, own, held, names)) for key, own in found.rows.items()]
    return Report(summary=summary, rows=rows)


async def detail(session: TenantSession, asked: Question, *, after: After | None, limit: int) -> Detail:
    """What one debtor owes, by instalment; it stands for everybody merged into it. Raises DebtorNotFound."""
    assert asked.debtor_id is not None  # noqa: S101 - narrows the type: whose detail it is
    root_id = (await roots_of(session, [asked.debtor_id])).get(asked.debtor_id)
    if root_id is None:
        raise DebtorNotFound
    scope, at_, merged = await _scope(session, asked)
    wanted = Wanted(basis=asked.basis, periods=asked.periods, credits=asked.credits, merged=merged)
    found = await cells(session, scope, wanted)
    held = await held_by(session, scope, at_, GroupBy.DEBTOR, ())
    page = await open_items(session, scope, after=after, limit=limit)
    parts = await held_of(session, scope, at_, [item.instalment_id for item in page])
    card = (await debtor_cards(session, [root_id]))[root_id]
    return Detail(
        terms=_terms(asked, scope),
        debtor_id=root_id,
        name=card.name,
        totals=_figures(asked, found.totals, held, None),
        items=[
            (item, _item(item, parts.get(item.instalment_id, Held()), basis=asked.basis, periods=asked.periods))
            for item in page
        ],
    )


def _item(item: Item, held: Held, *, basis: Basis, periods: Periods) -> AgedItem:
    """An item as the world sees it."""
    counted = item.due_on if basis is Basis.DUE_DATE else item.issued_on
    place = periods.place_of(None if counted is None else (item.as_of - counted).days)
    return AgedItem(
        invoice_id=ids.encode("inv", item.invoice_id),
        instalment_id=ids.encode("ins", item.instalment_id),
        creditor_id=ids.encode("crd", item.creditor_id),
        number=item.number,
        place=item.place,
        issued_on=item.issued_on,
        due_on=item.due_on,
        days_late=0 if item.due_on is None else max((item.as_of - item.due_on).days, 0),
        period=periods.described()[place].code if place >= 0 else None,
        currency=item.currency,
        amount_minor=item.amount_minor,
        open_minor=item.open_minor,
        disputed_minor=held.disputed_minor,
        promised_minor=held.promised_minor,
    )


def _row(asked: Question, key: Key, own: Sequence[Cell], held: HeldBy, names: Mapping[Key, str]) -> AgedRow:
    currencies = _figures(asked, own, held, key)
    return AgedRow(
        debtor_id=ids.encode("dbt", key) if asked.group_by is GroupBy.DEBTOR and isinstance(key, UUID) else None,
        creditor_id=ids.encode("crd", key) if asked.group_by is GroupBy.CREDITOR and isinstance(key, UUID) else None,
        name=names.get(key),
        currencies=currencies,
        converted=_converted(asked, currencies),
    )


def _figures(asked: Question, own: Sequence[Cell], held: HeldBy, key: Key | None) -> tuple[AgedFigures, ...]:
    return tuple(figures(own, asked.credits, periods=asked.periods.count, held=held.get(key, {})))


def _converted(asked: Question, rows: Sequence[AgedFigures]) -> Converted | None:
    wanted = asked.conversion
    return None if wanted is None else converted(rows, wanted.currency, wanted.rates)


def _terms(asked: Question, scope: Scope) -> AgedTerms:
    wanted = asked.conversion
    return AgedTerms(
        as_of=scope.as_of,
        as_known_at=scope.known_at,
        creditor_days=tuple(
            CreditorDay(creditor_id=ids.encode("crd", creditor_id), as_of=day)
            for creditor_id, day in sorted(scope.days.items())
        ),
        basis=asked.basis,
        credits=asked.credits,
        periods=asked.periods.described(),
        converted_to=None if wanted is None else wanted.currency,
        rates_on=None if wanted is None else wanted.rates_on,
        rates=()
        if wanted is None
        else tuple(Rate(currency=currency, rate=rate) for currency, rate in sorted(wanted.rates.items())),
    )


async def _scope(session: TenantSession, asked: Question) -> tuple[Scope, datetime, bool]:
    """Which facts are looked at, the instant at which holds must stand, and whether debtors were ever merged."""
    rows = (await session.execute(_CREDITORS, {"tenant_id": tenant_of(session), "rows": MAX_CREDITORS})).all()
    merged = any(row.merged for row in rows)
    zones = {row.id: row.zone for row in rows if asked.creditor_id in (None, row.id)}
    days = {creditor_id: asked.as_of or day_of(asked.now, zone) for creditor_id, zone in zones.items()}
    as_of = asked.as_of or min(days.values(), default=asked.now.date())
    zone = max(set(zones.values()), key=list(zones.values()).count, default="UTC")
    scope = Scope(
        as_of=as_of,
        known_at=min(asked.as_known_at or asked.now, asked.now),
        days={creditor_id: day for creditor_id, day in days.items() if day != as_of},
        creditor_id=asked.creditor_id,
        debtor_ids=None if asked.debtor_id is None else tuple(await group_of(session, asked.debtor_id)),
        currency=asked.currency,
    )
    end = at(as_of + timedelta(days=1), time(0), zone) - timedelta(microseconds=1)
    return scope, min(end, asked.now), merged


_CREDITORS: Final = text("""
select c.id, c.zone, exists (
  select from app.debtor d where d.tenant_id = :tenant_id and d.merged_into_id is not null) as merged
from app.creditor c where c.tenant_id = :tenant_id limit :rows
""")


async def _names(session: TenantSession, group_by: GroupBy, keys: Mapping[Key, object]) -> dict[Key, str]:
    wanted = [key for key in keys if isinstance(key, UUID)]
    if group_by is GroupBy.DEBTOR:
        return {key: card.name for key, card in (await debtor_cards(session, wanted)).items()}
    if group_by is GroupBy.CREDITOR:
        return {key: card.name for key, card in (await creditor_cards(session, wanted)).items()}
    return {}
