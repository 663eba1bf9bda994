"""The outbound client against a server that behaves and misbehaves, and the SSRF guard at each connect."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import pytest

from runtime.egress import HttpSettings, network
from runtime.http import Answer, Failure, Http, open_http
from support.certificates import make_authority
from support.names import Names
from support.receivers import (
    Receiver,
    drip,
    hang,
    large_body,
    open_receiver,
    raw,
    redirect,
    reset,
    status,
    too_many,
)

LOOPBACK: Final = HttpSettings(allow_private=(network("127.0.0.0/8"),), allow_http=True)
STRICT: Final = HttpSettings(allow_http=True)
HEAD: Final = 16 * 1024


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


async def test_answer_carries_status_body_and_named_headers(http: Http, receiver: Receiver) -> None:
    receiver.plan("/a", status(201, {"X-Kept": "k", "Content-Type": "text/plain", "X-Other": "o"}, b"made"))
    answer = await http.post(receiver.url("/a"), b"{}", {"Content-Type": "application/json"}, keep=("x-kept",))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body_head, answer.headers, answer.whole) == (201, b"made", {"x-kept": "k"}, True)
    assert answer.duration_ms >= 0


async def test_request_says_no_more_than_it_must(http: Http, receiver: Receiver) -> None:
    await http.post(receiver.url("/a?b=c"), b'{"a":1}', {"Content-Type": "application/json", "X-Own": "1"})
    (request,) = receiver.received
    assert (request.path, request.body) == ("/a?b=c", b'{"a":1}')
    assert request.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "Relance/1",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": "7",
        "x-own": "1",
    }


async def test_connection_is_kept_and_cookies_are_not(receiver: Receiver) -> None:
    url = receiver.url("/a", host="hooks.example.test")  # no jar takes a cookie from a bare address
    receiver.plan("/a", status(200, {"Set-Cookie": "session=1; Path=/"}, b"x" * 100))
    async with open_http(LOOPBACK, resolver=Names(["127.0.0.1"])) as http:
        for _ in range(3):
            await http.post(url, b"{}", {})
    assert (len(receiver.received), receiver.connections) == (3, 1)
    assert all("cookie" not in request.headers for request in receiver.received)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirect_is_an_answer_and_is_not_followed(http: Http, receiver: Receiver, code: int) -> None:
    receiver.plan("/a", redirect(receiver.url("/b"), code))
    answer = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(answer, Answer)
    assert answer.status == code
    assert [request.path for request in receiver.received] == ["/a"]


async def test_proxy_and_netrc_of_the_environment_are_not_read(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with open_http(LOOPBACK) as http:
        answer = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(answer, Answer)
    assert "authorization" not in receiver.received[0].headers


@pytest.mark.parametrize("chunked", [False, True])
async def test_body_of_100_mb_is_cut_unread(http: Http, receiver: Receiver, *, chunked: bool) -> None:
    receiver.plan("/a", large_body(100 * 1024 * 1024, chunked=chunked))
    answer = await http.post(receiver.url("/a"), b"{}", {}, timeout_s=5)
    assert isinstance(answer, Answer)
    assert (answer.status, len(answer.body_head), answer.whole) == (200, HEAD, False)
    assert answer.duration_ms < 2000
    await http.post(receiver.url("/a"), b"{}", {})
    assert receiver.connections == 2  # the first was closed, not drained


async def test_body_just_under_the_cap_is_whole(http: Http, receiver: Receiver) -> None:
    receiver.plan("/a", status(200, body=b"x" * (HEAD - 1)))
    answer = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(answer, Answer)
    assert (len(answer.body_head), answer.whole) == (HEAD - 1, True)


async def test_compressed_body_stays_compressed(http: Http, receiver: Receiver) -> None:
    receiver.plan("/a", status(200, {"Content-Encoding": "gzip"}, b"no gzip at all"))
    answer = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body_head) == (200, b"no gzip at all")


async def test_hang_is_a_timeout(http: Http, receiver: Receiver) -> None:
    receiver.plan("/a", hang())
    failure = await http.post(receiver.url("/a"), b"{}", {}, timeout_s=0.1)
    assert isinstance(failure, Failure)
    assert failure.kind == "timeout"
    assert 90 <= failure.duration_ms < 1000


async def test_drip_in_the_headers_is_a_timeout(http: Http, receiver: Receiver) -> None:
    receiver.plan("/a", drip(in_headers=True))
    failure = await http.post(receiver.url("/a"), b"{}", {}, timeout_s=0.1)
    assert isinstance(failure, Failure)
    assert failure.kind == "timeout"


async def test_drip_in_the_body_is_cut_at_the_time_limit(http: Http, receiver: Receiver) -> None:
    receiver.plan("/a", drip(202))
    answer = await http.post(receiver.url("/a"), b"{}", {}, timeout_s=0.1)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.whole) == (202, False)
    assert answer.body_head.startswith(b"drop")
    assert 90 <= answer.duration_ms < 1000


async def test_reset_before_an_answer(http: Http, receiver: Receiver) -> None:
    receiver.plan("/a", reset())
    failure = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(failure, Failure)
    assert failure.kind == "connection_reset"


async def test_reset_within_the_body_keeps_the_status(http: Http, receiver: Receiver) -> None:
    receiver.plan("/a", reset(b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nhalf"))
    answer = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(answer, Answer)
    assert (answer.status, answer.whole) == (500, False)


async def test_nothing_listens(http: Http) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can take the port
        taken.bind(("127.0.0.1", 0))
        failure = await http.post(f"http://127.0.0.1:{taken.getsockname()[1]}/", b"{}", {})
    assert isinstance(failure, Failure)
    assert failure.kind == "connection_refused"


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH_9\r\n", b"\x16\x03\x01\x00\x05hello", b"HTTP/1.1 banana\r\n\r\n"])
async def test_answer_that_is_not_http(http: Http, receiver: Receiver, data: bytes) -> None:
    receiver.plan("/a", raw(data))
    failure = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(failure, Failure)
    assert failure.kind == "bad_response"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Long": "a" * 10_000},
        {"X-" + "a" * 10_000: "long"},
        {f"X-{n}": "many" for n in range(200)},
    ],
    ids=["value", "name", "count"],
)
async def test_headers_that_are_too_large(http: Http, receiver: Receiver, headers: dict[str, str]) -> None:
    receiver.plan("/a", status(200, headers))
    failure = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(failure, Failure)
    assert failure.kind == "too_large"


async def test_kept_header_is_cut(http: Http, receiver: Receiver) -> None:
    receiver.plan("/a", too_many("9" * 5000))
    answer = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(answer, Answer)
    assert (answer.status, len(answer.headers["retry-after"])) == (429, 200)


@pytest.mark.parametrize("headers", [{"X-A": "b\r\nX-C: d"}, {"X-A\r\nX-C": "d"}])
async def test_header_injection_sends_nothing(http: Http, receiver: Receiver, headers: dict[str, str]) -> None:
    failure = await http.post(receiver.url("/a"), b"{}", headers)
    assert isinstance(failure, Failure)
    assert (failure.kind, receiver.received) == ("invalid_request", [])


async def test_body_above_the_cap_sends_nothing(http: Http, receiver: Receiver) -> None:
    failure = await http.post(receiver.url("/a"), b"x" * (1024 * 1024 + 1), {})
    assert isinstance(failure, Failure)
    assert (failure.kind, receiver.connections) == ("invalid_request", 0)


async def test_cancelled_call_does_not_poison_the_next(http: Http, receiver: Receiver) -> None:
    receiver.plan("/a", hang(), status(200, body=b"second"))
    first = asyncio.ensure_future(http.post(receiver.url("/a"), b"{}", {}))
    await receiver.until_received(1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    answer = await http.post(receiver.url("/a"), b"{}", {})
    assert isinstance(answer, Answer)
    assert answer.body_head == b"second"


# --- TLS ----------------------------------------------------------------------------------------


async def test_tls_is_checked_against_the_name(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    settings = HttpSettings(allow_private=(network("127.0.0.0/8"),), ca_file=authority.file)
    async with (
        open_receiver(tls=authority.server_context("hooks.example.test")) as receiver,
        open_http(settings, resolver=Names(["127.0.0.1"])) as http,
    ):
        good = await http.post(receiver.url("/a", host="hooks.example.test"), b"{}", {})
        other = await http.post(receiver.url("/a", host="other.example.test"), b"{}", {})
    assert isinstance(good, Answer)
    assert isinstance(other, Failure)
    assert (other.kind, "not valid for" in other.detail) == ("tls_error", True)


async def test_tls_refuses_expired_and_unknown(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    trusting = HttpSettings(allow_private=LOOPBACK.allow_private, ca_file=authority.file)
    public_only = HttpSettings(allow_private=LOOPBACK.allow_private)
    context = authority.server_context("hooks.example.test", expired=True)
    kinds: list[str] = []
    async with open_receiver(tls=context) as receiver:
        for settings in (trusting, public_only):
            async with open_http(settings, resolver=Names(["127.0.0.1"])) as http:
                failure = await http.post(receiver.url("/a", host="hooks.example.test"), b"{}", {})
            assert isinstance(failure, Failure)
            kinds.append(failure.kind)
        assert receiver.received == []
    assert kinds == ["tls_error", "tls_error"]


async def test_tls_to_a_server_that_speaks_none(receiver: Receiver) -> None:
    receiver.plan("/a", raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    async with open_http(LOOPBACK) as http:
        failure = await http.post(receiver.url("/a").replace("http:", "https:"), b"{}", {}, timeout_s=0.3)
    assert isinstance(failure, Failure)
    assert failure.kind in {"tls_error", "connection_reset", "timeout"}
    assert receiver.received == []


async def test_old_tls_is_refused(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    context = authority.server_context("hooks.example.test")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    settings = HttpSettings(allow_private=LOOPBACK.allow_private, ca_file=authority.file)
    async with open_receiver(tls=context) as receiver, open_http(settings, resolver=Names(["127.0.0.1"])) as http:
        failure = await http.post(receiver.url("/a", host="hooks.example.test"), b"{}", {})
        assert receiver.received == []
    assert isinstance(failure, Failure)
    assert failure.kind in {"tls_error", "connection_reset"}  # an alert or a close, as the event loop tells it
