"""Whether a template may be published: every language and tone has words, and every name in them exists.

Names are looked up twice. Statically, against the shape of the facts, so that a branch that no sample takes hides no
mistake; then by rendering samples, with everything that is optional and without.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final, cast

import msgspec
from liquid import BoundTemplate, Node, RenderContext
from liquid.builtin.expressions import LoopExpression, Path
from liquid.builtin.expressions.filtered import FilteredExpression
from liquid.expression import Expression
from msgspec import Struct

from messaging import sandbox
from messaging.letters import (
    LANGUAGES,
    TONES,
    BankDetails,
    Creditor,
    Debtor,
    LegalId,
    Letter,
    Line,
    Recipient,
    Section,
    Tone,
)
from messaging.rendering import Facts, facts_of, spoken
from messaging.wording import TemplateSource, Words, WordsMissing

MAX_PROBLEMS: Final = 50
Shape = Mapping[str, Any]  # Any: facts of a sample letter, or _ANY
_PARTS: Final = ("subject", "before", "after")
_LOOP: Final = dict.fromkeys(("index", "index0", "rindex", "rindex0", "first", "last", "length", "name"), 0)
_ANY: Final = object()  # a value whose shape is only known while rendering


class Problem(Struct, frozen=True, kw_only=True):
    """One reason why a template cannot be published."""

    language: str
    tone: Tone | None
    part: str
    code: str
    message: str
    line: int | None = None


def check_template(
    template: TemplateSource, languages: Collection[str], tones: Collection[Tone] = TONES
) -> list[Problem]:
    """What stands in the way of writing letters with it in these languages and tones; empty when nothing does."""
    problems = [
        Problem(language=language, tone=tone, part="words", code="words_missing", message=str(missing))
        for language in languages
        for tone in tones
        if (missing := _missing(template, language, tone))
    ]
    for words in template.words:
        if words.language in LANGUAGES:
            problems += _problems(words)
        else:
            problems.append(_problem(words, "words", "language_unknown", "no letter is written in it", None))
    return problems[:MAX_PROBLEMS]


def _missing(template: TemplateSource, language: str, tone: Tone) -> WordsMissing | None:
    try:
        template.pick(language, tone)
    except WordsMissing as missing:
        return missing
    return None


def _problems(words: Words) -> Iterator[Problem]:
    samples = list(_samples(words))
    shape = facts_of(samples[0])
    for part in _PARTS:
        source: str = getattr(words, part)
        try:
            unknown = list(_unknown(sandbox.parsed("words", source), shape))
            for code, message, line in unknown:
                yield _problem(words, part, code, message, line)
            said = [] if unknown else [spoken(words, source, facts_of(sample)) for sample in samples]
        except sandbox.TemplateBroken as error:
            yield _problem(words, part, error.code, str(error), error.line)
            continue
        if part != "after" and any(not text.strip() for text in said):
            yield _problem(words, part, "empty", f"the {part} may turn out empty", None)


def _problem(words: Words, part: str, code: str, message: str, line: int | None) -> Problem:
    return Problem(language=words.language, tone=words.tone, part=part, code=code, message=message, line=line)


def _unknown(template: BoundTemplate, shape: Facts) -> Iterator[tuple[str, str, int | None]]:
    """Names and filters that do not exist, wherever they stand."""
    context = RenderContext(template)
    assigned = {name: _ANY for node in _every(template.nodes, context) for name in node.template_scope()}
    for node, scope in _scoped(template.nodes, {**shape, **assigned}, context):
        for expression in _within(node.expressions()):
            place = expression.token.source.count("\n", 0, max(expression.token.start_index, 0)) + 1
            if isinstance(expression, Path) and _resolve(expression, scope) is None:
                yield "unknown_name", f"line {place}: there is no {expression}", place
            if isinstance(expression, FilteredExpression):
                for used in expression.filters or []:
                    if used.name not in sandbox.FILTERS:
                        yield "unknown_filter", f"line {place}: there is no filter {used.name}", place


def _scoped(nodes: Iterable[Node], scope: Shape, context: RenderContext) -> Iterator[tuple[Node, Shape]]:
    """Every node with the names that it can see; a loop's variable has the shape of the list's first item."""
    for node in nodes:
        yield node, scope
        inner = dict(scope)
        for expression in node.expressions():
            if isinstance(expression, LoopExpression):
                items = _resolve(expression.iterable, scope) if isinstance(expression.iterable, Path) else _ANY
                inner[expression.identifier] = items[0] if isinstance(items, list) and items else _ANY
                inner["forloop"] = {**_LOOP, "parentloop": scope.get("forloop")}
        yield from _scoped(node.children(context), inner, context)


def _every(nodes: Iterable[Node], context: RenderContext) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _every(node.children(context), context)


def _within(expressions: Iterable[Expression]) -> Iterator[Expression]:
    for expression in expressions:
        yield expression
        yield from _within(expression.children())


def _resolve(path: Path, scope: Shape) -> Any:  # Any: the value found, _ANY, or None for no such name
    found: Any = scope  # Any: as above
    for segment in path.path:
        if isinstance(segment, Path):
            return _ANY
        found = _step(found, segment)
        if found is None or found is _ANY:
            return found
    return found


def _step(value: Any, segment: str | int) -> Any:  # Any: as _resolve
    match value:
        case dict() if segment in value:
            found = cast("Facts", value)[str(segment)]
            return _ANY if found is None else found  # what may be missing has no shape to look into
        case [*items] if isinstance(segment, int):
            return items[0] if items else _ANY
        case dict() | list():
            return _ANY if segment in {"size", "first", "last"} else None
        case str():
            return _ANY if segment == "size" else None
        case _:
            return None


def _samples(words: Words) -> Iterator[Letter]:
    """Letters that between them have and lack everything optional; the first has it all."""
    full = _full(words.language, words.tone or "formal")
    yield full
    single = Section(currency="EUR", lines=full.sections[0].lines[:1], total_minor=123456)
    coming = msgspec.structs.replace(single.lines[0], days_late=-5, issued_on=None, part=None, parts=None)
    for lines in ((single.lines[0],), (coming,)):
        yield msgspec.structs.replace(
            full,
            tone=words.tone or "courteous",
            creditor=msgspec.structs.replace(full.creditor, bank=None, address=(), legal_ids=()),
            recipient=Recipient(email=full.recipient.email),
            sections=(msgspec.structs.replace(single, lines=lines),),
            late_fees_notice=False,
            pay_url=None,
        )


def _full(language: str, tone: Tone) -> Letter:
    late = Line(
        number="F-1",
        issued_on=date(2026, 1, 30),
        due_on=date(2026, 3, 1),
        days_late=32,
        amount_due_minor=123456,
        total_minor=150000,
        part=1,
        parts=3,
    )
    coming = Line(number="F-2", due_on=date(2026, 4, 9), days_late=-7, amount_due_minor=100, total_minor=100)
    return Letter(
        creditor=Creditor(
            name="Atelier",
            address=("1 rue Haute", "75001 Paris"),
            legal_ids=(LegalId("siren", "552100554"),),
            reply_to="a@example.org",
            language=language,
            bank=BankDetails(holder="Atelier", iban="FR7630006000011234567890189", bic="AGRIFRPP", bank_name="Banque"),
        ),
        debtor=Debtor(name="Boulangerie"),
        recipient=Recipient(email="b@example.org", name="Claire Martin"),
        language=language,
        tone=tone,
        purpose="dunning",
        level=1,
        day=date(2026, 4, 2),
        sections=(Section(currency="EUR", lines=(late, coming), total_minor=123556),),
        message_ref="msg_1",
        unsubscribe_url="https://example.org/u",
        pay_url="https://example.org/p",
        late_fees_notice=True,
    )
