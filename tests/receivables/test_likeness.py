"""How alike two debtors are: the same whichever comes first, never enough by the name alone; who is linked by it."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from receivables.candidates import ENOUGH
from receivables.identifiers import Identifier
from receivables.likeness import Card, Likeness, compare, keys_of, read_address, weight_of
from receivables.models import DebtorKind
from receivables.suggestions import CLEARLY, LINK_SCORE, SUGGEST_SCORE

MARCHAL = Card(
    name="Boulangerie Marchal SARL",
    country="FR",
    postcode="75011",
    street="12, rue de la Roquette",
    email="compta@marchal.example",
    phone="+33 1 42 34 56 78",
)
TEXTS = st.one_of(st.none(), st.text(max_size=30))
CARDS = st.builds(
    Card,
    name=st.text(max_size=40),
    kind=st.sampled_from(DebtorKind),
    country=st.sampled_from([None, "FR", "BE"]),
    postcode=st.sampled_from([None, "75011", "75 011", "13001"]),
    street=TEXTS,
    email=st.one_of(st.none(), st.emails()),
    phone=st.sampled_from([None, "0142345678", "+33142345678", "12"]),
)


def score(**changes: object) -> int:
    return compare(MARCHAL, structs.replace(MARCHAL, **changes)).score


@given(one=CARDS, other=CARDS)
def test_likeness_is_the_same_both_ways_and_within_bounds(one: Card, other: Card) -> None:
    found = compare(one, other)
    assert found == compare(other, one)
    assert 0 <= found.score <= 100
    assert compare(one, one).score >= found.score or one.kind is not other.kind


@given(one=CARDS)
def test_keys_are_bounded_and_stable(one: Card) -> None:
    assert keys_of(one) == keys_of(structs.replace(one, country=None))
    assert len(keys_of(one)) <= 9
    assert all(len(key) < 300 for key in keys_of(one))


def test_the_same_is_wholly_alike_and_each_reason_is_told() -> None:
    found = compare(MARCHAL, structs.replace(MARCHAL, name="MARCHAL (Boulangerie) s.a.r.l.", phone="01.42.34.56.78"))
    assert found.score == 100
    assert {each.code for each in found.reasons} == {"name", "postcode", "street", "email", "phone"}
    assert keys_of(MARCHAL) & keys_of(structs.replace(MARCHAL, name="Boulangeries Marchall"))


@pytest.mark.parametrize(
    "other",
    [
        Card(name="Boulangerie Marchal SARL", country="FR"),  # a name alone
        structs.replace(MARCHAL, name="SCI Marchal Boulangerie"),  # the family's other company
        structs.replace(MARCHAL, name="Boulangerie Marchal 2"),
        structs.replace(MARCHAL, kind=DebtorKind.PERSON),
        structs.replace(MARCHAL, email=None, phone=None),  # who lives at the same address
        Card(name="Jean Martin", country="FR", postcode="75011", kind=DebtorKind.PERSON),
    ],
)
def test_what_is_not_certain_is_never_linked(other: Card) -> None:
    assert compare(MARCHAL, other).score < LINK_SCORE


def test_what_contradicts_is_not_alike() -> None:
    siren = (Identifier("siren", "552100554"),)
    mine = structs.replace(MARCHAL, identifiers=siren)
    assert compare(mine, structs.replace(mine, identifiers=(Identifier("siren", "542065479"),))) == Likeness(0)
    assert compare(mine, structs.replace(mine, identifiers=(Identifier("vat", "FR40542065479"),))) == Likeness(0)
    assert compare(mine, structs.replace(mine, identifiers=(Identifier("vat", "FR96552100554"),))).score == 100
    assert score(country="BE") == 0


def test_a_shared_mail_host_says_nothing_a_companys_own_does() -> None:
    mine = structs.replace(MARCHAL, email="a@marchal.example")
    own = compare(mine, structs.replace(mine, email="b@marchal.example"))
    free = compare(structs.replace(MARCHAL, email="a@gmail.com"), structs.replace(MARCHAL, email="b@gmail.com"))
    assert {each.code for each in own.reasons} - {each.code for each in free.reasons} == {"email_domain"}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("12 rue Haute\n75011 Paris", ("75011", "12 rue Haute")),
        ("Bâtiment B\n3 av. Foch\nF-69006 Lyon", ("69006", "3 av. Foch")),
        ("12 rue Haute, 75011 Paris", ("75011", "12 rue Haute")),
        ("somewhere", (None, "somewhere")),
        ("", (None, None)),
    ],
)
def test_an_address_in_lines_is_read(address: str, found: tuple[str | None, str | None]) -> None:
    assert read_address(address) == found


FIRST = """
Boulangerie Garage Menuiserie Pharmacie Transports Imprimerie Maison Atelier Cabinet Plomberie Hôtel Librairie
""".split()
LAST = """
Marchal Sanzot Dupont Lefèvre Moreau Girard Bonnet Lambert Rousseau Faure Mercier Blanc Guérin Muller Henry Garnier
Chevalier Masson Noël Renard Schmitt Colin Roy Lemoine Picard Brunet Hubert Perrin Morin Dumas Vidal Caron Meunier
""".split()
FORMS = ("SARL", "SAS", "SA", "EURL", "SCI", "")
STREETS = (
    "rue de la Gare|avenue Foch|boulevard Voltaire|place du Marché|rue Pasteur|chemin des Dames|rue Victor Hugo".split(
        "|"
    )
)


def company(chance: random.Random) -> Card:
    """A company as a register has it; many share parts of their names, towns and streets."""
    name = f"{chance.choice(FIRST)} {chance.choice(LAST)} {chance.choice(FORMS)}".strip()
    domain = "".join(letter for letter in name.casefold() if letter.isascii() and letter.isalpha())
    return Card(
        name=name,
        country="FR",
        postcode=f"{chance.randint(1, 95):02d}{chance.randint(0, 9)}00",
        street=f"{chance.randint(1, 99)} {chance.choice(STREETS)}",
        email=f"compta@{domain}{chance.randint(1, 400)}.example" if chance.random() < 0.8 else f"{domain}@gmail.com",
        phone=f"0{chance.randint(1, 5)}{chance.randint(10**7, 10**8 - 1)}",
    )


def retold(chance: random.Random, card: Card) -> Card:
    """The same company as another tool has typed it: other form, case, abbreviations, slips, gaps."""
    words = card.name.split()
    if words[-1] in FORMS and chance.random() < 0.4:
        words.pop()
    if chance.random() < 0.2:
        words.reverse()
    name = " ".join(words)
    if chance.random() < 0.4:
        name = name.upper()
    if chance.random() < 0.3:
        place = chance.randrange(1, len(name) - 1)
        name = name[:place] + name[place + 1 :]
    street = (card.street or "").replace("avenue", "av.").replace("boulevard", "bd") if chance.random() < 0.6 else None
    return structs.replace(
        card,
        name=name,
        street=street or None,
        postcode=card.postcode if chance.random() < 0.9 else None,
        email=card.email if chance.random() < 0.7 else None,
        phone=f"+33 {(card.phone or '')[1:]}" if chance.random() < 0.6 else None,
    )


def neighbour(chance: random.Random, card: Card) -> Card:
    """Somebody else who looks like it: a sister company at the same address, a branch's namesake elsewhere."""
    kind = chance.randrange(3)
    if kind == 0:  # the family's other company: other form, same house, often the same telephone and mail
        words = card.name.split()
        other = "SCI" if words[-1] != "SCI" else "SARL"
        return structs.replace(card, name=" ".join([*(words[:-1] if words[-1] in FORMS else words), other]))
    if kind == 1:  # a namesake in another town
        return structs.replace(company(chance), name=card.name)
    return structs.replace(card, name=f"{chance.choice(FIRST)} {chance.choice(LAST)}", email=None, phone=None)


def linked(card: Card, others: Sequence[Card]) -> int | None:
    """Whom the default thresholds link a card to, by the rule of imports."""
    found = sorted(((compare(card, other).score, place) for place, other in enumerate(others)), reverse=True)
    (best, place), (second, _) = found[0], found[1]
    return place if best >= LINK_SCORE and best - second >= CLEARLY else None


def test_no_wrong_link_at_the_default_threshold_on_a_labelled_set() -> None:
    """1,500 companies, each retold once, and 1,500 strangers who look like one of them."""
    chance = random.Random(7)
    known = [company(chance) for _ in range(1_500)]
    index: dict[str, list[int]] = {}
    for place, card in enumerate(known):
        for key in keys_of(card):
            index.setdefault(key, []).append(place)

    def judge(card: Card) -> tuple[int | None, set[int]]:
        shared: Counter[int] = Counter()
        for key in keys_of(card):
            shared.update(dict.fromkeys(index.get(key, ()), weight_of(key)))
        near = sorted(place for place, weight in shared.items() if weight >= ENOUGH)
        near += [0, 1] if len(near) < 2 else []
        hit = linked(card, [known[place] for place in near])
        suggested = {place for place in near if compare(card, known[place]).score >= SUGGEST_SCORE}
        return (None if hit is None else near[hit]), suggested

    right = wrong = suggested = 0
    for place, card in enumerate(known):
        hit, offered = judge(retold(chance, card))
        right, wrong = right + (hit == place), wrong + (hit not in {None, place})
        suggested += place in offered
    strangers = [judge(neighbour(chance, chance.choice(known)))[0] for _ in range(1_500)]
    wrong += sum(hit is not None for hit in strangers)
    figures = f"linked {right / 15:.1f} %, suggested {suggested / 15:.1f} %, wrong {wrong}"
    assert wrong == 0, figures
    assert right / len(known) > 0.4, figures
    assert suggested / len(known) > 0.95, figures
