"""Messages and opt-outs as the world sees them, in answers and in events."""

from datetime import date, datetime

from msgspec import Struct

from kernel import ids
from messaging.models import Message, OptOut


class MessageView(Struct, frozen=True, kw_only=True):
    """A message to one recipient on one contact day. What it said is read apart, and only while the debtor exists."""

    id: str
    version: int
    creditor_id: str
    debtor_id: str
    contact_id: str | None
    channel: str
    purpose: str
    contact_day: date
    level: int
    template: str | None
    language: str | None
    tone: str | None
    state: str  # pending and leased are both `planned` to the world
    code: str | None
    provider_ref: str | None
    planned_at: datetime
    sent_at: datetime | None

    @classmethod
    def of(cls, row: Message) -> "MessageView":
        """The view of a row."""
        return cls(
            id=ids.encode("msg", row.id),
            version=row.version,
            creditor_id=ids.encode("crd", row.creditor_id),
            debtor_id=ids.encode("dbt", row.debtor_id),
            contact_id=None if row.contact_id is None else ids.encode("ctc", row.contact_id),
            channel=row.channel,
            purpose=row.purpose,
            contact_day=row.contact_day,
            level=row.level,
            template=row.template,
            language=row.language,
            tone=row.tone,
            state="planned" if row.state in {"pending", "leased"} else row.state,
            code=row.code,
            provider_ref=row.provider_ref,
            planned_at=row.planned_at,
            sent_at=row.sent_at,
        )


class OptOutView(Struct, frozen=True, kw_only=True):
    """A channel that a contact has closed."""

    id: str
    version: int
    debtor_id: str
    contact_id: str
    channel: str
    effective_on: date

    @classmethod
    def of(cls, row: OptOut) -> "OptOutView":
        """The view of a row."""
        return cls(
            id=ids.encode("opt", row.id),
            version=row.version,
            debtor_id=ids.encode("dbt", row.debtor_id),
            contact_id=ids.encode("ctc", row.contact_id),
            channel=row.channel,
            effective_on=row.effective_on,
        )
