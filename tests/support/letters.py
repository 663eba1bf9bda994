"""Letters for tests: a French atelier asks a bakery for its money."""

from datetime import date
from typing import Any

import msgspec

from messaging.letters import BankDetails, Creditor, Debtor, LegalId, Letter, Line, Recipient, Section

DAY = date(2026, 4, 2)
BANK = BankDetails(
    holder="Atelier Belleville SARL", iban="FR7630006000011234567890189", bic="AGRIFRPP", bank_name="Crédit Agricole"
)


def make_creditor(**changes: Any) -> Creditor:  # Any: fields of the struct
    creditor = Creditor(
        name="Atelier Belleville",
        address=("12 rue de Belleville", "75020 Paris"),
        legal_ids=(LegalId("siren", "552100554"),),
        reply_to="compta@atelier-belleville.example",
        language="fr",
    )
    return msgspec.structs.replace(creditor, **changes)


def make_line(**changes: Any) -> Line:  # Any: fields of the struct
    line = Line(
        number="FA-2026-0107",
        issued_on=date(2026, 1, 30),
        due_on=date(2026, 3, 3),
        days_late=30,
        amount_due_minor=123456,
        total_minor=123456,
    )
    return msgspec.structs.replace(line, **changes)


def make_section(*lines: Line, currency: str = "EUR") -> Section:
    return Section(currency=currency, lines=lines, total_minor=sum(line.amount_due_minor for line in lines))


def make_letter(**changes: Any) -> Letter:  # Any: fields of the struct
    letter = Letter(
        creditor=make_creditor(),
        debtor=Debtor(name="Boulangerie Dupont"),
        recipient=Recipient(email="claire@dupont.example", name="Claire Martin"),
        language="fr",
        tone="courteous",
        purpose="dunning",
        level=1,
        day=DAY,
        sections=(make_section(make_line()),),
        message_ref="msg_01jq3v8k2m4n6p8r0s2t4v6w8x",
        unsubscribe_url="https://relance.example/unsubscribe/abc",
    )
    return msgspec.structs.replace(letter, **changes)
