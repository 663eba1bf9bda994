"""The samples of others imported: each by itself as its table says, then all of them in any order to the same end."""

import csv
import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from billing_connectors.documents.confined import ConfinedReader
from storage.database import Database
from support.documents import reference_folder
from support.importing import Importer
from support.tenants import make_tenant

AGAIN = 12  # orders that are tried


def samples() -> dict[str, dict[str, str]]:
    with (reference_folder("einvoices") / "expected.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


async def fresh(database: Database, reader: ConfinedReader) -> Importer:
    importer = Importer(database, await make_tenant(database), reader)
    await importer.creditor()
    return importer


def written(verdict: Any) -> dict[str, str]:  # Any: a verdict, read by name
    fields = ("kind", "number", "issued_on", "due_on", "currency", "total_minor", "amount_due_minor", "buyer_name")
    return {name: "" if getattr(verdict, name) is None else str(getattr(verdict, name)) for name in fields}


async def test_each_sample_in_a_fresh_tenant(database: Database, reader: ConfinedReader) -> None:
    folder = reference_folder("einvoices")
    for name, row in samples().items():
        importer = await fresh(database, reader)
        (verdict,) = await importer.paths(folder / name)
        assert (written(verdict), Path(verdict.file).name) == ({field: row[field] for field in written(verdict)}, name)
        if row["readable"] == "no":
            assert (verdict.status, verdict.reason, verdict.warnings) == ("rejected", row["reason"], None)
            continue
        assert (verdict.status, verdict.reason) == ("imported", None)
        assert verdict.seller_ids is not None
        assert {f"{one.scheme}:{one.value}" for one in verdict.seller_ids} == set(row["seller_ids"].split())
        assert verdict.warnings is not None
        assert "seller_unchecked" in verdict.warnings
        before = await importer.events()
        (again,) = await importer.paths(folder / name)
        assert (again.status, written(again)) == ("unchanged", written(verdict))
        assert await importer.events() == before


async def test_all_samples_in_any_order_end_the_same(database: Database, reader: ConfinedReader) -> None:
    folder = reference_folder("einvoices")
    names = [folder / name for name, row in samples().items() if row["readable"] == "yes"]
    names += sorted(reference_folder("fec").glob("*.txt"))  # a year's accounting entries among them
    states: list[dict[str, Any]] = []  # Any: rows of each table
    for seed in range(AGAIN):
        order = (
            list(names) if seed == 0 else names[::-1] if seed == 1 else random.Random(seed).sample(names, len(names))
        )
        importer = await fresh(database, reader)
        verdicts = await importer.paths(*order)
        assert {one.status for one in verdicts} <= {"imported", "updated", "unchanged"}
        states.append(await importer.state())
        assert states[-1] == states[0], order
        before = await importer.events()
        again = await importer.paths(*reversed(order))
        assert {one.status for one in again} == {"unchanged"}
        assert await importer.events() == before
    merged = {row[0]: row for row in states[0]["invoices"]}
    assert len(states[0]["debtors"]) == 6 + 3
    assert {number: merged[number][7] for number in ("FA-001", "FA-002", "FA-2025-99")} == {
        "FA-001": 0, "FA-002": 600_00, "FA-2025-99": 300_00,
    }  # fmt: skip
    left = [(row[0], row[3], row[4]) for row in states[0]["receipts"]]
    assert left == [("ACME SA", 1200_00, 0), ("ACME SA", 100_00, 100_00)]  # one is lettered, the other settles nothing
    assert str(merged["FA-2017-0010"][2]) == "2017-12-13"
    assert merged["FA-2017-0010"][6:8] == (20_100, 47_015 - 23_347)
    assert (str(merged["471102"][2]), str(merged["471102"][11])) == ("2019-03-05", "2018-03-20")


@pytest.mark.parametrize(
    "names",
    [
        ("facturx_fr_minimum.pdf", "facturx_fr_en16931_failset.pdf", "facturx_fr_avoir381_basic.pdf"),
        ("zugferd_en16931_duedate.pdf", "cii_sepa_prenotification.xml"),
        ("peppol_bis3_base.xml", "peppol_bis3_negative_invoice.xml"),
    ],
)
async def test_what_tells_of_one_debt_in_every_order(
    database: Database, reader: ConfinedReader, names: tuple[str, ...]
) -> None:
    folder = reference_folder("einvoices")
    states: list[dict[str, Any]] = []  # Any: rows of each table
    for order in itertools.permutations(names):
        importer = await fresh(database, reader)
        await importer.paths(*(folder / name for name in order))
        states.append(await importer.state())
    assert all(state == states[0] for state in states)
    assert len(states[0]["debtors"]) == 1


async def test_only_our_own_sales_are_taken(importer: Importer) -> None:
    await importer.creditor("Au bon moulin", "siren:999999998")
    verdicts = await importer.paths(reference_folder("einvoices"))
    by_name = {Path(one.file).name: (one.status, one.reason) for one in verdicts}
    assert by_name["facturx_fr_minimum.pdf"] == ("unchanged", None)  # the richer one comes first
    assert by_name["facturx_fr_avoir381_basic.pdf"] == by_name["facturx_fr_en16931_failset.pdf"] == ("imported", None)
    strangers = [by_name[name] for name, row in samples().items() if "999999998" not in row["seller_ids"]]
    assert set(strangers) == {
        ("rejected", "not_our_sale"),
        ("rejected", "no_structured_data"),
        ("rejected", "unsupported_format"),
    }
