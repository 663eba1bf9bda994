"""A mail server that misbehaves on demand: aiosmtpd on loopback, told by the recipient's name what to do wrong."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

LOGIN = ("relance", "open sesame")

# What a recipient's name makes the server do, and at which step it does it.
RCPT = {
    "bad": "550 5.1.1 No such user here",
    "policy": "550 5.7.1 Relaying denied",
    "busy": "450 4.2.1 Greylisted, come back later",
    "closing": "421 4.3.2 Shutting down",
}
DATA = {"no-data": "451 4.3.0 No room", "never-data": "554 5.5.1 No valid recipients"}
ANSWER = {
    "rejected": "554 5.7.1 Looks like spam",
    "deferred": "452 4.3.1 Queue is full",
    "too-large": "552 5.3.4 Message too big",
    "gibberish": "xyz what is this",
}


class MailServer:
    """Keeps what it accepted in `mails`; every other attribute changes how it behaves from then on."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        login: bool = False,
        smtputf8: bool = True,
    ) -> None:
        self.mails: list[tuple[str, bytes]] = []  # recipient, content as it came
        self.connections = 0
        self.at_most = 0  # connections that were open at the same time
        self.greeting: str | None = None  # instead of 220
        self.senders: Mapping[str, str] = {}  # sender → reply to MAIL
        self.hang_up_after: int | None = None  # mails on one connection
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.login = login
        self.smtputf8 = smtputf8
        self._open: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def listen(self) -> None:
        """Take connections, on the port that was taken first."""
        context = self.tls if self.implicit_tls else None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, ssl=context)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Refuse connections and end those that are open."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        ended = [connection.ended for connection in self._open]
        for connection in list(self._open):
            connection.abort()
        await asyncio.gather(*(event.wait() for event in ended))

    def opened(self, connection: "_Connection") -> None:
        self._open.add(connection)
        self.connections += 1
        self.at_most = max(self.at_most, len(self._open))

    def closed(self, connection: "_Connection") -> None:
        self._open.discard(connection)

    # --- what aiosmtpd asks at each step

    async def handle_MAIL(  # noqa: N802  # named after the command
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.login and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return self.senders.get(address, "250 2.1.0 OK")

    async def handle_RCPT(  # noqa: N802  # as above
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return RCPT.get(wish_of(envelope), "250 2.1.5 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # as above
        wish, connection = wish_of(envelope), cast("_Connection", server)
        if wish in ANSWER:
            return ANSWER[wish]
        self.mails.append((envelope.rcpt_tos[0], envelope.original_content or b""))
        connection.taken += 1
        if wish == "lost":  # taken, and the client never hears of it
            connection.abort()
        if wish in {"lost", "silent"}:
            await asyncio.Event().wait()  # until the connection's end cancels it
        if connection.taken == self.hang_up_after:
            asyncio.get_running_loop().call_soon(connection.hang_up)
        return f"250 2.0.0 OK: queued as {len(self.mails)}"


def wish_of(envelope: Envelope) -> str:
    return envelope.rcpt_tos[0].partition("@")[0]


class _Connection(SMTP):
    def __init__(self, server: MailServer) -> None:
        super().__init__(
            server,
            hostname="localhost",
            enable_SMTPUTF8=server.smtputf8,
            tls_context=None if server.implicit_tls else server.tls,
            require_starttls=server.tls is not None and not server.implicit_tls,
            auth_require_tls=False,
            authenticator=_check_login,
            loop=asyncio.get_running_loop(),
        )
        self._mail_server = server
        self.taken = 0
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._mail_server.greeting or self.transport is not None:
            if self.transport is None:
                self._mail_server.opened(self)
            super().connection_made(transport)
            return
        stream = cast("asyncio.Transport", transport)
        stream.write(self._mail_server.greeting.encode() + b"\r\n")
        stream.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.session is not None:
            super().connection_lost(error)
        self._mail_server.closed(self)
        self.ended.set()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802  # named after the command
        assert self.envelope is not None
        wish = wish_of(self.envelope)
        if wish in DATA:
            await self.push(DATA[wish])
        elif wish == "354-and-away":
            await self.push("354 Go ahead")
            self.hang_up()
        elif wish == "mute":  # no answer to DATA itself
            await asyncio.Event().wait()
        else:
            await super().smtp_DATA(arg)

    def hang_up(self) -> None:
        cast("asyncio.Transport", self.transport).close()

    def abort(self) -> None:
        cast("asyncio.Transport", self.transport).abort()


def _check_login(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object) -> AuthResult:
    assert isinstance(given, LoginPassword)
    right = (given.login.decode(), given.password.decode()) == LOGIN
    return AuthResult(success=right, handled=False, auth_data=given)
