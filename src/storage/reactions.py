"""Reactions: what packages do when something has happened, leased, fenced and in order per object.

A reaction that keeps failing is given up (`dead`): it blocks only its own consumer and object, and opens a task.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base
from storage.queues import Queue, Queued, queue_indexes


class ReactionRow(Queued, Base):
    """One event for one consumer; the row goes when the consumer has acted."""

    __tablename__ = "reaction"
    __table_args__ = (
        *queue_indexes("reaction"),
        Index("ix_reaction_order", "tenant_id", "consumer", "object_id", "sequence"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    consumer: Mapped[str] = mapped_column(Text)
    event_id: Mapped[UUID]
    object_id: Mapped[UUID]
    sequence: Mapped[int] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)


REACTION_COLUMNS: Final = ("tenant_id", "id", "consumer", "event_id", "object_id", "sequence", "state")
REACTIONS: Final = Queue(name="reaction", table="app.reaction", per_tenant=500, tenants=4, ordered=True)
