"""Put debtors and contacts as a program knows them: new ones are made, known ones changed, the same changes nothing.

A debtor is known by its external_id, a contact by its debtor and e-mail address. A field that is not sent stays.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import func, select, text

from kernel import ids
from kernel.errors import AppError
from receivables import identifiers
from receivables.changes import named
from receivables.contacts import create_contact, update_contact
from receivables.debtors import create_debtors, update_debtor
from receivables.drafts import ContactChange, DebtorChange, NewContact, NewDebtor
from receivables.errors import DebtorNotFound, ExternalIdTaken, IdentifierTaken
from receivables.identifiers import DEBTORS, Identifier, canonical
from receivables.locks import lock_debtors
from receivables.merges import roots_of
from receivables.models import Contact, Creditor
from receivables.outcomes import Outcome
from receivables.queries import debtors_by_external_id, debtors_by_id
from receivables.views import ContactView, DebtorView
from storage.session import TenantSession, tenant_of

MAX_BATCH: Final = 100


class DebtorPut(Struct, frozen=True, kw_only=True):
    """A debtor as a program knows it; `fields` are those that were sent, the name among them."""

    external_id: str
    name: str
    fields: dict[str, Any]  # Any: fields of a NewDebtor and of a DebtorChange alike
    identifiers: tuple[Identifier, ...] | UnsetType = UNSET


async def put_debtors(session: TenantSession, given: Sequence[DebtorPut], now: datetime) -> list[Outcome[DebtorView]]:
    """Make or change debtors; each has its own outcome, in order; the later of two of one name changes the first."""
    outcomes: dict[int, Outcome[DebtorView]] = {}
    waiting = dict(enumerate(given))
    while waiting:  # bounded: each round puts the first of those that share a name
        first: dict[str, int] = {}
        for place, one in waiting.items():
            first.setdefault(one.external_id, place)
        batch = {place: waiting.pop(place) for place in first.values()}
        outcomes |= await _put_debtors(session, batch, now)
    return [outcomes[place] for place in range(len(given))]


async def _put_debtors(
    session: TenantSession, batch: dict[int, DebtorPut], now: datetime
) -> dict[int, Outcome[DebtorView]]:
    known = await debtors_by_external_id(session, [one.external_id for one in batch.values()])
    refused = await _with_ids_of_others(session, batch, known)
    outcomes: dict[int, Outcome[DebtorView]] = {
        place: Outcome("refused", error=IdentifierTaken(taken)) for place, taken in refused.items()
    }
    fresh = {place: one for place, one in batch.items() if place not in refused and one.external_id not in known}
    seen = {place: one for place, one in batch.items() if place not in refused and one.external_id in known}
    made = await create_debtors(session, [_new(one) for one in fresh.values()], now)
    for (place, one), outcome in zip(fresh.items(), made, strict=True):
        if isinstance(outcome.error, ExternalIdTaken):  # another request has made it at the same instant
            seen[place] = one
        else:
            outcomes[place] = outcome
    if seen:
        known |= await debtors_by_external_id(session, [one.external_id for one in seen.values()])
        await lock_debtors(session, [known[one.external_id] for one in seen.values()])
        views = {
            view.id: view for view in await debtors_by_id(session, [known[one.external_id] for one in seen.values()])
        }
        for place, one in seen.items():
            debtor_id = known[one.external_id]
            outcomes[place] = await _change(session, views[ids.encode("dbt", debtor_id)], debtor_id, one, now)
    return outcomes


def _new(one: DebtorPut) -> NewDebtor:
    given = one.identifiers or ()
    return NewDebtor(**one.fields, name=one.name, external_id=one.external_id, identifiers=given)


async def _change(
    session: TenantSession, before: DebtorView, debtor_id: UUID, one: DebtorPut, now: datetime
) -> Outcome[DebtorView]:
    wanted = one.identifiers
    forms = UNSET if isinstance(wanted, UnsetType) else tuple(sorted({canonical(i.scheme, i.value) for i in wanted}))
    change = DebtorChange(**one.fields, name=one.name, identifiers=forms)
    if all(getattr(before, name) == value for name, value in named(change).items()):
        return Outcome("unchanged", before)
    try:
        after = await update_debtor(session, debtor_id, change, now)
    except AppError as error:  # refused before anything was written: whose the legal ids are was asked before
        return Outcome("refused", error=error)
    return Outcome("unchanged" if after.version == before.version else "updated", after)


async def _with_ids_of_others(
    session: TenantSession, batch: dict[int, DebtorPut], known: dict[str, UUID]
) -> dict[int, str]:
    """The places of debtors with a legal id that another has, or one before them in the batch."""
    given = {
        place: [canonical(each.scheme, each.value) for each in one.identifiers]
        for place, one in batch.items()
        if not isinstance(one.identifiers, UnsetType)
    }
    held = await identifiers.owners(session, DEBTORS, {each for forms in given.values() for each in forms})
    refused: dict[int, str] = {}
    taken: dict[Identifier, int] = {}
    for place, forms in given.items():
        own = known.get(batch[place].external_id)
        for form in forms:
            owner = held.get(form)
            exact = owner is not None and owner != own
            if exact or taken.setdefault(form, place) != place:
                refused[place] = f"{form.scheme} {form.value}"
    return refused


class ContactPut(Struct, frozen=True, kw_only=True):
    """A contact of a debtor, known by its e-mail address; `fields` are those that were sent."""

    debtor_id: UUID
    email: str
    fields: dict[str, Any]  # Any: fields of a NewContact and of a ContactChange alike


async def put_contacts(
    session: TenantSession, given: Sequence[ContactPut], now: datetime
) -> list[Outcome[ContactView]]:
    """Give debtors contacts or change those that they have; each has its own outcome, in order."""
    there = await roots_of(session, {one.debtor_id for one in given})
    await lock_debtors(session, there)
    return [
        await _put_contact(session, one, now) if one.debtor_id in there else Outcome("refused", error=DebtorNotFound())
        for one in given
    ]


async def _put_contact(session: TenantSession, one: ContactPut, now: datetime) -> Outcome[ContactView]:
    statement = (
        select(Contact)
        .where(
            Contact.tenant_id == tenant_of(session),
            Contact.debtor_id == one.debtor_id,
            func.lower(Contact.email) == one.email.strip().lower(),
            Contact.archived_at.is_(None),
        )
        .order_by(Contact.id)
        .limit(1)
    )
    row = (await session.scalars(statement)).first()
    try:
        if row is None:
            new = NewContact(**one.fields, debtor_id=one.debtor_id, email=one.email)
            return Outcome("created", await create_contact(session, new, now))
        version = row.version
        view = await update_contact(session, row.id, ContactChange(**one.fields), now)
    except AppError as error:  # refused before anything was written
        return Outcome("refused", error=error)
    return Outcome("unchanged" if view.version == version else "updated", view)


async def creditors_by_external_id(session: TenantSession, external_ids: Sequence[str]) -> dict[str, UUID]:
    """The creditors that a program's own names lead to; an unknown name is absent."""
    statement = select(Creditor.external_id, Creditor.id).where(
        Creditor.tenant_id == tenant_of(session), Creditor.external_id.in_(external_ids)
    )
    rows = await session.execute(statement)  # bounded: by the names asked for
    return {name: creditor_id for name, creditor_id in rows if name is not None}


async def only_creditor(session: TenantSession) -> UUID | None:
    """The tenant's creditor, where it has one only."""
    found = (await session.execute(_TWO, {"tenant_id": tenant_of(session)})).scalars().all()
    return found[0] if len(found) == 1 else None


_TWO: Final = text("select id from app.creditor where tenant_id = :tenant_id order by id limit 2")
