"""From leased rows to requests: open the keys, write each event once, choose who signs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from kernel.clock import system_now
from runtime import logs
from storage.encryption import KeyRing, SubjectKey
from storage.session import PumpSession
from webhooks.bodies import Written, body_of
from webhooks.claiming import Leased
from webhooks.schedule import judge_failure
from webhooks.sealing import KeySet, key_set
from webhooks.sending import Attempted, Outgoing

MAX_KEY_SETS: Final = 20_000

KeyId = tuple[UUID, UUID, int]  # tenant, subject, version
Unlocked = Mapping[KeyId, SubjectKey]

log = logs.logger(__name__)


class Preparer:
    """Prepares batches; remembers the signing keys of endpoints by their sealed form, which a rotation changes."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._key_sets: dict[bytes, KeySet] = {}

    async def unlock(self, session: PumpSession, batch: Sequence[Leased]) -> Unlocked:
        """The keys that a batch needs: of its personal fields, each time, and of signing secrets not yet known."""
        wanted = {each.event.key for each in batch if each.event.key is not None}
        wanted |= {_tenant_key(each) for each in batch if each.secrets not in self._key_sets}
        return await self._ring.of_versions(session, wanted)

    def prepare(self, batch: Sequence[Leased], unlocked: Unlocked) -> tuple[list[Outgoing], list[Attempted]]:
        """What is to be posted, and what could not be written or signed: a failure of ours, tried again later."""
        now = system_now()
        bodies: dict[tuple[UUID, str], Written] = {}
        ready: list[Outgoing] = []
        failed: list[Attempted] = []
        for leased in batch:
            try:
                ready.append(self._outgoing(leased, unlocked, bodies, now))
            except Exception:  # one event that cannot be written must not stop the others
                log.exception("webhook_not_prepared", delivery_id=leased.id, tenant_id=leased.tenant_id)
                failed.append(_fault_of_ours(leased, now))
        return ready, failed

    def _outgoing(
        self, leased: Leased, unlocked: Unlocked, bodies: dict[tuple[UUID, str], Written], now: datetime
    ) -> Outgoing:
        which = (leased.event.id, leased.api_version)
        written = bodies.get(which)
        if written is None:
            written = bodies[which] = body_of(leased.event, leased.api_version, unlocked)
        return Outgoing(
            delivery_id=leased.id,
            tenant_id=leased.tenant_id,
            endpoint_id=leased.endpoint_id,
            fence=leased.fence,
            url=leased.url,
            event_id=written.event_id,
            body=written.body,
            keys=self._key_set(leased, unlocked).active(now),
            timeout_s=leased.timeout_s,
        )

    def _key_set(self, leased: Leased, unlocked: Unlocked) -> KeySet:
        found = self._key_sets.get(leased.secrets)
        if found is None:
            if len(self._key_sets) >= MAX_KEY_SETS:
                self._key_sets.clear()
            key = unlocked[_tenant_key(leased)]
            found = key_set(key, leased.tenant_id, leased.endpoint_id, leased.secrets)
            self._key_sets[leased.secrets] = found
        return found


def _tenant_key(leased: Leased) -> KeyId:
    return leased.tenant_id, leased.tenant_id, leased.secrets_key_version


def _fault_of_ours(leased: Leased, now: datetime) -> Attempted:
    return Attempted(
        delivery_id=leased.id,
        tenant_id=leased.tenant_id,
        endpoint_id=leased.endpoint_id,
        fence=leased.fence,
        started_at=now,
        duration_ms=0,
        status=None,
        error="internal_error",
        detail="the event could not be written or signed on our side",
        response_head=b"",
        verdict=judge_failure("internal_error"),
        retry_after_s=None,
    )
