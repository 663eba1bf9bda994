"""From a composed letter to what is kept and sent: rendered, wrapped as a mail, the same bytes every time."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from messaging.copies import Said
from messaging.mime import Envelope, build_mime
from messaging.models import Message
from messaging.ports import Composed
from messaging.rendering import render
from messaging.wording import builtin


class SenderIdentity(Struct, frozen=True, kw_only=True):
    """Whom mails come from: the platform's address with the creditor's name, until a tenant's own domain is proven."""

    from_address: str
    domain: str  # of Message-IDs: ours for ever
    platform_name: str | None = None
    bounce_address: str | None = None


class Writer:
    """Writes messages in the platform's name."""

    def __init__(self, identity: SenderIdentity) -> None:
        self._identity = identity

    def write(self, message: Message, composed: Composed, sent_at: datetime) -> Said:
        """Render a letter and wrap it. Raises what rendering raises: a broken template is the caller's to judge."""
        letter, identity = composed.letter, self._identity
        rendered = render(letter, builtin(composed.template))
        envelope = Envelope(
            message_id=message.id,
            domain=identity.domain,
            from_address=identity.from_address,
            creditor_name=letter.creditor.name,
            platform_name=identity.platform_name,
            reply_to=letter.creditor.reply_to,
            to_address=letter.recipient.email,
            to_name=letter.recipient.name,
            sent_at=sent_at,
            language=letter.language,
            unsubscribe_url=letter.unsubscribe_url,
            feedback_id=_feedback_id(message.tenant_id, letter.purpose),
        )
        mail = build_mime(rendered, envelope)
        return Said(
            sender=identity.bounce_address or identity.from_address,
            recipient=mail.recipient,
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            mime=mail.content,
        )


def _feedback_id(tenant_id: UUID, purpose: str) -> str:
    return f"{purpose}:{tenant_id.hex[:12]}:email:relance"
