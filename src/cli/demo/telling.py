"""Tell a person what happened: the timeline of one invoice, the counts, what to try next."""

from collections.abc import Sequence
from typing import Any

from cli.demo.client import Client
from cli.demo.counting import Summary


def richest(client: Client) -> dict[str, Any] | None:  # Any: JSON
    """An invoice of which most has been said, and that was paid in the end where there is one."""
    notices = client.every("/v1/notices?state=issued")
    said: dict[str, int] = {}
    for notice in notices:
        said[notice["invoice_id"]] = said.get(notice["invoice_id"], 0) + 1
    best: dict[str, Any] | None = None  # Any: JSON
    for invoice_id in sorted(said, key=lambda key: -said[key])[:40]:
        invoice = client.get(f"/v1/invoices/{invoice_id}")
        if best is None or (invoice["balance_minor"] == 0 and best["balance_minor"] > 0):
            best = invoice
    return best


def timeline(client: Client, invoice: dict[str, Any]) -> list[str]:  # Any: JSON
    """Everything that happened to an invoice, in the tenant's time."""
    lines = [f"{invoice['issued_on']}  issued as {invoice['number']}, {_money(invoice['total_minor'], invoice)}"]
    lines.append(f"{invoice['due_on']}  due")
    dunning = client.get(f"/v1/invoices/{invoice['id']}/dunning")
    for instalment in dunning["instalments"]:
        for notice in instalment["notices"]:
            step = notice["step"].replace("_", " ")
            if notice["state"] == "issued":
                lines.append(f"{notice['issued_at'][:10]}  {step} sent (level {notice['level']})")
            else:
                lines.append(f"{notice['planned_at'][:10]}  {step} {notice['state']}: {notice['code']}")
    for event in client.every(f"/v1/events?object={invoice['id']}"):
        if event["type"] in {"invoice.payment_updated", "invoice.settled", "invoice.reopened"}:
            balance = _money(event["data"]["balance_minor"], invoice)
            lines.append(f"{event['occurred_at'][:10]}  {event['type']}: {balance} left")
    return sorted(lines)


def _money(amount_minor: int, invoice: dict[str, Any]) -> str:  # Any: JSON
    return f"{amount_minor // 100:,}.{amount_minor % 100:02} {invoice['currency']}"


def counted(counts: Summary) -> list[str]:
    """The counts as sentences."""
    withheld = ", ".join(f"{count} {code}" for code, count in counts.reminders_withheld.items()) or "none"
    return [
        f"{counts.documents_imported} documents imported, {counts.documents_rejected} refused with a reason",
        f"{counts.reminders_sent} reminders sent; withheld: {withheld}",
        f"{counts.receipts} payments",
        f"{counts.webhooks_delivered} webhooks delivered, {counts.webhooks_verified} verified by `standardwebhooks`",
        f"{counts.duplicates} duplicates",
        f"{counts.duration_s} s",
    ]


def next_steps() -> Sequence[str]:
    """What to try next."""
    return (
        "make run                        the same world, kept running, with the API and a key",
        "relance import documents PATH   your own Factur-X, UBL, CII or CSV files",
        "docs/architecture.md            where each thing is decided",
    )
