"""How alike two debtors are, in points of 100 with a reason for each. Pure, and the same whichever comes first.

A name alone is never enough to take two for one: brothers bear one name, and a family's two companies one address
besides. So positives add up to 100 at most, and what speaks against it is taken off after that.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Final

from msgspec import Struct
from rapidfuzz import fuzz

from kernel.text import fold
from receivables.identifiers import Identifier, contradict, implied
from receivables.models import DebtorKind
from receivables.party_models import AddressKind
from receivables.party_views import Address, Reason

NAME, EMAIL, EMAIL_DOMAIN, PHONE, POSTCODE, STREET = 60, 25, 15, 15, 12, 12  # what each is worth
OTHER_FORM, OTHER_NUMBER, OTHER_KIND, OTHER_POSTCODE, OTHER_STREET = -25, -30, -15, -10, -8
LEAST_NAME: Final = 50  # of 100: names that are less alike say nothing
SAME_STREET, ANOTHER_STREET = 85, 50
MAX_KEYS: Final = 9
_PHONE_DIGITS: Final = 9  # without the country and its zero
_SHARED_MAIL: Final = frozenset(
    """
    aol.com bbox.fr bluewin.ch free.fr freenet.de gmail.com gmx.at gmx.ch gmx.de gmx.fr gmx.net googlemail.com
    hotmail.com hotmail.fr icloud.com laposte.net libero.it live.com live.fr me.com mail.com msn.com numericable.fr
    orange.fr outlook.com outlook.fr proton.me protonmail.com sfr.fr skynet.be t-online.de telenet.be tiscali.it
    wanadoo.fr web.de yahoo.com yahoo.de yahoo.fr ymail.com
    """.split()
)
# Legal forms by family: an SARL that becomes an EURL stays who it was, an SCI beside an SARL is somebody else.
_FORMS: Final = {
    form: family
    for family, forms in {
        "sarl": "sarl eurl", "sas": "sas sasu", "sa": "sa", "sci": "sci sccv scpi", "snc": "snc", "scop": "scop",
        "sel": "selarl selas selasu scp", "farm": "earl gaec scea", "gie": "gie", "ei": "ei eirl",
        "association": "asso association", "gmbh": "gmbh mbh ug", "ag": "ag", "kg": "kg ohg gbr",
        "bv": "bv bvba srl sprl",
        "nv": "nv", "ltd": "ltd limited", "plc": "plc", "llc": "llc llp", "inc": "inc corp corporation",
        "spa": "spa", "sl": "sl slu", "lda": "lda", "ab": "ab", "oy": "oy oyj", "aps": "aps", "asa": "asa",
    }.items()
    for form in forms.split()
}  # fmt: skip
# Forms that nobody leaves out who has them: where only one of two names bears one, they are two.
_TELLING: Final = frozenset({"sci", "snc", "scop", "sel", "farm", "gie", "association", "ag", "plc"})
_NOISE: Final = frozenset(
    "societe ste ets etablissements etablissement cie co company et and und the la le les".split()
)
_SAME_WORD: Final = {
    "av": "avenue", "ave": "avenue", "bd": "boulevard", "bld": "boulevard", "blvd": "boulevard", "pl": "place",
    "rte": "route", "ch": "chemin", "imp": "impasse", "all": "allee", "st": "saint", "ste": "sainte", "r": "rue",
    "str": "strasse", "fbg": "faubourg", "fg": "faubourg", "qu": "quai", "za": "zone", "zi": "zone",
}  # fmt: skip
_WORD: Final[re.Pattern[str]] = re.compile(r"[^\W_]+")
_POSTCODE: Final = re.compile(r"(?<![\w])(?:[A-Z]{1,2}-)?(\d{4,5})(?!\w)")


class Card(Struct, frozen=True, kw_only=True):
    """What can be compared of a debtor, or of a buyer as a document tells of it."""

    name: str
    kind: DebtorKind = DebtorKind.COMPANY
    country: str | None = None
    postcode: str | None = None
    street: str | None = None
    email: str | None = None
    phone: str | None = None
    identifiers: tuple[Identifier, ...] = ()


class Likeness(Struct, frozen=True):
    """Points of 100, and what each comparison added or took."""

    score: int
    reasons: tuple[Reason, ...] = ()


class _Name(Struct, frozen=True):
    words: tuple[str, ...]
    forms: frozenset[str]
    numbers: tuple[str, ...]

    @property
    def plain(self) -> str:
        return " ".join(self.words)


NOTHING: Final = Likeness(0)


def card_of(  # the columns of a debtor, by name
    *,
    name: str,
    kind: DebtorKind,
    country: str | None,
    address: str | None,
    addresses: Sequence[Address],
    email: str | None,
    phone: str | None,
    identifiers: tuple[Identifier, ...] = (),
) -> Card:
    """What can be compared of a debtor's facts: the billing address counts, else the first, else the text of one."""
    best = min(addresses, key=lambda each: list(AddressKind).index(each.kind), default=None)
    postcode, street = (None, None) if best is None else (best.postcode, best.street)
    if best is None and address is not None:
        postcode, street = read_address(address)
    return Card(
        name=name,
        kind=kind,
        country=country,
        postcode=postcode,
        street=street,
        email=email,
        phone=phone,
        identifiers=identifiers,
    )


def read_address(address: str) -> tuple[str | None, str | None]:
    """The postcode of an address in lines, and the line of its street, where they can be told."""
    lines = address.splitlines()
    for place in range(len(lines) - 1, -1, -1):
        found = _POSTCODE.search(lines[place])
        if found is not None:
            above = next((line for line in reversed(lines[:place]) if line.strip()), None)
            return found[1], above or (lines[place][: found.start()].strip(" ,") or None)
    return None, lines[0] if lines else None


def compare(one: Card, other: Card) -> Likeness:
    """How alike two are; what can be no one entity (ids, countries) is not alike at all."""
    if one.country and other.country and one.country != other.country:
        return NOTHING
    if contradict(_forms(one.identifiers), _forms(other.identifiers)):
        return NOTHING
    reasons = [each for each in (*_names(one, other), *_places(one, other), *_contacts(one, other)) if each is not None]
    gained = min(100, sum(each.points for each in reasons if each.points > 0))
    return Likeness(max(0, gained + sum(each.points for each in reasons if each.points < 0)), tuple(reasons))


def _forms(identifiers: Iterable[Identifier]) -> set[Identifier]:
    return {form for one in identifiers for form in implied(one)}


def _names(one: Card, other: Card) -> list[Reason | None]:
    mine, theirs = _name(one.name), _name(other.name)
    likeness = round(fuzz.token_sort_ratio(mine.plain, theirs.plain))
    joined = round(fuzz.ratio("".join(mine.words), "".join(theirs.words)))  # "e leclerc" is "eleclerc"
    likeness = max(likeness, joined)
    points = round(NAME * max(0, likeness - LEAST_NAME) / (100 - LEAST_NAME))
    found: list[Reason | None] = [Reason("name", likeness, points)]
    if mine.numbers != theirs.numbers:
        found.append(Reason("number_in_name", 0, OTHER_NUMBER))
    if _are_other_forms(mine.forms, theirs.forms):
        found.append(Reason("legal_form", 0, OTHER_FORM))
    if one.kind is not other.kind:
        found.append(Reason("kind", 0, OTHER_KIND))
    return found


def _are_other_forms(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    if mine & _TELLING != theirs & _TELLING:
        return True
    return bool(mine and theirs and not mine & theirs)


def _places(one: Card, other: Card) -> list[Reason | None]:
    found: list[Reason | None] = []
    if one.postcode and other.postcode:
        same = _compact(one.postcode) == _compact(other.postcode)
        found.append(Reason("postcode", 100 if same else 0, POSTCODE if same else OTHER_POSTCODE))
    if one.street and other.street:
        mine, theirs = _street(one.street), _street(other.street)
        likeness = round(fuzz.token_sort_ratio(mine, theirs))
        if re.findall(r"\d+", mine) != re.findall(r"\d+", theirs):
            likeness = min(likeness, SAME_STREET - 1)  # the neighbour
        if likeness >= SAME_STREET:
            found.append(Reason("street", likeness, STREET))
        elif likeness < ANOTHER_STREET:
            found.append(Reason("street", likeness, OTHER_STREET))
    return found


def _contacts(one: Card, other: Card) -> list[Reason | None]:
    found: list[Reason | None] = []
    if one.email and other.email:
        if one.email.casefold() == other.email.casefold():
            found.append(Reason("email", 100, EMAIL))
        elif (domain := _domain(one.email)) is not None and domain == _domain(other.email):
            found.append(Reason("email_domain", 100, EMAIL_DOMAIN))
    if (number := _number(one.phone)) is not None and number == _number(other.phone):
        found.append(Reason("phone", 100, PHONE))
    return found


def keys_of(card: Card) -> frozenset[str]:
    """By what an alike debtor is looked for in an index: names by their consonants, so that a slip still meets.

    `m` mail and `t` telephone are the strong ones: who can be linked without them is never among the crowded.
    """
    words = [_skeleton(word) for word in _name(card.name).words if len(word) > 1 or word.isdigit()]
    words = sorted({word for word in words if word}, key=lambda word: (-len(word), word))
    found: set[str] = set()
    if words:
        found.add(f"n:{'|'.join(sorted(words))[:150]}")
        found.update(f"p:{'|'.join(sorted(pair))}" for pair in combinations(words[:3], 2))
        found.add(f"j:{_skeleton(''.join(_name(card.name).words))[:12]}")
        if card.postcode:
            found.add(f"z:{_compact(card.postcode)}|{words[0]}")
    if card.email:
        found.add(f"m:{card.email.casefold()}")
        domain = _domain(card.email)
        if domain is not None and words:
            found.add(f"d:{domain}|{words[0][:1]}")
    number = _number(card.phone)
    if number is not None:
        found.add(f"t:{number}")
    return frozenset(found)


def is_strong(key: str) -> bool:
    """Whether a crowd behind this key could hide somebody as alike as the best that was seen."""
    return key.startswith(("m:", "t:"))


def weight_of(key: str) -> int:
    """How much sharing a key says: mail and telephone most, the whole name more than its parts."""
    return 10 if is_strong(key) else 5 if key.startswith("n:") else 1


@lru_cache(maxsize=20_000)
def _name(name: str) -> _Name:
    words: list[str] = _WORD.findall(fold(name).replace(".", "").replace("'", " ").replace("\u2019", " "))
    forms = frozenset(_FORMS[word] for word in words if word in _FORMS)
    kept = tuple(word for word in words if word not in _FORMS and word not in _NOISE) or tuple(words)
    return _Name(kept, forms, tuple(sorted(word for word in kept if word.isdigit())))


def _skeleton(word: str) -> str:
    """A word by its first letter and its consonants; doubled letters once. What sounds alike becomes alike."""
    if word.isdigit():
        return word
    sound = word.replace("ph", "f").replace("qu", "k").replace("ck", "k").replace("z", "s").replace("ss", "s")
    bones = sound[:1] + re.sub(r"[aeiouyh]", "", sound[1:])
    return re.sub(r"(.)\1+", r"\1", bones).rstrip("sxt") or bones[:1]


def _street(street: str) -> str:
    words: list[str] = _WORD.findall(fold(street.replace(".", " ")))
    return " ".join([_SAME_WORD.get(word, word) for word in words])


def _compact(postcode: str) -> str:
    return "".join(postcode.split()).upper()


def _domain(email: str) -> str | None:
    domain = email.casefold().rpartition("@")[2]
    return None if domain in _SHARED_MAIL else domain


def _number(phone: str | None) -> str | None:
    digits = re.sub(r"\D", "", (phone or "").replace("(0)", ""))
    return digits[-_PHONE_DIGITS:] if len(digits) >= _PHONE_DIGITS else None
