"""The first import of an accounting tool: ten years of invoices say nothing, what is issued afterwards is chased."""

from datetime import date, timedelta
from typing import Final
from uuid import UUID

from dunning.rules import default_body
from kernel import ids
from receivables.creditors import create_creditor
from receivables.debtors import create_debtors
from receivables.drafts import NewCreditor, NewDebtor, NewInvoice
from receivables.invoices import open_invoices
from storage.clocks import now_of
from storage.database import Database
from support.chasing import at_work, said, tasks
from support.counting import statements
from support.stories import advance, at, rows
from workers.engine import Engine

TODAY: Final = date(2026, 3, 2)  # where a sandbox's clock stands
OLD, NEW, DEBTORS, CHUNK = 5_000, 100, 300, 1_000
AGES: Final = 3_600  # days: ten years
STATEMENTS: Final = 400  # for 5,000 invoices: what grows with them is in the rows, not in the number of statements


async def make_parties(database: Database, tenant_id: UUID) -> tuple[list[UUID], list[UUID]]:
    """Two creditors, and debtors with a contact each."""
    async with at_work(database, tenant_id) as session:
        now = await now_of(session)
        creditors = [await create_creditor(session, NewCreditor(name=name), now) for name in ("Atelier", "Belleville")]
        news = [NewDebtor(name=f"Client {place}", email=f"compta@client-{place}.example") for place in range(DEBTORS)]
        debtors = [made.get() for made in await create_debtors(session, news, now)]
    return [ids.decode("crd", each.id) for each in creditors], [ids.decode("dbt", each.id) for each in debtors]


async def import_all(database: Database, tenant_id: UUID, news: list[NewInvoice]) -> None:
    for start in range(0, len(news), CHUNK):
        async with at_work(database, tenant_id) as session:
            for made in await open_invoices(session, news[start : start + CHUNK], await now_of(session)):
                made.get()


async def test_ten_years_of_invoices_say_nothing_and_the_next_ones_are_chased(engine: Engine, tenant_id: UUID) -> None:
    database = engine.database
    creditors, debtors = await make_parties(database, tenant_id)

    def invoice(number: str, place: int, due_on: date) -> NewInvoice:
        return NewInvoice(
            creditor_id=creditors[place % 2], debtor_id=debtors[place % DEBTORS], number=number,
            issued_on=due_on - timedelta(days=30), due_on=due_on, currency="EUR", total_minor=100_00 + place,
        )  # fmt: skip

    await import_all(
        database, tenant_id,
        [invoice(f"OLD-{place}", place, TODAY - timedelta(days=4 + place * 7 % AGES)) for place in range(OLD)],
    )  # fmt: skip
    with statements(database) as sent:
        await advance(engine, tenant_id, at(TODAY + timedelta(days=60)))
    assert len(sent) < STATEMENTS
    assert await rows(database, tenant_id, "select count(*) from app.captured_mail") == [(0,)]
    assert await rows(database, tenant_id, "select count(*) from app.notice") == [(0,)]
    assert await rows(database, tenant_id, "select state, count(*) from app.course group by 1") == [("review", OLD)]
    assert await tasks(database, tenant_id) == ["creditor_old_debts", "creditor_old_debts"]

    start = TODAY + timedelta(days=60)
    dues = {f"NEW-{place}": start + timedelta(days=20 + place % 2) for place in range(NEW)}
    await import_all(
        database, tenant_id, [invoice(number, place, due) for place, (number, due) in enumerate(dues.items())]
    )
    await advance(engine, tenant_id, at(start + timedelta(days=70)))
    steps = default_body().steps
    assert sorted(await said(database, tenant_id)) == sorted(
        (number, step.key, due + timedelta(days=step.days)) for number, due in dues.items() for step in steps
    )
    mails = await rows(database, tenant_id, "select count(*), count(distinct message_id) from app.captured_mail")
    assert mails == [(NEW * len(steps), NEW * len(steps))]
