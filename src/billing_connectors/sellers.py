"""Whose sale a document is: which of the tenant's creditors, or why it is none of theirs."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select

from billing_connectors.documents.canonical import Document
from billing_connectors.legal_ids import stated_by
from billing_connectors.merging import is_ledger
from billing_connectors.terms import Agreed
from kernel.text import fold
from receivables.errors import CreditorNotFound
from receivables.identifiers import CREDITORS, Identifier, held_by, implied
from receivables.models import Creditor
from storage.session import TenantSession, tenant_of

MAX_CREDITORS: Final = 1_000


class Legal(Struct, frozen=True):
    """A creditor as documents know it: its folded name, its legal ids and what they imply."""

    id: UUID
    name: str
    currency: str
    identifiers: frozenset[Identifier]
    agreed: Agreed = Agreed()


class Creditors(Struct, frozen=True):
    """The tenant's creditors, and the one that the import was told to be for."""

    all: tuple[Legal, ...]
    chosen: Legal | None = None

    @property
    def ours(self) -> tuple[Legal, ...]:
        """Whose sales the documents may be."""
        return self.all if self.chosen is None else (self.chosen,)

    def agreed(self, creditor_id: UUID, said: Agreed) -> Agreed:
        """What is stated about the day to pay: what was said for this import, else by the creditor."""
        own = next((each.agreed for each in self.all if each.id == creditor_id), Agreed())
        return Agreed(said.eom_reading or own.eom_reading, said.payment_terms or own.payment_terms)

    @property
    def currency(self) -> str | None:
        """What their sales are in, where that is one currency."""
        found = {each.currency for each in self.ours}
        return found.pop() if len(found) == 1 else None


class Seller(Struct, frozen=True):
    """The creditor of a document, or the reason why it has none."""

    creditor_id: UUID | None
    reason: str | None = None
    unchecked: bool = False  # nothing of the document could be compared with nothing of ours


async def load_creditors(session: TenantSession, chosen_id: UUID | None) -> Creditors:
    """Who may be the seller. Raises CreditorNotFound."""
    statement = (
        select(Creditor.id, Creditor.name, Creditor.currency, Creditor.eom_reading, Creditor.payment_terms)
        .where(Creditor.tenant_id == tenant_of(session))
        .order_by(Creditor.id)
        .limit(MAX_CREDITORS)
    )
    rows = (await session.execute(statement)).all()
    held = await held_by(session, CREDITORS, [row.id for row in rows])
    every = tuple(
        Legal(
            row.id,
            fold(row.name),
            row.currency,
            frozenset(form for one in held[row.id] for form in implied(one)),
            Agreed(row.eom_reading, row.payment_terms),
        )
        for row in rows
    )
    chosen = next((each for each in every if each.id == chosen_id), None)
    if chosen_id is not None and chosen is None:
        raise CreditorNotFound
    return Creditors(every, chosen)


def seller_of(document: Document, creditors: Creditors) -> Seller:
    """Which creditor issued the document; a stranger's is refused as soon as ours can be told by their ids."""
    stated = frozenset(stated_by(document.seller))
    matching = [each for each in creditors.all if each.identifiers & stated]
    ours = creditors.ours
    if not ours:
        return Seller(None, "no_creditor")
    if stated and any(each.identifiers for each in ours):
        return _only([each for each in ours if each in matching], "not_our_sale")
    if matching:  # another creditor than the one that was chosen
        return Seller(None, "not_our_sale")
    unchecked = not any(each.identifiers for each in ours) or not is_ledger(document.format)
    if len(ours) > 1:
        name = fold(document.seller.name)
        ours = tuple(each for each in ours if each.name == name)
    found = _only(ours, "creditor_ambiguous")
    return Seller(found.creditor_id, found.reason, unchecked)


def _only(found: Sequence[Legal], otherwise: str) -> Seller:
    if len(found) == 1:
        return Seller(found[0].id)
    return Seller(None, "creditor_ambiguous" if found else otherwise)
