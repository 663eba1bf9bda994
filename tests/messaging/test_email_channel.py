import time
from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec
import pytest

from messaging.channels.email.sending import EmailChannel
from messaging.channels.email.settings import SmtpSettings
from messaging.channels.port import Channel, Copy, Outcome
from support.smtp import MailServer
from tests.messaging.conformance import CHECKS, Fault, Rig, new_copy, no_answer_is_unknown_in_time

CONTENT = b"Subject: Rappel\r\n\r\nBonjour\r\n.un point\r\n..deux\r\n.\r\n"
WISHES: dict[Fault, str] = {
    "none": "claire",
    "bad_address": "bad",
    "not_now": "busy",
    "answer_lost": "lost",
    "no_answer": "silent",
}


class SmtpRig:
    def __init__(self, server: MailServer, channel: Channel) -> None:
        self._server = server
        self.channel = channel
        self._made = 0

    def copy(self, fault: Fault = "none") -> Copy:
        self._made += 1
        return new_copy(f"{WISHES[fault]}@domain{self._made}.example", CONTENT)

    def taken(self, copy: Copy) -> int:
        return self._server.mails.count((copy.recipient, copy.content))

    async def go_offline(self) -> None:
        await self._server.close()
        self._server.close = nothing  # the fixture closes it as well


async def nothing() -> None: ...


@pytest.fixture
async def server() -> AsyncGenerator[MailServer]:
    async with MailServer() as server:
        yield server


def channel_to(server: MailServer, **changes: object) -> EmailChannel:
    options: dict[str, object] = {
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "at_once": 6,
        "connections": 2,
        "timeout_s": 20.0,
    }
    return EmailChannel(msgspec.convert(options | changes, SmtpSettings))


async def send_to(server: MailServer, *recipients: str, **changes: object) -> list[Outcome]:
    """Send one mail to each, one after the other on one connection unless told otherwise."""
    copies = [new_copy(recipient, CONTENT) for recipient in recipients]
    return await channel_to(server, **({"connections": 1} | changes)).send(copies)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_email_is_a_channel(server: MailServer, check: Callable[[Rig], Awaitable[None]]) -> None:
    waits = {"content_timeout_s": 0.2} if check is no_answer_is_unknown_in_time else {}
    await check(SmtpRig(server, channel_to(server, **waits)))


async def test_connections_are_used_again_and_bounded(server: MailServer) -> None:
    copies = [new_copy(f"a@{number}.example", CONTENT) for number in range(6)]
    outcomes = await channel_to(server, connections=3).send(copies)
    assert {outcome.state for outcome in outcomes} == {"sent"}
    assert server.connections <= 3
    assert server.at_most <= 3


@pytest.mark.parametrize(
    ("wish", "state", "code"),
    [
        ("bad", "failed", "bad_address"),
        ("policy", "failed", "recipient_refused"),
        ("busy", "retry", "recipient_deferred"),
        ("closing", "retry", "server_closing"),
        ("no-data", "retry", "data_deferred"),
        ("never-data", "failed", "data_refused"),
        ("rejected", "failed", "content_refused"),
        ("deferred", "retry", "content_deferred"),
        ("too-large", "failed", "too_large"),
        ("gibberish", "unknown", "protocol_error"),
        ("lost", "unknown", "connection_lost"),
        ("silent", "unknown", "answer_timed_out"),
    ],
)
async def test_each_step_has_its_verdict(server: MailServer, wish: str, state: str, code: str) -> None:
    waits = {"content_timeout_s": 0.2} if wish == "silent" else {}
    (outcome,) = await send_to(server, f"{wish}@a.example", **waits)
    assert (outcome.state, outcome.code) == (state, code)
    assert outcome.detail


async def test_the_next_mail_is_sent_after_a_refusal(server: MailServer) -> None:
    outcomes = await send_to(server, "bad@a.example", "rejected@a.example", "claire@a.example")
    assert [outcome.state for outcome in outcomes] == ["failed", "failed", "sent"]
    assert server.connections == 1


async def test_no_answer_to_the_data_command_is_no_doubt(server: MailServer) -> None:
    (outcome,) = await send_to(server, "mute@a.example", command_timeout_s=0.5)
    assert (outcome.state, outcome.code) == ("retry", "timed_out")


async def test_a_server_that_leaves_before_the_content_never_counts_as_sent(server: MailServer) -> None:
    (outcome,) = await send_to(server, "354-and-away@a.example")
    assert outcome.state in {"retry", "unknown"}  # as its goodbye arrives before or after the first byte
    assert server.mails == []


async def test_a_server_that_hangs_up_between_mails_gets_a_new_connection(server: MailServer) -> None:
    server.hang_up_after = 2
    outcomes = await send_to(server, *(f"a@{number}.example" for number in range(5)))
    assert [outcome.state for outcome in outcomes] == ["sent"] * 5
    assert sorted(recipient for recipient, _ in server.mails) == [f"a@{number}.example" for number in range(5)]
    assert server.connections == 3


async def test_a_server_that_closes_at_every_mail_is_given_up(server: MailServer) -> None:
    outcomes = await send_to(server, "a@a.example", "closing@a.example")
    assert [outcome.code for outcome in outcomes] == ["accepted", "server_closing"]
    assert server.connections == 2


async def test_after_an_unknown_outcome_no_more_mail_is_begun(server: MailServer) -> None:
    outcomes = await send_to(server, "a@a.example", "lost@a.example", "b@a.example")
    assert [outcome.state for outcome in outcomes] == ["sent", "unknown", "retry"]
    assert [recipient for recipient, _ in server.mails] == ["a@a.example", "lost@a.example"]


async def test_refused_at_the_door_is_for_later(server: MailServer) -> None:
    server.greeting = "421 4.3.2 Too busy"
    (outcome,) = await send_to(server, "a@a.example")
    assert (outcome.state, outcome.code) == ("retry", "server_closing")
    server.greeting = "554 5.7.1 You are on a list"
    (outcome,) = await send_to(server, "a@a.example")
    assert (outcome.state, outcome.code) == ("retry", "connect_refused")
    assert outcome.retry_after_s
    server.greeting = None
    assert [outcome.state for outcome in await send_to(server, "a@a.example")] == ["sent"]


async def test_nobody_listening_is_for_later(server: MailServer) -> None:
    await server.close()
    (outcome,) = await send_to(server, "a@a.example")
    assert (outcome.state, outcome.code) == ("retry", "connect_failed")
    await server.listen()
    assert [outcome.state for outcome in await send_to(server, "a@a.example")] == ["sent"]


async def test_a_refused_sender_is_told_from_a_missing_login(server: MailServer) -> None:
    server.senders = {"bounces@relance.example": "550 5.7.1 Not your domain"}
    (outcome,) = await send_to(server, "a@a.example")
    assert (outcome.state, outcome.code) == ("failed", "sender_refused")
    server.senders = {"bounces@relance.example": "530 5.7.0 Authentication required"}
    (outcome,) = await send_to(server, "a@a.example")
    assert (outcome.state, outcome.code) == ("retry", "login_refused")


async def test_no_time_left_means_not_begun(server: MailServer) -> None:
    began = time.monotonic()
    outcomes = await send_to(
        server,
        "silent@a.example",
        *(f"a@{number}.example" for number in range(3)),
        timeout_s=0.5,
        content_timeout_s=9.0,
    )
    assert time.monotonic() - began < 4
    assert [outcome.state for outcome in outcomes] == ["unknown", "retry", "retry", "retry"]
    assert {outcome.code for outcome in outcomes[1:]} == {"not_begun"}
    assert len(server.mails) == 1


async def test_content_arrives_byte_for_byte(server: MailServer) -> None:
    (outcome,) = await send_to(server, "Claire.Martin@a.example")
    assert server.mails == [("Claire.Martin@a.example", CONTENT)]
    assert (outcome.provider_ref, outcome.detail) == ("2.0.0 OK: queued as 1", "250 2.0.0 OK: queued as 1")


@pytest.mark.parametrize("content", [b"a\r\n\nb\r\n", b"a\n.\nMAIL FROM:<x@y.example>\r\n", b"a\rb\r\n", b"no end"])
async def test_bare_line_ends_are_refused(server: MailServer, content: bytes) -> None:
    (outcome,) = await channel_to(server).send([new_copy("a@a.example", content)])
    assert (outcome.state, outcome.code) == ("failed", "malformed_content")
    assert server.mails == []


@pytest.mark.parametrize(
    "recipient",
    ["a@a.example\r\nRCPT TO:<b@b.example>", "a@a.example> SIZE=1", "no address", "@a.example", "a b@c.example"],
)
async def test_addresses_carry_no_commands(server: MailServer, recipient: str) -> None:
    bad, good = await send_to(server, recipient, "claire@a.example")
    assert (bad.state, bad.code, good.state) == ("failed", "bad_address", "sent")
    assert [taken for taken, _ in server.mails] == ["claire@a.example"]


async def test_international_addresses(server: MailServer) -> None:
    outcomes = await send_to(server, "claire@exämple.example", "zoé@exämple.example")
    assert [outcome.state for outcome in outcomes] == ["sent", "sent"]
    assert [taken for taken, _ in server.mails] == ["claire@xn--exmple-cua.example", "zoé@xn--exmple-cua.example"]


async def test_a_server_of_ascii_takes_ascii_only() -> None:
    async with MailServer(smtputf8=False) as server:
        outcomes = await send_to(server, "zoé@a.example", "claire@exämple.example")
        assert [(outcome.state, outcome.code) for outcome in outcomes] == [
            ("failed", "smtputf8_missing"),
            ("sent", "accepted"),
        ]
        content = "Reply-To: zoé@a.example\r\n\r\nBonjour\r\n".encode()
        (outcome,) = await channel_to(server).send([new_copy("claire@a.example", content)])
        assert (outcome.state, outcome.code) == ("failed", "smtputf8_missing")
