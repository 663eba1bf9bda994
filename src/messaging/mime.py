"""The mail itself: one multipart/alternative message, the same bytes each time it is built from the same values.

The stored copy is what was sent, byte for byte; so nothing here reads a clock or draws a random boundary.
"""

from datetime import datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from typing import Final
from uuid import UUID

from msgspec import Struct

from messaging.addresses import needs_utf8, normal
from messaging.formatting import plain
from messaging.letters import check_url
from messaging.rendering import Rendered

MAX_DISPLAY_NAME: Final = 100  # characters


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
    """A mail ready for a channel: `content` has CRLF line ends."""

    recipient: str
    content: bytes
    needs_utf8: bool


def build_mime(rendered: Rendered, envelope: Envelope) -> Mail:
    """Make the mail. Raises AddressRefused, or LetterRefused for a link that a header cannot carry."""
    recipient, sender, reply_to = map(normal, (envelope.to_address, envelope.from_address, envelope.reply_to))
    check_url(envelope.unsubscribe_url)
    utf8 = any(map(needs_utf8, (recipient, sender, reply_to)))
    mail = EmailMessage(_POLICY.clone(utf8=utf8))
    mail["Date"] = envelope.sent_at
    mail["From"] = _mailbox(_from_name(envelope), sender)
    mail["To"] = _mailbox(envelope.to_name or "", recipient)
    mail["Reply-To"] = _mailbox(envelope.creditor_name, reply_to)
    mail["Subject"] = _inert(rendered.subject)
    mail["Message-ID"] = message_id_header(envelope.message_id, envelope.domain)
    if envelope.unsubscribe_url:
        mail["List-Unsubscribe"] = f"<{envelope.unsubscribe_url}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer of a machine to a machine
    mail["X-Entity-Ref-ID"] = str(envelope.message_id)  # reminders of two months are not folded into one thread
    if envelope.feedback_id:
        mail["Feedback-ID"] = plain(envelope.feedback_id)
    mail.set_content(rendered.text, cte="quoted-printable", charset="utf-8")
    mail.add_alternative(rendered.html, subtype="html", cte="quoted-printable", charset="utf-8")
    mail["Content-Language"] = envelope.language  # after the bodies, which would take it along
    # "=_" cannot stand in quoted-printable text, so no body can hold the boundary.
    mail.set_boundary(f"=_{envelope.message_id.hex}")
    return Mail(recipient=recipient, content=mail.as_bytes(), needs_utf8=utf8)


def message_id_header(message_id: UUID, domain: str) -> str:
    """The Message-ID of a message, stable over every try; bounces and the sinks' ledgers name it."""
    return f"<{message_id}@{domain}>"


def _from_name(envelope: Envelope) -> str:
    if envelope.platform_name is None:
        return envelope.creditor_name
    via = f" via {plain(envelope.platform_name, 30)}"
    return plain(envelope.creditor_name, MAX_DISPLAY_NAME - len(via)) + via


def _mailbox(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(_inert(plain(name, MAX_DISPLAY_NAME)), local, domain)


def _inert(text: str) -> str:
    """Text that no mail program takes for an encoded word."""
    return text.replace("=?", "= ?")


class _Unfolded(UnstructuredHeader, BaseHeader):
    """A header of tokens that mean nothing once they are cut: the library would encode what it cannot fold."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_REGISTRY: Final = HeaderRegistry()
for _name in ("List-Unsubscribe", "List-Unsubscribe-Post", "Message-ID", "X-Entity-Ref-ID", "Feedback-ID"):
    _REGISTRY.map_to_type(_name, _Unfolded)
_POLICY: Final = SMTP.clone(header_factory=_REGISTRY)
