"""What is posted: an event in the form of Standard Webhooks, written once for all endpoints of an API version."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from kernel import ids
from storage.encryption import SubjectKey, place_of


class Stored(Struct, frozen=True):
    """An event as its row keeps it."""

    tenant_id: UUID
    id: UUID
    type: str
    sequence: int
    occurred_at: datetime
    log_position: int
    payload: str
    subject_id: UUID | None
    key_version: int | None
    sealed: bytes | None

    def __repr__(self) -> str:
        return f"Stored({self.id})"

    @property
    def key(self) -> tuple[UUID, UUID, int] | None:
        """Which key opens its personal fields."""
        if self.sealed is None or self.subject_id is None or self.key_version is None:
            return None
        return self.tenant_id, self.subject_id, self.key_version


class WebhookBody(Struct, frozen=True):
    """A posted event. `data` is the object as it was after the change, `previous` the fields that changed."""

    type: str
    timestamp: datetime  # when it happened, in the tenant's time
    data: Raw
    id: str
    previous: Raw
    object_id: str
    sequence: int  # of the object: a receiver drops what is older than what it has
    tenant_id: str
    api_version: str
    log_position: int


class _Payload(Struct, frozen=True):
    view: Raw
    previous: Raw


class _Id(Struct, frozen=True):
    id: str


_PAYLOAD: Final = msgspec.json.Decoder(_Payload)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_ID: Final = msgspec.json.Decoder(_Id)
_ENCODER: Final = msgspec.json.Encoder()


class Written(Struct, frozen=True):
    """A body and the id that it goes under, the same over all tries."""

    event_id: str
    body: bytes

    def __repr__(self) -> str:
        return f"Written({self.event_id})"


def body_of(event: Stored, api_version: str, keys: Mapping[tuple[UUID, UUID, int], SubjectKey]) -> Written:
    """Write the body; personal fields whose key was destroyed stay null."""
    payload = _PAYLOAD.decode(event.payload)
    key = None if event.key is None else keys.get(event.key)
    if key is not None and event.sealed is not None:
        secret = _PAYLOAD.decode(key.open(event.sealed, place_of(event.tenant_id, "event", event.id)))
        payload = _Payload(_merged(payload.view, secret.view), _merged(payload.previous, secret.previous))
    event_id = ids.encode("evt", event.id)
    body = WebhookBody(
        type=event.type,
        timestamp=event.occurred_at,
        data=payload.view,
        id=event_id,
        previous=payload.previous,
        object_id=_ID.decode(payload.view).id,
        sequence=event.sequence,
        tenant_id=_tenant(event.tenant_id),
        api_version=api_version,
        log_position=event.log_position,
    )
    return Written(event_id, _ENCODER.encode(body))


@lru_cache(maxsize=10_000)
def _tenant(tenant_id: UUID) -> str:
    return ids.encode("ten", tenant_id)


def _merged(open_fields: Raw, secret_fields: Raw) -> Raw:
    return Raw(_ENCODER.encode(_FIELDS.decode(open_fields) | _FIELDS.decode(secret_fields)))
