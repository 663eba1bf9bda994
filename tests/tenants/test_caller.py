"""The one place that decides."""

import pytest

from kernel.errors import Forbidden
from tenants.caller import APPROVABLE, RESOURCES, SCOPES, Caller, require, scopes_of
from tenants.errors import ScopeUnknown


def caller(*scopes: str) -> Caller:
    return Caller(kind="api_key", id="key_1", scopes=frozenset(scopes))


def test_a_caller_passes_with_the_scope_and_not_without() -> None:
    require(caller("invoices:read"), "invoices:read")
    for scopes in ((), ("invoices:write",), ("debtors:read",)):
        with pytest.raises(Forbidden, match="invoices:read"):
            require(caller(*scopes), "invoices:read")


def test_what_nobody_declared_lets_nobody_pass() -> None:
    for scope in ("secrets:read", "invoices:delete", ""):
        with pytest.raises(Forbidden):
            require(caller(scope, *SCOPES), scope)


def test_stars_are_written_out() -> None:
    assert scopes_of(["*"]) == SCOPES == scopes_of(["*:*"])
    assert scopes_of(["invoices:*"]) == {"invoices:read", "invoices:write"}
    assert scopes_of(["*:approve"]) == {f"{resource}:approve" for resource in APPROVABLE}
    assert len(scopes_of(["*:read"])) == len(RESOURCES)
    assert scopes_of(["invoices:read", "invoices:read"]) == {"invoices:read"}


@pytest.mark.parametrize(
    "word", ["", "invoices", "invoices:", ":read", "invoices:approve", "*:delete", "invoices:read "]
)
def test_an_unknown_scope_is_named_by_its_place(word: str) -> None:
    with pytest.raises(ScopeUnknown) as caught:
        scopes_of(["invoices:read", word])
    assert caught.value.errors[0].pointer == "/body/scopes/1"


def test_a_change_is_kept_under_its_caller() -> None:
    cause = caller().cause("req_1")
    assert (cause.kind, cause.id, cause.request_id) == ("api_key", "key_1", "req_1")
