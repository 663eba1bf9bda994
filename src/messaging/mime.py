"""The mail itself: one multipart/alternative message, the same bytes each time it is built from the same values.

The stored copy is what was sent, byte for byte; so nothing here reads a clock or draws a random boundary.
"""

import re
from binascii import b2a_qp
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from messaging.addresses import needs_utf8, normal
from messaging.formatting import plain
from messaging.headers import WIRE_HEADERS, mailbox, words
from messaging.letters import check_url
from messaging.rendering import Rendered

MAX_DISPLAY_NAME: Final = 100  # characters
_NO_TOKEN: Final = re.compile(r"[^A-Za-z0-9:._-]")
_POLICY: Final = SMTP.clone(header_factory=WIRE_HEADERS)


class Envelope(Struct, frozen=True, kw_only=True):
    """Who writes to whom, and what a mail program needs to know besides."""

    message_id: UUID
    domain: str  # right-hand side of the Message-ID, ours for ever
    from_address: str  # the platform's: a tenant has no From of its own before its DKIM key is verified
    creditor_name: str
    platform_name: str | None  # "Atelier Belleville via Relance": who speaks, and through whom; None: the name alone
    reply_to: str
    to_address: str
    to_name: str | None
    sent_at: datetime
    language: str
    unsubscribe_url: str | None = None
    feedback_id: str | None = None  # campaign:tenant:kind:sender, for the mailbox provider's complaint reports


class Mail(Struct, frozen=True, kw_only=True):
    """A mail ready for a channel: `content` has CRLF line ends, and ASCII headers unless an address has none."""

    recipient: str
    content: bytes


def build_mime(rendered: Rendered, envelope: Envelope) -> Mail:
    """Make the mail. Raises AddressRefused, or LetterRefused for a link that a header cannot carry."""
    recipient, sender, reply_to = map(normal, (envelope.to_address, envelope.from_address, envelope.reply_to))
    check_url(envelope.unsubscribe_url)
    utf8 = any(map(needs_utf8, (recipient, sender, reply_to)))
    mail = EmailMessage(_POLICY.clone(utf8=utf8))
    mail["Date"] = format_datetime(envelope.sent_at)
    mail["From"] = mailbox(_from_name(envelope), sender)
    mail["To"] = mailbox(plain(envelope.to_name or "", MAX_DISPLAY_NAME), recipient)
    mail["Reply-To"] = mailbox(plain(envelope.creditor_name, MAX_DISPLAY_NAME), reply_to)
    mail["Subject"] = words(plain(rendered.subject))
    mail["Message-ID"] = message_id_header(envelope.message_id, envelope.domain)
    if envelope.unsubscribe_url:
        mail["List-Unsubscribe"] = f"<{envelope.unsubscribe_url}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer of a machine to a machine
    mail["X-Entity-Ref-ID"] = str(envelope.message_id)  # reminders of two months are not folded into one thread
    if envelope.feedback_id:
        mail["Feedback-ID"] = _NO_TOKEN.sub("", envelope.feedback_id)
    mail["Content-Language"] = envelope.language
    mail["MIME-Version"] = "1.0"
    # "=_" cannot stand in quoted-printable text, so no body can hold the boundary.
    mail["Content-Type"] = f'multipart/alternative; boundary="=_{envelope.message_id.hex}"'
    mail.attach(_part("plain", rendered.text))
    mail.attach(_part("html", rendered.html))  # last: the form that a reader prefers
    return Mail(recipient=recipient, content=mail.as_bytes())


def message_id_header(message_id: UUID, domain: str) -> str:
    """The Message-ID of a message, stable over every try; bounces and the sinks' ledgers name it."""
    return f"<{message_id}@{domain}>"


def _from_name(envelope: Envelope) -> str:
    if envelope.platform_name is None:
        return plain(envelope.creditor_name, MAX_DISPLAY_NAME)
    via = f" via {plain(envelope.platform_name, 30)}"
    return (plain(envelope.creditor_name, MAX_DISPLAY_NAME - len(via)) + via).strip()


def _part(subtype: str, body: str) -> EmailMessage:
    part = EmailMessage(_POLICY)
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    lines = body.replace("\r\n", "\n").replace("\n", "\r\n")
    part.set_payload(b2a_qp(lines.encode(), istext=True).decode("ascii"))
    return part
