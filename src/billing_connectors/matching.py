"""Which debtor the buyer of a document is: by legal id, account code, the invoice itself, name or likeness, else new.

Pure, over what is known. Taking two companies for one is the worse mistake (one would read of the other's debts), so
whatever contradicts keeps them apart, and a name alone decides only where it can mean one debtor.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from msgspec import Struct

from receivables.identifiers import Identifier, contradict, implied, is_right
from receivables.likeness import Card, compare, is_strong, keys_of
from receivables.suggestions import CLEARLY

NEVER: Final = 101  # no likeness reaches it


class Buyer(Struct, frozen=True, kw_only=True):
    """A buyer as a document tells of it."""

    name: str  # folded
    identifiers: tuple[Identifier, ...] = ()
    code: str | None = None  # the account code, with its creditor before it
    country: str | None = None
    card: Card = Card(name="")


class Match(Struct, frozen=True):
    """The debtor, or a reason to ask a person; neither means that it is a new one."""

    debtor_id: UUID | None = None
    reason: str | None = None
    warning: str | None = None
    candidates: tuple[UUID, ...] = ()  # of a reason: who it may be


class Known(Struct):
    """A debtor as far as matching goes; it learns as documents are matched."""

    id: UUID
    root_id: UUID
    name: str
    country: str | None
    identifiers: set[Identifier]
    codes: set[str]
    card: Card = Card(name="")


class Directory:
    """The debtors that the buyers of some documents may be."""

    def __init__(self, known: Iterable[Known] = (), *, link_score: int = NEVER) -> None:
        self._link_score = link_score
        self._known: dict[UUID, Known] = {}
        self._owners: dict[Identifier, UUID] = {}
        self._coded: dict[str, UUID] = {}
        self._named: dict[str, list[UUID]] = {}
        self._keyed: dict[str, list[UUID]] = {}
        self._crowded: frozenset[str] = frozenset()
        self.extend(known)

    def extend(self, known: Iterable[Known], *, crowded: Iterable[str] = (), link_score: int | None = None) -> None:
        """Know more debtors; behind the `crowded` keys there are others whom nobody has looked at."""
        self._crowded |= frozenset(crowded)
        self._link_score = self._link_score if link_score is None else link_score
        for each in known:
            if each.id in self._known:
                continue
            self._known[each.id] = each
            self._owners.update((form, each.id) for one in each.identifiers for form in implied(one))
            self._coded.update(dict.fromkeys(each.codes, each.id))
            self._named.setdefault(each.name, []).append(each.id)
            self._index(each)

    def _index(self, known: Known) -> None:
        for key in keys_of(known.card):
            self._keyed.setdefault(key, []).append(known.id)

    def match(self, buyer: Buyer, billed_id: UUID | None) -> Match:
        """Find the buyer; `billed_id` is the debtor of the same document as it is known already."""
        found = self._by_identifiers(buyer) or self._by_code(buyer) or self._by_document(buyer, billed_id)
        if found is None:
            found = self._by_name(buyer)
        if found == Match():
            found = self._by_likeness(buyer)
        if billed_id is not None and found.debtor_id is not None and not self._same(found.debtor_id, billed_id):
            return Match(reason="conflicting_debtor", candidates=(billed_id, found.debtor_id))
        return found

    def is_known(self, buyer: Buyer, billed_id: UUID | None) -> bool:
        """Whether something surer than likeness decides about a buyer."""
        return self.match(buyer, billed_id) != Match()

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
        known = Known(debtor_id, debtor_id, buyer.name, buyer.country, set(), set(), buyer.card)
        self._known[debtor_id] = known
        self._index(known)
        self._named.setdefault(buyer.name, []).append(debtor_id)

    def _same(self, one: UUID, other: UUID) -> bool:
        return self._known[one].root_id == self._known[other].root_id

    def _by_identifiers(self, buyer: Buyer) -> Match | None:
        owners = [owner for form in buyer.identifiers if (owner := self._owner(form, buyer)) is not None]
        if len({self._known[owner].root_id for owner in owners}) > 1:
            return Match(reason="debtor_ambiguous", candidates=tuple(dict.fromkeys(owners)))
        return Match(owners[0]) if owners else None

    def _owner(self, form: Identifier, buyer: Buyer) -> UUID | None:
        """Whose a legal id is. One with wrong check digits is a slip that two may share: there the name must agree."""
        owner = self._owners.get(form)
        if owner is None or is_right(form) or self._known[owner].name == buyer.name:
            return owner
        return None

    def _by_code(self, buyer: Buyer) -> Match | None:
        owner = self._coded.get(buyer.code or "")
        return Match(owner) if owner is not None and not self._contradicts(owner, buyer) else None

    def _by_document(self, buyer: Buyer, billed_id: UUID | None) -> Match | None:
        if billed_id is None:
            return None
        if self._contradicts(billed_id, buyer):
            return Match(reason="conflicting_debtor", candidates=(billed_id,))
        return Match(billed_id)

    def _by_name(self, buyer: Buyer) -> Match:
        candidates = [each for each in self._named.get(buyer.name, ()) if self._may_be(self._known[each], buyer)]
        if not candidates:
            return Match()
        if len({self._known[each].root_id for each in candidates}) == 1:
            return Match(candidates[0])
        if buyer.identifiers or buyer.code:
            return Match(warning="debtor_ambiguous")
        return Match(reason="debtor_ambiguous", candidates=tuple(candidates))

    def _by_likeness(self, buyer: Buyer) -> Match:
        """Who is so alike that nobody else could be meant; suggesting the others is left to whoever looks later."""
        keys = keys_of(buyer.card) if self._link_score < NEVER else frozenset[str]()
        best: dict[UUID, tuple[int, UUID]] = {}  # of each root
        for each in {debtor_id for key in keys for debtor_id in self._keyed.get(key, ())}:
            known = self._known[each]
            if self._may_be(known, buyer):
                found = (compare(buyer.card, known.card).score, each)
                best[known.root_id] = max(best.get(known.root_id, found), found)
        (first, debtor_id), second, *_ = [*sorted(best.values(), reverse=True), (0, None), (0, None)]
        if debtor_id is None or first < self._link_score or first - second[0] < CLEARLY:
            return Match()
        if any(is_strong(key) for key in keys & self._crowded):
            return Match()
        return Match(warning="debtor_by_likeness", debtor_id=debtor_id)

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
