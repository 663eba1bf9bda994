from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import ids
from kernel.errors import NotFound


def test_ids_of_a_process_increase() -> None:
    made = [ids.new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(each.version == 7 and each.variant == "specified in RFC 4122" for each in made)


@given(st.uuids(), st.sampled_from(["inv", "dbt"]))
def test_an_id_comes_back_from_its_text(value: UUID, prefix: str) -> None:
    assert ids.decode(prefix, ids.encode(prefix, value)) == value


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "inv_",
        "inv_01",
        "dbt_00000000000000000000000001",
        "inv_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "inv_0000000000000000000000000O",
        "INV_00000000000000000000000001",
    ],
)
def test_any_other_text_names_nothing(wrong: str) -> None:
    assert ids.decode("inv", "inv_00000000000000000000000001") == UUID(int=1)
    with pytest.raises(NotFound):
        ids.decode("inv", wrong)
