"""The words of templates: who may say what in which language and tone, and the ones that the product ships.

A template is words only: a subject, what stands before the table of invoices and what stands after it, in Liquid. The
layout around them (`templates/letter.html`, `letter.txt`) is ours, so that every message has its table, its legal
footer and its way out, and words never carry markup.
"""

import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct

from messaging.formatting import NBSP
from messaging.letters import LANGUAGES, TONES, Tone

BUILTIN: Final = ("before_due", "reminder")
_FOLDER: Final = files("messaging") / "templates"
_LIQUID: Final = re.compile(r"(\{\{.*?\}\}|\{%.*?%\})", re.DOTALL)
_BEFORE_SIGN: Final = re.compile(r" (?=[:;!?»%€])")
_AFTER_QUOTE: Final = re.compile(r"(?<=«) ")


class WordsMissing(LookupError):
    """The template says nothing in the language and tone of the letter."""


class Words(Struct, frozen=True, kw_only=True):
    """Liquid sources for one language, and for one tone or (None) for every tone that has no words of its own."""

    language: str
    tone: Tone | None
    subject: str
    before: str  # paragraphs are parted by an empty line
    after: str


class TemplateSource(Struct, frozen=True, kw_only=True):
    """A template with its words in each language and tone."""

    name: str
    words: tuple[Words, ...]

    def pick(self, language: str, tone: Tone) -> Words:
        """The words for a letter; raises WordsMissing rather than fall back on another language."""
        for wanted in (tone, None):
            for words in self.words:
                if (words.language, words.tone) == (language, wanted):
                    return words
        raise WordsMissing(f"template {self.name} says nothing in {language}, {tone}")


class Labels(Struct, frozen=True, forbid_unknown_fields=True):
    """The fixed words of the layout in one language; `{…}` are filled with str.format."""

    colon: str
    preheader: str
    client: str
    overdue_on: str
    to_pay: str
    invoice: str
    due: str
    amount_due: str
    issued_on: str
    part: str
    late_one: str
    late_many: str
    due_today: str
    due_in_one: str
    due_in_many: str
    day_one: str
    day_many: str
    out_of: str
    others: str
    total: str
    overdue: str
    invoices_in: str
    pay: str
    bank: str
    holder: str
    iban: str
    bic: str
    bank_name: str
    reference: str
    reply: str
    opt_out: str
    opt_out_note: str
    message_ref: str
    conjunction: str = msgspec.field(name="and")


@cache
def labels(language: str) -> Labels:
    """The layout's words in a language."""
    return msgspec.json.decode(typeset(language, _read(f"{language}/labels.json")), type=Labels)


@cache
def builtin(name: str) -> TemplateSource:
    """A template that the product ships: `before_due` or `reminder`, in every language and tone."""
    if name not in BUILTIN:
        raise WordsMissing(f"there is no template {name!r}")
    variants: tuple[Tone | None, ...] = (None, *TONES)
    found = [_words(language, name, tone) for language in LANGUAGES for tone in variants]
    return TemplateSource(name=name, words=tuple(words for words in found if words))


@cache
def layout(kind: str) -> str:
    """The Liquid source around the words: `html` or `txt`."""
    return _read(f"letter.{kind}")


@lru_cache(maxsize=512)
def typeset(language: str, source: str) -> str:
    """Give French words their unbreakable spaces; what stands in Liquid's braces, and so the facts, is left alone."""
    if language != "fr":
        return source
    parts = _LIQUID.split(source)
    parts[::2] = [_AFTER_QUOTE.sub(NBSP, _BEFORE_SIGN.sub(NBSP, part)) for part in parts[::2]]
    return "".join(parts)


def _words(language: str, name: str, tone: Tone | None) -> Words | None:
    path = f"{language}/{name}.{tone}.liquid" if tone else f"{language}/{name}.liquid"
    if not (_FOLDER / path).is_file():
        return None
    subject, before, after = (part.strip() for part in _read(path).split("\n---\n"))
    return Words(language=language, tone=tone, subject=subject, before=before, after=after)


def _read(path: str) -> str:
    return (_FOLDER / path).read_text(encoding="utf-8")
