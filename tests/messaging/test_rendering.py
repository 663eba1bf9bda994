import itertools
from datetime import date
from html.parser import HTMLParser

import pytest

from messaging.formatting import day, legal_id, money
from messaging.letters import (
    LANGUAGES,
    MAX_LINES,
    TONES,
    LegalId,
    Letter,
    LetterRefused,
    Recipient,
    Tone,
)
from messaging.rendering import Rendered, render
from messaging.wording import BUILTIN, TemplateSource, Words, WordsMissing, builtin, typeset
from support.letters import BANK, make_creditor, make_letter, make_line, make_section

NBSP = "\u00a0"
LATE = make_line(due_on=date(2026, 3, 1), days_late=32, amount_due_minor=123456, total_minor=150000)
COMING = make_line(number="FA-2026-0131", due_on=date(2026, 4, 9), days_late=-7, amount_due_minor=100, total_minor=100)
DOLLARS = make_line(number="EX-42", due_on=date(2026, 4, 1), days_late=1, amount_due_minor=250000, total_minor=250000)
FACTS = {
    "fr": (
        f"1{NBSP}234,56{NBSP}€",
        f"sur 1{NBSP}500,00{NBSP}€",
        f"1{NBSP}235,56{NBSP}€",
        f"2{NBSP}500,00{NBSP}$US",
        "1er mars 2026",
        "32 jours de retard",
        "1 jour de retard",
        "dans 7 jours",
        "émise le 30 janvier 2026",
        "échéance 2/3",
    ),
    "en": (
        "€1,234.56",
        "of €1,500.00",
        "€1,235.56",
        "US$2,500.00",
        "1 March 2026",
        "32 days overdue",
        "1 day overdue",
        "in 7 days",
        "issued on 30 January 2026",
        "instalment 2/3",
    ),
}


class Seen(HTMLParser):
    """What a reader sees of a page, and the tags that made it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag in {"style", "title"}

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def full_letter(language: str, tone: Tone) -> Letter:
    part = make_line(number="FA-2026-0112", due_on=date(2026, 4, 12), days_late=-10, part=2, parts=3, issued_on=None)
    return make_letter(
        language=language,
        tone=tone,
        creditor=make_creditor(bank=BANK),
        sections=(
            make_section(LATE, COMING),
            make_section(DOLLARS, currency="USD"),
            make_section(part, currency="CHF"),
        ),
        pay_url="https://pay.example/i/1",
    )


def write(letter: Letter, name: str = "reminder") -> Rendered:
    return render(letter, builtin(name))


@pytest.mark.parametrize(("language", "tone"), list(itertools.product(LANGUAGES, TONES)))
@pytest.mark.parametrize("name", BUILTIN)
def test_every_fact_is_in_the_text_and_on_the_page(language: str, tone: Tone, name: str) -> None:
    rendered = write(full_letter(language, tone), name)
    for said in (rendered.text, Seen(rendered.html).text):
        for fact in FACTS[language]:
            assert fact in said
        for number in ("FA-2026-0107", "FA-2026-0131", "EX-42", "FA-2026-0112"):
            assert number in said
        for name_of in (
            "Atelier Belleville",
            "12 rue de Belleville",
            "75020 Paris",
            f"SIREN{NBSP}552{NBSP}100{NBSP}554",
        ):
            assert name_of in said
        for bank in ("Atelier Belleville SARL", "FR76 3000 6000 0112 3456 7890 189", "AGRIFRPP", "Crédit Agricole"):
            assert bank in said
        assert "compta@atelier-belleville.example" in said
        assert "msg_01jq3v8k2m4n6p8r0s2t4v6w8x" in said
        assert "None" not in said
    assert "https://pay.example/i/1" in rendered.text
    assert "https://relance.example/unsubscribe/abc" in rendered.text


def test_each_language_and_tone_has_words_of_its_own() -> None:
    letters = [full_letter(language, tone) for language in LANGUAGES for tone in TONES]
    assert len({write(letter).subject for letter in letters}) == len(letters)
    assert len({write(letter).text for letter in letters}) == len(letters)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_fit_for_mail_programs(language: str) -> None:
    page = Seen(write(full_letter(language, "firm")).html)
    assert page.all("html")[0]["lang"] == language
    assert page.all("title")
    assert {tag for tag, _ in page.tags} & {"img", "script", "link", "iframe", "form", "object", "svg"} == set()
    assert "@import" not in write(full_letter(language, "firm")).html
    assert {"color-scheme", "viewport"} <= {meta.get("name") for meta in page.all("meta")}
    assert [link["href"] for link in page.all("a")] == [
        "https://pay.example/i/1",
        "mailto:compta@atelier-belleville.example",
        "https://relance.example/unsubscribe/abc",
    ]
    data_tables = [table for table in page.all("table") if table.get("role") != "presentation"]
    assert len(data_tables) == 4  # three currencies and the bank: read aloud as tables, the others as layout
    assert {cell.get("scope") for cell in page.all("th") if "colspan" not in cell} == {"col", "row"}
    assert len(page.all("caption")) == 3


def test_what_is_absent_leaves_no_trace() -> None:
    letter = make_letter(recipient=Recipient(email="a@b.example"), sections=(make_section(make_line(issued_on=None)),))
    rendered = write(letter)
    assert rendered.text.startswith("Bonjour,\n")
    for said in (rendered.text, Seen(rendered.html).text):
        for absent in ("IBAN", "virement", "Régler en ligne", "émise", "dont échu", "sur "):
            assert absent not in said


def test_the_top_shows_what_is_overdue_else_what_is_to_pay() -> None:
    mixed = make_letter(sections=(make_section(LATE, COMING),))
    assert f"Montant échu au 2 avril 20261{NBSP}234,56{NBSP}€" in Seen(write(mixed).html).text.replace("\n", "")
    coming = make_letter(sections=(make_section(COMING),), level=0)
    assert f"Montant à régler1,00{NBSP}€" in Seen(write(coming, "before_due").html).text.replace("\n", "")


@pytest.mark.parametrize("tone", TONES)
def test_late_fees_are_named_in_the_formal_tone_only_and_only_when_asked(tone: Tone) -> None:
    for language, words in (("fr", "L. 441-10"), ("en", "L. 441-10")):
        for asked in (True, False):
            text = write(make_letter(language=language, tone=tone, late_fees_notice=asked)).text
            assert (words in text) == (asked and tone == "formal")


def test_no_tone_claims_what_nobody_decided() -> None:
    for language, tone in itertools.product(LANGUAGES, TONES):
        text = write(full_letter(language, tone)).text.lower()
        for claim in ("mise en demeure", "huissier", "tribunal", "contentieux", "court", "bailiff", "legal action"):
            assert claim not in text


@pytest.mark.parametrize(
    ("days_late", "french", "english"),
    [
        (2, "2 jours de retard", "2 days overdue"),
        (1, "1 jour de retard", "1 day overdue"),
        (0, "échéance aujourd’hui", "due today"),
        (-1, "échéance demain", "due tomorrow"),
        (-2, "dans 2 jours", "in 2 days"),
    ],
)
def test_days_are_counted_in_words(days_late: int, french: str, english: str) -> None:
    section = make_section(make_line(days_late=days_late))
    for language, words in (("fr", french), ("en", english)):
        for tone in TONES:
            assert words in write(make_letter(language=language, tone=tone, sections=(section,))).text


@pytest.mark.parametrize(("overdue", "coming"), [(0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1)])
def test_the_count_of_invoices_is_true(overdue: int, coming: int) -> None:
    lines = [make_line(number=f"L{number}", days_late=9) for number in range(overdue)]
    lines += [make_line(number=f"C{number}", days_late=-9) for number in range(coming)]
    for language, tone in itertools.product(LANGUAGES, TONES):
        rendered = write(make_letter(language=language, tone=tone, sections=(make_section(*lines),)))
        head = rendered.subject + rendered.text.partition("- ")[0]
        assert ("9 jours" in head or "9 days" in head) <= (overdue > 0)
        assert "0 jour" not in head
        assert "0 day" not in head
        assert ("L0" in head or "C0" in head) == (overdue + coming == 1)


def test_due_today_is_not_overdue() -> None:
    letter = make_letter(tone="firm", sections=(make_section(make_line(days_late=0)),))
    rendered = write(letter)
    assert rendered.subject == "Relance : règlement attendu de 1 234,56 €"
    assert "Montant à régler" in rendered.html
    assert "impayée" not in rendered.text


def test_two_instalments_are_one_invoice() -> None:
    lines = [make_line(part=part, parts=2) for part in (1, 2)]
    assert write(make_letter(sections=(make_section(*lines),))).subject == "Facture FA-2026-0107 : règlement en attente"


def test_many_numbers_are_shortened_in_sentences_and_whole_in_the_table() -> None:
    lines = [make_line(number=f"N{number}") for number in range(MAX_LINES)]
    letter = make_letter(creditor=make_creditor(bank=BANK), sections=(make_section(*lines),))
    rendered = write(letter)
    assert "N0, N1 et 498 autres" in rendered.text
    assert Seen(rendered.html).text.count("N") >= MAX_LINES
    with pytest.raises(LetterRefused, match="at most"):
        make_letter(sections=(make_section(*lines, make_line(number="N500")),))


def test_the_same_letter_gives_the_same_bytes() -> None:
    assert write(full_letter("fr", "formal")) == write(full_letter("fr", "formal"))


def test_words_fall_back_on_every_tone_but_never_on_another_language() -> None:
    words = Words(language="fr", tone=None, subject="Rappel", before="Bonjour", after="")
    firm = Words(language="fr", tone="firm", subject="Relance", before="Bonjour", after="")
    template = TemplateSource(name="own", words=(words, firm))
    assert render(make_letter(tone="courteous"), template).subject == "Rappel"
    assert render(make_letter(tone="firm"), template).subject == "Relance"
    with pytest.raises(WordsMissing):
        render(make_letter(language="en"), template)
    with pytest.raises(WordsMissing):
        builtin("no_such")


@pytest.mark.parametrize(
    ("amount_minor", "currency", "french", "english"),
    [
        (123456, "EUR", "1 234,56 €", "€1,234.56"),
        (5, "EUR", "0,05 €", "€0.05"),
        (-123456, "EUR", "-1 234,56 €", "-€1,234.56"),
        (123456, "JPY", "123 456 JPY", "JP¥123,456"),
        (123456, "TND", "123,456 TND", "TND 123.456"),
        (123456, "CHF", "1 234,56 CHF", "CHF 1,234.56"),
        (2**53 - 1, "EUR", "90 071 992 547 409,91 €", "€90,071,992,547,409.91"),
    ],
)
def test_money(amount_minor: int, currency: str, french: str, english: str) -> None:
    assert money(amount_minor, currency, "fr") == french.replace(" ", NBSP)
    assert money(amount_minor, currency, "en") == english.replace(" ", NBSP)


def test_dates() -> None:
    assert [day(date(2026, 3, number), "fr") for number in (1, 3, 11)] == [
        "1er mars 2026",
        "3 mars 2026",
        "11 mars 2026",
    ]
    assert day(date(2026, 3, 3), "en") == "3 March 2026"


def test_legal_ids_have_the_names_that_readers_know() -> None:
    known = [LegalId("siren", "552100554"), LegalId("0002", "552 100 554 00013"), LegalId("vat", "FR12552100554")]
    written = [legal_id(item.scheme, item.value, "fr") for item in known]
    assert written == [
        f"SIREN{NBSP}552{NBSP}100{NBSP}554",
        f"SIRET{NBSP}552{NBSP}100{NBSP}554{NBSP}00013",
        f"TVA{NBSP}FR12552100554",
    ]
    assert legal_id("vat", "FR12552100554", "en") == f"VAT{NBSP}FR12552100554"
    assert legal_id("seller", "549910", "fr") is None


def test_french_gets_its_unbreakable_spaces_and_facts_keep_theirs() -> None:
    source = "Montant : {{ total | default: 'a : b' }} « tout » ; merci !"
    expected = f"Montant{NBSP}: {{{{ total | default: 'a : b' }}}} «{NBSP}tout{NBSP}»{NBSP}; merci{NBSP}!"
    assert typeset("fr", source) == expected
    assert typeset("en", source) == source


def test_a_letter_that_contradicts_itself_cannot_be() -> None:
    section = make_section(make_line())
    for wrong in (
        make_section,
        lambda: make_section(make_line(amount_due_minor=0)),
        lambda: make_section(make_line(amount_due_minor=-5)),
        lambda: type(section)(currency="EUR", lines=section.lines, total_minor=section.total_minor + 1),
        lambda: make_letter(sections=()),
        lambda: make_letter(sections=(section, section)),
        lambda: make_letter(language="de"),
        lambda: make_letter(unsubscribe_url=None),
        lambda: make_letter(unsubscribe_url="http://relance.example/u"),
        lambda: make_letter(pay_url="javascript:alert(1)"),
        lambda: make_letter(pay_url='https://a.example/"onclick='),
        lambda: make_letter(pay_url="https://a.example/\r\nBcc: x"),
    ):
        with pytest.raises(LetterRefused):
            wrong()
    assert make_letter(unsubscribe_url=None, purpose="service").unsubscribe_url is None
    assert make_letter(unsubscribe_url="http://127.0.0.1:8000/u").unsubscribe_url
