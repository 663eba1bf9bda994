"""The day to pay where no field states it: from words that are plain, from the creditor's terms, never by guessing."""

import re
from datetime import date
from typing import Any

import pytest

from billing_connectors.terms import Agreed
from law.payment_terms.dates import last_due_on
from law.payment_terms.grammar import eom_reading_of, parse, written
from law.payment_terms.texts import read_text
from support.documents import ROOT, make_cii, make_ubl
from support.importing import Importer


def _note(text: str) -> str:
    return f"<ram:SpecifiedTradePaymentTerms><ram:Description>{text}</ram:Description></ram:SpecifiedTradePaymentTerms>"


async def _due(importer: Importer) -> list[tuple[Any, ...]]:  # Any: values of each column's type
    return await importer.rows("select due_on, due_on_source from app.invoice")


async def test_plain_words_give_the_day(importer: Importer) -> None:
    await importer.creditor()
    verdict = await importer.one(make_cii(terms=_note("30 jours fin de mois le 15")))
    assert (verdict.due_on, verdict.due_on_computed, verdict.due_on_source) == (None, date(2026, 5, 15), "terms")
    assert "due_date_computed" in (verdict.warnings or ())
    assert await _due(importer) == [(date(2026, 5, 15), "terms")]
    stated = await importer.one(make_cii(), "richer.xml")
    assert (stated.status, stated.due_on, stated.due_on_computed) == ("updated", date(2026, 4, 2), None)
    assert await _due(importer) == [(date(2026, 4, 2), "document")]


async def test_a_stated_day_stays_when_words_come_later(importer: Importer) -> None:
    await importer.creditor()
    header = "numero,date_facture,client,montant_ttc,echeance\n"
    await importer.table(f"{header}FA-2026-0107,2026-03-02,Boulangerie Marchal,120.00,2026-04-01\n")
    words = "<cac:PaymentTerms><cbc:Note>Net 60 days</cbc:Note></cac:PaymentTerms>"
    await importer.one(make_ubl(dates="", terms=words))
    assert await _due(importer) == [(date(2026, 4, 1), "document")]


@pytest.mark.parametrize(("reading", "due_on"), [("net_eom", date(2026, 4, 30)), ("eom_net", date(2026, 5, 15))])
async def test_end_of_month_waits_for_its_reading(importer: Importer, reading: str, due_on: date) -> None:
    await importer.creditor()
    open_ = await importer.one(make_cii(terms=_note("45 jours fin de mois")))
    assert (open_.due_on_computed, open_.due_on_source) == (None, "none")
    assert "eom_reading_needed" in (open_.warnings or ())
    assert await _due(importer) == [(None, "none")]
    stated = Agreed(eom_reading=reading)
    await importer.one(make_cii(terms=_note("45 jours fin de mois"), number="FA-2"), agreed=stated)
    assert (due_on, "terms") in await _due(importer)


async def test_the_creditors_terms_stand_in_where_the_document_is_silent(importer: Importer) -> None:
    await importer.creditor()
    agreed = Agreed(payment_terms="net:30")
    silent = await importer.one(make_cii(terms=_note("Merci de votre confiance"), number="F-1"), agreed=agreed)
    assert (silent.due_on_computed, silent.due_on_source) == (date(2026, 4, 1), "default")
    unclear = await importer.one(make_cii(terms=_note("30 jours après livraison"), number="F-2"), agreed=agreed)
    assert (unclear.due_on_computed, unclear.due_on_source) == (None, "none")


def test_the_page_gives_the_days_that_are_given() -> None:
    page = (ROOT / "docs" / "imports-documents.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+) \| `(\S+)` \| (\d{4}-\d{2}-\d{2})", page.split("## The day to pay")[1], re.MULTILINE)
    assert len(rows) >= 8
    for texts, terms, day in rows:
        assert last_due_on(parse(terms), date(2026, 3, 10)) == date.fromisoformat(day)
        for text in re.findall(r'"([^"]+)"', texts):
            read = read_text(text, eom_reading_of(terms.partition(":")[0]))
            assert read.terms is not None, text
            assert written(read.terms) == terms
