"""Random lives of the ledger beside a plain model: after every step each balance is the model's, on every past day too.

What is asked about the past is compared with what the model had found true when it was the present.
"""

from collections import Counter
from random import Random
from typing import Final
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from receivables import allocations
from storage.database import Database
from support.events import told
from support.ledger_lives import Life
from support.ledger_steps import Step
from support.receivables import (
    Parties,
    at_work,
    make_creditor,
    make_debtor,
)

VERBS: Final = (
    "open", "open", "receive", "receive", "credit", "allocate", "allocate", "unallocate", "undo_one", "reverse",
    "reverse_part", "void", "void_credit", "correct", "redate", "write_off", "write_off_part", "write_off_back",
    "charge", "waive", "pay_charge", "reallocate",
)  # fmt: skip
STEPS: Final = st.lists(
    st.builds(
        Step,
        verb=st.sampled_from(VERBS),
        party=st.sampled_from((0, 0, 0, 1, 2)),
        which=st.integers(0, 5),
        target=st.integers(0, 5),
        amounts=st.lists(st.integers(1, 99), min_size=1, max_size=3),
        flag=st.booleans(),
    ),
    min_size=8,
    max_size=22,
)
BEGINNING: Final = [
    Step("open", 0, 1, 0, [30, 40], True), Step("open", 0, 0, 0, [50], True), Step("receive", 0, 1, 0, [20, 25], True),
    Step("charge", 0, 0, 0, [7], True), Step("credit", 0, 0, 0, [9], True), Step("open", 2, 0, 0, [70, 5], False),
    Step("receive", 2, 0, 0, [20], False),
]  # fmt: skip


@settings(
    max_examples=20,
    deadline=None,
    database=None,
    phases=(Phase.generate,),  # a life shrinks slowly: each step is some twenty statements
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, seed=st.integers(0, 2**32))
async def test_every_balance_is_the_models_today_and_on_every_past_day(
    database: Database, tenant_id: UUID, steps: list[Step], seed: int
) -> None:
    async with at_work(database, tenant_id) as session:
        creditor = await make_creditor(session)
        one, two = Parties(creditor, await make_debtor(session)), Parties(creditor, await make_debtor(session))
        life = Life(session, [(one, "EUR"), (one, "JPY"), (two, "EUR")])
        for step in [*BEGINNING, *steps]:
            await life.play(step)
        await life.check_past(Random(seed))
        for fund in life.model.funds:
            if fund.kind != "write_off" and fund.usable:
                undo = allocations.unallocate_receipt if fund.kind == "receipt" else allocations.unallocate_credit_note
                await undo(session, fund.id, None, life.now)
                life.model.unuse_all([use for use in life.model.uses if use.fund is fund], None)
        await life.check()
        for bill in life.model.bills:  # undoing returns to the cent: what is not given up is open as it was billed
            if bill.state == "open":
                given_up = sum(use.amount for use in life.model.uses if use.owed in bill.lines)
                assert life.model.of_bill(bill) == sum(line.amount for line in bill.lines) - given_up
    versions = Counter(event.object_id for event in await told(database, tenant_id))
    last = {event.object_id: event.sequence for event in await told(database, tenant_id)}
    assert all(last[object_id] == count for object_id, count in versions.items())  # one event per version, no gap
