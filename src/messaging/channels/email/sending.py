"""The SMTP client: a few connections, each used for several mails in turn, and every step named.

The step at which a mail stopped decides what is known about it, so the steps are taken one by one instead of by the
library's `sendmail`, which reports the same error for a lost DATA command as for a lost answer to the content.
"""

import asyncio
import re
import ssl
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from aiosmtplib import SMTP, SMTPException, SMTPResponseException
from msgspec import Struct

from messaging.addresses import AddressRefused, needs_utf8, normal
from messaging.channels.email import replies
from messaging.channels.email.replies import Failure, Step
from messaging.channels.email.settings import SmtpSettings, tls_context
from messaging.channels.port import Copy, OnUnknown, Outcome

_START: Final = 354
_OK: Final = 250
_QUIT_TIMEOUT_S: Final = 1.0
_BARE_END: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_LEADING_DOT: Final = re.compile(rb"(?m)^\.")
_NO_TIME: Final = Failure(state="retry", code="not_begun", detail="no time was left to begin")
_AFTER_UNKNOWN: Final = Failure(state="retry", code="not_begun", detail="held back after an unknown outcome")


class EmailChannel:
    """Sends mail through one submission server; holds no connection between two calls."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        return "email"

    @property
    def at_once(self) -> int:
        return self._settings.at_once

    @property
    def timeout_s(self) -> float:
        return self._settings.timeout_s

    @property
    def on_unknown(self) -> OnUnknown:
        return "hold"  # SMTP has no question "did you get this?"

    async def send(self, copies: Sequence[Copy]) -> list[Outcome]:
        """Send each copy at most once; what the server may have taken is `unknown` and never sent again."""
        if len(copies) > self.at_once:
            raise ValueError(f"at most {self.at_once} copies are sent at once")
        if self._settings.security != "none" and self._tls is None:
            self._tls = await asyncio.to_thread(tls_context, self._settings)  # reads files
        batch = _Batch(self._settings, self._tls, copies)
        async with asyncio.TaskGroup() as lanes:
            for _ in range(min(self._settings.connections, len(copies))):
                lanes.create_task(batch.run_lane())
        return [batch.outcome(copy) for copy in copies]


class _Turn(Struct):
    """A copy that waits for a connection, and whether one was already lost under it."""

    copy: Copy
    again: bool = False


class _Batch:
    """The copies of one call, shared by its connections."""

    def __init__(self, settings: SmtpSettings, tls: ssl.SSLContext | None, copies: Sequence[Copy]) -> None:
        self._settings = settings
        self._tls = tls
        self._until = time.monotonic() + settings.timeout_s
        self._waiting = deque(_Turn(copy) for copy in copies)
        self._outcomes: dict[tuple[object, int], Outcome] = {}
        self._failure = _NO_TIME  # why no connection took what is left
        self._stopped = False

    def outcome(self, copy: Copy) -> Outcome:
        return self._outcomes.get((copy.message_id, copy.fence)) or self._failure.outcome(copy)

    async def run_lane(self) -> None:
        """Open a connection and send what waits, until nothing does or no connection can be had."""
        while self._goes_on():
            client = SMTP(
                hostname=self._settings.host,
                port=self._settings.port,
                local_hostname=self._settings.helo_name,
                use_tls=self._settings.security == "tls",
                start_tls=False,  # its own step below, so that a failure is told from a refused connection
                tls_context=self._tls,
                timeout=self._settings.command_timeout_s,
            )
            try:
                failure = await self._open(client)
                if failure is not None:
                    self._failure = failure
                    return
                await self._use(client)
            finally:
                await self._close(client)

    async def _use(self, client: SMTP) -> None:
        used = False
        while self._goes_on() and client.is_connected:
            turn = self._waiting.popleft()
            result = await self._deliver(client, turn.copy)
            broken = isinstance(result, Failure) and result.broken
            if broken:
                client.close()  # without QUIT: the two sides no longer agree on where they are
            if broken and result.state == "retry" and used and not turn.again:
                # A connection that had served went away, which says nothing about this mail: once more on a new one.
                self._waiting.appendleft(_Turn(turn.copy, again=True))
                return
            outcome = result.outcome(turn.copy) if isinstance(result, Failure) else result
            self._outcomes[turn.copy.message_id, turn.copy.fence] = outcome
            if outcome.state == "unknown":  # each one costs a person's time: make no more of them
                self._stopped, self._failure = True, _AFTER_UNKNOWN
            elif outcome.state != "sent" and not broken:
                await self._reset(client)
            used = True

    async def _open(self, client: SMTP) -> Failure | None:
        settings, step = self._settings, "connect"
        try:
            await client.connect(timeout=self._within(settings.connect_timeout_s))
            await client.ehlo(timeout=self._within(settings.command_timeout_s))
            if settings.security == "starttls":
                step = "tls"
                await client.starttls(timeout=self._within(settings.connect_timeout_s))
                await client.ehlo(timeout=self._within(settings.command_timeout_s))
            if settings.username is not None and settings.password is not None:
                step = "login"
                await client.login(
                    settings.username, settings.password, timeout=self._within(settings.command_timeout_s)
                )
        except SMTPResponseException as error:
            return replies.refused(step, error.code, error.message)
        except ssl.SSLError as error:
            return replies.lost("tls", error)
        except (SMTPException, OSError) as error:
            return replies.lost("tls" if isinstance(error.__cause__, ssl.SSLError) else step, error)
        return None

    async def _deliver(self, client: SMTP, copy: Copy) -> Outcome | Failure:
        ready = _ready(copy, smtputf8=client.supports_extension("smtputf8"))
        if isinstance(ready, Failure):
            return ready
        step: Step = "sender"
        options = ["SMTPUTF8", "BODY=8BITMIME"] if ready.utf8 else []
        if client.supports_extension("size"):
            options.append(f"SIZE={len(copy.content)}")
        encoding = "utf-8" if ready.utf8 else "ascii"
        limit_s = self._settings.command_timeout_s
        try:
            await client.mail(ready.sender, options=options, encoding=encoding, timeout=self._within(limit_s))
            step = "recipient"
            await client.rcpt(ready.recipient, encoding=encoding, timeout=self._within(limit_s))
            step = "data"
            answer = await client.execute_command(b"DATA", timeout=self._within(limit_s))
            if answer.code == _START and (protocol := client.protocol) is not None:
                protocol.write(ready.content)  # raises before it writes, so what fails here was not begun
                step = "content"  # from here on silence means doubt
                answer = await protocol.read_response(timeout=self._within(self._settings.content_timeout_s))
        except SMTPResponseException as error:
            return replies.refused(step, error.code, error.message)
        except (SMTPException, OSError) as error:
            return replies.lost(step, error)
        if step == "content" and answer.code == _OK:
            return replies.accepted(copy, answer.message)
        return replies.refused(step, answer.code, answer.message)

    async def _reset(self, client: SMTP) -> None:
        """Make the server forget a refused mail's envelope."""
        try:
            await client.rset(timeout=self._within(self._settings.command_timeout_s))
        except (SMTPException, OSError):
            client.close()

    async def _close(self, client: SMTP) -> None:
        if client.is_connected:
            with suppress(SMTPException, OSError):
                await client.quit(timeout=self._within(_QUIT_TIMEOUT_S))
        client.close()

    def _goes_on(self) -> bool:
        return bool(self._waiting) and not self._stopped and self._left() > 0

    def _left(self) -> float:
        return self._until - time.monotonic()

    def _within(self, limit_s: float) -> float:
        """A step's own limit, or what is left of the whole call: never zero, which would mean no limit."""
        return max(0.001, min(limit_s, self._left()))


class _Ready(Struct, frozen=True):
    """A copy that may go to the server."""

    sender: str
    recipient: str
    content: bytes
    utf8: bool


def _ready(copy: Copy, *, smtputf8: bool) -> _Ready | Failure:
    """Whatever can be known before the server is asked."""
    try:
        sender, recipient = normal(copy.sender), normal(copy.recipient)
        content = on_the_wire(copy.content)
    except AddressRefused as error:
        return Failure(state="failed", code="bad_address", detail=str(error))
    except ValueError as error:
        return Failure(state="failed", code="malformed_content", detail=str(error))
    headers, _, _ = content.partition(b"\r\n\r\n")  # an address to answer to may ask for it as well
    utf8 = needs_utf8(sender) or needs_utf8(recipient) or not headers.isascii()
    if utf8 and not smtputf8:
        return Failure(state="failed", code="smtputf8_missing", detail="the server takes ASCII addresses only")
    return _Ready(sender, recipient, content, utf8)


def on_the_wire(content: bytes) -> bytes:
    """The content with its leading dots doubled and its end marked. Raises ValueError for bare line ends.

    They are refused rather than mended: what is sent is what was stored, and a lone LF hides a second mail.
    """
    if _BARE_END.search(content) or not content.endswith(b"\r\n"):
        raise ValueError("a mail has CRLF line ends, also its last line")
    return _LEADING_DOT.sub(b"..", content) + b".\r\n"
