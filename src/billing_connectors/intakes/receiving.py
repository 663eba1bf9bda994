"""Take in what comes: kept sealed and queued in one transaction; whoever was told "kept" need not come again."""

import hashlib
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from billing_connectors.intakes import events
from billing_connectors.intakes.errors import IntakeNotFound
from billing_connectors.intakes.models import Channel, Intake, IntakeState
from billing_connectors.intakes.views import IntakeView
from kernel import ids
from kernel.text import clean
from storage import jobs
from storage.blobs import PostgresBlobs
from storage.events import emit
from storage.session import TenantSession, tenant_of

JOB: Final = "intake.read"
RETENTION: Final = "raw_document"
MAX_NAME: Final = 200


class Arrival(Struct, frozen=True, kw_only=True):
    """What came at once, and how."""

    channel: Channel
    content: bytes
    name: str | None = None
    sender: str | None = None
    inbox_id: UUID | None = None
    creditor_id: UUID | None = None
    said: bytes = b""  # what is the same whenever the same mail is delivered once more


async def receive(session: TenantSession, blobs: PostgresBlobs, arrival: Arrival, now: datetime) -> IntakeView:
    """Keep what came and queue its reading; a mail that was delivered before is kept once. Raises BlobTooLarge."""
    digest = hashlib.sha256(arrival.said or arrival.content).digest()
    if arrival.inbox_id is not None:
        known = await _known(session, arrival.inbox_id, digest)
        if known is not None:
            return IntakeView.of(known)
    ref = await blobs.put(session, content=arrival.content, kind="intake", retention=RETENTION)
    intake_id = ids.new_id()
    values = {
        "tenant_id": tenant_of(session), "id": intake_id, "version": 1, "channel": arrival.channel,
        "state": IntakeState.RECEIVED, "inbox_id": arrival.inbox_id, "creditor_id": arrival.creditor_id,
        "sender": clean(arrival.sender or "", MAX_NAME) or None, "name": clean(arrival.name or "", MAX_NAME) or None,
        "content_hash": digest, "blob_id": ref.id, "size": ref.size, "received_at": now, "imported": 0, "updated": 0,
        "unchanged": 0, "rejected": 0, "quarantined": 0,
    }  # fmt: skip
    made = await session.execute(insert(Intake).values(values).on_conflict_do_nothing().returning(Intake.id))
    if made.scalar_one_or_none() is None and arrival.inbox_id is not None:  # delivered twice at once
        row = await _known(session, arrival.inbox_id, digest)
        if row is None:
            raise IntakeNotFound
        return IntakeView.of(row)
    view = IntakeView.of(await intake(session, intake_id))
    emit(session, events.IntakeReceived(view, None, now))
    await jobs.add(session, ids.new_id(), JOB, str(intake_id))
    return view


async def intake(session: TenantSession, intake_id: UUID) -> Intake:
    """Load one intake; another tenant's does not exist."""
    row = await session.get(Intake, (tenant_of(session), intake_id))
    if row is None:
        raise IntakeNotFound
    return row


async def _known(session: TenantSession, inbox_id: UUID, digest: bytes) -> Intake | None:
    statement = (
        select(Intake)
        .where(Intake.tenant_id == tenant_of(session), Intake.inbox_id == inbox_id, Intake.content_hash == digest)
        .limit(1)
    )
    return (await session.scalars(statement)).first()
