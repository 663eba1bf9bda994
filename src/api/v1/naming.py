"""Parties as a program names them: by Relance's id, or by the program's own name."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from msgspec import Struct

from api.fields import PREFIXES, ExternalId, IdText
from kernel import ids
from kernel.errors import Fault, Invalid
from receivables import queries
from receivables.errors import CreditorNotFound, DebtorNotFound
from receivables.pushing import creditors_by_external_id, only_creditor
from storage.session import TenantSession


class OfDebtor(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who owes: by Relance's id or by the caller's own name."""

    debtor_id: IdText | None = None
    debtor_external_id: ExternalId | None = None


class OfParties(OfDebtor, kw_only=True, forbid_unknown_fields=True):
    """Who owes whom. Without a creditor, it is the tenant's only one."""

    creditor_id: IdText | None = None
    creditor_external_id: ExternalId | None = None


class Parties(Struct):
    """The parties that the objects of one request name."""

    debtors: dict[str, UUID]
    creditors: dict[str, UUID]
    only: UUID | None

    def debtor(self, given: OfDebtor) -> UUID:
        """Raises DebtorNotFound, Invalid."""
        return _one("debtor", given.debtor_id, given.debtor_external_id, self.debtors)

    def creditor(self, given: OfParties) -> UUID:
        """Raises CreditorNotFound, Invalid."""
        if given.creditor_id is None and given.creditor_external_id is None and self.only is not None:
            return self.only
        return _one("creditor", given.creditor_id, given.creditor_external_id, self.creditors)


def _one(noun: Literal["debtor", "creditor"], own: str | None, external: str | None, known: dict[str, UUID]) -> UUID:
    if (own is None) == (external is None):
        message = f"send {noun}_id or {noun}_external_id"
        raise Invalid(errors=[Fault(pointer=f"/{noun}_id", code="one_of", message=message)])
    found = ids.read(PREFIXES[noun], own) if own is not None else known.get(external or "")
    if found is None:
        raise DebtorNotFound if noun == "debtor" else CreditorNotFound
    return found


async def parties_of(session: TenantSession, items: Sequence[OfDebtor]) -> Parties:
    """Find everybody whom these items name by names of the caller's own."""
    debtors = {item.debtor_external_id for item in items if item.debtor_external_id is not None}
    with_creditor = [item for item in items if isinstance(item, OfParties)]
    creditors = sorted({item.creditor_external_id for item in with_creditor if item.creditor_external_id is not None})
    return Parties(
        await queries.debtors_by_external_id(session, debtors) if debtors else {},
        await creditors_by_external_id(session, creditors) if creditors else {},
        await only_creditor(session) if with_creditor else None,
    )
