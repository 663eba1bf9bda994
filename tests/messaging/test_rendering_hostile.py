import time
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default
from email.utils import parseaddr

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import ids
from messaging import sandbox
from messaging.formatting import plain
from messaging.letters import Debtor, Letter, Recipient
from messaging.mime import Envelope, build_mime
from messaging.rendering import Rendered, render
from messaging.sandbox import TemplateBroken
from messaging.wording import TemplateSource, Words, builtin
from support.letters import make_creditor, make_letter, make_line, make_section

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ creditor.reply_to }}{% for i in (1..9) %}x{% endfor %}",
    "Dupont\r\nBcc: everybody@example.org\r\n\r\nhello",
    "a\u2028b\u2029c\x00d\x1b[31me",
    "\u202ereversed\u202c \u2066x\u2069",
    "=?utf-8?q?Bank_of_Nowhere?=",
    "&lt;b&gt; &amp; <!-- -->",
)


def letter_naming(name: str) -> Letter:
    return make_letter(
        creditor=make_creditor(name=name, address=(name, "75020 Paris")),
        debtor=Debtor(name=name),
        recipient=Recipient(email="claire@dupont.example", name=name),
        sections=(make_section(make_line(number=name)),),
        message_ref=name,
    )


def envelope_naming(name: str) -> Envelope:
    return Envelope(
        message_id=ids.new_id(),
        domain="mail.relance.example",
        from_address="relances@relance.example",
        creditor_name=name,
        platform_name="Relance",
        reply_to="compta@atelier.example",
        to_address="claire@dupont.example",
        to_name=name,
        sent_at=datetime(2026, 4, 2, 9, tzinfo=UTC),
        language="fr",
        unsubscribe_url="https://relance.example/u/1",
        feedback_id="dunning:" + name,
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_never_markup_nor_template_nor_header(name: str) -> None:
    rendered = render(letter_naming(name), builtin("reminder"))
    for mark in ("<script", "<img", "onerror=alert(1)>", "<!-- -->", "\x00", "\x1b", "\u202e", "\u2066", "\r"):
        assert mark not in rendered.html
    if "{{" in name:
        assert "{{ creditor.reply_to }}" in rendered.text
        assert "xxxxxxxxx" not in rendered.text
    assert "\n" not in rendered.subject
    mail = message_from_bytes(build_mime(rendered, envelope_naming(name)).content, policy=default)
    assert mail.defects == []
    assert mail["Bcc"] is None
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert "Bank of Nowhere" not in str(mail["To"]) + str(mail["From"]) + str(mail["Subject"])
    assert mail["To"].addresses[0].display_name == plain(name)
    assert [address.addr_spec for address in mail["To"].addresses] == ["claire@dupont.example"]
    assert [address.addr_spec for address in mail["From"].addresses] == ["relances@relance.example"]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=220))
def test_any_text_is_one_header_of_its_own(text: str) -> None:
    mail = build_mime(Rendered(plain(text, 150) or "x", "t\n", "<p>t</p>"), envelope_naming(text))
    headers = mail.content.partition(b"\r\n\r\n")[0]
    assert all(len(line) <= 998 for line in headers.split(b"\r\n"))
    assert headers.isascii()
    assert all(len(line) <= 76 for line in headers.split(b"\r\n") if b"=?" in line)  # RFC 2047 section 2
    parsed = message_from_bytes(mail.content, policy=default)
    assert len(parsed.items()) == 14
    expected = plain(text, 150) or "x"
    assert parsed["Subject"] == expected
    # Without the newer policy, whose parser adds spaces inside encoded names.
    (name, address) = parseaddr(message_from_bytes(mail.content)["Reply-To"].replace("\r\n ", " "))
    assert (str(make_header(decode_header(name))), address) == (plain(text, 100), "compta@atelier.example")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_inert_on_the_page(text: str) -> None:
    rendered = render(letter_naming(text), builtin("reminder"))
    reference = render(letter_naming("x"), builtin("reminder"))
    assert rendered.html.count("<") <= reference.html.count("<") + 1  # a second <br> where the line is not empty
    assert rendered.html.count("<script") == 0


LIMITED = {
    "loop": "{% for i in (1..100000) %}x{% endfor %}",
    "loop without output": "{% for i in (1..1000000000) %}{% endfor %}",
    "reversed loop": "{% for i in (1..3000000) reversed %}{% endfor %}",
    "nested loops": "{% for i in (1..200) %}{% for j in (1..200) %}{% endfor %}{% endfor %}",
    "loops in a row": "{% for i in (1..9000) %}{% endfor %}{% for i in (1..9000) %}{% endfor %}",
    "growing text": "{% assign a = 'aaaaaaaaaaaaaaaa' %}" + "{% assign a = a | append: a %}" * 23,
    "long output": "{% capture a %}" + "x" * 5000 + "{% endcapture %}" + "{{ a }}" * 10,
    "long capture": "{% capture a %}" + "x" * 9900 + "{% endcapture %}{% capture b %}{{ a }}{{ a }}{% endcapture %}",
}


@pytest.mark.parametrize("source", LIMITED.values(), ids=LIMITED.keys())
def test_what_asks_for_too_much_is_stopped(source: str) -> None:
    tracemalloc.start()
    with pytest.raises(TemplateBroken) as caught:
        sandbox.run("words", source, {"name": "x"})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code == "limit"
    assert peak < 3_000_000  # stopped before, not after
    assert sandbox.run("words", "{% for i in (1..3) %}{{ i }}{% endfor %}", {}) == "123"


def test_what_takes_too_long_is_stopped() -> None:
    source = "{% for i in (1..9999) %}{{ name" + " | upcase" * 1000 + " }}{% endfor %}"
    began = time.thread_time()
    with pytest.raises(TemplateBroken, match="too much time"):
        sandbox.run("words", source, {"name": "x"})
    assert time.thread_time() - began < sandbox.MAX_SECONDS * 2


@pytest.mark.parametrize(
    "source",
    [
        "{% include 'letter.html' %}",
        "{% render 'letter.html' %}",
        "{% layout 'x' %}",
        "{{ 'now' | date: '%Y' }}",
        "{{ now }}",
        "{{ name | safe }}",
        "{{ name | replace: 'a', 'b' }}",
        "{{ (1..1000000000) | join: 'x' }}",
        "{{ name.__class__ }}",
        "{{ facts.keys }}",
        "{% liquid echo name %}",
        "{{ unknown }}",
        "{% if unknown %}x{% endif %}",
        "{{ unknown | default: 'x' }}",
        "{{ name.unknown }}",
        "{{ name",
        "{% if name %}",
        "{{ name" + "[name" * 900 + "]" * 900 + " }}",
    ],
)
def test_what_is_not_there_is_an_error(source: str) -> None:
    with pytest.raises(TemplateBroken):
        sandbox.run("words", source, {"name": "x", "facts": {}})


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *("{{", "}}", "{%", "%}", "|", "name", "facts", ".", "[0]", "[", "]", "'x'", "-1", "99999999999"),
                *(
                    "append:",
                    "truncate:",
                    "plus:",
                    "minus:",
                    "default:",
                    "first",
                    "last",
                    "size",
                    "contains",
                    "==",
                    "<",
                ),
                *("if", "endif", "for i in", "(1..99)", "endfor", "case", "when", "endcase", "assign a =", "capture a"),
            ]
        ),
        max_size=14,
    )
)
def test_no_source_raises_anything_else(words: list[str]) -> None:
    with suppress(TemplateBroken):
        sandbox.run("words", " ".join(words), {"name": "x", "facts": {"a": [1, "b", None]}})


def test_words_that_say_nothing_are_no_message() -> None:
    words = Words(language="fr", tone=None, subject="{% if pay_url %}x{% endif %}", before="Bonjour", after="")
    with pytest.raises(TemplateBroken) as caught:
        render(make_letter(), TemplateSource(name="t", words=(words,)))
    assert caught.value.code == "empty"
    assert (
        render(
            make_letter(), TemplateSource(name="t", words=(msgspec.structs.replace(words, subject="Rappel"),))
        ).subject
        == "Rappel"
    )
