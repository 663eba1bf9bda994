"""The same documents and the same money, in whatever order they come in, come to the same balances."""

from datetime import date, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kernel import ids
from receivables import access, allocations
from receivables.drafts import Share
from receivables.models import AllocationRule
from receivables.reallocating import reallocate
from receivables.recompute import drift
from storage.database import Database
from storage.session import TenantSession
from support.receivables import Parties, at_work, make_creditor, make_debtor, make_invoice, make_receipt
from support.tenants import NOW

DAY = date(2026, 2, 1)
AMOUNTS = st.lists(st.tuples(st.integers(1, 300), st.integers(0, 3)), min_size=2, max_size=5)
MONEY = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 6)), min_size=2, max_size=5)
QUICK = settings(
    max_examples=5,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


async def parties_of(session: TenantSession) -> Parties:
    return Parties(await make_creditor(session), await make_debtor(session))


async def open_one(session: TenantSession, parties: Parties, place: int, amount: int, due: int) -> UUID:
    """Invoices share their days, so that only their numbers tell them apart."""
    due_on = DAY + timedelta(days=due)
    view = await make_invoice(session, parties, f"F-{place}", amount, issued_on=DAY, due_on=due_on)
    return ids.decode("inv", view.id)


async def balances(session: TenantSession, invoice_ids: dict[int, UUID]) -> dict[int, int]:
    return {place: (await access.invoice(session, each)).balance_minor for place, each in invoice_ids.items()}


@pytest.mark.parametrize("rule", AllocationRule)
@QUICK
@given(bills=AMOUNTS, money=MONEY, seed=st.integers(0, 2**32))
async def test_a_rule_gives_the_same_per_debtor_and_the_same_per_instalment_once_run_again(
    database: Database, tenant_id: UUID, rule: AllocationRule, bills: list[tuple[int, int]],
    money: list[tuple[int, int]], seed: int,
) -> None:  # fmt: skip
    total = max(sum(amount for amount, _ in bills) - sum(amount for amount, _ in money), 0)
    seen: list[dict[int, int]] = []
    for shuffle in (False, True):
        comes: list[tuple[str, int]] = [*(("bill", place) for place in range(len(bills))),
                                        *(("money", place) for place in range(len(money)))]  # fmt: skip
        if shuffle:
            Random(seed).shuffle(comes)
        async with at_work(database, tenant_id) as session:
            parties = await parties_of(session)
            opened: dict[int, UUID] = {}
            for kind, place in comes:
                if kind == "bill":
                    opened[place] = await open_one(session, parties, place, *bills[place])
                else:
                    amount, day = money[place]
                    on = DAY + timedelta(days=day)
                    await make_receipt(session, parties, amount, effective_on=on, allocations=rule)
            once = await reallocate(session, parties.debtor_id, parties.creditor_id, "EUR", NOW, rule=rule)
            again = await reallocate(session, parties.debtor_id, parties.creditor_id, "EUR", NOW, rule=rule)
            seen.append(dict(sorted((await balances(session, opened)).items())))
            assert sum(seen[-1].values()) == total
            assert (again.undone, again.made, again.unapplied_minor) == (0, 0, once.unapplied_minor)
            assert await drift(session, [parties.debtor_id]) == []
    assert seen[0] == seen[1]


@QUICK
@given(bills=AMOUNTS, seed=st.integers(0, 2**32))
async def test_allocations_by_hand_come_to_the_same_in_any_order(
    database: Database, tenant_id: UUID, bills: list[tuple[int, int]], seed: int
) -> None:
    random = Random(seed)
    wanted = [(place, part) for place, (amount, _) in enumerate(bills) for part in (amount // 3, amount // 4) if part]
    seen: list[dict[int, int]] = []
    for _ in range(2):
        random.shuffle(wanted)
        async with at_work(database, tenant_id) as session:
            parties = await parties_of(session)
            opened = {place: await open_one(session, parties, place, *bill) for place, bill in enumerate(bills)}
            receipt = await make_receipt(session, parties, sum(part for _, part in wanted) or 1)
            for place, part in wanted:
                share = [Share(invoice_id=opened[place], amount_minor=part)]
                await allocations.allocate_receipt(session, ids.decode("rcp", receipt.id), share, NOW)
            seen.append(await balances(session, opened))
    assert seen[0] == seen[1]
