"""The SSRF guard at each connect: names that lie, literals, disguises; and names that do not resolve."""

import socket
import threading
from collections.abc import AsyncGenerator
from typing import Final

import pytest

from runtime.egress import HttpSettings, network
from runtime.http import Answer, Failure, Http, open_http
from runtime.resolving import Resolver
from support.addresses import NOT_PUBLIC
from support.names import Names, NoNames
from support.receivers import Receiver, open_receiver

LOOPBACK: Final = HttpSettings(allow_private=(network("127.0.0.0/8"),), allow_http=True)
STRICT: Final = HttpSettings(allow_http=True)


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": bool(request.param)}  # their errors differ, and production has the second


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
async def http() -> AsyncGenerator[Http]:
    async with open_http(LOOPBACK) as opened:
        yield opened


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_guard_refuses_what_a_name_resolves_to(address: str) -> None:
    async with open_http(STRICT, resolver=Names([address])) as http:
        failure = await http.post("http://hooks.example.test:8080/", b"{}", {})
    assert isinstance(failure, Failure)
    assert failure.kind == "refused_address"
    assert address not in failure.detail  # an internal address is nobody's business


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_literal_address_is_refused_before_any_connection(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    async with open_http(STRICT) as http:
        failure = await http.post(f"http://{host}:8080/", b"{}", {})
    assert isinstance(failure, Failure)
    assert failure.kind == "refused_address"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0"],
)
async def test_no_spelling_of_loopback_reaches_a_listening_server(receiver: Receiver, host: str) -> None:
    async with open_http(STRICT) as http:
        failure = await http.post(receiver.url("/a", host=host), b"{}", {})
    assert isinstance(failure, Failure)
    assert (failure.kind, receiver.connections) == ("refused_address", 0)


async def test_guard_stands_alone(receiver: Receiver) -> None:
    """The second door by itself: the name passes the first one, the real resolver gives loopback."""
    names = Resolver(threads=1, timeout_s=5)
    try:
        (found, *_) = await names.resolve("127.1", receiver.port)
        assert found["host"] == "127.0.0.1"  # the disguise works on the resolver of the system
        async with open_http(STRICT, resolver=Names([found["host"]])) as http:
            failure = await http.post(receiver.url("/a", host="hooks.example.test"), b"{}", {})
    finally:
        await names.close()
    assert isinstance(failure, Failure)
    assert (failure.kind, receiver.connections) == ("refused_address", 0)


async def test_rebinding_name_gains_nothing(receiver: Receiver) -> None:
    allowed = HttpSettings(allow_private=(network("127.0.0.2/32"),), allow_http=True)
    names = Names(["127.0.0.2"], ["127.0.0.1"])  # admitted on the first look-up, forbidden on the second
    url = receiver.url("/a", host="hooks.example.test")
    async with open_receiver(host="127.0.0.2") as decoy, open_http(allowed, resolver=names) as http:
        first = await http.post(decoy.url("/a", host="hooks.example.test"), b"{}", {})
        second = await http.post(url, b"{}", {})
    assert isinstance(first, Answer)
    assert isinstance(second, Failure)
    assert (second.kind, names.asked, receiver.connections) == ("refused_address", 2, 0)


@pytest.mark.parametrize("addresses", [["127.0.0.1", "10.0.0.1", "::1"], ["::1", "fe80::1"], ["127.0.0.1"] * 5])
async def test_name_with_several_forbidden_addresses(receiver: Receiver, addresses: list[str]) -> None:
    async with open_http(STRICT, resolver=Names(addresses)) as http:
        failure = await http.post(receiver.url("/a", host="hooks.example.test"), b"{}", {})
    assert isinstance(failure, Failure)
    assert (failure.kind, receiver.connections) == ("refused_address", 0)


async def test_name_with_one_good_address_reaches_only_that_one() -> None:
    allowed = HttpSettings(allow_private=(network("127.0.0.2/32"),), allow_http=True)
    names = Names(["127.0.0.1", "127.0.0.2"])
    async with open_receiver(host="127.0.0.2") as good, open_http(allowed, resolver=names) as http:
        answer = await http.post(good.url("/a", host="hooks.example.test"), b"{}", {})
        assert isinstance(answer, Answer)
        assert good.connections == 1


async def test_plain_http_needs_the_setting(receiver: Receiver) -> None:
    async with open_http(HttpSettings(allow_private=LOOPBACK.allow_private)) as http:
        failure = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(failure, Failure)
    assert (failure.kind, receiver.connections) == ("invalid_url", 0)


@pytest.mark.parametrize("url", ["", "no url", "ftp://example.com/", "http://user:word@127.0.0.1:8080/", "http://x/#a"])
async def test_url_that_may_not_be_called_is_a_value(http: Http, url: str) -> None:
    failure = await http.post(url, b"{}", {})
    assert isinstance(failure, Failure)
    assert failure.kind == "invalid_url"


async def test_name_that_does_not_resolve() -> None:
    async with open_http(STRICT, resolver=NoNames()) as http:
        failure = await http.post("https://hooks.example.test/", b"{}", {})
    assert isinstance(failure, Failure)
    assert failure.kind == "dns_error"


async def test_slow_name_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def wait(*_: object) -> list[object]:
        answered.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", wait)  # the system's, not ours: no name server can be slow on order
    names = Resolver(threads=1, timeout_s=0.05)
    try:
        with pytest.raises(socket.gaierror):
            await names.resolve("hooks.example.test")
    finally:
        answered.set()
        await names.close()


async def test_resolver_finds_localhost() -> None:
    names = Resolver(threads=1, timeout_s=5)
    try:
        found = await names.resolve("localhost", 80)
    finally:
        await names.close()
    assert {entry["host"] for entry in found} <= {"127.0.0.1", "::1"}
    assert {entry["port"] for entry in found} == {80}
