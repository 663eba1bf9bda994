"""Captured mails: what a sandbox sent, sealed, readable by that tenant alone, oldest first."""

from typing import Final
from uuid import UUID

from kernel import ids
from messaging.capture.server import Received
from messaging.captured import DatabaseSink, mails
from storage.database import Database
from storage.encryption import destroy_keys
from support.chasing import at_work
from support.stories import CAUSE, rows

MAIL: Final = (
    b"From: Atelier <no-reply@relance.example>\r\nTo: compta@martin.example\r\n"
    b"Subject: =?utf-8?q?Rappel_=C3=A9t=C3=A9?=\r\n"
    b"Message-ID:\r\n <%d@relance.example>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n120,00 \xe2\x82\xac\r\n'
)


def sink_of(database: Database) -> DatabaseSink:
    return DatabaseSink(lambda tenant_id: database.tenant(tenant_id, CAUSE), database.keys)


async def capture(database: Database, tenant_id: UUID, number: int) -> None:
    envelope = Received(login=str(tenant_id), sender="bounces@relance.example", recipients=("compta@martin.example",))
    await sink_of(database).accept(envelope, MAIL % number)


async def test_a_mail_is_read_as_it_was_sent(database: Database, tenant_id: UUID) -> None:
    await capture(database, tenant_id, 1)
    async with at_work(database, tenant_id) as session:
        (mail,) = await mails(session, database.keys)
    assert (mail.message_id, mail.sender, mail.recipients) == (
        "<1@relance.example>", "bounces@relance.example", ("compta@martin.example",),
    )  # fmt: skip
    assert (mail.subject, mail.text, mail.html) == ("Rappel été", "120,00 €\r\n", "")
    ((kept,),) = await rows(database, tenant_id, "select sealed from app.captured_mail")
    assert b"120,00" not in kept


async def test_mails_are_paged_oldest_first(database: Database, tenant_id: UUID) -> None:
    for number in range(5):
        await capture(database, tenant_id, number)
    async with at_work(database, tenant_id) as session:
        first = await mails(session, database.keys, limit=2)
        last = first[-1].id

        rest = await mails(session, database.keys, after=ids.decode("mai", last), limit=10)
    assert [mail.message_id for mail in (*first, *rest)] == [f"<{number}@relance.example>" for number in range(5)]


async def test_another_tenant_sees_none_and_an_erased_one_neither(
    database: Database, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    await capture(database, tenant_id, 1)
    async with at_work(database, other_tenant_id) as session:
        assert await mails(session, database.keys) == []
    async with at_work(database, tenant_id) as session:
        assert len(await mails(session, database.keys)) == 1
        await destroy_keys(session, [tenant_id])
        assert await mails(session, database.keys) == []
