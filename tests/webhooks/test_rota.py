"""Whose turn it is; what becomes of an attempt; which events a glob takes. All pure."""

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.matching import MAX_GLOBS, glob_faults, wants
from webhooks.rota import ROWS_PER_TURN, Rota, Turn

TENANTS = [UUID(int=number) for number in range(1, 9)]


def endpoint(tenant: UUID, place: int) -> UUID:
    return UUID(int=tenant.int * 1_000 + place)


def rota_of(*counts: int) -> Rota:
    """Tenants with so many endpoints each."""
    rota = Rota()
    rota.add(
        (tenant, endpoint(tenant, place))
        for tenant, count in zip(TENANTS, counts, strict=False)
        for place in range(count)
    )
    return rota


def unlimited(endpoint_id: UUID) -> int:
    del endpoint_id
    return 1_000


def test_tenants_come_in_turn_whatever_they_have() -> None:
    rota = rota_of(5, 1, 1)
    turns = [rota.take(ROWS_PER_TURN, unlimited) for _ in range(9)]
    assert [[turn.tenant_id for turn in turn_] for turn_ in turns] == [[tenant] for tenant in TENANTS[:3]] * 3
    assert [turn[0].endpoint_id for turn in turns if turn[0].tenant_id == TENANTS[0]] == [
        endpoint(TENANTS[0], place) for place in range(3)
    ]


def test_room_is_shared_and_used_up_even_by_one() -> None:
    assert rota_of(1).take(100, unlimited) == [Turn(TENANTS[0], endpoint(TENANTS[0], 0), 100)]
    turns = rota_of(1, 1, 1).take(100, unlimited)
    assert sorted(turn.rows for turn in turns) == [33, 33, 34]
    assert len(rota_of(8).take(64, unlimited)) == 8  # a second one of a tenant only where nobody else waits


def test_full_endpoints_are_passed_over() -> None:
    full = endpoint(TENANTS[0], 0)
    rota = rota_of(2, 1)
    turns = rota.take(100, lambda endpoint_id: 0 if endpoint_id == full else 32)
    assert {turn.endpoint_id for turn in turns} == {endpoint(TENANTS[0], 1), endpoint(TENANTS[1], 0)}
    assert {turn.rows for turn in turns} == {32}
    assert rota_of(1).take(100, lambda _: 0) == []
    assert Rota().take(100, unlimited) == []


def test_who_has_no_more_work_leaves() -> None:
    rota = rota_of(2, 1)
    rota.drop(TENANTS[1], endpoint(TENANTS[1], 0))
    rota.drop(TENANTS[1], endpoint(TENANTS[1], 0))  # twice is once
    rota.drop(TENANTS[0], endpoint(TENANTS[0], 0))
    assert len(rota) == 1
    assert {turn.endpoint_id for turn in rota.take(100, unlimited)} == {endpoint(TENANTS[0], 1)}
    assert rota.add([(TENANTS[0], endpoint(TENANTS[0], 1))]) == 0  # known already
    assert len(rota.take(100, unlimited)) == 1
    rota.drop(TENANTS[0], endpoint(TENANTS[0], 1))
    assert not rota


@given(st.lists(st.integers(0, 6), max_size=8), st.integers(1, 300), st.integers(0, 40))
def test_no_more_than_there_is_room_for_and_each_endpoint_once(counts: list[int], room: int, limit: int) -> None:
    rota = rota_of(*counts)
    turns = rota.take(room, lambda _: limit)
    assert sum(turn.rows for turn in turns) <= room
    assert all(0 < turn.rows <= limit for turn in turns)
    assert len({turn.endpoint_id for turn in turns}) == len(turns)
    if limit and any(counts):
        assert turns
    of_tenant = Counter(turn.tenant_id for turn in turns)
    several = [of_tenant[tenant] for tenant, count in zip(TENANTS, counts, strict=False) if count >= 6]
    assert max(several, default=0) - min(several, default=0) <= 1  # equals are served equally


@pytest.mark.parametrize(
    ("globs", "kind", "taken"),
    [
        ("*", "invoice.opened", True),
        ("invoice.*", "invoice.opened", True),
        ("invoice.*", "invoice_line.opened", False),
        ("*.created", "debtor.created", True),
        ("*.created", "debtor.created_twice", False),
        ("hold.set invoice.opened", "invoice.opened", True),
        ("invoice.opened", "invoiceXopened", False),
        ("", "invoice.opened", False),
    ],
)
def test_globs(globs: str, kind: str, *, taken: bool) -> None:
    assert wants(globs, kind) is taken


@pytest.mark.parametrize(
    "glob", ["", "Invoice.*", "invoice.opened\n", "[a-z]*", "invoice.*" * 20, "é*", "****", "*" * 90 + "x"]
)
def test_unreadable_globs_are_refused(glob: str) -> None:
    assert [fault.pointer for fault in glob_faults(["*", glob], ["invoice.opened"], pointer="/types")] == ["/types/1"]


def test_number_of_globs_is_bounded() -> None:
    many = [f"invoice.opened_{place}" for place in range(MAX_GLOBS + 1)]
    assert glob_faults(many[:MAX_GLOBS], many, pointer="/types") == []
    assert [fault.code for fault in glob_faults(many, many, pointer="/types")] == ["types_count"]
