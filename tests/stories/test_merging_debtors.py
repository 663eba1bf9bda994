"""Debtors become one and two again while they are written to, over the API, and dunning follows by itself."""

from datetime import date, timedelta
from typing import Final
from uuid import UUID

from httpx import AsyncClient
from msgspec.structs import replace

from kernel import ids
from receivables.models import DebtorKind
from storage.database import Database
from support.api import *  # noqa: F403 - the fixtures of the API
from support.chasing import said
from support.stories import Cast, advance, at, bill, make_cast, pay, sent_mails
from workers.engine import Engine

TODAY: Final = date(2026, 3, 2)


def day(number: int) -> date:
    return TODAY + timedelta(days=number)


async def verb(client: AsyncClient, debtor_id: UUID, path: str, **body: str) -> None:
    address = f"/v1/debtors/{ids.encode('dbt', debtor_id)}/{path}"
    answer = await client.post(address, json=body, headers={"Idempotency-Key": str(ids.new_id())})
    assert answer.status_code == 200, answer.text


async def merge(client: AsyncClient, member: UUID, root: UUID) -> None:
    await verb(client, member, "merge", into_id=ids.encode("dbt", root))


async def pair(database: Database, tenant_id: UUID) -> tuple[Cast, Cast]:
    """Two debtors of one creditor."""
    root = await make_cast(database, tenant_id, email="root@martin.example")
    member = await make_cast(database, tenant_id, name="Boulangerie Sanzot", email="member@martin.example")
    return root, replace(member, creditor_id=root.creditor_id)


async def test_merged_debtors_hear_of_all_their_debts_in_one_mail(
    engine: Engine, alice: AsyncClient, tenant_id: UUID
) -> None:
    database = engine.database
    root, member = await pair(database, tenant_id)
    await bill(database, root, "ROOT", day(1))
    await bill(database, member, "MEMBER", day(1))
    await merge(alice, member.debtor_id, root.debtor_id)
    await advance(engine, tenant_id, at(day(5)))
    (mail,) = await sent_mails(database, tenant_id)
    assert ("ROOT" in mail.text, "MEMBER" in mail.text, mail.recipients) == (True, True, ("root@martin.example",))


async def test_a_merge_lets_cash_of_one_cover_the_other_and_its_undoing_takes_it_back(
    engine: Engine, alice: AsyncClient, tenant_id: UUID
) -> None:
    database = engine.database
    root, member = await pair(database, tenant_id)
    await bill(database, root, "ROOT", day(1))
    await pay(database, member, 120_00, allocations=())  # nobody has applied it
    await merge(alice, member.debtor_id, root.debtor_id)
    await advance(engine, tenant_id, at(day(6)))
    assert await said(database, tenant_id) == []  # the cash of the one who is one with it covers the debt
    await verb(alice, member.debtor_id, "unmerge")
    await advance(engine, tenant_id, at(day(7)))  # nothing but the unmerging has woken the course
    assert [(number, step) for number, step, _ in await said(database, tenant_id)] == [("ROOT", "first_reminder")]


async def test_unmerged_debtors_are_two_conversations_again(
    engine: Engine, alice: AsyncClient, tenant_id: UUID
) -> None:
    database = engine.database
    root, member = await pair(database, tenant_id)
    await merge(alice, member.debtor_id, root.debtor_id)
    await bill(database, root, "ROOT", day(1))
    await bill(database, member, "MEMBER", day(1))
    await verb(alice, member.debtor_id, "unmerge")
    await advance(engine, tenant_id, at(day(5)))
    mails = {mail.recipients[0]: mail.text for mail in await sent_mails(database, tenant_id)}
    assert set(mails) == {"root@martin.example", "member@martin.example"}
    assert "MEMBER" not in mails["root@martin.example"]
    assert "ROOT" not in mails["member@martin.example"]


async def test_nobody_writes_to_whom_was_forgotten(engine: Engine, alice: AsyncClient, tenant_id: UUID) -> None:
    database = engine.database
    cast = await make_cast(database, tenant_id, kind=DebtorKind.PERSON)
    await bill(database, cast, "F-1", day(1))
    address = f"/v1/debtors/{ids.encode('dbt', cast.debtor_id)}/erase"
    body = {"reason": "asked to be forgotten", "force": True}
    answer = await alice.post(address, json=body, headers={"Idempotency-Key": "once"})
    assert answer.status_code == 200, answer.text
    await advance(engine, tenant_id, at(day(20)))
    assert await sent_mails(database, tenant_id) == []
