"""Creditors, debtors and contacts: made, changed, found."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import pytest

from kernel import ids
from kernel.errors import Invalid, PreconditionFailed
from receivables import identifiers, queries
from receivables.contacts import archive_contact, create_contact, update_contact
from receivables.creditors import create_creditor, update_creditor
from receivables.debtors import create_debtors, update_debtor
from receivables.drafts import ContactChange, CreditorChange, DebtorChange, NewContact, NewCreditor, NewDebtor
from receivables.errors import (
    ContactArchived,
    CreditorNotFound,
    DebtorNotFound,
    ExternalIdTaken,
    IdentifierTaken,
)
from receivables.facts import billing_contacts
from receivables.identifiers import CREDITORS, DEBTORS, Identifier, canonical, implied
from receivables.models import DebtorKind
from receivables.queries import DebtorFilter
from storage.database import Database
from storage.encryption import destroy_keys
from storage.session import TenantSession
from support.events import bodies, told
from support.receivables import at_work, make_contact, make_creditor, make_debtor
from support.tenants import NOW

SIREN = Identifier("siren", "552100554")


def dbt(view_id: str) -> UUID:
    return ids.decode("dbt", view_id)


def test_a_legal_id_has_one_spelling() -> None:
    assert canonical("0002", " 552 100 554") == SIREN
    assert canonical("VAT", "fr 27.552-100-554") == Identifier("vat", "FR27552100554")
    assert canonical("0088", "a-1") == Identifier("0088", "A-1")


def test_a_siret_and_a_french_vat_number_imply_the_siren() -> None:
    for each in (Identifier("siret", "55210055400013"), Identifier("vat", "FR27552100554")):
        assert implied(each) == (each, SIREN)
    for each in (SIREN, Identifier("vat", "DE123456789"), Identifier("siret", "1")):
        assert implied(each) == (each,)


async def test_a_creditor_is_found_by_any_of_its_legal_ids(database: Database, tenant_id: UUID) -> None:
    siret, stranger = Identifier("siret", "55210055400013"), Identifier("siren", "732829320")
    async with at_work(database, tenant_id) as session:
        view = await make_creditor(session, identifiers=(Identifier("0002", "552 100 554"),))
        found = await identifiers.owners(session, CREDITORS, [SIREN, siret, stranger])
    assert view.identifiers == (SIREN,)
    assert found == dict.fromkeys((SIREN, siret), ids.decode("crd", view.id))


async def test_a_legal_id_is_one_entitys(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        first = await make_creditor(session, identifiers=(SIREN,))
        with pytest.raises(IdentifierTaken):
            await make_creditor(session, identifiers=(SIREN,))
        debtor = await make_debtor(session, identifiers=(SIREN,))
        assert debtor.identifiers == first.identifiers


@pytest.mark.parametrize(
    ("new", "pointer"),
    [
        (NewCreditor(name=" "), "/name"),
        (NewCreditor(name="A", zone="Paris"), "/zone"),
        (NewCreditor(name="A", language="French"), "/language"),
        (NewCreditor(name="A", country="fr"), "/country"),
        (NewCreditor(name="A", currency="EURO"), "/currency"),
        (NewCreditor(name="A", reply_to="a@b@c"), "/reply_to"),
        (NewCreditor(name="A", iban="FR7630006000011234567890188"), "/iban"),
        (NewCreditor(name="A", bic="AGRI"), "/bic"),
        (NewCreditor(name="A", identifiers=(Identifier("siren", "12"),)), "/identifiers/0/value"),
        (NewCreditor(name="A", identifiers=(Identifier("a b", "12"),)), "/identifiers/0/scheme"),
    ],
)
async def test_what_is_no_creditor_is_refused(
    database: Database, tenant_id: UUID, new: NewCreditor, pointer: str
) -> None:
    async with at_work(database, tenant_id) as session:
        with pytest.raises(Invalid) as refused:
            await create_creditor(session, new, NOW)
    assert [fault.pointer for fault in refused.value.errors] == [pointer]


async def test_a_creditor_changes_by_what_is_named(database: Database, tenant_id: UUID) -> None:
    iban = "FR76 3000 6000 0112 3456 7890 189"
    async with at_work(database, tenant_id) as session:
        view = await make_creditor(session, address="1 rue Haute\n75001  Paris", external_id="c-1")
        creditor_id = ids.decode("crd", view.id)
        changed = await update_creditor(session, creditor_id, CreditorChange(iban=iban, address=None), NOW)
        same = await update_creditor(session, creditor_id, CreditorChange(iban=iban), NOW, expected_version=2)
        named = await update_creditor(session, creditor_id, CreditorChange(identifiers=(SIREN,)), NOW)
        with pytest.raises(PreconditionFailed):
            await update_creditor(session, creditor_id, CreditorChange(name="B"), NOW, expected_version=2)
        with pytest.raises(CreditorNotFound):
            await update_creditor(session, ids.new_id(), CreditorChange(name="B"), NOW)
        assert await queries.creditors(session, external_id="c-1", limit=5) == [named]
    assert view.address == "1 rue Haute\n75001 Paris"
    assert (changed.version, changed.iban, changed.address) == (2, "FR7630006000011234567890189", None)
    assert same == changed
    assert (named.version, named.identifiers) == (3, (SIREN,))


async def test_debtors_are_made_together(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        await make_debtor(session, external_id="d-0")
        news = [
            NewDebtor(name="Épicerie Fine", external_id="d-1", email="a@fine.example", identifiers=(SIREN,)),
            NewDebtor(name="", external_id="d-2"),
            NewDebtor(name="Taken", external_id="d-0"),
            NewDebtor(name="Jean Dupont", kind=DebtorKind.PERSON),
        ]
        outcomes = await create_debtors(session, news, NOW)
    assert [outcome.status for outcome in outcomes] == ["created", "refused", "refused", "created"]
    assert [type(outcome.error) for outcome in outcomes[1:3]] == [Invalid, ExternalIdTaken]
    async with at_work(database, tenant_id) as session:
        first = outcomes[0].get()
        assert await queries.debtors(session, DebtorFilter(name_prefix="epicerie f"), limit=5) == [first]
        assert await queries.debtors(session, DebtorFilter(identifier=SIREN), limit=5) == [first]
        assert await queries.debtors(session, DebtorFilter(external_id="d-1"), limit=5) == [first]
        assert await queries.debtors(session, DebtorFilter(name_prefix="x"), limit=5) == []
        assert len(await queries.debtors(session, DebtorFilter(), limit=5)) == 3
        assert await queries.debtors_by_external_id(session, ["d-1", "d-9"]) == {"d-1": dbt(first.id)}
        assert await queries.debtors_by_name(session, ["EPICERIE  fine", "?"]) == {"EPICERIE  fine": dbt(first.id)}
        assert await identifiers.owners(session, DEBTORS, [SIREN]) == {SIREN: dbt(first.id)}


async def test_a_name_that_two_bear_finds_nobody(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        await make_debtor(session, name="Martin")
        await make_debtor(session, name="MARTIN")
        assert await queries.debtors_by_name(session, ["Martin"]) == {}


async def test_a_debtors_address_is_a_mailbox_that_follows_it(database: Database, tenant_id: UUID) -> None:
    async def mailboxes(session: TenantSession, debtor_id: UUID) -> Sequence[str]:
        await session.flush()
        found = await billing_contacts(session, [debtor_id])
        return [contact.email for contact in found.get(debtor_id, [])]

    async with at_work(database, tenant_id) as session:
        debtor_id = dbt((await make_debtor(session, email="old@petit.example")).id)
        await make_contact(session, debtor_id, name="Claire", email="claire@petit.example")
        assert await mailboxes(session, debtor_id) == ["old@petit.example", "claire@petit.example"]
        await update_debtor(session, debtor_id, DebtorChange(email="new@petit.example"), NOW)
        assert await mailboxes(session, debtor_id) == ["new@petit.example", "claire@petit.example"]
        await update_debtor(session, debtor_id, DebtorChange(email=None), NOW)
        assert await mailboxes(session, debtor_id) == ["claire@petit.example"]
        with pytest.raises(Invalid):
            await update_debtor(session, debtor_id, DebtorChange(email="nobody"), NOW)


async def test_a_debtor_changes_by_what_is_named(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        view = await make_debtor(session, name="Été SARL", language="fr")
        change = DebtorChange(name="Hiver SARL", insolvent_on=date(2026, 3, 1))
        changed = await update_debtor(session, dbt(view.id), change, NOW)
        same = await update_debtor(session, dbt(view.id), change, NOW)
        assert await queries.debtors(session, DebtorFilter(name_prefix="hiver"), limit=5) == [changed]
        for wrong in (DebtorChange(insolvent_on=date(1900, 1, 1)), DebtorChange(zone="Mars")):
            with pytest.raises(Invalid):
                await update_debtor(session, dbt(view.id), wrong, NOW)
        with pytest.raises(DebtorNotFound):
            await update_debtor(session, ids.new_id(), change, NOW)
    assert (changed.version, changed.insolvent_on, changed.language) == (2, date(2026, 3, 1), "fr")
    assert same == changed


async def test_contacts_come_change_and_go(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        debtor_id = dbt((await make_debtor(session)).id)
        view = await make_contact(session, debtor_id, language="en")
        contact_id = ids.decode("ctc", view.id)
        changed = await update_contact(session, contact_id, ContactChange(billing=False, name="Claire"), NOW)
        assert await billing_contacts(session, [debtor_id]) == {}
        gone = await archive_contact(session, contact_id, NOW)
        assert await archive_contact(session, contact_id, NOW) == gone
        with pytest.raises(ContactArchived):
            await update_contact(session, contact_id, ContactChange(billing=True), NOW)
        assert await queries.contacts(session, debtor_id=debtor_id, archived=True, limit=5) == [gone]
        assert await queries.contacts(session, debtor_id=debtor_id, archived=False, limit=5) == []
        with pytest.raises(DebtorNotFound):
            await create_contact(session, NewContact(debtor_id=ids.new_id()), NOW)
        with pytest.raises(Invalid):
            await make_contact(session, debtor_id, email="Claire <c@petit.example>")
    assert (changed.version, changed.name, changed.billing) == (2, "Claire", False)
    assert (gone.version, gone.archived_at) == (3, NOW)


async def test_what_tells_of_a_person_goes_with_the_debtors_key(database: Database, tenant_id: UUID) -> None:
    async with at_work(database, tenant_id) as session:
        view = await make_debtor(session, name="Jean Dupont", email="jean@dupont.example", kind=DebtorKind.PERSON)
    rows = [row for row in await told(database, tenant_id) if row.debtor_id is not None]
    assert [row.type for row in rows] == ["debtor.created", "contact.created"]
    assert all("upont" not in row.payload for row in rows)
    read = await bodies(database, tenant_id, rows)
    assert [read[0].view["name"], read[1].view["email"]] == ["Jean Dupont", "jean@dupont.example"]
    async with at_work(database, tenant_id) as session:
        await destroy_keys(session, [dbt(view.id)])
    erased = await bodies(database, tenant_id, rows)
    assert [erased[0].view["name"], erased[1].view["email"]] == [None, None]
    assert erased[0].view["kind"] == "person"
