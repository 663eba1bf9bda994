"""What a dunning message says: the letter behind its parts. Fills `messaging.ports.Composer`."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import cast
from uuid import UUID

from msgspec import Struct
from sqlalchemy import func, select

from casework.facts import active_holds
from dunning.models import Course, Notice
from dunning.policies import bodies
from dunning.rules import PolicyBody, Step, Tone
from kernel import ids
from kernel.clock import day_of
from messaging import letters
from messaging.letters import LANGUAGES, TONES, Letter, LetterRefused, Line, Section
from messaging.models import Message
from messaging.opt_outs import Link, token
from messaging.ports import Composed
from receivables.facts import (
    BillingContact,
    CreditorCard,
    DebtFacts,
    DebtorCard,
    billing_contacts,
    creditor_cards,
    debt_facts,
    debtor_cards,
)
from receivables.models import Instalment
from storage.session import TenantSession, tenant_of


class DunningComposer:
    """Writes letters from notices; knows the public address that links lead to."""

    def __init__(self, *, link_secret: bytes, public_url: str, fallback_reply_to: str) -> None:
        self._secret, self._public_url, self._reply_to = link_secret, public_url, fallback_reply_to

    async def compose(
        self, session: TenantSession, wanted: Sequence[tuple[Message, Sequence[UUID]]], now: datetime
    ) -> Mapping[UUID, Composed]:
        """The letter of each message; one that contradicts itself is left out and withdrawn."""
        if not wanted:
            return {}
        notices = await _notices(session, [part for _, parts in wanted for part in parts])
        debts = await debt_facts(session, [notice.instalment_id for notice in notices.values()])
        holds = await active_holds(session, debts.values(), now)
        held = {instalment_id: hold.amount_minor for instalment_id, hold in holds.items()}
        steps = await _steps(session, notices)
        creditors = await creditor_cards(session, {message.creditor_id for message, _ in wanted})
        debtors = await debtor_cards(session, {message.debtor_id for message, _ in wanted})
        contacts = await billing_contacts(session, debtors)
        places = await _places(session, {debt.invoice_id for debt in debts.values()})
        written: dict[UUID, Composed] = {}
        for message, parts in wanted:
            contact = _contact(contacts.get(message.debtor_id, ()), message.contact_id)
            if contact is None:
                continue
            said = [_said(notices[part], debts, held, steps[part]) for part in parts]
            who = _Who(creditors[message.creditor_id], debtors[message.debtor_id], contact)
            try:
                written[message.id] = self._write(message, who, said, places, now)
            except LetterRefused:
                continue
        return written

    def _write(
        self,
        message: Message,
        who: "_Who",
        said: Sequence["_Said"],
        places: Mapping[UUID, int],
        now: datetime,
    ) -> Composed:
        highest = max(said, key=lambda item: item.notice.level)
        letter = Letter(
            creditor=_creditor(who.creditor, self._reply_to),
            debtor=letters.Debtor(name=who.debtor.name),
            recipient=letters.Recipient(email=who.contact.email, name=who.contact.name),
            language=_language(who.contact.language, who.debtor.language, who.creditor.language),
            tone=_gravest([item.step.tone for item in said]),
            purpose="dunning",
            level=highest.notice.level,
            day=day_of(now, who.contact.zone or who.debtor.zone or who.creditor.zone),
            sections=_sections(said, places, day_of(now, who.creditor.zone)),  # a due date is a day of the creditor's
            message_ref=ids.encode("msg", message.id),
            unsubscribe_url=self._unsubscribe_url(message.tenant_id, who.contact),
        )
        return Composed(letter, highest.step.template)

    def _unsubscribe_url(self, tenant_id: UUID, contact: BillingContact) -> str:
        link = Link(tenant_id, contact.contact_id, "email")
        return f"{self._public_url}/u/{token(self._secret, link)}"


class _Said(Struct, frozen=True):
    notice: Notice
    debt: DebtFacts
    step: Step
    asked_minor: int  # the balance less what a hold covers: nothing disputed or promised is asked for


def _said(notice: Notice, debts: Mapping[UUID, DebtFacts], held: Mapping[UUID, int], step: Step) -> _Said:
    debt = debts[notice.instalment_id]
    return _Said(notice, debt, step, debt.balance_minor - held.get(debt.instalment_id, 0))


class _Who(Struct, frozen=True):
    creditor: CreditorCard
    debtor: DebtorCard
    contact: BillingContact


def _contact(contacts: Sequence[BillingContact], contact_id: UUID | None) -> BillingContact | None:
    return next((contact for contact in contacts if contact.contact_id == contact_id), None)


def _creditor(creditor: CreditorCard, reply_to: str) -> letters.Creditor:
    bank = None
    if creditor.iban is not None:
        bank = letters.BankDetails(holder=creditor.name, iban=creditor.iban, bic=creditor.bic)
    return letters.Creditor(
        name=creditor.name,
        address=tuple((creditor.address or "").splitlines()),
        legal_ids=tuple(letters.LegalId(each.scheme, each.value) for each in creditor.identifiers),
        reply_to=creditor.reply_to or reply_to,
        language=creditor.language,
        bank=bank,
    )


def _language(*wanted: str | None) -> str:
    """Language falls contact → debtor → creditor; one that no template speaks is passed over."""
    return next((language for language in wanted if language in LANGUAGES), "en")


def _gravest(tones: Sequence[Tone]) -> letters.Tone:
    return cast("letters.Tone", max((tone.value for tone in tones), key=TONES.index))


def _sections(said: Sequence[_Said], places: Mapping[UUID, int], day: date) -> tuple[Section, ...]:
    """A section per currency, the oldest debt first."""
    by_currency: dict[str, list[_Said]] = {}
    for item in sorted(said, key=lambda item: (item.debt.due_on or day, item.debt.number, item.debt.place)):
        by_currency.setdefault(item.debt.currency, []).append(item)
    return tuple(
        Section(
            currency=currency,
            lines=tuple(_line(item, places.get(item.debt.invoice_id, 1), day) for item in of_currency),
            total_minor=sum(item.asked_minor for item in of_currency),
        )
        for currency, of_currency in sorted(by_currency.items())
    )


def _line(item: _Said, places: int, day: date) -> Line:
    debt = item.debt
    due_on = debt.due_on or day
    return Line(
        number=debt.number,
        due_on=due_on,
        days_late=(day - due_on).days,
        amount_due_minor=item.asked_minor,
        total_minor=debt.total_minor,
        issued_on=debt.issued_on,
        part=debt.place if places > 1 else None,
        parts=places if places > 1 else None,
    )


async def _places(session: TenantSession, invoice_ids: set[UUID]) -> dict[UUID, int]:
    """How many instalments each invoice has."""
    statement = (
        select(Instalment.invoice_id, func.max(Instalment.place).label("places"))
        .where(Instalment.tenant_id == tenant_of(session), Instalment.invoice_id.in_(invoice_ids))
        .group_by(Instalment.invoice_id)
        .limit(len(invoice_ids) + 1)
    )
    return {row.invoice_id: row.places for row in await session.execute(statement)}


async def _notices(session: TenantSession, notice_ids: Sequence[UUID]) -> dict[UUID, Notice]:
    statement = (
        select(Notice)
        .where(Notice.tenant_id == tenant_of(session), Notice.id.in_(notice_ids))
        .limit(len(notice_ids) + 1)
    )
    return {row.id: row for row in (await session.execute(statement)).scalars()}


async def _steps(session: TenantSession, notices: Mapping[UUID, Notice]) -> dict[UUID, Step]:
    """The step of each notice, by the version that its course keeps."""
    course_ids = {notice.course_id for notice in notices.values()}
    statement = (
        select(Course.id, Course.policy_version_id)
        .where(Course.tenant_id == tenant_of(session), Course.id.in_(course_ids))
        .limit(len(course_ids) + 1)
    )
    versions = {row.id: row.policy_version_id for row in await session.execute(statement)}
    rules = await bodies(session, set(versions.values()))
    return {key: _step(rules[versions[notice.course_id]], notice.step) for key, notice in notices.items()}


def _step(body: PolicyBody, key: str) -> Step:
    return next(step for step in body.steps if step.key == key)
