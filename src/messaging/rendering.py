"""From a letter and a template to what the reader sees: subject, text and HTML. Pure: same letter, same bytes."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from messaging import sandbox
from messaging.formatting import day, grouped, legal_id, listed, money, plain
from messaging.letters import BankDetails, Letter, Line, Section, Tone
from messaging.wording import Labels, TemplateSource, Words, labels, layout, typeset

MAX_SUBJECT: Final = 150  # characters
_NAMED_NUMBERS: Final = 3  # a sentence names so many invoices, the table names all
_ACCENTS: Final[dict[Tone, str]] = {"courteous": "#2f6fde", "firm": "#c77700", "formal": "#38434f"}

Facts = dict[str, Any]  # Any: what JSON can hold, and nothing else reaches a template


class Rendered(Struct, frozen=True):
    """What the reader sees."""

    subject: str
    text: str
    html: str


def render(letter: Letter, template: TemplateSource) -> Rendered:
    """Write the letter. Raises WordsMissing, or TemplateBroken when the words name what is not there."""
    words, said = template.pick(letter.language, letter.tone), labels(letter.language)
    facts = facts_of(letter)
    asked = _asked(letter, said)
    subject = plain(spoken(words, words.subject, facts), MAX_SUBJECT)
    before, after = (_body(spoken(words, part, facts)) for part in (words.before, words.after))
    if not subject or not before:
        raise sandbox.TemplateBroken("empty", "a message has a subject and a body")
    around = facts | {
        "subject": subject,
        "before": before,
        "after": after,
        "before_paragraphs": _paragraphs(before),
        "after_paragraphs": _paragraphs(after),
        "accent": _ACCENTS[letter.tone],
        "preheader": said.preheader.format(label=asked["label"], amount=listed(asked["amounts"], said.conjunction)),
        "asked": asked,
        "labels": msgspec.to_builtins(said),
    }
    text = sandbox.run("text", layout("txt"), around).strip() + "\n"
    return Rendered(subject, text, sandbox.run("html", layout("html"), around))


def spoken(words: Words, source: str, facts: Facts) -> str:
    """One part of the words with its facts filled in; raises TemplateBroken."""
    return sandbox.run("words", typeset(words.language, source), facts)


def facts_of(letter: Letter) -> Facts:
    """The values that a template can name, ready to be read aloud; nothing in them is markup or Liquid."""
    language, said = letter.language, labels(letter.language)
    lines = [line for section in letter.sections for line in section.lines]
    overdue = [line for line in lines if line.days_late > 0]
    numbers = list(dict.fromkeys(plain(line.number) for line in lines))
    coming = [line.due_on for line in lines if line.days_late <= 0]
    overdue_totals = [_overdue(section, language) for section in letter.sections]
    most_late = max((line.days_late for line in overdue), default=0)
    return {
        "language": language,
        "tone": letter.tone,
        "purpose": letter.purpose,
        "level": letter.level,
        "creditor": _creditor(letter, numbers),
        "debtor": {"name": plain(letter.debtor.name)},
        "recipient": {"name": plain(letter.recipient.name or "") or None, "email": letter.recipient.email},
        "today": day(letter.day, language),
        "count": len(numbers),
        "overdue_count": len({line.number for line in overdue}),
        "numbers": _some(numbers, said),
        "total": listed(
            [money(section.total_minor, section.currency, language) for section in letter.sections], said.conjunction
        ),
        "overdue_total": listed([total for total in overdue_totals if total], said.conjunction) or None,
        "first_due_on": day(min(line.due_on for line in lines), language),
        "next_due_on": day(min(coming), language) if coming else None,
        "days_late": most_late,
        "late": said.day_one if most_late == 1 else said.day_many.format(days=most_late),
        "sections": [_section(section, language, said) for section in letter.sections],
        "late_fees_notice": letter.late_fees_notice,
        "pay_url": letter.pay_url,
        "unsubscribe_url": letter.unsubscribe_url,
        "message_ref": plain(letter.message_ref),
    }


def _asked(letter: Letter, said: Labels) -> Facts:
    """What stands out at the top: what is overdue or, before any due date has passed, what there is to pay."""
    overdue = [_overdue(section, letter.language) for section in letter.sections]
    if any(overdue):
        return {
            "label": said.overdue_on.format(day=day(letter.day, letter.language)),
            "amounts": [amount for amount in overdue if amount],
        }
    totals = [money(section.total_minor, section.currency, letter.language) for section in letter.sections]
    return {"label": said.to_pay, "amounts": totals}


def _creditor(letter: Letter, numbers: Sequence[str]) -> Facts:
    creditor, said = letter.creditor, labels(letter.language)
    ids = [legal_id(item.scheme, item.value, letter.language) for item in creditor.legal_ids]
    return {
        "name": plain(creditor.name),
        "address": [part for part in map(plain, creditor.address) if part],
        "legal_ids": [written for written in ids if written],
        "reply_to": plain(creditor.reply_to),
        "reply_to_link": "mailto:" + quote(creditor.reply_to, safe="@"),
        "bank": _bank(creditor.bank, numbers, said) if creditor.bank else None,
    }


def _bank(bank: BankDetails, numbers: Sequence[str], said: Labels) -> list[Facts]:
    rows = (
        (said.holder, plain(bank.holder)),
        (said.iban, grouped(plain(bank.iban), 4, " ")),  # a narrow screen may break it
        (said.bic, plain(bank.bic or "")),
        (said.bank_name, plain(bank.bank_name or "")),
        (said.reference, _some(numbers, said)),
    )
    return [{"label": label, "value": value} for label, value in rows if value]


def _section(section: Section, language: str, said: Labels) -> Facts:
    overdue = _overdue(section, language)
    total = money(section.total_minor, section.currency, language)
    return {
        "currency": section.currency,
        "title": said.invoices_in.format(currency=section.currency),
        "total": total,
        "overdue": overdue if overdue != total else None,  # said only where it differs
        "lines": [_line(line, section.currency, language, said) for line in section.lines],
    }


def _line(line: Line, currency: str, language: str, said: Labels) -> Facts:
    partly = line.total_minor > line.amount_due_minor
    return {
        "number": plain(line.number),
        "part": said.part.format(part=line.part, parts=line.parts) if line.part and line.parts else None,
        "issued": said.issued_on.format(day=day(line.issued_on, language)) if line.issued_on else None,
        "due": day(line.due_on, language),
        "days_late": line.days_late,
        "overdue": line.days_late > 0,
        "state": _state(line.days_late, said),
        "amount_due": money(line.amount_due_minor, currency, language),
        "out_of": said.out_of.format(amount=money(line.total_minor, currency, language)) if partly else None,
    }


def _state(days_late: int, said: Labels) -> str:
    named = {1: said.late_one, 0: said.due_today, -1: said.due_in_one}
    return named.get(days_late) or (said.late_many if days_late > 0 else said.due_in_many).format(days=abs(days_late))


def _overdue(section: Section, language: str) -> str | None:
    overdue_minor = sum(line.amount_due_minor for line in section.lines if line.days_late > 0)
    return money(overdue_minor, section.currency, language) if overdue_minor else None


def _some(numbers: Sequence[str], said: Labels) -> str:
    if len(numbers) <= _NAMED_NUMBERS:
        return listed(numbers, said.conjunction)
    left = len(numbers) - _NAMED_NUMBERS + 1
    return listed([*numbers[: _NAMED_NUMBERS - 1], said.others.format(count=left)], said.conjunction)


def _body(text: str) -> str:
    return "\n".join(line.strip() for line in text.replace("\r", "\n").strip().splitlines())


def _paragraphs(text: str) -> list[list[str]]:
    return [paragraph.split("\n") for paragraph in text.split("\n\n") if paragraph.strip()]
