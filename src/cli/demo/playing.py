"""Play 60 days of both companies together: the clock goes on, reminders go out, money comes in and goes back."""

import time
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from cli.demo.client import Client
from cli.demo.companies import BEGINS_AT, Member

DAYS: Final = 60
STEP_DAYS: Final = 10
JOB_TIMEOUT_S: Final = 120.0
POLL_S: Final = 0.1


class Actor(Struct):
    """One company at play."""

    member: Member
    client: Client
    bouncing: str | None = None  # the receipt that is about to go back
    bounced: bool = False
    receipts: int = 0


def play(actors: Sequence[Actor], say: Callable[[str], None]) -> None:
    """Advance both clocks in steps; at each stop some debtors pay."""
    for days in range(STEP_DAYS, DAYS + 1, STEP_DAYS):
        to = BEGINS_AT + timedelta(days=days)
        jobs = [
            (actor, actor.client.post("/v1/test_helpers/clock/advance", {"to": to.isoformat()})) for actor in actors
        ]
        for actor, job in jobs:
            _wait_for(actor.client, job["id"])
        for actor in actors:
            _money(actor, to)
        say(f"{to.date().isoformat()}  reminders and payments so far: {_so_far(actors)}")


def _wait_for(client: Client, job_id: str) -> None:
    until = time.monotonic() + JOB_TIMEOUT_S
    while time.monotonic() < until:
        job = client.get(f"/v1/jobs/{job_id}")
        if job["state"] == "done":
            return
        if job["state"] == "failed":
            raise RuntimeError(f"the clock did not advance: {job}")
        time.sleep(POLL_S)
    raise TimeoutError("the clock did not advance in time: see the worker's log")


def _money(actor: Actor, now: datetime) -> None:
    """At each stop: some pay in full, some in part; one payment bounces at the next stop."""
    if actor.bouncing is not None:
        actor.client.post(f"/v1/receipts/{actor.bouncing}/reverse", {"reason": "returned by the bank"})
        actor.bouncing, actor.bounced = None, True
    late = [invoice for invoice in _open_invoices(actor.client) if _due(invoice) <= now.date()]
    for place, invoice in enumerate(late[:12]):
        whole = place % 3 != 1
        amount = invoice["balance_minor"] if whole else max(invoice["balance_minor"] // 2, 1)
        receipt = actor.client.post("/v1/receipts", _receipt(invoice, amount, now))
        actor.receipts += 1
        if whole and not actor.bounced and actor.bouncing is None:
            actor.bouncing = receipt["id"]


def _receipt(invoice: dict[str, Any], amount: int, now: datetime) -> dict[str, Any]:  # Any: JSON
    return {
        "creditor_id": invoice["creditor_id"],
        "debtor_id": invoice["debtor_id"],
        "currency": invoice["currency"],
        "amount_minor": amount,
        "effective_on": now.date().isoformat(),
        "method": "transfer",
        "reference": invoice["number"],
        "allocations": [{"instalment_id": invoice["instalments"][0]["id"], "amount_minor": amount}],
    }


def _open_invoices(client: Client) -> list[Any]:  # Any: JSON
    return [
        invoice
        for invoice in client.every("/v1/invoices?document=open")
        if invoice["balance_minor"] > 0 and invoice["due_on"] is not None
    ]


def _due(invoice: dict[str, Any]) -> date:  # Any: JSON
    return date.fromisoformat(invoice["due_on"])


def _so_far(actors: Sequence[Actor]) -> str:
    sent = [len(actor.client.every("/v1/messages?state=sent")) for actor in actors]
    return ", ".join(
        f"{actor.member.company.name} {count} / {actor.receipts}" for actor, count in zip(actors, sent, strict=True)
    )
