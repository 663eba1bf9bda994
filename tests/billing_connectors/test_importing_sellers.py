"""Whose sale a document is."""

from uuid import UUID

import pytest

from kernel import ids
from receivables.errors import CreditorNotFound
from support.documents import make_cii, make_pdf, make_ubl
from support.importing import Importer, statuses
from support.receivables import at_work, make_creditor

OURS = make_cii()  # states the VAT number FR40903821654
ROW = "Numéro de facture;Date facture;Client;Montant TTC\nF-1;02/03/2026;Boulangerie Marchal;120,00"


def with_seller(number: str, *stated: tuple[str, str]) -> bytes:
    """A UBL invoice whose seller states these ids and no other."""
    ids_ = "".join(
        f'<cac:PartyIdentification><cbc:ID schemeID="{scheme}">{value}</cbc:ID></cac:PartyIdentification>'
        for scheme, value in stated
    )
    return make_ubl(number=number, seller_ids=ids_)


@pytest.mark.parametrize(
    "legal_id",
    ["vat:FR40903821654", "siren:903821654", "siret:90382165400012", "0002:903 821 654", "9957:FR40903821654"],
)
async def test_a_creditor_is_known_by_any_of_its_ids(importer: Importer, legal_id: str) -> None:
    await importer.creditor("Ours", legal_id)
    verdict = await importer.one(OURS)
    assert (verdict.status, verdict.reason) == ("imported", None)
    assert verdict.warnings is not None
    assert "seller_unchecked" not in verdict.warnings


async def test_a_strangers_sale_is_refused_and_nothing_is_kept_of_it(importer: Importer) -> None:
    await importer.creditor("Ours", "siren:552100554")
    before = await importer.events()
    verdict = await importer.one(OURS)
    assert (verdict.status, verdict.reason, verdict.number) == ("rejected", "not_our_sale", "FA-2026-0107")
    assert await importer.events() == before
    assert await importer.rows("select 1 from app.imported_document union all select 1 from app.blob") == []


async def test_a_siret_under_the_scheme_of_the_siren_is_a_siret(importer: Importer) -> None:
    await importer.creditor("Ours", "siren:903821654")
    verdict = await importer.one(with_seller("F-1", ("0002", "903 821 654 00012")))
    assert verdict.status == "imported"
    stranger = await importer.one(with_seller("F-2", ("0002", "552 100 554 00025")))
    assert (stranger.status, stranger.reason) == ("rejected", "not_our_sale")


async def test_creditors_without_ids_take_everything_with_a_warning(importer: Importer) -> None:
    await importer.creditor()
    verdicts = [await importer.one(OURS), *await importer.table(ROW)]
    assert statuses(verdicts) == [("imported", None), ("imported", None)]
    assert all("seller_unchecked" in (one.warnings or ()) for one in verdicts)


async def test_an_unknown_seller_among_several_creditors_is_refused_unless_one_is_named(importer: Importer) -> None:
    first = await importer.creditor("One", "siren:552100554")
    await importer.creditor("Other", "siren:542065479")
    (refused,) = await importer.table(ROW)
    assert (refused.status, refused.reason) == ("rejected", "creditor_ambiguous")
    (taken,) = await importer.table(ROW, creditor_id=first)
    assert (taken.status, "seller_unchecked" in (taken.warnings or ())) == ("imported", False)
    assert await importer.rows("select creditor_id from app.invoice") == [(first,)]


async def test_the_seller_decides_between_creditors(importer: Importer) -> None:
    await importer.creditor("Other", "siren:542065479")
    ours = await importer.creditor("Ours", "siren:903821654")
    assert (await importer.one(OURS)).status == "imported"
    assert await importer.rows("select creditor_id from app.invoice") == [(ours,)]


async def test_a_seller_without_ids_is_told_by_its_name(importer: Importer) -> None:
    await importer.creditor("Other")
    await importer.creditor("ATELIER  Belleville sarl")
    verdict = await importer.one(make_ubl())
    assert verdict.status == "imported"
    assert "seller_unchecked" in (verdict.warnings or ())
    await importer.creditor("Atelier Belleville SARL")
    again = await importer.one(make_ubl(number="F-2"))
    assert (again.status, again.reason) == ("rejected", "creditor_ambiguous")


async def test_a_named_creditor_does_not_take_another_ones_sale(importer: Importer) -> None:
    named = await importer.creditor("Named")
    await importer.creditor("Ours", "siren:903821654")
    verdict = await importer.one(OURS, creditor_id=named)
    assert (verdict.status, verdict.reason) == ("rejected", "not_our_sale")
    stranger = await importer.one(with_seller("F-3", ("0088", "4000001123452")), creditor_id=named)
    assert (stranger.status, "seller_unchecked" in (stranger.warnings or ())) == ("imported", True)


async def test_without_creditors_nothing_is_taken(importer: Importer) -> None:
    assert (await importer.one(OURS)).reason == "no_creditor"


async def test_an_unknown_creditor_is_told_before_anything_is_read(importer: Importer) -> None:
    await importer.creditor()
    with pytest.raises(CreditorNotFound):
        await importer.paths(creditor_id=ids.new_id())


async def test_bytes_that_came_in_for_one_creditor_are_no_second_debt_for_another(importer: Importer) -> None:
    one, other = await importer.creditor("One"), await importer.creditor("Other")
    pdf = make_pdf(("factur-x.xml", OURS))
    verdicts = [await importer.one(pdf, "a.pdf", creditor_id=one), await importer.one(pdf, "b.pdf", creditor_id=other)]
    assert statuses(verdicts) == [("imported", None), ("unchanged", None)]
    rows: list[tuple[UUID]] = [(row[0],) for row in await importer.rows("select creditor_id from app.invoice")]
    assert rows == [(one,)]


async def test_amounts_without_a_currency_are_in_the_creditors_own(importer: Importer) -> None:
    async with at_work(importer.database, importer.tenant_id) as session:
        await make_creditor(session, name="Chocolats Genève", currency="CHF")
    (verdict,) = await importer.table(ROW)
    assert (verdict.status, verdict.currency) == ("imported", "CHF")
    assert "currency_assumed" in (verdict.warnings or ())
