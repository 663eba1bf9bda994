"""Imports of files for tests: what a program does over the API, and what a worker does with it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from httpx import AsyncClient

from storage.database import Database
from support.api import number_events
from support.stories import rows
from workers.engine import Engine
from workers.jobs import jobs

HEAD = "N° facture;Date facture;Échéance;Client;SIREN;Montant TTC;Reste dû"


def table(*lines: str) -> str:
    """A CSV with the headers of the tests."""
    return "\n".join([HEAD, *lines]) + "\n"


def invoices(count: int, *, first: int = 1, debtors: int = 7) -> str:
    """A CSV of so many invoices."""
    return table(*(line(n, debtors=debtors) for n in range(first, first + count)))


def line(n: int, *, debtors: int = 7, due: str = "") -> str:
    """One row: an invoice of 100,00 and something."""
    return f"F-{n};02/03/2026;01/04/2026;Client {n % debtors};;{100 + n},50;{due or f'{100 + n},50'}"


class Files:
    """A program that imports files."""

    def __init__(self, client: AsyncClient, engine: Engine, tenant_id: UUID) -> None:
        self.client, self.engine, self.tenant_id = client, engine, tenant_id

    @property
    def database(self) -> Database:
        return self.engine.database

    async def creditor(self, name: str = "Atelier Belleville") -> str:
        """A creditor's id."""
        return str((await self.ok("post", "/v1/creditors", json={"name": name}))["id"])

    async def ok(self, method: str, path: str, **options: Any) -> Any:  # Any: JSON
        """The answer of a request that must succeed."""
        answer = await self.client.request(method.upper(), path, **options)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def upload(self, content: str | bytes, name: str = "export.csv") -> str:
        """An upload's id."""
        body = content.encode() if isinstance(content, str) else content
        headers = {"content-type": "application/octet-stream"}
        answer = await self.ok("post", "/v1/uploads", params={"name": name}, content=body, headers=headers)
        return str(answer["id"])

    async def lay_out(self, content: str | bytes, **fields: Any) -> str:  # Any: JSON
        """An import's id."""
        body = {"upload_id": await self.upload(content), **fields}
        return str((await self.ok("post", "/v1/imports", json=body))["id"])

    async def run(self, content: str | bytes, **fields: Any) -> dict[str, Any]:  # Any: JSON
        """An import that was carried out."""
        import_id = await self.lay_out(content, **fields)
        await self.ok("post", f"/v1/imports/{import_id}/run")
        return await self.worked(import_id)

    async def worked(self, import_id: str) -> dict[str, Any]:  # Any: JSON
        """The import after a worker has done what there was to do."""
        while await jobs(self.engine):
            pass
        return dict(await self.ok("get", f"/v1/imports/{import_id}"))

    async def verdicts(self, import_id: str, **params: Any) -> list[tuple[int, str, str | None]]:  # Any: JSON
        """Line, status and reason of each row."""
        found = await self.ok("get", f"/v1/imports/{import_id}/rows", params={"limit": 100, **params})
        return [(row["line"], row["status"], row["reason"]) for row in found["data"]]

    async def events(self, *kinds: str) -> list[str]:
        """The types of the tenant's events, in order, of these objects."""
        await number_events(self.database)
        found = await rows(self.database, self.tenant_id, "select type from app.event order by id")
        return [kind for (kind,) in found if kind.partition(".")[0] in kinds]

    async def count(self, sql: str) -> int:
        """What one query counts."""
        ((found,),) = await rows(self.database, self.tenant_id, sql)
        return int(found)

    async def state(self) -> Sequence[Any]:  # Any: rows
        """Every invoice, without ids and instants."""
        sql = (
            "select v.number, v.total_minor, v.balance_minor, v.due_on, v.document, d.name"
            " from app.invoice v join app.debtor d on d.id = v.debtor_id order by v.number, v.id"
        )
        return await rows(self.database, self.tenant_id, sql)
