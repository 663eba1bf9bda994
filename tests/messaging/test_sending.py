"""Sending: what each outcome makes of the message, its notices and the people who must know."""

from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from dunning.rules import default_body
from kernel import ids
from messaging import copies
from messaging.channels.email.sending import EmailChannel
from messaging.channels.email.settings import SmtpSettings
from messaging.channels.port import Channel, Outcome
from messaging.errors import CopyErased, MessageNotFound, MessageNotUnknown
from messaging.resolving import Resolution, resolve
from messaging.settling import settle
from receivables.contacts import update_contact
from receivables.drafts import ContactChange
from storage.clocks import now_of
from storage.database import Database
from storage.encryption import destroy_keys
from storage.queues import MAX_ATTEMPTS
from support.chasing import at_work, deliver, follow, lease, mark, messages, notices, plan_at, said, tasks
from support.smtp import MailServer
from support.stories import Cast, advance, bill, make_cast, rows
from support.tenants import make_tenant
from tenants.models import TenantKind
from workers import rounds
from workers.draining import drain
from workers.engine import Engine

DUE: Final = date(2026, 3, 2)
REMINDED: Final = datetime(2026, 3, 5, 8, tzinfo=UTC)  # three days later, at nine in Paris
BODY: Final = default_body()
ONE_STEP: Final = replace(BODY, steps=BODY.steps[1:2])


@pytest.fixture
async def mails() -> AsyncGenerator[MailServer]:
    """A mail server that misbehaves for certain recipients."""
    async with MailServer() as mails:
        yield mails


@pytest.fixture
def smtp(engine: Engine, mails: MailServer) -> Engine:
    """An engine whose tenants all send to that server."""
    channel = EmailChannel(SmtpSettings(host="127.0.0.1", port=mails.port, security="none"))

    def channel_of(_name: str, _tenant_id: UUID, _sandbox: bool) -> Channel:  # noqa: FBT001 - the engine's signature
        return channel

    return replace(engine, channel_of=channel_of)


async def remind(engine: Engine, tenant_id: UUID, *emails: str) -> list[Cast]:
    """The first reminder of a debtor with each address is planned."""
    await follow(engine.database, tenant_id, ONE_STEP)
    casts: list[Cast] = []
    for place, email in enumerate(emails):
        casts.append(await make_cast(engine.database, tenant_id, name=email, email=email))
        await bill(engine.database, casts[-1], f"F-{place}", DUE)
    await plan_at(engine, tenant_id, REMINDED)
    return casts


async def make_runnable(database: Database, tenant_id: UUID, *, attempts: int | None = None) -> None:
    """What backs off has waited long enough."""
    async with at_work(database, tenant_id) as session:
        change = "update app.message set run_at = clock_timestamp(), attempts = coalesce(:attempts, attempts)"
        await session.execute(text(change), {"attempts": attempts})


async def test_what_the_server_took_is_issued_and_kept(smtp: Engine, mails: MailServer, tenant_id: UUID) -> None:
    database = smtp.database
    (cast,) = await remind(smtp, tenant_id, "compta@martin.example")
    await drain(smtp, tenant_id)
    assert await messages(database, tenant_id) == [("sent", "accepted")]
    assert await notices(database, tenant_id) == {"F-0": ("issued", None)}
    (sent,) = await rows(database, tenant_id, "select id, sent_at, provider_ref, template, language from app.message")
    assert sent[1:] == (REMINDED, "2.0.0 OK: queued as 1", "reminder", "fr")
    async with at_work(database, tenant_id) as session:
        kept = await copies.read(session, database.keys, sent[0])
        assert [(kept.recipient, kept.mime)] == mails.mails == [("compta@martin.example", kept.mime)]
        with pytest.raises(CopyErased):
            await copies.read(session, database.keys, ids.new_id())
        await destroy_keys(session, [cast.debtor_id])
        with pytest.raises(CopyErased):
            await copies.read(session, database.keys, sent[0])


async def test_a_bad_address_is_one_task_and_is_tried_again_when_it_is_corrected(
    smtp: Engine, mails: MailServer, tenant_id: UUID
) -> None:
    database = smtp.database
    (cast,) = await remind(smtp, tenant_id, "bad@martin.example")
    await drain(smtp, tenant_id)
    assert await messages(database, tenant_id) == [("failed", "bad_address")]
    assert await notices(database, tenant_id) == {"F-0": ("withdrawn", "bad_address")}
    await advance(smtp, tenant_id, REMINDED + timedelta(hours=23))
    assert len(await messages(database, tenant_id)) == 1  # not all day long
    await advance(smtp, tenant_id, REMINDED + timedelta(days=3))
    assert await messages(database, tenant_id) == [("failed", "bad_address")] * 4
    assert await tasks(database, tenant_id) == ["contact_undeliverable"]
    async with at_work(database, tenant_id) as session:
        now = await now_of(session)
        await update_contact(session, cast.contact_id, ContactChange(email="good@martin.example"), now)
    await advance(smtp, tenant_id, now + timedelta(minutes=1))
    assert [recipient for recipient, _ in mails.mails] == ["good@martin.example"]
    assert await said(database, tenant_id) == [("F-0", "first_reminder", now.date())]


async def test_a_refusal_for_now_is_tried_again_and_given_up_in_the_end(
    smtp: Engine, mails: MailServer, tenant_id: UUID
) -> None:
    database = smtp.database
    await remind(smtp, tenant_id, "busy@martin.example")
    await drain(smtp, tenant_id)
    assert await messages(database, tenant_id) == [("pending", "recipient_deferred")]
    assert await rows(database, tenant_id, "select run_at > clock_timestamp(), attempts from app.message") == [
        (True, 1)
    ]
    assert await notices(database, tenant_id) == {"F-0": ("planned", None)}
    await make_runnable(database, tenant_id)
    await drain(smtp, tenant_id)
    assert await rows(database, tenant_id, "select state, attempts from app.message") == [("pending", 2)]
    assert await tasks(database, tenant_id) == []
    await make_runnable(database, tenant_id, attempts=MAX_ATTEMPTS - 1)
    await drain(smtp, tenant_id)
    assert await messages(database, tenant_id) == [("failed", "recipient_deferred")]
    assert await tasks(database, tenant_id) == ["contact_undeliverable"]


async def test_a_server_that_is_away_is_one_task_however_many_mails_wait(
    smtp: Engine, mails: MailServer, tenant_id: UUID
) -> None:
    database = smtp.database
    await mails.close()
    await remind(smtp, tenant_id, *(f"compta{place}@martin.example" for place in range(3)))
    await drain(smtp, tenant_id)
    assert await messages(database, tenant_id) == [("pending", "connect_failed")] * 3
    await make_runnable(database, tenant_id, attempts=MAX_ATTEMPTS - 1)
    await drain(smtp, tenant_id)
    assert await messages(database, tenant_id) == [("failed", "connect_failed")] * 3
    assert await tasks(database, tenant_id) == ["channel_failing"]
    await mails.listen()
    await advance(smtp, tenant_id, REMINDED + timedelta(days=1))
    assert len(mails.mails) == 3


async def unknown(engine: Engine, tenant_id: UUID) -> tuple[Cast, UUID]:
    """A mail that the server took, and whose answer was lost."""
    (cast,) = await remind(engine, tenant_id, "lost@martin.example")
    await drain(engine, tenant_id)
    assert await messages(engine.database, tenant_id) == [("unknown", "connection_lost")]
    ((message_id,),) = await rows(engine.database, tenant_id, "select id from app.message")
    return cast, message_id


async def found_out(engine: Engine, tenant_id: UUID, message_id: UUID, resolution: Resolution) -> str:
    async with at_work(engine.database, tenant_id) as session:
        view = await resolve(session, engine.sender.gate, message_id, resolution, await now_of(session))
    return view.state


async def test_an_unknown_outcome_is_held_and_asked_about(smtp: Engine, mails: MailServer, tenant_id: UUID) -> None:
    database = smtp.database
    await unknown(smtp, tenant_id)
    assert await tasks(database, tenant_id) == ["message_unknown"]
    assert await notices(database, tenant_id) == {"F-0": ("planned", None)}
    await advance(smtp, tenant_id, REMINDED + timedelta(days=2))
    assert len(mails.mails) == 1  # never sent again by itself


async def test_found_to_be_received_it_counts(smtp: Engine, mails: MailServer, tenant_id: UUID) -> None:
    database = smtp.database
    _, message_id = await unknown(smtp, tenant_id)
    assert await found_out(smtp, tenant_id, message_id, Resolution.RECEIVED) == "sent"
    assert await notices(database, tenant_id) == {"F-0": ("issued", None)}
    question = "select n.issued_at = m.sent_at, m.sent_at = m.dispatched_at from app.notice n, app.message m"
    assert await rows(database, tenant_id, question) == [(True, True)]  # the day of its sending, whenever it is found
    assert await tasks(database, tenant_id) == []
    with pytest.raises(MessageNotUnknown):
        await found_out(smtp, tenant_id, message_id, Resolution.NOT_RECEIVED)
    with pytest.raises(MessageNotFound):
        await found_out(smtp, tenant_id, ids.new_id(), Resolution.RECEIVED)
    await advance(smtp, tenant_id, REMINDED + timedelta(days=2))
    assert len(mails.mails) == 1


async def test_found_to_be_lost_it_is_planned_anew(smtp: Engine, mails: MailServer, tenant_id: UUID) -> None:
    database = smtp.database
    cast, message_id = await unknown(smtp, tenant_id)
    assert await found_out(smtp, tenant_id, message_id, Resolution.NOT_RECEIVED) == "failed"
    assert await notices(database, tenant_id) == {"F-0": ("withdrawn", "resolved_not_received")}
    assert await tasks(database, tenant_id) == []
    async with at_work(database, tenant_id) as session:
        await update_contact(session, cast.contact_id, ContactChange(email="good@martin.example"), REMINDED)
    await advance(smtp, tenant_id, REMINDED + timedelta(minutes=2))
    assert [recipient for recipient, _ in mails.mails] == ["lost@martin.example", "good@martin.example"]
    assert await notices(database, tenant_id) == {"F-0": ("issued", None)}


async def test_what_the_gate_took_out_of_an_unknown_message_stays_out(smtp: Engine, tenant_id: UUID) -> None:
    database = smtp.database
    await follow(database, tenant_id, ONE_STEP)
    cast = await make_cast(database, tenant_id, email="lost@martin.example")
    gone, _ = await bill(database, cast, "GONE", DUE), await bill(database, cast, "STAYS", DUE)
    await plan_at(smtp, tenant_id, REMINDED)
    async with at_work(database, tenant_id) as session:
        await session.execute(text("update app.instalment set balance_minor = 0 where invoice_id = :id"), {"id": gone})
    await drain(smtp, tenant_id)
    ((message_id,),) = await rows(database, tenant_id, "select id from app.message where state = 'unknown'")
    await found_out(smtp, tenant_id, message_id, Resolution.RECEIVED)
    assert await notices(database, tenant_id) == {"GONE": ("withdrawn", "settled"), "STAYS": ("issued", None)}


async def test_a_mail_that_cannot_be_written_stops_no_other(smtp: Engine, mails: MailServer, tenant_id: UUID) -> None:
    database = smtp.database
    casts = await remind(smtp, tenant_id, "one@martin.example", "two@martin.example", "three@martin.example")
    spoil = text("update app.contact set email = 'no address' where id = :id")
    async with at_work(database, tenant_id) as session:
        await session.execute(spoil, {"id": casts[1].contact_id})
    await drain(smtp, tenant_id)
    assert sorted(await messages(database, tenant_id)) == [
        ("sent", "accepted"), ("sent", "accepted"), ("withdrawn", "cannot_be_written"),
    ]  # fmt: skip
    assert await tasks(database, tenant_id) == ["message_unwritten"]
    async with at_work(database, tenant_id) as session:
        await update_contact(session, casts[1].contact_id, ContactChange(email="two@martin.example"), REMINDED)
    await advance(smtp, tenant_id, REMINDED + timedelta(minutes=1))
    assert len(mails.mails) == 3


async def test_a_message_that_we_fail_at_fails_alone_and_is_given_up(
    smtp: Engine, mails: MailServer, tenant_id: UUID
) -> None:
    database = smtp.database
    casts = await remind(smtp, tenant_id, "one@martin.example", "two@martin.example")
    await follow_another(smtp, tenant_id, casts[0])
    await drain(smtp, tenant_id)
    assert sorted(await messages(database, tenant_id)) == [("pending", "internal_error"), ("sent", "accepted")]
    await make_runnable(database, tenant_id, attempts=MAX_ATTEMPTS - 1)
    await drain(smtp, tenant_id)
    assert sorted(await messages(database, tenant_id)) == [("failed", "internal_error"), ("sent", "accepted")]
    assert await tasks(database, tenant_id) == ["message_failed"]
    assert await notices(database, tenant_id) == {"F-0": ("withdrawn", "internal_error"), "F-1": ("issued", None)}


async def follow_another(engine: Engine, tenant_id: UUID, cast: Cast) -> None:
    """The debts of a debtor follow a version that nobody can read: a bug of ours."""
    async with at_work(engine.database, tenant_id) as session:
        copied = """
            insert into app.policy_version (tenant_id, id, version, policy_id, number, state, body, published_at)
            select tenant_id, :id, 1, policy_id, number + 1, 'draft', '{}', published_at from app.policy_version"""
        broken = ids.new_id()
        await session.execute(text(copied), {"id": broken})
        change = text("update app.course set policy_version_id = :id where debtor_id = :debtor_id")
        await session.execute(change, {"id": broken, "debtor_id": cast.debtor_id})


async def test_a_tenant_without_a_channel_waits_and_stops_nobody(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    mute = await make_tenant(database, kind=TenantKind.LIVE, now=None)  # no mail server is configured
    await follow(database, mute, ONE_STEP)
    cast = await make_cast(database, mute)
    async with at_work(database, mute) as session:
        today = (await now_of(session)).date()
    await bill(database, cast, "F-1", today + timedelta(days=1))
    await drain(engine, mute)
    async with at_work(database, mute) as session:  # as if it had been due for days
        await session.execute(text("update app.instalment set due_on = due_on - 8"))
        await session.execute(text("update app.due set due_at = clock_timestamp()"))
    await rounds.promotions(engine)
    await rounds.ticks(engine, mute)
    await remind(engine, tenant_id, "compta@martin.example")
    for _ in range(rounds.SHARDS):
        await rounds.messages(engine)
    assert await messages(database, tenant_id) == [("sent", "accepted")]
    assert await messages(database, mute) == [("pending", "no_channel")]


async def test_only_the_holder_of_the_fence_dispatches_and_settles(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    await remind(engine, tenant_id, "compta@martin.example")
    lost = await lease(engine, tenant_id)
    async with at_work(database, tenant_id) as session:
        await session.execute(text("update app.message set lease_until = clock_timestamp() - interval '1 s'"))
    await rounds.sweeps(engine)
    held = await lease(engine, tenant_id)
    assert (held[0].id, held[0].fence) == (lost[0].id, lost[0].fence + 1)
    assert await mark(engine, tenant_id, lost) == []
    copies_ = await mark(engine, tenant_id, held)
    stale = Outcome(message_id=lost[0].id, fence=lost[0].fence, state="failed", code="bad_address")
    async with at_work(database, tenant_id) as session:
        await settle(session, engine.sender.gate, [stale], REMINDED)
    assert await messages(database, tenant_id) == [("dispatching", None)]
    await deliver(engine, tenant_id, copies_)
    assert await messages(database, tenant_id) == [("sent", "accepted")]
