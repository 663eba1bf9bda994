"""The one outbound HTTP client: every call guarded, bounded in time and size, and answered by a value.

Redirects are not followed, cookies not kept, bodies not decompressed, proxies and netrc of the environment not read.
"""

import errno
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
    ServerDisconnectedError,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver
from msgspec import Struct
from yarl import URL

from runtime.egress import HttpSettings, admits, url_fault
from runtime.resolving import Resolver

FailureKind = Literal[
    "invalid_url",
    "invalid_request",  # a header that cannot be sent, a body above the cap
    "refused_address",  # the SSRF guard
    "dns_error",
    "connection_refused",
    "connection_reset",
    "unreachable",
    "tls_error",
    "timeout",
    "bad_response",  # not HTTP
    "too_large",  # the answer's headers; a body is only cut
    "local_error",  # ours: out of sockets or memory; says nothing about the other side
]

KEPT_HEADERS: Final = ("content-type", "retry-after")
MAX_KEPT_VALUE: Final = 200
MAX_DETAIL: Final = 200

_OURS: Final = frozenset({
    errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.EPERM,
})  # fmt: skip
_REFUSED: Final = "refused by the egress guard"
_TOO_LARGE: Final = ("Got more than", "Too many headers")  # the parser tells the two apart by text only
_TRANSPORT: Final[tuple[tuple[tuple[type[OSError], ...], FailureKind, str], ...]] = (
    ((TimeoutError,), "timeout", "no answer within the time limit"),
    ((ConnectionRefusedError,), "connection_refused", "nothing listens at that address and port"),
    (
        (ConnectionResetError, ConnectionAbortedError, BrokenPipeError),
        "connection_reset",
        "the connection was closed before an answer came",
    ),
)


class Answer(Struct, frozen=True):
    """What came back; `whole` is False where the body was cut, by us or by them."""

    status: int
    body_head: bytes
    duration_ms: int
    headers: dict[str, str]  # those asked for, names in lower case
    whole: bool = True


class Failure(Struct, frozen=True):
    """Why nothing came back, in words of ours that may be shown to whoever gave the URL."""

    kind: FailureKind
    detail: str
    duration_ms: int = 0


class AddressRefused(OSError):
    """Raised in place of a connect attempt."""


class Http:
    """The open client: `post` never raises for what the other side does."""

    def __init__(self, session: ClientSession, settings: HttpSettings) -> None:
        self._session = session
        self._settings = settings

        @lru_cache(maxsize=4096)
        def target(url: str) -> URL | Failure:
            fault = url_fault(url, settings)
            if fault is None:
                return URL(url)
            return Failure("refused_address" if fault.code == "url_address" else "invalid_url", fault.message)

        @lru_cache(maxsize=64)
        def limits(timeout_s: float) -> ClientTimeout:
            return ClientTimeout(total=timeout_s, sock_connect=settings.connect_timeout_s)

        self._target = target  # the check of a stored URL, made again: settings and rules may have changed since
        self._limits = limits

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout_s: float | None = None,
        *,
        keep: tuple[str, ...] = KEPT_HEADERS,
    ) -> Answer | Failure:
        """Send a body and read the status, the headers named in `keep` and the head of the answer's body.

        The status is the verdict: a body that then breaks off, drips or never ends is cut, and the call has succeeded.
        """
        target = self._target(url)
        if isinstance(target, Failure):
            return target
        if len(body) > self._settings.max_request_bytes:
            return Failure("invalid_request", "the body is larger than may be sent")
        limits = self._limits(timeout_s or self._settings.total_timeout_s)
        began = perf_counter()
        try:
            answer = await self._session.post(target, data=body, headers=headers, allow_redirects=False, timeout=limits)
        except (ClientError, OSError, ValueError) as error:
            kind, detail = _explain(error)
            return Failure(kind, detail[:MAX_DETAIL], _ms_since(began))
        try:
            head, whole = await _read_head(answer, self._settings.body_head_bytes)
        finally:
            answer.close()  # has no effect on a connection that was read to its end and is back in the pool
        found = answer.headers
        kept = {name: found[name][:MAX_KEPT_VALUE] for name in keep if name in found}
        return Answer(answer.status, head, _ms_since(began), kept, whole)


@asynccontextmanager
async def open_http(settings: HttpSettings, *, resolver: AbstractResolver | None = None) -> AsyncGenerator[Http]:
    """Open the client for the life of a process; one is enough for everything that goes out."""

    def guarded(address: tuple[Any, ...]) -> socket.socket:  # Any: a socket address has a shape for each family
        family, kind, protocol, _, where = address
        if family not in {socket.AF_INET, socket.AF_INET6} or not admits(str(where[0]), settings.allow_private):
            raise AddressRefused(errno.EACCES, _REFUSED)
        return socket.socket(family, kind, protocol)

    names = resolver or Resolver(threads=settings.dns_threads, timeout_s=settings.dns_timeout_s)
    connector = TCPConnector(
        socket_factory=guarded,  # called for every attempt, after DNS and for literals alike; a resolver is not
        resolver=names,
        ssl=True if settings.ca_file is None else _trusting(settings.ca_file),
        limit=0,  # callers bound what they send at once: a wait in here would count as the other side's time
        keepalive_timeout=settings.keep_alive_s,
    )
    session = ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        headers={"User-Agent": settings.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"},
        auto_decompress=False,  # a small gzip is a large body
        trust_env=False,
        read_bufsize=settings.body_head_bytes,
        max_line_size=settings.max_header_bytes,
        max_field_size=settings.max_header_bytes,
        max_headers=settings.max_headers,
    )
    async with session:
        try:
            yield Http(session, settings)
        finally:
            if resolver is None:
                await names.close()


def _trusting(authority: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(authority)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _read_head(answer: ClientResponse, limit: int) -> tuple[bytes, bool]:
    """The first bytes of the body, and whether that is all of it."""
    content = answer.content
    if content.at_eof():
        return b"", True
    head = bytearray()
    try:
        while len(head) < limit and not content.at_eof():
            head += await content.read(limit - len(head))
    except (ClientError, OSError):  # reset, time out or garbage after the status: what was read is kept
        return bytes(head), False
    return bytes(head), content.at_eof()


def _explain(error: ClientError | OSError | ValueError) -> tuple[FailureKind, str]:  # noqa: PLR0911 - one line a kind
    """Name what went wrong; the library's own texts stay inside, since they tell of our network."""
    match error:
        case ClientConnectorDNSError():
            return "dns_error", "the host name does not resolve"
        case ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError(verify_message=why)):
            return "tls_error", f"the certificate was not accepted: {why}"
        case ClientSSLError() | ssl.SSLError():
            return "tls_error", "the TLS handshake failed"
        case ClientConnectorError():
            return _explain_transport(error.os_error)
        case ServerDisconnectedError():
            return "connection_reset", "the connection was closed before an answer came"
        case OSError():
            return _explain_transport(error)
        case ClientResponseError() if error.message.startswith(_TOO_LARGE):
            return "too_large", "the answer's headers are too large"
        case InvalidURL():
            return "invalid_url", "the URL cannot be called"
        case ClientError():
            return "bad_response", "the answer is not HTTP"
        case _:  # a header that cannot be sent
            return "invalid_request", "the request cannot be sent as it is"


def _explain_transport(error: OSError) -> tuple[FailureKind, str]:
    if _REFUSED in str(error):  # several failed attempts reach us as one OSError of joined texts
        return "refused_address", "the host name resolves to an address that is not public"
    if error.errno in _OURS:
        return "local_error", "this machine could not open a connection"
    for kinds, kind, detail in _TRANSPORT:  # by class: uvloop leaves errno out
        if isinstance(error, kinds):
            return kind, detail
    return "unreachable", "no route to the host"


def _ms_since(began: float) -> int:
    return round((perf_counter() - began) * 1000)
