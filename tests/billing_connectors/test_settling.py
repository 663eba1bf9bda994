"""Conflicts between sources: both sides shown, settled in one call, the task done, nothing asked twice."""

from typing import Any
from uuid import UUID

import pytest

from billing_connectors import queries, settling
from billing_connectors.errors import ConflictNotFound, ConflictNotOpen, ConflictUnresolved
from billing_connectors.models import ConflictState
from billing_connectors.queries import ConflictFilter
from billing_connectors.settling import Resolution
from billing_connectors.views import ConflictView
from kernel import ids
from kernel.errors import Invalid
from receivables.drafts import NewReceipt
from receivables.receipts import record_receipt
from storage.database import Database
from support.documents import make_cii
from support.events import told
from support.importing import Importer, statuses
from support.receivables import at_work, make_debtor
from support.tenants import NOW

HEADER = "Numéro de facture;Date facture;Échéance;Code client;Client;SIREN;Montant TTC;Devise\n"
SIREN, OTHER_SIREN = "552100554", "542065479"
NUMBERS = "select number, total_minor, currency, document from app.invoice order by number, document"


def row(number: str = "FA-2026-0107", total: str = "130,00", currency: str = "EUR", **cells: str) -> str:
    values = {"name": "Boulangerie Marchal", "siren": "", "code": ""} | cells
    return f"{number};02/03/2026;;{values['code']};{values['name']};{values['siren']};{total};{currency}\n"


async def conflicts(importer: Importer, state: ConflictState | None = ConflictState.OPEN) -> list[ConflictView]:
    async with at_work(importer.database, importer.tenant_id) as session:
        return await queries.conflicts(session, ConflictFilter(state=state), limit=50)


async def settle(
    importer: Importer, view: ConflictView, keep: str, **more: Any
) -> ConflictView:  # Any: of a Resolution
    async with at_work(importer.database, importer.tenant_id) as session:
        how = Resolution(keep=keep, **more)  # pyright: ignore[reportArgumentType] -- one of Keep
        return await settling.resolve(session, importer.database.keys, ids.decode("cfl", view.id), how, NOW)


async def tasks(importer: Importer) -> list[tuple[str, str]]:
    return [(kind, state) for kind, state in await importer.rows("select kind, state from app.task order by id")]


async def quarrel(importer: Importer, **cells: str) -> ConflictView:
    """An e-invoice of 120.00, then a row of an export that says something else under its number."""
    await importer.creditor()
    assert (await importer.one(make_cii())).status == "imported"
    (verdict,) = await importer.table(HEADER + row(**cells))
    assert verdict.status == "quarantined"
    (view,) = await conflicts(importer)
    return view


async def test_both_sides_are_shown_field_by_field(importer: Importer) -> None:
    view = await quarrel(importer)
    async with at_work(importer.database, importer.tenant_id) as session:
        detail = await settling.read(session, importer.database.keys, ids.decode("cfl", view.id))
    found = {field.name: (field.known, field.incoming, field.differs) for field in detail.fields}
    assert found["total_minor"] == ("12000", "13000", True)
    assert found["currency"] == ("EUR", "EUR", False)
    assert found["debtor_name"] == ("Boulangerie Marchal", "Boulangerie Marchal", False)
    assert detail.known is not None
    assert detail.incoming is not None
    assert (detail.known.source, detail.incoming.source, detail.incoming.line) == ("cii", "csv", 2)
    assert detail.known.document_id not in {None, detail.incoming.document_id}
    assert (view.reason, view.kind, view.number, view.state) == ("conflicting_total", "invoice", "FA-2026-0107", "open")
    types = [event.type for event in await told(importer.database, importer.tenant_id)]
    assert types.count("conflict.opened") == 1


async def test_the_known_side_is_kept_and_the_document_set_aside(importer: Importer) -> None:
    view = await quarrel(importer)
    settled = await settle(importer, view, "known")
    assert (settled.state, settled.resolution, settled.version) == ("resolved", "known", 2)
    assert await importer.rows(NUMBERS) == [("FA-2026-0107", 12_000, "EUR", "open")]
    assert await tasks(importer) == [("document_conflicting_total", "done")]
    before = await importer.events()
    (again,) = await importer.table(HEADER + row())  # the same bytes
    other = await importer.table(HEADER + row() + row("FA-2026-0108"))  # the same row in the next export
    assert statuses([again, *other]) == [("unchanged", None), ("unchanged", None), ("imported", None)]
    assert await conflicts(importer) == []
    assert await importer.events() > before
    with pytest.raises(ConflictNotOpen):
        await settle(importer, view, "known")


async def test_the_incoming_side_corrects_the_known_one(importer: Importer) -> None:
    view = await quarrel(importer)
    assert (await settle(importer, view, "incoming")).resolution == "incoming"
    assert await importer.rows(NUMBERS) == [("FA-2026-0107", 13_000, "EUR", "open")]
    assert await tasks(importer) == [("document_conflicting_total", "done")]
    assert await importer.rows("select status from app.imported_document where place <> ''") == [("unchanged",)]
    types = [event.type for event in await told(importer.database, importer.tenant_id)]
    assert (types.count("conflict.opened"), types.count("conflict.resolved")) == (1, 1)
    (again,) = await importer.table(HEADER + row())
    assert again.status == "unchanged"


async def test_another_currency_replaces_the_known_document(importer: Importer) -> None:
    view = await quarrel(importer, total="120,00", currency="USD")
    assert view.reason == "conflicting_currency"
    await settle(importer, view, "incoming")
    assert await importer.rows(NUMBERS) == [
        ("FA-2026-0107", 12_000, "USD", "open"),
        ("FA-2026-0107~2", 12_000, "EUR", "void"),
    ]
    assert await conflicts(importer) == []


async def test_two_documents_of_one_number_are_two_where_somebody_says_so(importer: Importer) -> None:
    view = await quarrel(importer)
    with pytest.raises(Invalid):
        await settle(importer, view, "both_distinct", number="FA-2026-0107")
    await settle(importer, view, "both_distinct", number="FA-2026-0107/B")
    assert await importer.rows(NUMBERS) == [
        ("FA-2026-0107", 12_000, "EUR", "open"),
        ("FA-2026-0107/B", 13_000, "EUR", "open"),
    ]
    next_day = HEADER + row(total="130,00") + row("FA-2026-0109")
    assert statuses(await importer.table(next_day)) == [("unchanged", None), ("imported", None)]
    (changed,) = await importer.table(HEADER + row(total="130,00", code="C9"))  # its name leads to the second one now
    assert changed.status in {"unchanged", "updated"}
    assert await conflicts(importer) == []


async def test_another_debtor_is_settled_by_a_merge_or_by_the_document(importer: Importer) -> None:
    await importer.creditor()
    await importer.table(HEADER + row("F-1", name="Marchal", code="A") + row("F-2", name="Sanzot", siren=SIREN))
    (verdict,) = await importer.table(HEADER + row("F-1", name="Sanzot", siren=SIREN))
    assert (verdict.status, verdict.reason) == ("quarantined", "conflicting_debtor")
    (view,) = await conflicts(importer)
    await settle(importer, view, "merge_debtors")
    assert await importer.rows("select count(*) from app.debtor where merged_into_id is not null") == [(1,)]
    assert await conflicts(importer) == []
    assert await importer.rows("select count(*) from app.invoice where document = 'open'") == [(2,)]
    assert {state for _, state in await tasks(importer)} == {"done"}


async def test_the_document_may_be_right_about_whose_it_is(importer: Importer) -> None:
    await importer.creditor()
    await importer.table(HEADER + row("F-1", name="Marchal", siren=OTHER_SIREN))
    (verdict,) = await importer.table(HEADER + row("F-1", name="Sanzot", siren=SIREN))
    assert verdict.reason == "conflicting_debtor"
    (view,) = await conflicts(importer)
    await settle(importer, view, "incoming")
    assert await importer.rows("""
        select v.number, v.document, d.name from app.invoice v join app.debtor d on d.id = v.debtor_id
        order by v.number""") == [("F-1", "open", "Sanzot"), ("F-1~2", "void", "Marchal")]


async def ambiguous(importer: Importer) -> tuple[ConflictView, list[UUID]]:
    await importer.creditor()
    table = HEADER + row("F-1", name="Marchal", siren=SIREN) + row("F-2", name="Marchal", siren=OTHER_SIREN)
    await importer.table(table)
    (unsure,) = await importer.table(HEADER + row("F-3", name="Marchal"))
    assert unsure.reason == "debtor_ambiguous"
    (view,) = await conflicts(importer)
    return view, [debtor_id for (debtor_id,) in await importer.rows("select id from app.debtor order by id")]


async def test_a_person_says_which_of_several_debtors(importer: Importer) -> None:
    view, known = await ambiguous(importer)
    async with at_work(importer.database, importer.tenant_id) as session:
        detail = await settling.read(session, importer.database.keys, ids.decode("cfl", view.id))
    assert sorted(detail.candidates) == [ids.encode("dbt", each) for each in known]
    assert detail.known is None
    with pytest.raises(Invalid):
        await settle(importer, view, "incoming")
    await settle(importer, view, "incoming", debtor_id=known[1])
    assert await importer.rows("select debtor_id from app.invoice where number = 'F-3'") == [(known[1],)]
    assert {state for _, state in await tasks(importer)} == {"done"}


async def test_or_that_it_is_none_of_them(importer: Importer) -> None:
    view, known = await ambiguous(importer)
    await settle(importer, view, "both_distinct")
    ((debtor_id,),) = await importer.rows("select debtor_id from app.invoice where number = 'F-3'")
    assert debtor_id not in known


async def test_a_conflict_that_agrees_by_now_is_over(importer: Importer) -> None:
    await quarrel(importer)
    (verdict,) = await importer.table(HEADER + row(total="120,00"))
    assert verdict.status in {"updated", "unchanged"}
    (view,) = await conflicts(importer, state=None)
    assert (view.state, view.resolution) == ("resolved", "agreed")
    assert await tasks(importer) == [("document_conflicting_total", "done")]


async def test_the_same_contradiction_is_one_conflict(importer: Importer) -> None:
    await quarrel(importer)
    for _ in range(2):
        assert (await importer.table(HEADER + row()))[0].status == "quarantined"
    assert len(await conflicts(importer, state=None)) == 1


async def test_many_are_settled_alike_or_none_is(importer: Importer) -> None:
    await importer.creditor()
    await importer.table(HEADER + "".join(row(f"F-{place}", total="100,00") for place in range(4)))
    await importer.table(HEADER + "".join(row(f"F-{place}", total="200,00") for place in range(4)))
    views = await conflicts(importer)
    assert len(views) == 4
    wanted = [ids.decode("cfl", view.id) for view in views]
    keys = importer.database.keys
    with pytest.raises(ConflictNotFound):
        async with at_work(importer.database, importer.tenant_id) as session:
            await settling.resolve_many(session, keys, [*wanted, ids.new_id()], "known", NOW)
    assert len(await conflicts(importer)) == 4
    async with at_work(importer.database, importer.tenant_id) as session:
        await settling.resolve_many(session, keys, wanted, "incoming", NOW)
    assert await conflicts(importer) == []
    assert {total for _, total, _, _ in await importer.rows(NUMBERS)} == {20_000}


async def test_what_is_paid_beyond_stands_in_the_way(importer: Importer) -> None:
    view = await quarrel(importer, total="50,00")
    ((creditor_id, debtor_id),) = await importer.rows("select creditor_id, debtor_id from app.invoice")
    async with at_work(importer.database, importer.tenant_id) as session:
        new = NewReceipt(
            creditor_id=creditor_id, debtor_id=debtor_id, currency="EUR", amount_minor=9_000, allocations="auto"
        )
        await record_receipt(session, new, NOW)
    with pytest.raises(ConflictUnresolved):
        await settle(importer, view, "incoming")
    assert len(await conflicts(importer)) == 1
    assert (await settle(importer, view, "known")).state == "resolved"


async def test_another_tenants_conflict_does_not_exist(
    importer: Importer, database: Database, other_tenant_id: UUID
) -> None:
    view = await quarrel(importer)
    async with at_work(database, other_tenant_id) as session:
        await make_debtor(session)
        with pytest.raises(ConflictNotFound):
            await settling.read(session, database.keys, ids.decode("cfl", view.id))
