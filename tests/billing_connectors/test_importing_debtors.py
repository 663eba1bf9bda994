"""Which debtor a buyer is, and what documents teach about it."""

import asyncio
from uuid import UUID

import pytest

from billing_connectors.matching import Buyer, Directory, Known, Match
from kernel import ids
from receivables.debtors import update_debtor
from receivables.drafts import DebtorChange
from receivables.identifiers import Identifier
from storage.database import Database
from support.documents import make_cii
from support.importing import Importer, statuses
from support.receivables import at_work, make_debtor
from support.tenants import NOW

SIREN, OTHER_SIREN = Identifier("siren", "552100554"), Identifier("siren", "542065479")
HEADER = "Numéro de facture;Date facture;Échéance;Code client;Client;SIREN;E-mail;Pays;Montant TTC;Devise\n"
ORGANISATION = '<ram:SpecifiedLegalOrganization><ram:ID schemeID="{}">{}</ram:ID></ram:SpecifiedLegalOrganization>'
ONE, TWO = ids.new_id(), ids.new_id()


def known(debtor_id: UUID, *identifiers: Identifier, codes: tuple[str, ...] = (), name: str = "marchal") -> Known:
    return Known(debtor_id, debtor_id, name, "FR", set(identifiers), set(codes))


def matched(directory: Directory, billed_id: UUID | None = None, **buyer: object) -> Match:
    fields = {"name": "marchal", "country": "FR"} | buyer
    return directory.match(Buyer(**fields), billed_id)  # pyright: ignore[reportArgumentType] -- fields of a Buyer


def test_a_legal_id_decides_whatever_the_name_and_the_code() -> None:
    directory = Directory([known(ONE, SIREN, codes=("c/A",)), known(TWO, codes=("c/B",))])
    assert matched(directory, identifiers=(SIREN,), code="c/B", name="another") == Match(ONE)


def test_ids_of_two_debtors_are_a_question() -> None:
    directory = Directory([known(ONE, SIREN), known(TWO, Identifier("vat", "BE0123456789"))])
    both = (SIREN, Identifier("vat", "BE0123456789"))
    assert matched(directory, identifiers=both).reason == "debtor_ambiguous"
    merged = Directory([known(ONE, SIREN), Known(TWO, ONE, "marchal", "FR", {both[1]}, set())])
    assert matched(merged, identifiers=both) == Match(ONE)


def test_an_account_code_is_followed_until_the_ids_contradict() -> None:
    directory = Directory([known(ONE, SIREN, codes=("c/A",))])
    assert matched(directory, code="c/A", name="renamed") == Match(ONE)
    assert matched(directory, code="c/A", identifiers=(OTHER_SIREN,)) == Match()


def test_the_known_document_says_who_its_debtor_is() -> None:
    directory = Directory([known(ONE, SIREN)])
    assert matched(directory, ONE, name="written otherwise") == Match(ONE)
    assert matched(directory, ONE, identifiers=(OTHER_SIREN,)).reason == "conflicting_debtor"
    other = Directory([known(ONE), known(TWO, SIREN)])
    assert matched(other, ONE, identifiers=(SIREN,)).reason == "conflicting_debtor"


def test_a_name_decides_where_it_can_mean_one_debtor() -> None:
    assert matched(Directory([known(ONE, SIREN)])) == Match(ONE)
    assert matched(Directory([known(ONE, SIREN)]), country="BE") == Match()
    assert matched(Directory([known(ONE, SIREN)]), identifiers=(OTHER_SIREN,)) == Match()
    two = Directory([known(ONE, SIREN), known(TWO, OTHER_SIREN)])
    assert matched(two).reason == "debtor_ambiguous"
    assert matched(two, code="c/A") == Match(warning="debtor_ambiguous")


def test_two_accounts_of_one_ledger_are_two_debtors() -> None:
    directory = Directory([known(ONE, codes=("c/A",))])
    assert matched(directory, code="c/B") == Match()
    assert matched(directory, code="d/B") == Match(ONE)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("vat", "DE1"), ("vat", "DE2"), False),
        (("vat", "DE1"), ("vat", "FR2"), True),
        (("0088", "1"), ("0088", "2"), True),
        (("siret", "55210055400013"), ("siret", "55210055400021"), True),
    ],
)
def test_what_contradicts(one: tuple[str, str], other: tuple[str, str], *, same: bool) -> None:
    directory = Directory([known(ONE, Identifier(*one))])
    assert (matched(directory, identifiers=(Identifier(*other),)) == Match(ONE)) is same


def test_learning_takes_what_nobody_has_and_nothing_that_contradicts() -> None:
    directory = Directory([known(ONE, SIREN), known(TWO, Identifier("0088", "1"))])
    buyer = Buyer(name="marchal", identifiers=(OTHER_SIREN, Identifier("0088", "1"), Identifier("0088", "2")))
    assert directory.learn(ONE, buyer) == (Identifier("0088", "2"),)


async def debtors(importer: Importer) -> list[tuple[str, list[str]]]:
    rows = await importer.rows("""
        select d.name, array(select i.scheme || ':' || i.value from app.debtor_identifier i
                             where i.debtor_id = d.id order by 1) from app.debtor d order by d.name""")
    return [(name, held) for name, held in rows]


def row(number: str, code: str = "", name: str = "Marchal", siren: str = "", mail: str = "") -> str:
    return f"{number};02/03/2026;01/04/2026;{code};{name};{siren};{mail};FR;120,00;EUR\n"


async def test_one_debtor_for_all_its_names(importer: Importer) -> None:
    await importer.creditor()
    first = row("F-1", "C1", "Marchal SARL") + row("F-2", "C1", "MARCHAL") + row("F-3", name="marchal sarl")
    assert statuses(await importer.table(HEADER + first)) == [("imported", None)] * 3
    second = row("F-4", "C1", "Marchal", "552100554") + row("F-5", "", "Someone", "55210055400021")
    assert statuses(await importer.table(HEADER + second)) == [("imported", None)] * 2
    ((_, held),) = await debtors(importer)
    assert held == ["siren:552100554", "siret:55210055400021"]


async def test_a_vat_number_a_siret_and_a_siren_are_one_company(importer: Importer) -> None:
    await importer.creditor()
    registered = (
        '<ram:SpecifiedTaxRegistration><ram:ID schemeID="VA">FR96552100554</ram:ID></ram:SpecifiedTaxRegistration>'
    )
    for number, xml in (
        ("F-1", ORGANISATION.format("0009", "55210055400013")),
        ("F-2", registered),
        ("F-3", ORGANISATION.format("0002", "552 100 554 00021")),
    ):
        assert (await importer.one(make_cii(number=number, buyer_contact=xml))).status == "imported"
    assert await debtors(importer) == [
        (
            "Boulangerie Marchal",
            ["siren:552100554", "siret:55210055400013", "siret:55210055400021", "vat:FR96552100554"],
        )
    ]


async def test_what_a_document_calls_its_buyer_is_no_identity(importer: Importer) -> None:
    await importer.creditor()
    for number, name in (("F-1", "Boulangerie Marchal"), ("F-2", "Boucherie Sanzot")):
        xml = make_cii(number=number, buyer_contact="<ram:ID>10001</ram:ID>")
        assert (await importer.one(xml.replace(b"Boulangerie Marchal", name.encode()))).status == "imported"
    assert await debtors(importer) == [("Boucherie Sanzot", []), ("Boulangerie Marchal", [])]


async def test_the_same_name_with_another_siren_is_another_debtor(importer: Importer) -> None:
    await importer.creditor()
    table = HEADER + row("F-1", siren="552100554") + row("F-2", siren="542065479")
    assert statuses(await importer.table(table)) == [("imported", None)] * 2
    assert len(await debtors(importer)) == 2
    (unsure,) = await importer.table(HEADER + row("F-3"))
    assert (unsure.status, unsure.reason) == ("quarantined", "debtor_ambiguous")
    assert await importer.rows("select kind from app.task") == [("document_debtor_ambiguous",)]
    assert await importer.rows("select number from app.invoice order by 1") == [("F-1",), ("F-2",)]


async def test_mail_and_language_make_a_debtor_that_can_be_written_to(importer: Importer) -> None:
    await importer.creditor()
    await importer.table(HEADER + row("F-1", mail="compta@marchal.example"))
    assert await importer.rows("select name, kind, country, email from app.debtor") == [
        ("Marchal", "company", "FR", "compta@marchal.example")
    ]
    assert await importer.rows("select email, billing from app.contact") == [("compta@marchal.example", True)]


async def test_a_later_document_brings_what_was_missing(importer: Importer) -> None:
    await importer.creditor()
    await importer.table(HEADER + row("F-1", name="Boulangerie Marchal"))
    contact = (
        "<ram:DefinedTradeContact><ram:EmailURIUniversalCommunication><ram:URIID>compta@marchal.example</ram:URIID>"
        "</ram:EmailURIUniversalCommunication></ram:DefinedTradeContact>"
    )
    verdict = await importer.one(make_cii(number="F-2", buyer_contact=contact))
    assert verdict.status == "imported"
    assert await importer.rows("select email from app.contact") == [("compta@marchal.example",)]
    (same,) = await importer.table(HEADER + row("F-1", name="Boulangerie Marchal", siren="552100554"))
    assert same.status == "updated"
    assert await debtors(importer) == [("Boulangerie Marchal", ["siren:552100554"])]


async def test_a_richer_source_names_the_debtor_and_a_person_has_the_last_word(importer: Importer) -> None:
    await importer.creditor()
    siren = ORGANISATION.format("0002", "552100554")
    await importer.one(make_cii(number="F-1", buyer_contact=siren))
    await importer.table(HEADER + row("F-2", name="BOUL. MARCHAL", siren="552100554", mail="a@marchal.example"))
    assert await debtors(importer) == [("Boulangerie Marchal", ["siren:552100554"])]
    async with at_work(importer.database, importer.tenant_id) as session:
        ((debtor_id,),) = await importer.rows("select id from app.debtor")
        change = DebtorChange(name="Marchal et associés", email="direct@marchal.example")
        await update_debtor(session, debtor_id, change, NOW)
    await importer.one(make_cii(number="F-3", issued_on="20260401", buyer_contact=siren))
    await importer.table(HEADER + row("F-4", siren="552100554", mail="b@marchal.example"))
    assert await importer.rows("select name, email from app.debtor") == [
        ("Marchal et associés", "direct@marchal.example")
    ]


async def test_a_debtor_who_came_otherwise_is_found_and_kept(importer: Importer) -> None:
    await importer.creditor()
    async with at_work(importer.database, importer.tenant_id) as session:
        await make_debtor(session, name="Marchal", identifiers=(Identifier("vat", "FR96552100554"),))
    await importer.table(HEADER + row("F-1", "C1", "MARCHAL SARL", "552100554", "compta@marchal.example"))
    assert await debtors(importer) == [("Marchal", ["siren:552100554", "vat:FR96552100554"])]
    assert await importer.rows("select email from app.contact") == [("compta@marchal.example",)]


async def test_two_imports_at_once_make_one_debtor_and_one_debt(
    database: Database, importer: Importer, other_tenant_id: UUID
) -> None:
    await importer.creditor()
    rows = [row(f"F-{place}", f"C{place % 7}", f"Client {place % 7}") for place in range(90)]
    tables = [HEADER + "".join(rows[:60]), HEADER + "".join(rows[30:])]
    stranger = Importer(database, other_tenant_id, importer.reader)
    await stranger.creditor()
    results = await asyncio.gather(*(importer.table(table) for table in (*tables, *tables)), stranger.table(tables[0]))
    assert {one.status for each in results for one in each} <= {"imported", "unchanged"}
    assert await importer.rows("select count(*), count(distinct name) from app.debtor") == [(7, 7)]
    assert await importer.rows("select count(*), count(distinct number) from app.invoice") == [(90, 90)]
    assert await stranger.rows("select count(*) from app.invoice") == [(60,)]


async def test_a_debtor_whom_a_program_makes_meanwhile_is_found(database: Database, importer: Importer) -> None:
    await importer.creditor()
    async with at_work(database, importer.tenant_id) as session:
        await make_debtor(session, name="Known by another name", identifiers=(SIREN,))
        importing = asyncio.create_task(importer.table(HEADER + row("F-1", siren=SIREN.value)))
        while not await importer.rows("select 1 from pg_locks where not granted and locktype = 'transactionid'"):
            assert not importing.done()  # it waits for us to say whether the legal id is taken
    assert statuses(await importing) == [("imported", None)]
    assert await debtors(importer) == [("Known by another name", ["siren:552100554"])]


@pytest.mark.parametrize("held", ["vat:FR96552100554", "siret:55210055400013", "siren:552100554"])
async def test_a_siren_finds_who_is_known_by_what_contains_it(importer: Importer, held: str) -> None:
    await importer.creditor()
    async with at_work(importer.database, importer.tenant_id) as session:
        await make_debtor(session, name="Known by another name", identifiers=(Identifier(*held.split(":")),))
    (verdict,) = await importer.table(HEADER + row("F-1", siren="552100554"))
    assert verdict.status == "imported"
    assert len(await debtors(importer)) == 1
