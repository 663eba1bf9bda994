"""The text of a key: recognisable offline, unguessable, and readable in one way only."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import ids
from tenants import tokens
from tenants.models import TenantKind


@given(st.uuids(), st.sampled_from(TenantKind))
def test_what_is_made_is_read(key_id: UUID, kind: TenantKind) -> None:
    token = tokens.make(kind, key_id)
    assert re.fullmatch(tokens.PATTERN, token.text)
    assert token.text.startswith("rel_live_" if kind is TenantKind.LIVE else "rel_test_")
    assert tokens.read(token.text) == token


def test_two_keys_of_one_id_differ() -> None:
    key_id = ids.new_id()
    first, second = tokens.make(TenantKind.LIVE, key_id), tokens.make(TenantKind.LIVE, key_id)
    assert first.digest != second.digest


@given(st.integers(min_value=0, max_value=79), st.sampled_from("0aZ_-é\n"))
def test_a_changed_character_is_noticed(place: int, character: str) -> None:
    text = tokens.make(TenantKind.SANDBOX, UUID(int=1)).text
    changed = text[:place] + character + text[place + 1 :]
    assert (tokens.read(changed) is None) is (changed != text)


@pytest.mark.parametrize("text", ["", "rel_live_", "rel_live_" + "z" * 71, "x" * 10_000, "REL_LIVE_" + "0" * 71])
def test_what_is_no_key_is_nothing(text: str) -> None:
    assert tokens.read(text) is None
    made = tokens.make(TenantKind.LIVE, UUID(int=1)).text
    assert tokens.read(made + "\n") is None
