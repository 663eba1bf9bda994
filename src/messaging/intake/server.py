"""The server of import addresses: unknown ones are refused at RCPT, and 250 is said only once the mail is kept.

DKIM and SPF are not judged: it stands behind the deployment's own mail exchanger, which does. Automatic answers,
bounces and mails that have gone round are refused, since nobody reads an answer to them.
"""

import asyncio
import logging
import ssl
from typing import Final, Protocol, Self, cast

from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Envelope as SmtpEnvelope
from aiosmtpd.smtp import Session as SmtpSession
from msgspec import Struct

MAX_BYTES: Final = 25 * 1024 * 1024  # of one mail
MAX_RECIPIENTS: Final = 10
MAX_CONNECTIONS: Final = 64
MAX_HOPS: Final = 30  # Received headers: a mail that has more goes in circles
IDLE_S: Final = 60.0
_HEAD: Final = 200_000  # bytes in which headers are looked for
_QUIET: Final = frozenset({"bulk", "junk", "list"})
_LOG: Final = logging.getLogger(__name__)
logging.getLogger("mail.log").setLevel(logging.ERROR)  # it writes addresses at INFO


class Mail(Struct, frozen=True, kw_only=True):
    """A mail as it came in."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


class Porter(Protocol):
    """Knows the addresses and keeps the mails."""

    async def admit(self, recipient: str, sender: str) -> str | None:
        """None where this sender may write to this address, else why not; raises where it cannot be told now."""
        ...

    async def keep(self, mail: Mail) -> None:
        """Keep one mail; once it returns, the mail is safe, and when it raises, the sender is told to come again."""
        ...


class IntakeServer:
    """Takes mail in for the addresses that a porter admits."""

    def __init__(
        self, porter: Porter, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._porter, self._host, self._port, self._tls = porter, host, port, tls
        self._server: asyncio.Server | None = None
        self._open: set[_Protocol] = set()

    @property
    def port(self) -> int:
        """The port that it listens on, once started."""
        if self._server is None:
            raise RuntimeError("the intake server is not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Protocol(self._porter, self._tls, self._open), self._host, self._port
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        open_ = list(self._open)
        for protocol in open_:
            protocol.abort()
        await server.wait_closed()
        await asyncio.gather(*(protocol.ended.wait() for protocol in open_))


class _Handler:
    """What aiosmtpd asks at each step; the answer is the reply line."""

    def __init__(self, porter: Porter) -> None:
        self._porter = porter

    async def handle_MAIL(  # noqa: N802  # aiosmtpd names its hooks after the commands
        self, server: SMTP, session: SmtpSession, envelope: SmtpEnvelope, address: str, options: list[str]
    ) -> str:
        if not address:
            return "550 5.7.1 Bounces are not read here"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802  # as above
        self, server: SMTP, session: SmtpSession, envelope: SmtpEnvelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        try:
            refused = await self._porter.admit(address, envelope.mail_from or "")
        except Exception:  # noqa: BLE001  # the database may be away: the sender comes again
            _LOG.exception("an address could not be looked up")
            return "451 4.3.0 Not known at the moment, try again"
        if refused is not None:
            return f"550 5.1.1 {refused}"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: SmtpEnvelope) -> str:  # noqa: N802  # as above
        content = envelope.original_content or b""
        refused = refusal_of(content)
        if refused is not None:
            return refused
        mail = Mail(sender=envelope.mail_from or "", recipients=tuple(envelope.rcpt_tos), content=content)
        try:
            await self._porter.keep(mail)
        except Exception:  # noqa: BLE001  # whatever storage raises, the mail is not kept and may come again
            _LOG.exception("the porter kept no mail")
            return "451 4.3.0 Not kept, try again"
        return "250 2.0.0 OK: kept"


class _Protocol(SMTP):
    """One connection, counted."""

    def __init__(self, porter: Porter, tls: ssl.SSLContext | None, connections: "set[_Protocol]") -> None:
        super().__init__(
            _Handler(porter),
            data_size_limit=MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="Relance intake",
            timeout=IDLE_S,
            tls_context=tls,
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
        """End the connection at once."""
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()


def refusal_of(content: bytes) -> str | None:
    """The reply that refuses a mail by its headers: one that goes in circles, or that no person or tool has sent."""
    head = content[:_HEAD].replace(b"\r\n", b"\n").partition(b"\n\n")[0].lower().split(b"\n")
    if sum(line.startswith(b"received:") for line in head) > MAX_HOPS:
        return "554 5.4.6 Too many hops: this mail goes in circles"
    for line in head:
        name, _, value = line.partition(b":")
        word = value.strip().decode("latin-1")
        if name == b"auto-submitted" and not word.startswith("no"):
            return "550 5.7.1 Automatic answers are not read here"
        if name == b"precedence" and word in _QUIET:
            return "550 5.7.1 Mass mail is not read here"
    return None
