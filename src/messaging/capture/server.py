"""The server: loopback only, a few connections, a password, a size limit, and 250 only after the sink has the mail."""

import asyncio
import hmac
import logging
from typing import Any, Final, Protocol, Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from aiosmtpd.smtp import Envelope as SmtpEnvelope
from aiosmtpd.smtp import Session as SmtpSession
from msgspec import Struct

HOST: Final = "127.0.0.1"
MAX_BYTES: Final = 5_000_000  # of one mail
MAX_RECIPIENTS: Final = 10
MAX_CONNECTIONS: Final = 64
IDLE_S: Final = 60.0
_LOG: Final = logging.getLogger(__name__)
# It writes addresses at INFO, and a deprecation of its own at each login.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class Received(Struct, frozen=True, kw_only=True):
    """The envelope of a mail that came in; `login` is who sent it, empty on a server without a password."""

    login: str
    sender: str
    recipients: tuple[str, ...]


class Sink(Protocol):
    """Keeps mails. Once `accept` returns, the mail is safe; when it raises, the client is told to come again."""

    async def accept(self, envelope: Received, content: bytes) -> None:
        """Keep one mail."""
        ...


class CaptureServer:
    """Takes mail for anybody and hands it to a sink; with a secret, from those who know it only."""

    def __init__(self, sink: Sink, *, secret: str | None = None, port: int = 0) -> None:
        self._sink = sink
        self._secret = secret
        self._port = port
        self._server: asyncio.Server | None = None
        self._open: set[_Protocol] = set()

    @property
    def port(self) -> int:
        """The port that it listens on, once started."""
        if self._server is None:
            raise RuntimeError("the capture server is not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen on the loopback."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Protocol(self._sink, self._secret, self._open), HOST, self._port
        )

    async def stop(self) -> None:
        """Listen no longer and end what is open; a mail not yet answered with 250 may be kept or not."""
        if self._server is None:
            return
        self._server.close()
        open_ = list(self._open)
        for protocol in open_:
            protocol.abort()
        await self._server.wait_closed()
        await asyncio.gather(*(protocol.ended.wait() for protocol in open_))
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


class _Handler:
    """What aiosmtpd asks at each step; the answer is the reply line."""

    def __init__(self, sink: Sink, *, login_needed: bool) -> None:
        self._sink = sink
        self._login_needed = login_needed

    async def handle_MAIL(  # noqa: N802  # aiosmtpd names its hooks after the commands
        self, server: SMTP, session: SmtpSession, envelope: SmtpEnvelope, address: str, options: list[str]
    ) -> str:
        if self._login_needed and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802  # as above
        self, server: SMTP, session: SmtpSession, envelope: SmtpEnvelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: SmtpEnvelope) -> str:  # noqa: N802  # as above
        auth = cast("LoginPassword | None", session.auth_data)
        received = Received(
            login=auth.login.decode(errors="replace") if auth else "",
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
        )
        try:
            await self._sink.accept(received, envelope.original_content or b"")
        except Exception:  # noqa: BLE001  # whatever a sink's storage raises, the mail is not kept and may come again
            _LOG.exception("the sink kept no mail")
            return "451 4.3.0 Not kept, try again"
        return "250 2.0.0 OK: kept"


class _Protocol(SMTP):
    """One connection, counted."""

    def __init__(self, sink: Sink, secret: str | None, connections: "set[_Protocol]") -> None:
        super().__init__(
            _Handler(sink, login_needed=secret is not None),
            data_size_limit=MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="Relance capture",
            timeout=IDLE_S,
            # The handler asks for it: with auth_required the library warns that loopback has no TLS.
            auth_require_tls=False,
            authenticator=_authenticator(secret),
            loop=asyncio.get_running_loop(),
        )
        self._connections = connections
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            stream = cast("asyncio.Transport", transport)
            stream.write(b"421 4.3.2 Too many connections\r\n")
            stream.close()
            return
        self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._connections:
            self._connections.remove(self)
            super().connection_lost(error)
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        if self in self._connections:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        return super().eof_received() if self in self._connections else None

    def abort(self) -> None:
        """End it at once."""
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()


def _authenticator(secret: str | None) -> Any:  # Any: the library's callback takes its own untyped values
    def check(_server: object, _session: object, _envelope: object, _mechanism: str, given: object) -> AuthResult:
        right = isinstance(given, LoginPassword) and hmac.compare_digest(given.password, (secret or "").encode())
        return AuthResult(success=bool(secret) and right, handled=False, auth_data=given)

    return check
