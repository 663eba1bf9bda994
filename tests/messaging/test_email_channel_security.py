from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from messaging.channels.email.sending import EmailChannel
from messaging.channels.email.settings import Security, SmtpSettings
from messaging.channels.port import Outcome
from support.certificates import Authority, make_authority
from support.smtp import LOGIN, MailServer
from tests.messaging.conformance import new_copy

CONTENT = b"Subject: Rappel\r\n\r\nBonjour\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def plain_server() -> AsyncGenerator[MailServer]:
    async with MailServer() as server:
        yield server


async def send(port: int, security: Security, ca_file: Path, login: tuple[str, str] | None = None) -> Outcome:
    username, password = login or (None, None)
    settings = SmtpSettings(
        host="localhost",
        port=port,
        security=security,
        ca_file=str(ca_file),
        username=username,
        password=password,
        command_timeout_s=2.0,
    )
    (outcome,) = await EmailChannel(settings).send([new_copy("claire@a.example", CONTENT)])
    return outcome


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
async def test_tls_with_a_trusted_server(authority: Authority, security: Security, *, implicit: bool) -> None:
    async with MailServer(tls=authority.server_context("localhost"), implicit_tls=implicit) as server:
        outcome = await send(server.port, security, authority.file)
        assert (outcome.state, len(server.mails)) == ("sent", 1)


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
async def test_tls_with_somebody_else(authority: Authority, security: Security, *, implicit: bool) -> None:
    async with MailServer(tls=authority.server_context("other.example"), implicit_tls=implicit) as server:
        outcome = await send(server.port, security, authority.file)
        assert (outcome.state, outcome.code, server.mails) == ("retry", "tls_failed", [])


async def test_starttls_is_not_dropped_for_a_server_without_it(plain_server: MailServer, authority: Authority) -> None:
    outcome = await send(plain_server.port, "starttls", authority.file)
    assert (outcome.state, outcome.code, plain_server.mails) == ("retry", "tls_failed", [])


async def test_login(authority: Authority) -> None:
    async with MailServer(login=True) as server:
        assert (await send(server.port, "none", authority.file, LOGIN)).state == "sent"
        wrong = await send(server.port, "none", authority.file, (LOGIN[0], "guess"))
        none = await send(server.port, "none", authority.file)
        assert (wrong.state, wrong.code) == ("retry", "login_refused")
        assert (none.state, none.code) == ("retry", "login_refused")
        assert wrong.retry_after_s
        assert len(server.mails) == 1


def test_plain_text_stays_on_this_machine() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        assert SmtpSettings(host=host, port=25, security="none").host == host
    for host in ("smtp.example", "10.0.0.1", "localhost.example"):
        with pytest.raises(ValueError, match="over TLS only"):
            SmtpSettings(host=host, port=25, security="none")
