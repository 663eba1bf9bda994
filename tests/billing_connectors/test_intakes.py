"""What comes in by mail: refused at the door, kept before 250 is said, read by a job, reported, never read twice."""

import asyncio
import smtplib
from collections.abc import AsyncGenerator, Callable
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any
from uuid import UUID

import pytest

from billing_connectors.intakes import inboxes
from billing_connectors.intakes.errors import BadSender, InboxClosed
from billing_connectors.intakes.mails import files_of, identity_of
from billing_connectors.intakes.models import Channel
from billing_connectors.intakes.receiving import Arrival, receive
from billing_connectors.intakes.reports import report_of
from billing_connectors.intakes.views import IntakeReport
from cli.composition import build_registry
from cli.intaking import Postman
from kernel import ids
from messaging.intake.server import MAX_BYTES, MAX_HOPS, IntakeServer, Mail
from storage.blobs import PostgresBlobs
from storage.database import Database
from storage.registry import Registry
from support.documents import make_cii, make_pdf
from support.importing import Importer
from support.receivables import at_work
from support.stories import open_engine
from support.tenants import NOW
from workers.engine import Engine
from workers.jobs import jobs

TOOL = "compta@atelier.example"


@pytest.fixture
def registry() -> Registry:
    return build_registry()


@pytest.fixture
async def engine(database: Database) -> AsyncGenerator[Engine]:
    async with open_engine(database) as engine:
        yield engine


@pytest.fixture
async def door(database: Database) -> AsyncGenerator[IntakeServer]:
    async with IntakeServer(Postman(database)) as door:
        yield door


async def open_inbox(importer: Importer, *senders: str) -> UUID:
    async with at_work(importer.database, importer.tenant_id) as session:
        view = await inboxes.open_inbox(session, None, senders, NOW)
    return ids.decode("inb", view.id)


def address(inbox_id: UUID) -> str:
    return f"{ids.encode('inb', inbox_id)}@in.example"


def make_mail(*files: tuple[str, bytes], message_id: str = "<1@tool.example>", **headers: str) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["Subject"], mail["Message-ID"] = TOOL, "Vos factures", message_id
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content("Bonjour, voici nos factures.")
    for name, content in files:
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return mail.as_bytes(policy=SMTP)


async def send(door: IntakeServer, recipient: str, content: bytes, *, sender: str = TOOL) -> tuple[int, str]:
    """Send one mail, and answer with the reply that ended it."""

    def talk() -> tuple[int, str]:
        with smtplib.SMTP("127.0.0.1", door.port, timeout=30) as client:
            client.ehlo()
            steps: list[Callable[[], tuple[int, bytes]]] = [
                lambda: client.mail(sender, [f"size={len(content)}"]),
                lambda: client.rcpt(recipient),
                lambda: client.data(content),
            ]
            code, words = 0, b""
            for step in steps:
                try:
                    code, words = step()
                except smtplib.SMTPDataError as error:
                    return int(error.smtp_code), str(error.smtp_error)
                if code >= 400:
                    break
            return code, words.decode()

    return await asyncio.to_thread(talk)


async def report(importer: Importer) -> IntakeReport:
    ((intake_id,),) = await importer.rows("select id from app.intake order by id desc limit 1")
    async with at_work(importer.database, importer.tenant_id) as session:
        return await report_of(session, intake_id)


async def counts(importer: Importer) -> list[tuple[Any, ...]]:  # Any: values of each column's type
    return await importer.rows("select state, imported, unchanged, rejected from app.intake order by id")


async def test_a_mail_is_kept_read_and_reported(importer: Importer, engine: Engine, door: IntakeServer) -> None:
    await importer.creditor()
    inbox_id = await open_inbox(importer, "atelier.example")
    mail = make_mail(
        ("F-1.xml", make_cii(number="F-1")), ("F-2.pdf", make_pdf(("factur-x.xml", make_cii(number="F-2")))),
        ("notes.txt", b"hello"), ("../../F-3.exe", b"MZ"),
    )  # fmt: skip
    answer = await send(door, address(inbox_id).upper(), mail)
    assert answer[0] == 250, answer
    assert await counts(importer) == [("received", 0, 0, 0)]
    assert await jobs(engine) == 1
    assert await counts(importer) == [("read", 2, 0, 2)]
    told = await report(importer)
    assert [(one.verdict.file, one.verdict.status) for one in told.documents] == [
        ("F-1.xml", "imported"), ("F-2.pdf", "imported"), ("notes.txt", "rejected"), ("F-3.exe", "rejected"),
    ]  # fmt: skip
    assert await importer.rows("select number from app.invoice order by 1") == [("F-1",), ("F-2",)]


async def test_the_same_mail_delivered_twice_is_one(importer: Importer, engine: Engine, door: IntakeServer) -> None:
    await importer.creditor()
    inbox_id = await open_inbox(importer)
    mail = make_mail(("F-1.xml", make_cii(number="F-1")))
    first = b"Received: from a by b; Mon\r\n" + mail
    again = b"Received: from c by d; Tue\r\nReceived: from a by b; Mon\r\n" + mail
    answers = await asyncio.gather(*(send(door, address(inbox_id), each) for each in (first, again, first)))
    assert {code for code, _ in answers} == {250}
    while await jobs(engine):
        pass
    assert await counts(importer) == [("read", 1, 0, 0)]
    events = await importer.events()
    assert (await send(door, address(inbox_id), again))[0] == 250
    assert await importer.events() == events
    other = make_mail(("F-1.xml", make_cii(number="F-1")), message_id="<2@tool.example>")
    assert (await send(door, address(inbox_id), other))[0] == 250
    while await jobs(engine):
        pass
    assert await counts(importer) == [("read", 1, 0, 0), ("read", 0, 1, 0)]


async def test_who_may_not_send_is_refused_at_the_door(importer: Importer, door: IntakeServer) -> None:
    inbox_id = await open_inbox(importer, "compta@other.example", "atelier.example")
    mail = make_mail()
    refused = await send(door, address(inbox_id), mail, sender="stranger@else.example")
    unknown = await send(door, address(ids.new_id()), mail)
    assert refused == unknown
    assert refused[0] == 550
    for nobody in ("postmaster@in.example", "inb_@in.example", "x", f"{'a' * 200}@in.example"):
        assert (await send(door, nobody, mail))[0] >= 500
    assert (await send(door, address(inbox_id), mail, sender=""))[0] == 550
    assert (await send(door, address(inbox_id), mail, sender="x@sub.atelier.example"))[0] == 550
    assert (await send(door, address(inbox_id), mail, sender="Anybody@ATELIER.example"))[0] == 250
    async with at_work(importer.database, importer.tenant_id) as session:
        await inboxes.close_inbox(session, inbox_id, NOW)
    assert await send(door, address(inbox_id), mail) == unknown
    with pytest.raises(InboxClosed):
        async with at_work(importer.database, importer.tenant_id) as session:
            await inboxes.close_inbox(session, inbox_id, NOW)


async def test_circles_answers_and_giants_are_refused(importer: Importer, door: IntakeServer) -> None:
    inbox_id = await open_inbox(importer)
    circle = b"Received: from a by b\r\n" * (MAX_HOPS + 1) + make_mail()
    assert (await send(door, address(inbox_id), circle))[0] == 554
    for header, value in (("Auto_Submitted", "auto-replied"), ("Precedence", "bulk")):
        assert (await send(door, address(inbox_id), make_mail(**{header: value})))[0] == 550
    assert (await send(door, address(inbox_id), make_mail(Auto_Submitted="no")))[0] == 250
    assert (await send(door, address(inbox_id), make_mail(("big.xml", bytes(MAX_BYTES)))))[0] == 552
    assert len(await counts(importer)) == 1


async def test_a_mail_without_files_says_so(importer: Importer, engine: Engine, door: IntakeServer) -> None:
    inbox_id = await open_inbox(importer)
    await send(door, address(inbox_id), make_mail())
    await jobs(engine)
    assert (await report(importer)).reason == "no_attachment"
    assert await counts(importer) == [("failed", 0, 0, 0)]


async def test_what_is_not_kept_may_come_again(importer: Importer) -> None:
    class Closed:
        async def admit(self, recipient: str, sender: str) -> str | None:
            if "later" in recipient:
                raise RuntimeError("no database")
            return None

        async def keep(self, mail: Mail) -> None:
            raise RuntimeError("no room")

    async with IntakeServer(Closed()) as door:
        assert (await send(door, "a@in.example", make_mail()))[0] == 451
        assert (await send(door, "later@in.example", make_mail()))[0] == 451


async def test_files_sent_by_a_program_are_read_the_same(importer: Importer, engine: Engine) -> None:
    await importer.creditor()
    arrival = Arrival(channel=Channel.API, content=make_cii(number="F-9"), name="F-9.xml")
    async with at_work(importer.database, importer.tenant_id) as session:
        await receive(session, PostgresBlobs(importer.database.keys), arrival, NOW)
    await jobs(engine)
    assert await counts(importer) == [("read", 1, 0, 0)]
    types = await importer.rows("select type from app.event where type like 'intake.%' order by id")
    assert types == [("intake.received",), ("intake.read",)]


@pytest.mark.parametrize("sender", ["", "x", "@", "a b@c.example", "a@b@c.example", "c.example\nx", "*.example", "a@é"])
async def test_who_may_send_is_an_address_or_a_domain(importer: Importer, sender: str) -> None:
    with pytest.raises(BadSender):
        await open_inbox(importer, sender)


def test_attachments_of_every_shape() -> None:
    forwarded = make_mail(("inner.xml", b"<a/>"))
    outer = EmailMessage()
    outer["Subject"] = "Fwd"
    outer.set_content("see below")
    outer.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf")
    outer.add_attachment(b"png", maintype="image", subtype="png", filename="logo.png")
    outer.add_attachment(b"x", maintype="text", subtype="csv", filename="été 2026.csv")
    content = outer.as_bytes() + b"\r\n"
    assert [(file.name, file.content) for file in files_of(content)] == [
        ("part-2", b"%PDF-1.7"), ("été 2026.csv", b"x"),
    ]  # fmt: skip
    assert [file.name for file in files_of(b"Content-Type: message/rfc822\r\n\r\n" + forwarded)] == ["inner.xml"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 1000, b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 20_000,
     b"Content-Type: multipart/mixed; boundary=" + b"y" * 100_000, b"A" * 1_000_000,
     b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(500)),
     b"Content-Type: application/pdf; name*0*=utf-16''%ff%fe\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!"],
    ids=["empty", "zeros", "boundaries", "long-boundary", "one-line", "nested", "names"],
)  # fmt: skip
def test_hostile_mails_hold_no_file(content: bytes) -> None:
    assert len(files_of(content)) <= 100
    assert identity_of(content) is not None
