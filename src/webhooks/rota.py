"""Whose turn it is: tenants one after the other, of each its endpoints one after the other. Pure."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final
from uuid import UUID

from msgspec import Struct

ROWS_PER_TURN: Final = 8  # enough to fill a lane, few enough that everybody's turn comes soon


LimitOf = Callable[[UUID], int]  # how many more rows of an endpoint may be claimed


class Turn(Struct, frozen=True):
    """So many rows of one endpoint may be claimed now."""

    tenant_id: UUID
    endpoint_id: UUID
    rows: int


class Rota:
    """Endpoints known to have work. A tenant with many endpoints, or much work, gets no more turns than another."""

    def __init__(self) -> None:
        self._tenants: dict[UUID, deque[UUID]] = {}
        self._turns: deque[UUID] = deque()

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, found: Iterable[tuple[UUID, UUID]]) -> int:
        """Add tenants and endpoints that are not there yet, at the end; returns how many."""
        added = 0
        for tenant_id, endpoint_id in found:
            endpoints = self._tenants.get(tenant_id)
            if endpoints is None:
                endpoints = self._tenants[tenant_id] = deque()
                self._turns.append(tenant_id)
            if endpoint_id not in endpoints:
                endpoints.append(endpoint_id)
                added += 1
        return added

    def drop(self, tenant_id: UUID, endpoint_id: UUID) -> None:
        """Take an endpoint off: it has no more work for now."""
        endpoints = self._tenants.get(tenant_id)
        if endpoints is None or endpoint_id not in endpoints:
            return
        endpoints.remove(endpoint_id)
        if not endpoints:
            del self._tenants[tenant_id]
            self._turns.remove(tenant_id)

    def take(self, room: int, limit_of: LimitOf) -> list[Turn]:
        """Share room among those whose turn it is; an endpoint that is full is passed over."""
        chosen = list(self._choose(max(1, room // ROWS_PER_TURN), limit_of))
        turns: list[Turn] = []
        left = room
        for place, (tenant_id, endpoint_id, limit) in enumerate(chosen):
            rows = min(limit, -(-left // (len(chosen) - place)))
            if rows > 0:
                turns.append(Turn(tenant_id, endpoint_id, rows))
                left -= rows
        return turns

    def _choose(self, wanted: int, limit_of: LimitOf) -> Iterator[tuple[UUID, UUID, int]]:
        """The next tenants, one endpoint each; a second one only when every tenant has had its turn."""
        chosen: set[UUID] = set()
        for _ in range(max((len(endpoints) for endpoints in self._tenants.values()), default=0)):
            for _ in range(len(self._turns)):
                if len(chosen) >= wanted:
                    return
                tenant_id = self._turns[0]
                self._turns.rotate(-1)
                endpoint_id = self._next_of(tenant_id, chosen, limit_of)
                if endpoint_id is not None:
                    chosen.add(endpoint_id)
                    yield tenant_id, endpoint_id, limit_of(endpoint_id)

    def _next_of(self, tenant_id: UUID, chosen: Collection[UUID], limit_of: LimitOf) -> UUID | None:
        endpoints = self._tenants[tenant_id]
        for _ in range(len(endpoints)):
            endpoint_id = endpoints[0]
            endpoints.rotate(-1)
            if endpoint_id not in chosen and limit_of(endpoint_id) > 0:
                return endpoint_id
        return None
