"""What documents say of a debtor, merged: the richest source's word for each fact, of equal ones the latest document's.

Pure. What a person or a program has changed since (it is no longer what the documents made it) is left alone.
"""

from datetime import date
from typing import Any, Final

from msgspec import Struct

from billing_connectors.documents.canonical import Party
from receivables.checking import MAX_TEXT, is_email, is_phone
from receivables.drafts import DebtorChange, NewDebtor
from receivables.identifiers import MAX_IDENTIFIERS, Identifier
from receivables.models import Debtor

FIELDS: Final = ("name", "language", "country", "address", "email", "phone")


class Said(Struct, frozen=True, array_like=True, order=True):
    """One fact of a debtor, with how rich its source was and how recent its document."""

    rank: int
    stated_on: date
    value: str


class Statement(Struct, frozen=True):
    """The best word for each fact of one debtor, by the fact's name."""

    said: dict[str, Said] = {}

    def values(self) -> dict[str, str]:
        """The facts alone."""
        return {name: word.value for name, word in self.said.items()}


def with_word(statement: Statement, party: Party, rank: int, stated_on: date) -> Statement:
    """The statement with what one document says of the buyer."""
    said = dict(statement.said)
    for name, value in _words(party).items():
        if value:
            word = Said(rank, stated_on, value)
            said[name] = max(said.get(name, word), word)
    return Statement(said)


def _words(party: Party) -> dict[str, str | None]:
    place = " ".join(part for part in (party.postcode, party.city) if part)
    lines = [line for line in (*party.address_lines, place) if line] if party.address_lines or party.city else []
    address = "\n".join(lines)
    return {
        "name": party.name,
        "language": party.language,
        "country": party.country,
        "address": address if len(address) <= MAX_TEXT else None,
        "email": party.email if party.email and is_email(party.email) else None,
        "phone": party.phone if party.phone and is_phone(party.phone) else None,
    }


def new_debtor(statement: Statement, identifiers: tuple[Identifier, ...]) -> NewDebtor:
    """A debtor as the documents describe it."""
    words = statement.values()
    return NewDebtor(
        name=words["name"],
        language=words.get("language"),
        country=words.get("country"),
        address=words.get("address"),
        email=words.get("email"),
        phone=words.get("phone"),
        identifiers=identifiers[:MAX_IDENTIFIERS],
    )


def debtor_change(
    known: Debtor,
    held: tuple[Identifier, ...],
    before: Statement,
    after: Statement,
    identifiers: tuple[Identifier, ...],
) -> DebtorChange | None:
    """What more documents change about a debtor; None where they say nothing new."""
    changes: dict[str, Any] = {}  # Any: the fields of a DebtorChange
    for name, word in after.said.items():
        had = getattr(known, name)
        made = before.said.get(name)
        if word.value != had and had == (made.value if made else None):
            changes[name] = word.value
    more = (*held, *(each for each in identifiers if each not in held))[:MAX_IDENTIFIERS]
    if len(more) > len(held):
        changes["identifiers"] = more
    return DebtorChange(**changes) if changes else None
