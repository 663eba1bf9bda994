"""Opt-outs: signed links, a channel closed once, and a chase that goes on by another way or by a person."""

import base64
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dunning.rules import default_body
from kernel import ids
from messaging.errors import LinkInvalid
from messaging.opt_outs import Link, close, closed, read, token
from receivables.contacts import archive_contact, create_contact
from receivables.drafts import NewContact
from receivables.errors import ContactNotFound
from storage.database import Database
from support.chasing import at_work, explained, follow, said, tasks
from support.stories import Cast, advance, at, bill, make_cast, rows, sent_mails
from workers.engine import Engine

SECRET: Final = b"s" * 32
DUE: Final = date(2026, 3, 2)
NOW: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
BODY: Final = default_body()
TWO_STEPS: Final = replace(BODY, steps=BODY.steps[1:3])


@given(st.uuids(), st.uuids())
def test_a_link_reads_as_it_was_written(tenant_id: UUID, contact_id: UUID) -> None:
    link = Link(tenant_id, contact_id, "email")
    written = token(SECRET, link)
    assert read(SECRET, written) == link
    assert set(written) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    with pytest.raises(LinkInvalid):
        read(b"t" * 32, written)


def test_a_link_changed_anywhere_is_none_of_ours() -> None:
    written = token(SECRET, Link(ids.new_id(), ids.new_id(), "email"))
    raw = base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))
    assert len(raw) == 16 + 33
    for place in range(len(raw)):
        for bit in range(8):
            spoiled = bytearray(raw)
            spoiled[place] ^= 1 << bit
            with pytest.raises(LinkInvalid):
                read(SECRET, base64.urlsafe_b64encode(bytes(spoiled)).decode().rstrip("="))
    for length in range(len(written)):
        with pytest.raises(LinkInvalid):
            read(SECRET, written[:length])


@given(st.text(max_size=100))
def test_what_is_no_link_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(LinkInvalid):
        read(SECRET, text)


async def opt_out(database: Database, cast: Cast, contact_id: UUID | None = None, now: datetime = NOW) -> None:
    async with at_work(database, cast.tenant_id) as session:
        await close(session, contact_id or cast.contact_id, "email", now, "Europe/Paris")


async def test_a_channel_is_closed_once(database: Database, tenant_id: UUID) -> None:
    cast = await make_cast(database, tenant_id)
    await opt_out(database, cast)
    await opt_out(database, cast, now=NOW + timedelta(days=1))
    assert await rows(database, tenant_id, "select contact_id, effective_on from app.opt_out") == [
        (cast.contact_id, DUE)
    ]
    told = await rows(database, tenant_id, "select type from app.event where type like 'opt_out.%'")
    assert (told, await tasks(database, tenant_id)) == ([("opt_out.created",)], ["contact_opted_out"])
    with pytest.raises(ContactNotFound):
        await opt_out(database, cast, ids.new_id())


async def test_another_tenants_contact_does_not_exist(
    database: Database, tenant_id: UUID, other_tenant_id: UUID
) -> None:
    theirs = await make_cast(database, other_tenant_id)
    mine = await make_cast(database, tenant_id)
    with pytest.raises(ContactNotFound):
        await opt_out(database, mine, theirs.contact_id)
    await opt_out(database, theirs)
    async with at_work(database, tenant_id) as session:
        assert await closed(session, [mine.contact_id, theirs.contact_id], "email") == set()


async def test_the_same_address_under_another_name_is_closed_too(database: Database, tenant_id: UUID) -> None:
    cast = await make_cast(database, tenant_id)
    stranger = await make_cast(database, tenant_id)  # the same mailbox at another debtor: another matter
    async with at_work(database, tenant_id) as session:
        twin = await create_contact(
            session, NewContact(debtor_id=cast.debtor_id, name="Jeanne", email="Compta@martin.example"), NOW
        )
        other = await create_contact(session, NewContact(debtor_id=cast.debtor_id, email="b@martin.example"), NOW)
    twin_id, other_id = ids.decode("ctc", twin.id), ids.decode("ctc", other.id)
    await opt_out(database, cast)
    async with at_work(database, tenant_id) as session:
        asked = [cast.contact_id, twin_id, other_id, stranger.contact_id]
        assert await closed(session, asked, "email") == {cast.contact_id, twin_id}
        await archive_contact(session, cast.contact_id, NOW)
        assert await closed(session, asked[1:], "email") == {twin_id}


async def test_the_next_reminder_is_blocked_and_a_person_is_asked(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await follow(database, tenant_id, TWO_STEPS)
    cast = await make_cast(database, tenant_id)
    invoice_id = await bill(database, cast, "F-1", DUE)
    await advance(engine, tenant_id, at(DUE + timedelta(days=4)))
    assert await said(database, tenant_id) == [("F-1", "first_reminder", DUE + timedelta(days=3))]
    await opt_out(database, cast)
    await advance(engine, tenant_id, at(DUE + timedelta(days=11)))
    assert len(await sent_mails(database, tenant_id)) == 1
    shown = (await explained(database, tenant_id, invoice_id)).instalments[0]
    assert (shown.verdict, [blocker.code for blocker in shown.blockers]) == ("hold", ["opted_out"])
    assert await tasks(database, tenant_id) == ["contact_opted_out"]
    async with at_work(database, tenant_id) as session:  # the person found another way
        await create_contact(session, NewContact(debtor_id=cast.debtor_id, email="other@martin.example"), NOW)
    await advance(engine, tenant_id, at(DUE + timedelta(days=12)))
    assert [mail.recipients for mail in await sent_mails(database, tenant_id)] == [
        ("compta@martin.example",),
        ("other@martin.example",),
    ]


async def test_another_billing_contact_takes_over_at_once(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await follow(database, tenant_id, TWO_STEPS)
    cast = await make_cast(database, tenant_id)
    async with at_work(database, tenant_id) as session:
        for email, billing in (("sales@martin.example", False), ("other@martin.example", True)):
            await create_contact(session, NewContact(debtor_id=cast.debtor_id, email=email, billing=billing), NOW)
    await bill(database, cast, "F-1", DUE)
    await opt_out(database, cast)
    await advance(engine, tenant_id, at(DUE + timedelta(days=4)))
    assert [mail.recipients for mail in await sent_mails(database, tenant_id)] == [("other@martin.example",)]


async def test_the_link_in_the_mail_closes_the_contact_it_was_sent_to(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await follow(database, tenant_id, TWO_STEPS)
    cast = await make_cast(database, tenant_id)
    await bill(database, cast, "F-1", DUE)
    await advance(engine, tenant_id, at(DUE + timedelta(days=4)))
    (mail,) = await sent_mails(database, tenant_id)
    written = mail.text.split("/u/", maxsplit=1)[1].split()[0]
    assert read(database.keys.provider.derive("unsubscribe"), written) == Link(tenant_id, cast.contact_id, "email")
