from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.addresses import AddressRefused, normal
from messaging.letters import LetterRefused
from messaging.mime import Envelope, build_mime, message_id_header
from messaging.rendering import render
from messaging.wording import builtin
from support.letters import make_letter

MESSAGE_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
ENVELOPE = Envelope(
    message_id=MESSAGE_ID,
    domain="mail.relance.example",
    from_address="relances@relance.example",
    creditor_name="Société Çà & Là",
    platform_name="Relance",
    reply_to="compta@atelier.example",
    to_address="Claire.Martin@Dupont.Example",
    to_name="Claire Martin",
    sent_at=datetime(2026, 4, 2, 9, 0, tzinfo=UTC),
    language="fr",
    unsubscribe_url="https://relance.example/unsubscribe/" + "t" * 200,
    feedback_id="dunning:tnt1:reminder:relance",
)
RENDERED = render(make_letter(), builtin("reminder"))


def build(**changes: object) -> EmailMessage:
    mail = build_mime(RENDERED, msgspec.structs.replace(ENVELOPE, **changes))
    return message_from_bytes(mail.content, policy=default)


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def mailbox_of(mail: EmailMessage, header: str) -> tuple[str, str]:
    """Read with the older policy: the newer one of Python 3.11 adds spaces between encoded words."""
    name, address = parseaddr(message_from_bytes(mail.as_bytes())[header].replace("\r\n ", " ").replace("\n ", " "))
    return str(make_header(decode_header(name))), address


def test_the_mail_reads_back_as_it_was_written() -> None:
    mail = build()
    assert mail.defects == []
    assert mail["Subject"] == RENDERED.subject
    assert body(mail, "plain") == RENDERED.text
    assert body(mail, "html").rstrip("\n") == RENDERED.html.rstrip("\n")
    assert mail.get_content_type() == "multipart/alternative"  # the plain text first: the last one is preferred
    assert mail["Date"].datetime == ENVELOPE.sent_at


def test_who_speaks_and_who_is_answered() -> None:
    mail = build()
    assert mailbox_of(mail, "From") == ("Société Çà & Là via Relance", "relances@relance.example")
    assert mailbox_of(mail, "Reply-To") == ("Société Çà & Là", "compta@atelier.example")
    assert mailbox_of(mail, "To") == ("Claire Martin", "Claire.Martin@dupont.example")
    assert mail["Sender"] is None
    assert mailbox_of(build(platform_name=None), "From") == ("Société Çà & Là", "relances@relance.example")
    assert mailbox_of(build(to_name=None), "To") == ("", "Claire.Martin@dupont.example")
    quoted = build(creditor_name='Dupont, "Luc" <x@y.example>', platform_name=None)
    assert mailbox_of(quoted, "From") == ('Dupont, "Luc" <x@y.example>', "relances@relance.example")
    long = build(creditor_name="x" * 300)["From"].addresses[0].display_name
    assert (len(long), long.endswith(" via Relance")) == (100, True)


def test_what_mail_programs_and_mailbox_providers_ask_for() -> None:
    mail = build()
    assert (
        mail["Message-ID"]
        == message_id_header(MESSAGE_ID, "mail.relance.example")
        == f"<{MESSAGE_ID}@mail.relance.example>"
    )
    assert mail["List-Unsubscribe"] == f"<{ENVELOPE.unsubscribe_url}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Entity-Ref-ID"] == str(MESSAGE_ID)
    assert mail["Feedback-ID"] == "dunning:tnt1:reminder:relance"
    assert mail["Content-Language"] == "fr"
    without = build(unsubscribe_url=None, feedback_id=None)
    assert without["List-Unsubscribe"] is without["List-Unsubscribe-Post"] is without["Feedback-ID"] is None


def test_a_long_link_stays_one_token_on_the_wire() -> None:
    content = build_mime(RENDERED, ENVELOPE).content
    assert f"\r\nList-Unsubscribe: <{ENVELOPE.unsubscribe_url}>\r\n".encode() in content
    with pytest.raises(LetterRefused):
        build(unsubscribe_url="https://relance.example/" + "t" * 900)


@pytest.mark.parametrize("field", ["language", "domain"])
@pytest.mark.parametrize("value", ["fr\n", "fr\r\nBcc: x@y.example", "fr\x00", "fr\r"])
def test_no_value_ends_its_line(field: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"one line|linefeed"):
        build(**{field: value})


def test_the_same_values_give_the_same_bytes() -> None:
    content = build_mime(RENDERED, ENVELOPE).content
    assert content == build_mime(RENDERED, ENVELOPE).content
    assert content != build_mime(RENDERED, msgspec.structs.replace(ENVELOPE, message_id=UUID(int=1))).content


def test_lines_are_fit_for_the_wire() -> None:
    content = build_mime(RENDERED, ENVELOPE).content
    assert content.isascii()
    assert content.endswith(b"\r\n")
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    assert max(map(len, content.split(b"\r\n"))) <= 998


def test_an_international_address_is_written_in_utf8_and_an_international_domain_is_not() -> None:
    utf8 = build_mime(RENDERED, msgspec.structs.replace(ENVELOPE, to_address="zoé@exämple.example"))
    assert (utf8.content.isascii(), utf8.recipient) == (False, "zoé@xn--exmple-cua.example")
    assert "To: Claire Martin <zoé@xn--exmple-cua.example>".encode() in utf8.content
    ascii_only = build_mime(RENDERED, msgspec.structs.replace(ENVELOPE, to_address="zoe@exämple.example"))
    assert ascii_only.content.isascii()


@pytest.mark.parametrize("field", ["to_address", "from_address", "reply_to"])
@pytest.mark.parametrize(
    "address",
    ["", "nobody", "@a.example", "a@", "a@b@c.example", "a b@c.example", "a@b_c.example", "a@-b.example",
     "a@b..example", "a@b.example\r\nBcc: x@y.example", "a@b.example>", '"a b"@c.example', "a@[127.0.0.1]",
     "a\u202eb@c.example", "a" * 65 + "@b.example", "a@" + "b" * 64 + ".example", "a@" + "b." * 126 + "example",
     ".a@b.example"],
)  # fmt: skip
def test_what_is_no_address_is_refused(field: str, address: str) -> None:
    with pytest.raises(AddressRefused):
        build(**{field: address})


@given(st.text(max_size=80))
def test_an_accepted_address_is_one_word_and_stays_the_same(text: str) -> None:
    try:
        address = normal(text)
    except AddressRefused:
        return
    assert normal(address) == address
    assert address.count("@") == 1
    assert not any(character.isspace() or character in '<>,;:"()[]\\' for character in address)
