import pytest

from messaging.checking import MAX_PROBLEMS, check_template
from messaging.letters import LANGUAGES, Tone
from messaging.wording import BUILTIN, TemplateSource, Words, builtin


def template(
    before: str = "Bonjour", *, subject: str = "Rappel", after: str = "", tone: Tone | None = None
) -> TemplateSource:
    words = Words(language="fr", tone=tone, subject=subject, before=before, after=after)
    return TemplateSource(name="own", words=(words,))


def codes(source: TemplateSource, *languages: str) -> list[tuple[str, str]]:
    return [(problem.part, problem.code) for problem in check_template(source, languages or ("fr",))]


@pytest.mark.parametrize("name", BUILTIN)
def test_our_own_templates_may_be_published(name: str) -> None:
    assert check_template(builtin(name), LANGUAGES) == []


@pytest.mark.parametrize(
    "source",
    [
        "{{ creditor.name }} {{ numbers.size }} {{ sections[0].lines[0].due }} {{ sections.first.total }}",
        "{% for s in sections %}{% for l in s.lines %}{{ l.number }} {{ forloop.index }}{% endfor %}{% endfor %}",
        "{% for s in sections %}{% for l in s.lines %}{{ forloop.parentloop.index }}{% endfor %}{% endfor %}",
        "{% assign who = debtor.name %}{{ who }}{% capture x %}y{% endcapture %}{{ x }}",
        "x{{ pay_url }} {{ overdue_total | default: total }} {{ recipient.name }}",
        "x{% if creditor.bank %}{{ creditor.bank[0].label }}{% endif %}",
        "{% case tone %}{% when 'firm' %}a{% else %}b{% endcase %}",
        "{% if days_late > 10 and level >= 1 %}x{% endif %}y",
    ],
)
def test_what_exists_may_be_named(source: str) -> None:
    assert check_template(template(source), ["fr"]) == []


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{{ creditr.name }}", "unknown_name"),
        ("{{ creditor.title }}", "unknown_name"),
        ("x{% if tone == 'nobody has this' %}{{ nope }}{% endif %}", "unknown_name"),
        ("{% for s in sections %}{% for l in s.lines %}{{ l.numero }}{% endfor %}{% endfor %}", "unknown_name"),
        ("{% for s in sections %}{{ forloop.idx }}{% endfor %}", "unknown_name"),
        ("{% for s in section %}x{% endfor %}", "unknown_name"),
        ("{% for s in sections %}x{% endfor %}{{ s.total }}", "unknown_name"),
        ("{{ count | minus: cuont }}", "unknown_name"),
        ("{% case tone %}{% when firm %}x{% endcase %}y", "unknown_name"),
        ("{{ creditor.bank[0].label }}", "unknown_name"),  # not every creditor has one
        ("x{% if tone == 'nobody has this' %}{{ total | upper }}{% endif %}", "unknown_filter"),
        ("{{ total", "syntax"),
        ("{% include 'x' %}", "syntax"),
        ("{% for i in (1..99999) %}x{% endfor %}", "limit"),
        ("x" * 10_001, "too_long"),
        ("", "empty"),
        ("{% if recipient.name %}Bonjour{% endif %}", "empty"),  # not every recipient has one
    ],
)
def test_what_does_not_hold_is_named(source: str, code: str) -> None:
    assert set(codes(template(source))) == {("before", code)}
    assert ("subject", code) in codes(template(subject=source))


def test_a_problem_says_where() -> None:
    (problem,) = check_template(template("Bonjour\n\n{{ creditr.name }}", tone="firm"), ["fr"], ["firm"])
    assert (problem.language, problem.tone, problem.part, problem.line) == ("fr", "firm", "before", 3)
    assert "creditr.name" in problem.message


def test_every_language_and_tone_needs_words() -> None:
    assert codes(template(), "fr", "en") == [("words", "words_missing")] * 3  # English, in three tones
    assert codes(template(tone="firm")) == [("words", "words_missing")] * 2
    assert check_template(template(tone="firm"), ["fr"], ["firm"]) == []
    klingon = Words(language="tlh", tone=None, subject="x", before="x", after="")
    assert codes(TemplateSource(name="own", words=(*template().words, klingon))) == [("words", "language_unknown")]


def test_problems_have_an_end() -> None:
    assert len(check_template(template("{{ nope }}" * 500), ["fr"])) == MAX_PROBLEMS
