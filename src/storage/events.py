"""The event table and `emit`: one row per change of state, in the transaction of the change.

`emit` only remembers; the unit of work writes all events of a transaction at once before it commits, with one
reaction row per consumer. Fields of a view that are marked PERSONAL leave the payload and are kept under the
debtor's own key, so that erasing the debtor erases them from history too.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Final, Generic, TypeVar, cast, get_args, get_type_hints
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import BigInteger, Boolean, Index, LargeBinary, Text, func, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from kernel import ids
from storage.base import Base
from storage.bulk import Rows, insert_tables
from storage.encryption import KeyRing, place_of
from storage.registry import Registry
from storage.session import Cause, TenantSession, cause_of, memory, tenant_of

V_co = TypeVar("V_co", covariant=True)

PERSONAL: Final = Meta(extra={"personal": True})
CATALOGUE: Final[dict[str, "type[Event[Any]]"]] = {}  # Any: events of every view


class Event(Struct, Generic[V_co], frozen=True):
    """A change that has happened: what the object looks like now, what it looked like before.

    The view has `id` (prefixed) and `version`; `debtor_id`, `invoice_id` and `placement_id` route it where present.
    """

    type: ClassVar[str]
    view: V_co
    before: V_co | None
    occurred_at: datetime

    def __init_subclass__(cls, **options: Any) -> None:  # Any: what msgspec passes on
        super().__init_subclass__(**options)
        kind = cls.__dict__.get("type")
        if isinstance(kind, str):
            CATALOGUE[kind] = cls


def view_type(event: "type[Event[Any]]") -> type[Struct]:  # Any: whatever the view
    """The view that an event class carries."""
    (base,) = (base for base in event.__orig_bases__ if get_args(base))  # type: ignore[attr-defined]
    return cast("type[Struct]", get_args(base)[0])


class EventRow(Base):
    """An event as kept: append-only, numbered by `log_position` once the relay has seen it committed."""

    __tablename__ = "event"
    __table_args__ = (
        Index("ix_event_log", "tenant_id", "log_position"),
        Index("ix_event_unstamped", "tenant_id", "recorded_at", postgresql_where=text("log_position is null")),
        Index("ix_event_object", "tenant_id", "object_id", "sequence"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    object_id: Mapped[UUID]
    sequence: Mapped[int] = mapped_column(BigInteger)
    debtor_id: Mapped[UUID | None]
    invoice_id: Mapped[UUID | None]
    placement_id: Mapped[UUID | None]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    cause: Mapped[str] = mapped_column(Text)
    backfill: Mapped[bool] = mapped_column(Boolean)
    payload: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[UUID | None]  # whose key seals the personal fields
    key_version: Mapped[int | None]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    log_position: Mapped[int | None] = mapped_column(BigInteger)


class Emitted:
    """What one unit of work has emitted so far."""

    def __init__(self) -> None:
        self.events: list[Event[Any]] = []  # Any: events of every view


def emit(session: TenantSession, event: "Event[Any]") -> None:  # Any: events of every view
    """Record a change: the row is written with the transaction, or not at all."""
    registry = session.info["registry"]
    if not registry.sealed:
        raise RuntimeError("the registry of reactions is not sealed: composition must run before anything is emitted")
    memory(session, Emitted).events.append(event)


async def publish(session: TenantSession) -> None:
    """Write what was emitted, and a reaction per consumer; the unit of work calls it before it commits."""
    emitted = memory(session, Emitted)
    events, emitted.events = emitted.events, []
    if not events:
        return
    registry = cast("Registry", session.info["registry"])
    ring = cast("KeyRing", session.info["keys"])
    tenant_id, cause = tenant_of(session), cause_of(session)
    written = msgspec.json.encode(cause).decode()
    drafts = [_draft(event) for event in events]
    subjects = {draft.subject_id for draft in drafts if draft.personal is not None and draft.subject_id is not None}
    keys = await ring.current(session, subjects) if subjects else {}
    rows: list[tuple[Any, ...]] = []  # Any: one value per column
    reactions: list[tuple[Any, ...]] = []  # Any: one value per column
    for draft in drafts:
        event_id = ids.new_id()
        sealed, key_version = None, None
        if draft.personal is not None and draft.subject_id is not None:
            key = keys[draft.subject_id]
            sealed, key_version = key.seal(draft.personal, place_of(tenant_id, "event", event_id)), key.version
        rows.append(
            (
                tenant_id,
                event_id,
                draft.type,
                draft.object_id,
                draft.sequence,
                draft.debtor_id,
                draft.invoice_id,
                draft.placement_id,
                draft.occurred_at,
                written,
                cause.backfill,
                draft.payload,
                draft.subject_id if sealed else None,
                key_version,
                sealed,
            )
        )
        reactions += [
            (tenant_id, ids.new_id(), consumer, event_id, draft.object_id, draft.sequence, "pending")
            for consumer in registry.consumers(draft.type)
        ]
    from storage.reactions import REACTION_COLUMNS, ReactionRow  # noqa: PLC0415 - reactions read events

    await insert_tables(session, Rows(EventRow, _COLUMNS, rows), Rows(ReactionRow, REACTION_COLUMNS, reactions))
    memory(session, Rung).queues.update({"relay"} | ({"reaction"} if reactions else set()))


class Rung:
    """Queues that this unit of work has fed: rung after its commit, best effort."""

    def __init__(self) -> None:
        self.queues: set[str] = set()


_COLUMNS: Final = (
    "tenant_id", "id", "type", "object_id", "sequence", "debtor_id", "invoice_id", "placement_id", "occurred_at",
    "cause", "backfill", "payload", "subject_id", "key_version", "sealed",
)  # fmt: skip


class _Draft(Struct, frozen=True):
    type: str
    object_id: UUID
    sequence: int
    debtor_id: UUID | None
    invoice_id: UUID | None
    placement_id: UUID | None
    occurred_at: datetime
    payload: str
    personal: bytes | None
    subject_id: UUID | None


class _Shape(Struct, frozen=True):
    fields: tuple[str, ...]
    personal: frozenset[str]
    has_debtor: bool
    has_invoice: bool
    has_placement: bool


@cache
def shape_of(view: type[Struct]) -> _Shape:
    """What `publish` needs to know of a view: its fields and which of them are personal."""
    fields = view.__struct_fields__
    return _Shape(
        fields, personal_fields(view), "debtor_id" in fields, "invoice_id" in fields, "placement_id" in fields
    )


def personal_fields(view: type[Struct]) -> frozenset[str]:
    """The fields of a view that are marked PERSONAL."""
    hints = get_type_hints(view, include_extras=True)
    marked = {name for name, hint in hints.items() if PERSONAL in getattr(hint, "__metadata__", ())}
    return frozenset(marked)


def _draft(event: "Event[Any]") -> _Draft:  # Any: events of every view
    view = event.view
    shape = shape_of(view.__class__)
    prefix, object_id = _parse(view.id)
    debtor_id = _reference(view.debtor_id) if shape.has_debtor else object_id if prefix == "dbt" else None
    invoice_id = _reference(view.invoice_id) if shape.has_invoice else object_id if prefix == "inv" else None
    placement_id = _reference(view.placement_id) if shape.has_placement else object_id if prefix == "plc" else None
    subject_id = debtor_id or (object_id if shape.personal else None)
    open_view, secret_view = _parts(view, shape)
    changed = _previous(event, shape)
    open_before = {name: None if name in shape.personal else value for name, value in changed.items()}
    body: dict[str, Any] = {"view": open_view, "previous": open_before}  # Any: a view's fields
    personal = None
    if shape.personal:
        secret_before = {name: value for name, value in changed.items() if name in shape.personal}
        personal = msgspec.json.encode({"view": secret_view, "previous": secret_before})
    return _Draft(
        event.type, object_id, view.version, debtor_id, invoice_id, placement_id, event.occurred_at,
        msgspec.json.encode(body).decode(), personal, subject_id,
    )  # fmt: skip


def _parts(view: Any, shape: _Shape) -> tuple[Any, dict[str, Any]]:  # Any: a view of some package, its fields
    if not shape.personal:
        return view, {}
    fields = {name: getattr(view, name) for name in shape.fields}
    secret = {name: fields[name] for name in shape.personal}
    return {name: None if name in secret else value for name, value in fields.items()}, secret


def _previous(event: "Event[Any]", shape: _Shape) -> dict[str, Any]:  # Any: a view's fields
    if event.before is None:
        return {}
    pairs = ((name, getattr(event.before, name), getattr(event.view, name)) for name in shape.fields)
    return {name: was for name, was, is_ in pairs if was != is_}


def _parse(text_: str) -> tuple[str, UUID]:
    prefix = text_.rpartition("_")[0]
    return prefix, ids.decode(prefix, text_)


def _reference(text_: str | None) -> UUID | None:
    return None if text_ is None else _parse(text_)[1]


class Payload(Struct, frozen=True):
    """An event's body as the world may read it."""

    view: dict[str, Any]  # Any: the fields of the event's view
    previous: dict[str, Any]  # Any: as view


async def payloads(session: AsyncSession, ring: KeyRing, rows: Sequence[EventRow]) -> dict[UUID, Payload]:
    """Read events' bodies, with the personal fields whose key still exists; the others stay null."""
    wanted = [
        (row.tenant_id, row.subject_id, row.key_version)
        for row in rows
        if row.sealed is not None and row.subject_id is not None and row.key_version is not None
    ]
    keys = await ring.of_versions(session, wanted)
    return {row.id: _read(row, keys) for row in rows}


def _read(row: EventRow, keys: dict[tuple[UUID, UUID, int], Any]) -> Payload:  # Any: SubjectKey
    payload = msgspec.json.decode(row.payload, type=Payload)
    if row.sealed is None or row.subject_id is None or row.key_version is None:
        return payload
    key = keys.get((row.tenant_id, row.subject_id, row.key_version))
    if key is None:
        return payload
    secret = msgspec.json.decode(key.open(row.sealed, place_of(row.tenant_id, "event", row.id)), type=Payload)
    return Payload(payload.view | secret.view, payload.previous | secret.previous)


def cause_read(row: EventRow) -> Cause:
    """Who or what made the change of an event."""
    return msgspec.json.decode(row.cause, type=Cause)


def of_types(types: Iterable[str]) -> list[str]:
    """Check that event types exist in the catalogue; returns the unknown ones."""
    return [kind for kind in types if kind not in CATALOGUE]
