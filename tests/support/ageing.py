"""Aged receivables again, the slow way: from the rows of the ledger in plain Python, one instalment at a time."""

import operator
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from insights.views import Credits
from receivables.periods import Basis, Periods
from storage.session import TenantSession

Columns = dict[str, Any]


class Account(NamedTuple):
    """Who owes whom in what."""

    debtor_id: UUID
    creditor_id: UUID
    currency: str


class Line(NamedTuple):
    """An open instalment."""

    account: Account
    instalment_id: UUID
    due_on: date | None
    issued_on: date
    open_minor: int


class Plain:
    """The rows of a tenant's ledger, read once."""

    def __init__(self, entries: list[Columns], allocations: list[Columns], roots: Mapping[UUID, UUID]) -> None:
        self.entries, self.allocations, self.roots = entries, allocations, roots

    @classmethod
    async def of(cls, session: TenantSession) -> "Plain":
        async def rows(table: str) -> list[Columns]:
            found = await session.execute(text(f"select * from app.{table} order by id"))
            return [dict(row) for row in found.mappings()]

        await session.flush()
        debtors = {row["id"]: row["merged_into_id"] for row in await rows("debtor")}
        return cls(
            await rows("ledger_entry"), await rows("allocation"), {each: root(each, debtors) for each in debtors}
        )

    def seen(self, rows: list[Columns], as_of: date, known_at: datetime) -> list[Columns]:
        return [row for row in rows if row["effective_on"] <= as_of and row["known_at"] <= known_at]

    def account(self, row: Columns) -> Account:
        return Account(self.roots[row["debtor_id"]], row["creditor_id"], row["currency"])

    def lines(self, as_of: date, known_at: datetime) -> list[Line]:
        """Every instalment on which something was open."""
        by_instalment: dict[UUID, list[Columns]] = defaultdict(list)
        for row in self.seen(self.entries, as_of, known_at):
            if row["instalment_id"] is not None:
                by_instalment[row["instalment_id"]].append(row)
        settled: dict[UUID, int] = defaultdict(int)
        for row in self.seen(self.allocations, as_of, known_at):
            settled[row["instalment_id"] or row["charge_id"]] += row["amount_minor"]
        found: list[Line] = []
        for instalment_id, rows in by_instalment.items():
            latest = sorted(rows, key=lambda row: (row["known_at"], row["id"]))
            standing = [row for row in latest if row["kind"] != "invoice_voided"] or latest
            open_minor = sum(row["amount_minor"] for row in rows) - settled[instalment_id]
            if open_minor > 0:
                found.append(
                    Line(
                        self.account(rows[0]),
                        instalment_id,
                        latest[-1]["due_on"],
                        standing[-1]["effective_on"],
                        open_minor,
                    )
                )
        return found

    def balances(self, as_of: date, known_at: datetime) -> dict[Account, int]:
        """What the entries of each account come to."""
        found: dict[Account, int] = defaultdict(int)
        for row in self.seen(self.entries, as_of, known_at):
            found[self.account(row)] += row["amount_minor"]
        return found

    def charges(self, as_of: date, known_at: datetime) -> dict[Account, int]:
        """What of each account's charges was open."""
        entered = [row for row in self.seen(self.entries, as_of, known_at) if row["charge_id"] is not None]
        accounts = {row["charge_id"]: self.account(row) for row in entered}
        found: dict[Account, int] = defaultdict(int)
        for row in entered:
            found[self.account(row)] += row["amount_minor"]
        for row in self.seen(self.allocations, as_of, known_at):
            if row["charge_id"] in accounts:
                found[accounts[row["charge_id"]]] -= row["amount_minor"]
        return found

    def credit(self, as_of: date, known_at: datetime) -> dict[Account, int]:
        """What credit notes of each account have left, those counted that settle what is there."""
        there = {
            row["instalment_id"] or row["charge_id"]: self.account(row)
            for row in self.seen(self.entries, as_of, known_at)
            if row["instalment_id"] is not None or row["charge_id"] is not None
        }
        found: dict[Account, int] = defaultdict(int)
        for row in self.seen(self.entries, as_of, known_at):
            if row["credit_note_id"] is not None:
                found[self.account(row)] -= row["amount_minor"]
        for row in self.seen(self.allocations, as_of, known_at):
            target = row["instalment_id"] or row["charge_id"]
            if row["credit_note_id"] is not None and target in there:
                found[there[target]] -= row["amount_minor"]
        return found

    def aged(
        self,
        as_of: date,
        known_at: datetime,
        *,
        basis: Basis,
        periods: Periods,
        netting: Credits,
        key: Callable[[Account], object],
    ) -> dict[object, dict[str, dict[str, Any]]]:
        """Figures by key and currency, as the report gives them."""
        lines, charges = self.lines(as_of, known_at), self.charges(as_of, known_at)
        balances, credit = self.balances(as_of, known_at), self.credit(as_of, known_at)
        found: dict[object, dict[str, dict[str, Any]]] = defaultdict(dict)
        for account in {*balances, *(line.account for line in lines)}:
            own = [line for line in lines if line.account == account]
            columns = [0] * (periods.count + 1)
            for line in own:
                day = line.due_on if basis is Basis.DUE_DATE else line.issued_on
                columns[periods.place_of(None if day is None else (as_of - day).days)] += line.open_minor
            open_minor = sum(columns)
            left = open_minor + charges[account] - balances[account]  # credits of all kinds
            credit_minor = credit[account]
            unapplied_minor = left - credit_minor
            if netting is not Credits.SEPARATE:
                if netting is Credits.OLDEST:
                    for place in [*reversed(range(periods.count)), -1]:
                        taken = max(min(left, columns[place]), 0)
                        columns[place] -= taken
                        left -= taken
                columns[0] -= left
                unapplied_minor = credit_minor = 0
            figures = {
                "periods_minor": tuple(columns[:-1]),
                "undated_minor": columns[-1],
                "open_minor": open_minor,
                "overdue_minor": sum(
                    each.open_minor for each in own if each.due_on is not None and each.due_on < as_of
                ),
                "charges_minor": charges[account],
                "unapplied_minor": unapplied_minor,
                "credit_minor": credit_minor,
                "balance_minor": balances[account],
            }
            before = found[key(account)].get(account.currency)
            found[key(account)][account.currency] = figures if before is None else add(before, figures)
        return {
            each: {currency: row for currency, row in rows.items() if shown(row)}
            for each, rows in found.items()
            if any(map(shown, rows.values()))
        }


def shown(row: dict[str, Any]) -> bool:
    return bool(row["open_minor"] or row["charges_minor"] or row["balance_minor"])


def root(debtor_id: UUID, merged: Mapping[UUID, UUID | None]) -> UUID:
    while (into := merged[debtor_id]) is not None:
        debtor_id = into
    return debtor_id


def add(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both: dict[str, Any] = {}  # Any: amounts, or one for each period
    for name, value in one.items():
        more = other[name]
        both[name] = tuple(map(operator.add, value, more)) if name == "periods_minor" else value + more
    return both
