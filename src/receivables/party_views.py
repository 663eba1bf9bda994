"""What stands around creditors and debtors, as the world sees it: accounts, addresses, who may be whom."""

from datetime import datetime

import msgspec
from msgspec import Struct

from kernel import ids
from receivables.identifiers import Identifier
from receivables.party_models import AddressKind, BankAccount, DebtorMatch, MatchState


class BankAccountView(Struct, frozen=True, kw_only=True):
    """An account on which a creditor is paid."""

    id: str
    version: int
    iban: str
    bic: str | None
    currency: str
    label: str | None
    is_default: bool  # of its currency: what letters name
    archived_at: datetime | None

    @classmethod
    def of(cls, row: BankAccount) -> "BankAccountView":
        """Show an account."""
        return cls(
            id=ids.encode("bac", row.id),
            version=row.version,
            iban=row.iban,
            bic=row.bic,
            currency=row.currency,
            label=row.label,
            is_default=row.is_default,
            archived_at=row.archived_at,
        )


class Address(Struct, frozen=True, kw_only=True):
    """One address of a debtor; there is one of each kind at most."""

    kind: AddressKind
    street: str | None = None  # its lines
    postcode: str | None = None
    city: str | None = None
    country: str | None = None


class Beside(Struct, frozen=True):
    """What of a debtor stands in tables of its own."""

    identifiers: tuple[Identifier, ...] = ()
    addresses: tuple[Address, ...] = ()
    labels: dict[str, str] = {}


class Reason(Struct, frozen=True):
    """What one comparison adds to a score, or takes from it."""

    code: str  # name, postcode, street, city, email, email_domain, phone
    likeness: int  # of 100
    points: int


class DebtorMatchView(Struct, frozen=True, kw_only=True):
    """Two debtors who may be one: accepting merges the younger into the older, rejecting is for good."""

    id: str
    version: int
    debtor_id: str
    candidate_id: str
    score: int  # of 100
    reasons: tuple[Reason, ...]
    state: MatchState
    decided_at: datetime | None
    known_at: datetime

    @classmethod
    def of(cls, row: DebtorMatch) -> "DebtorMatchView":
        """Show a match."""
        return cls(
            id=ids.encode("dmt", row.id),
            version=row.version,
            debtor_id=ids.encode("dbt", row.debtor_id),
            candidate_id=ids.encode("dbt", row.candidate_id),
            score=row.score,
            reasons=msgspec.json.decode(row.reasons, type=tuple[Reason, ...]),
            state=row.state,
            decided_at=row.decided_at,
            known_at=row.known_at,
        )
