"""Imports for tests: files in, verdicts out, and what a tenant then knows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from billing_connectors.documents.confined import ConfinedReader
from billing_connectors.documents.report import Verdict
from billing_connectors.importing import Judged, desk_of, import_all, import_file
from kernel import ids
from receivables.identifiers import Identifier
from storage.database import Database
from support.receivables import at_work, make_creditor


class Importer:
    """Imports into one tenant, with one confined reader for all its files."""

    def __init__(self, database: Database, tenant_id: UUID, reader: ConfinedReader) -> None:
        self.database, self.tenant_id, self.reader = database, tenant_id, reader

    async def creditor(self, name: str = "Atelier Belleville SARL", *identifiers: str) -> UUID:
        """A creditor with legal ids written `scheme:value`."""
        given = tuple(Identifier(*each.split(":", 1)) for each in identifiers)
        async with at_work(self.database, self.tenant_id) as session:
            return ids.decode("crd", (await make_creditor(session, name=name, identifiers=given)).id)

    async def content(self, content: bytes, name: str = "invoice.xml", **options: Any) -> list[Judged]:  # Any: options
        """Import one file's content."""
        desk = desk_of(self.database, self.tenant_id, self.reader, **options)
        return [one async for one in import_file(desk, name, content)]

    async def one(self, content: bytes, name: str = "invoice.xml", **options: Any) -> Verdict:  # Any: options
        """Import a file of one document."""
        (judged,) = await self.content(content, name, **options)
        return judged.verdict

    async def table(self, csv: str, **options: Any) -> list[Verdict]:  # Any: options
        """Import an export."""
        return [one.verdict for one in await self.content(csv.encode(), "export.csv", **options)]

    async def paths(self, *paths: Path, **options: Any) -> list[Verdict]:  # Any: options
        """Import files and folders."""
        desk = desk_of(self.database, self.tenant_id, self.reader, **options)
        return [one.verdict async for one in import_all(desk, paths)]

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:  # Any: values of each column's type
        """What the tenant's rows say."""
        async with at_work(self.database, self.tenant_id) as session:
            return [tuple(row) for row in await session.execute(text(sql))]

    async def events(self) -> int:
        """How many events the tenant has."""
        ((count,),) = await self.rows("select count(*) from app.event")
        return int(count)

    async def state(self) -> dict[str, list[tuple[Any, ...]]]:  # Any: values of each column's type
        """Everything that a tenant knows, without ids and instants: what must not depend on the order of arrival."""
        return {name: await self.rows(sql) for name, sql in _STATE.items()}


def statuses(verdicts: Sequence[Verdict]) -> list[tuple[str, str | None]]:
    """Status and reason of each verdict."""
    return [(one.status, one.reason) for one in verdicts]


_STATE = {
    "invoices": """
        select v.number, v.issued_on, v.due_on, v.due_on_source, v.currency, v.total_minor, v.prepaid_minor,
               v.balance_minor, v.document, v.purchase_order, v.payment_terms, v.direct_debit_on, v.source,
               v.source_rank, d.name
        from app.invoice v join app.debtor d on d.id = v.debtor_id order by v.number, v.issued_on""",
    "instalments": """
        select v.number, i.place, i.due_on, i.amount_minor, i.balance_minor
        from app.instalment i join app.invoice v on v.id = i.invoice_id order by v.number, v.issued_on, i.place""",
    "credit_notes": """
        select n.number, n.issued_on, n.currency, n.total_minor, n.used_minor, n.remaining_minor, n.source, d.name
        from app.credit_note n join app.debtor d on d.id = n.debtor_id order by n.number, n.issued_on""",
    "allocations": """
        select n.number as note, v.number, a.amount_minor, a.effective_on
        from app.allocation a
        join app.invoice v on v.id = a.invoice_id join app.credit_note n on n.id = a.credit_note_id
        order by 1, 2, 3""",
    "receipts": """
        select d.name, r.effective_on, r.currency, r.amount_minor, r.unapplied_minor, r.state
        from app.receipt r join app.debtor d on d.id = r.debtor_id order by d.name, r.effective_on, r.amount_minor""",
    "debtors": """
        select d.name, d.kind, d.language, d.country, d.address, d.email,
               array(select i.scheme || ':' || i.value from app.debtor_identifier i
                     where i.debtor_id = d.id order by 1),
               array(select c.email from app.contact c where c.debtor_id = d.id and c.archived_at is null order by 1)
        from app.debtor d order by 1, 4, 5""",
    "links": "select source, kind, content_hash from app.source_link order by 1, 2, 3",
    "tasks": "select kind, title from app.task order by 1, 2",
}
