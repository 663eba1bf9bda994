"""Which debtor the buyer of a document is: by legal id, account code, the invoice itself or name, else a new one.

Pure, over what is known. Taking two companies for one is the worse mistake (one would read of the other's debts), so
whatever contradicts keeps them apart, and a name alone decides only where it can mean one debtor.
"""

from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct

from receivables.identifiers import Identifier, contradict, implied


class Buyer(Struct, frozen=True, kw_only=True):
    """A buyer as a document tells of it."""

    name: str  # folded
    identifiers: tuple[Identifier, ...] = ()
    code: str | None = None  # the account code, with its creditor before it
    country: str | None = None


class Match(Struct, frozen=True):
    """The debtor, or a reason to ask a person; neither means that it is a new one."""

    debtor_id: UUID | None = None
    reason: str | None = None
    warning: str | None = None


class Known(Struct):
    """A debtor as far as matching goes; it learns as documents are matched."""

    id: UUID
    root_id: UUID
    name: str
    country: str | None
    identifiers: set[Identifier]
    codes: set[str]


class Directory:
    """The debtors that the buyers of some documents may be."""

    def __init__(self, known: Iterable[Known] = ()) -> None:
        self._known = {each.id: each for each in known}
        self._owners = {
            form: each.id for each in self._known.values() for one in each.identifiers for form in implied(one)
        }
        self._coded = {code: each.id for each in self._known.values() for code in each.codes}
        self._named: dict[str, list[UUID]] = {}
        for each in self._known.values():
            self._named.setdefault(each.name, []).append(each.id)

    def match(self, buyer: Buyer, billed_id: UUID | None) -> Match:
        """Find the buyer; `billed_id` is the debtor of the same document as it is known already."""
        found = self._by_identifiers(buyer) or self._by_code(buyer) or self._by_document(buyer, billed_id)
        if found is None:
            found = self._by_name(buyer)
        if billed_id is not None and found.debtor_id is not None and not self._same(found.debtor_id, billed_id):
            return Match(reason="conflicting_debtor")
        return found

    def learn(self, debtor_id: UUID, buyer: Buyer) -> tuple[Identifier, ...]:
        """Remember the buyer's names for a matched debtor; answers the legal ids that are new and nobody else's."""
        known = self._known[debtor_id]
        free = (one for one in buyer.identifiers if self._owners.get(one, debtor_id) == debtor_id)
        new = tuple(one for one in free if one not in known.identifiers and not contradict([one], known.identifiers))
        known.identifiers.update(new)
        self._owners.update(dict.fromkeys(new, debtor_id))
        if buyer.code is not None:
            known.codes.add(buyer.code)
            self._coded[buyer.code] = debtor_id
        return new

    def add(self, debtor_id: UUID, buyer: Buyer) -> None:
        """A new debtor, which the next documents may name."""
        self._known[debtor_id] = Known(debtor_id, debtor_id, buyer.name, buyer.country, set(), set())
        self._named.setdefault(buyer.name, []).append(debtor_id)

    def _same(self, one: UUID, other: UUID) -> bool:
        return self._known[one].root_id == self._known[other].root_id

    def _by_identifiers(self, buyer: Buyer) -> Match | None:
        owners = [self._owners[form] for form in buyer.identifiers if form in self._owners]
        if len({self._known[owner].root_id for owner in owners}) > 1:
            return Match(reason="debtor_ambiguous")
        return Match(owners[0]) if owners else None

    def _by_code(self, buyer: Buyer) -> Match | None:
        owner = self._coded.get(buyer.code or "")
        return Match(owner) if owner is not None and not self._contradicts(owner, buyer) else None

    def _by_document(self, buyer: Buyer, billed_id: UUID | None) -> Match | None:
        if billed_id is None:
            return None
        return Match(reason="conflicting_debtor") if self._contradicts(billed_id, buyer) else Match(billed_id)

    def _by_name(self, buyer: Buyer) -> Match:
        candidates = [each for each in self._named.get(buyer.name, ()) if self._may_be(self._known[each], buyer)]
        if not candidates:
            return Match()
        if len({self._known[each].root_id for each in candidates}) == 1:
            return Match(candidates[0])
        if buyer.identifiers or buyer.code:
            return Match(warning="debtor_ambiguous")
        return Match(reason="debtor_ambiguous")

    def _may_be(self, known: Known, buyer: Buyer) -> bool:
        if buyer.country and known.country and buyer.country != known.country:
            return False
        if buyer.code is not None and _ledger(buyer.code) in map(_ledger, known.codes):
            return False  # two accounts of one ledger are two debtors unless their ids say otherwise
        return not contradict(buyer.identifiers, known.identifiers)

    def _contradicts(self, debtor_id: UUID, buyer: Buyer) -> bool:
        return contradict(buyer.identifiers, self._known[debtor_id].identifiers)


def account_code(creditor_id: UUID, code: str) -> str:
    """The name of a debtor in a creditor's ledger; another creditor's ledger has codes of its own."""
    return f"{creditor_id}/{code}"


def _ledger(code: str) -> str:
    return code.partition("/")[0]
