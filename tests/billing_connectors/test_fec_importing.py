"""A year's books come in: documents, money, lettering; twice, again later, and with next year's opening journal."""

from typing import Any

import pytest

from billing_connectors.fec.balances import balances
from support.books import NAME, Half, books
from support.documents import reference_folder
from support.importing import Importer
from support.receivables import at_work

SAMPLE = "123456789FEC20261231.txt"
OURS = "siren:903821654"


async def _owed(importer: Importer) -> list[tuple[Any, ...]]:  # Any: values of each column's type
    return await importer.rows("select number, total_minor, balance_minor from app.invoice order by number, issued_on")


async def _money(importer: Importer) -> list[tuple[Any, ...]]:  # Any: values of each column's type
    return await importer.rows(
        "select amount_minor, unapplied_minor, state from app.receipt order by effective_on, amount_minor"
    )


async def _balances(importer: Importer) -> dict[str, int]:
    """What each account owes: invoices less what is left of receipts and credit notes."""
    rows = await importer.rows("""
        select split_part(l.external_id, '/', 2) as code,
          (select coalesce(sum(v.balance_minor), 0) from app.invoice v where v.debtor_id = l.object_id)
          - (select coalesce(sum(n.remaining_minor), 0) from app.credit_note n where n.debtor_id = l.object_id)
          - (select coalesce(sum(r.unapplied_minor), 0) from app.receipt r where r.debtor_id = l.object_id)
        from app.source_link l where l.source = 'csv' and l.kind = 'debtor'""")
    return {str(row[0]): int(row[1]) for row in rows}


async def test_the_sample_of_the_reference(importer: Importer) -> None:
    content = (reference_folder("fec") / SAMPLE).read_bytes()
    await importer.creditor()
    verdicts = [one.verdict for one in await importer.content(content, SAMPLE)]
    assert [(one.kind, one.number, one.total_minor, one.amount_due_minor, one.status) for one in verdicts] == [
        ("invoice", "FA-001", 120000, 0, "imported"),
        ("receipt", "VIR ACME", 120000, 0, "imported"),
        ("invoice", "FA-002", 60000, 60000, "imported"),
        ("receipt", "VIR ACME", 10000, 10000, "imported"),
        ("credit_note", "AV-001", 5000, 5000, "imported"),
        ("invoice", "FA-2025-99", 30000, 30000, "imported"),
    ]
    assert await _owed(importer) == [("FA-001", 120000, 0), ("FA-002", 60000, 60000), ("FA-2025-99", 30000, 30000)]
    assert await _money(importer) == [(120000, 0, "final"), (10000, 10000, "final")]
    assert await _balances(importer) == {"C0001": 50000, "C0002": -5000, "C0003": 30000}
    before, state = await importer.events(), await importer.state()
    again = [one.verdict for one in await importer.content(content, SAMPLE)]
    assert {one.status for one in again} == {"unchanged"}
    assert await importer.events() == before
    assert await importer.state() == state


async def test_books_of_another_company_are_refused(importer: Importer) -> None:
    await importer.creditor("Atelier", OURS)
    written = books()
    written.sale("C1", "FA-1", "20260105", 12000)
    (theirs,) = await importer.content(written.content(), "552100554FEC20261231.txt")
    assert (theirs.verdict.status, theirs.verdict.reason) == ("rejected", "not_our_sale")
    (ours,) = await importer.content(written.content(), NAME)
    assert ours.verdict.status == "imported"


async def test_a_later_export_adds_what_is_new_and_letters_what_was_open(importer: Importer) -> None:
    await importer.creditor("Atelier", OURS)
    early = books()
    early.sale("C1", "FA-1", "20260105", 12000)
    early.paid("C1", "20260210", 5000)
    await importer.content(early.content(), NAME)
    assert await _owed(importer) == [("FA-1", 12000, 12000)]
    late = books()
    late.sale("C1", "FA-1", "20260105", 12000, "a")
    late.paid("C1", "20260210", 5000, "a")
    late.sale("C1", "FA-2", "20260301", 6000)
    verdicts = [one.verdict for one in await importer.content(late.content(), NAME)]
    assert [(one.number, one.status, one.amount_due_minor) for one in verdicts] == [
        ("FA-1", "updated", 7000), ("VIR", "updated", 0), ("FA-2", "imported", 6000),
    ]  # fmt: skip
    assert await _owed(importer) == [("FA-1", 12000, 7000), ("FA-2", 6000, 6000)]
    assert await _money(importer) == [(5000, 0, "final")]
    events = await importer.events()
    written_again = late.content(newline="\n")  # other bytes, the same books
    assert {one.verdict.status for one in await importer.content(written_again, NAME)} == {"unchanged"}
    assert await importer.events() == events


@pytest.mark.parametrize("own_days", [True, False])
async def test_next_year_carries_over_without_doubling(importer: Importer, *, own_days: bool) -> None:
    await importer.creditor("Atelier", OURS)
    year = books()
    year.sale("C1", "FA-1", "20261005", 12000)
    year.sale("C1", "AV-1", "20261101", -2000)
    year.paid("C1", "20261115", 3000, piece="VIR 77")
    year.sale("C2", "FA-2", "20261201", 6000, "A")
    year.paid("C2", "20261210", 1000, "A")
    await importer.content(year.content(), NAME)
    assert await _balances(importer) == {"C1": 7000, "C2": 5000}
    events = await importer.events()
    following = books()

    def on(day: str) -> str | None:
        return day if own_days else None

    following.carried("C1", "FA-1", "20270101", 12000, "A", piece_on=on("20261005"))
    following.carried("C1", "AV-1", "20270101", -2000, "A", piece_on=on("20261101"))
    following.carried("C1", "VIR 77", "20270101", -3000, "A", piece_on=on("20261115"))
    following.carried("C2", "FA-2", "20270101", 5000, piece_on=on("20261201"))  # what is left of it
    opening = following.content()
    name = "903821654FEC20271231.txt"
    await importer.content(opening, name)
    assert [row[:2] for row in await _owed(importer)] == [("FA-1", 12000), ("FA-2", 6000)]
    assert await _balances(importer) == {"C1": 7000, "C2": 5000}
    assert len(await _money(importer)) == 2
    following.paid("C1", "20270115", 7000, "A", piece="VIR 2")
    following.paid("C2", "20270120", 5000, piece="VIR 3")
    await importer.content(following.content(), name)
    assert await _owed(importer) == [("FA-1", 12000, 0), ("FA-2", 6000, 5000)]
    assert await _balances(importer) == {"C1": 0, "C2": 0}
    assert await importer.events() > events


async def test_a_total_carried_over_tells_nothing_new(importer: Importer) -> None:
    await importer.creditor("Atelier", OURS)
    year = books()
    year.sale("C1", "FA-1", "20261005", 12000)
    year.sale("C1", "FA-2", "20261105", 6000)
    await importer.content(year.content(), NAME)
    following = books()
    following.carried("C1", "AN", "20270101", 18000, piece_on=None)
    following.carried("C2", "AN", "20270101", 4000, piece_on=None)
    verdicts = [one.verdict for one in await importer.content(following.content(), "903821654FEC20271231.txt")]
    assert [(one.status, "carried_total" in (one.warnings or ())) for one in verdicts] == [
        ("unchanged", True), ("imported", False),
    ]  # fmt: skip
    assert await _balances(importer) == {"C1": 18000, "C2": 4000}


async def test_money_that_went_back_takes_its_receipt_with_it(importer: Importer) -> None:
    await importer.creditor("Atelier", OURS)
    written = books()
    written.sale("C1", "FA-1", "20260105", 12000)
    written.paid("C1", "20260210", 12000, "A")
    written.paid("C1", "20260214", -12000, "A", piece="REJET")
    written.sale("C2", "AV-2", "20260105", -3000, "B")
    written.paid("C2", "20260220", -3000, "B", piece="REMB")
    await importer.content(written.content(), NAME)
    assert await _owed(importer) == [("FA-1", 12000, 12000)]
    assert await _money(importer) == [(12000, 0, "reversed")]
    assert await importer.rows("select used_minor, remaining_minor from app.credit_note") == [(3000, 0)]
    assert await _balances(importer) == {"C1": 12000, "C2": 0}


async def test_bills_and_doubtful_debts_are_the_same_debt(importer: Importer) -> None:
    await importer.creditor("Atelier", OURS)
    written = books()
    written.sale("C1", "FA-1", "20260105", 12000, "A")
    written.entry(
        "OD", "20260201", "LCR", Half(account="411000", minor=-12000, code="C1", letter="A"),
        Half(account="413000", minor=12000, code="C1", letter="A"),
    )  # fmt: skip
    written.entry("BQ", "20260301", "LCR", Half(account="512000", minor=12000),
                  Half(account="413000", minor=-12000, code="C1", letter="A"))  # fmt: skip
    written.sale("C2", "FA-2", "20260105", 6000, "A")
    written.entry("OD", "20260601", "DOUTEUX", Half(account="411000", minor=-6000, code="C2", letter="A"),
                  Half(account="416000", minor=6000, code="C2"))  # fmt: skip
    await importer.content(written.content(), NAME)
    assert await _owed(importer) == [("FA-1", 12000, 0), ("FA-2", 6000, 6000)]
    assert await _balances(importer) == {"C1": 0, "C2": 6000}


async def test_a_reversed_entry_leaves_nothing_owed(importer: Importer) -> None:
    await importer.creditor("Atelier", OURS)
    written = books()
    written.sale("C1", "FA-1", "20260105", 12000)
    written.sale("C1", "FA-1", "20260110", -12000)
    await importer.content(written.content(), NAME)
    assert await _owed(importer) == [("FA-1", 12000, 0)]
    assert await _balances(importer) == {"C1": 0}


async def test_foreign_money_stays_in_its_currency(importer: Importer) -> None:
    await importer.creditor("Atelier", OURS)
    written = books()
    written.sale("C1", "FA-1", "20260105", 100000, "A", foreign="1100,00", currency="USD")
    written.paid("C1", "20260210", 98000, "A", foreign="1100,00", currency="USD")
    written.entry("OD", "20260228", "ECART", Half(account="666000", minor=2000),
                  Half(account="411000", minor=-2000, code="C1", letter="A"))  # fmt: skip
    await importer.content(written.content(), NAME)
    assert await importer.rows("select number, currency, total_minor, balance_minor from app.invoice") == [
        ("FA-1", "USD", 110000, 0)
    ]
    assert await importer.rows("select currency, amount_minor, unapplied_minor from app.receipt") == [
        ("USD", 110000, 0)
    ]


async def test_an_export_that_counted_the_payment_is_not_counted_twice(importer: Importer) -> None:
    await importer.creditor("Atelier", OURS)
    csv = "numero,date_facture,client,montant_ttc,reste_du,compte\nFA-1,2026-01-05,Client C1,120.00,20.00,C1\n"
    (row,) = await importer.table(csv)
    assert row.status == "imported", row
    written = books()
    written.sale("C1", "FA-1", "20260105", 12000, "A")
    written.paid("C1", "20260210", 10000, "A")
    await importer.content(written.content(), NAME)
    assert await _owed(importer) == [("FA-1", 12000, 2000)]
    assert await _money(importer) == [(10000, 0, "final")]


async def test_the_balance_of_the_books_is_the_balance_here(importer: Importer) -> None:
    creditor_id = await importer.creditor("Atelier", OURS)
    written = books()
    written.sale("C1", "FA-1", "20260105", 12000, "A")
    written.paid("C1", "20260210", 5000, "A")
    written.sale("C2", "AV-1", "20260105", -3000)
    written.paid("C3", "20260210", 700)
    written.sale("C4", "FA-4", "20260105", 100)
    written.paid("C4", "20260210", 100, piece="FA-4")
    content = written.content()
    await importer.content(content, NAME)
    async with at_work(importer.database, importer.tenant_id) as session:
        lines = await balances(session, content, NAME, creditor_id)
    assert [(line.code, line.books_minor, line.ours_minor, line.difference_minor) for line in lines] == [
        ("C1", 7000, 7000, 0), ("C2", -3000, -3000, 0), ("C3", -700, -700, 0), ("C4", 0, 0, 0),
    ]  # fmt: skip
