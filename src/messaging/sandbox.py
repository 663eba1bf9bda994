"""Liquid for sources that we did not write: few tags, few filters, and a bound on everything.

A source reaches plain dicts, lists, text and numbers and nothing else: no file, no object, no clock. The library's own
limits count nested loops only and no time, so the context below adds up every iteration and the processor time.
"""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, Literal

from liquid import BoundTemplate, Environment, RenderContext, StrictUndefined, Token
from liquid.builtin.tags.for_tag import ForLoop
from liquid.builtin.tags.tablerow_tag import TableRow
from liquid.exceptions import LiquidError, LoopIterationLimitError, ResourceLimitError, UndefinedError
from liquid.undefined import UNDEFINED
from liquid.utils import ReadOnlyChainMap

Kind = Literal["words", "text", "html"]

MAX_SOURCE: Final = 10_000  # characters
MAX_SECONDS: Final = 0.5  # of processor time: a busy machine refuses nothing that a free one accepts
MAX_ITERATIONS: Final = 10_000  # of all loops of one rendering together
TAGS: Final = frozenset({
    "if", "unless", "case", "for", "break", "continue", "assign", "capture", "comment", "echo", "#",
    "content", "output", "illegal",  # how the library names text, {{ … }} and what it cannot read
})  # fmt: skip
# Left out: what multiplies text (replace, join, times), reads the clock (date) or lifts the escaping (safe).
FILTERS: Final = frozenset({
    "append", "capitalize", "default", "downcase", "first", "last", "minus", "plus", "prepend", "size", "strip",
    "truncate", "upcase",
})  # fmt: skip


class TemplateBroken(ValueError):
    """The template cannot be read, names what does not exist, or asks for too much."""

    def __init__(self, code: str, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.code = code
        self.line = line


class _Bounded(RenderContext):
    """One rendering, with what it has used so far."""

    __slots__ = ("_iterations", "_until")

    def __init__(self, template: BoundTemplate, **options: Any) -> None:  # Any: as the library declares them
        super().__init__(template, **options)
        # Without the library's `now` and `today`, which read the machine's clock.
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)
        self._iterations = 0
        self._until = time.thread_time() + MAX_SECONDS

    @contextmanager
    def loop(self, namespace: Mapping[str, object], forloop: ForLoop | TableRow) -> Generator[RenderContext]:
        self._iterations += forloop.length
        if self._iterations > MAX_ITERATIONS:
            raise LoopIterationLimitError("too many loop iterations", token=None)
        with super().loop(namespace, forloop) as context:
            yield context

    def stopindex(self, key: str, index: int | None = None) -> int:
        """Called with the end of each loop before a reversed one is copied into a list: the last chance to refuse."""
        if index is not None and index > MAX_ITERATIONS:
            raise LoopIterationLimitError("too many loop iterations", token=None)
        return super().stopindex(key, index)

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        self._check_time()
        return super().get(path, token=token, default=default)

    def filter(self, name: str, token: Token | None) -> Any:  # Any: a filter takes and gives what it likes
        self._check_time()
        return super().filter(name, token)

    def _check_time(self) -> None:
        if time.thread_time() > self._until:
            raise ResourceLimitError("too much time", token=None)


class _Template(BoundTemplate):
    context_class = _Bounded


class _Environment(Environment):
    template_class = _Template
    loop_iteration_limit = MAX_ITERATIONS
    local_namespace_limit = 10_000
    context_depth_limit = 10
    block_nesting_limit = 10

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.tags = {name: tag for name, tag in self.tags.items() if name in TAGS}
        self.filters = {name: function for name, function in self.filters.items() if name in FILTERS}


class _Words(_Environment):
    output_stream_limit = 20_000  # bytes


class _Layout(_Environment):
    output_stream_limit = 2_000_000  # bytes: 500 lines and room


_ENVIRONMENTS: Final[dict[Kind, Environment]] = {
    "words": _Words(undefined=StrictUndefined),
    "text": _Layout(undefined=StrictUndefined),
    "html": _Layout(undefined=StrictUndefined, autoescape=True),
}


@lru_cache(maxsize=256)
def parsed(kind: Kind, source: str) -> BoundTemplate:
    """Read a source; raises TemplateBroken."""
    if kind == "words" and len(source) > MAX_SOURCE:
        raise TemplateBroken("too_long", f"a part of a template has at most {MAX_SOURCE} characters")
    try:
        return _ENVIRONMENTS[kind].from_string(source)
    except (LiquidError, RecursionError) as error:
        raise _broken("syntax", error) from error


def run(kind: Kind, source: str, facts: Mapping[str, object]) -> str:
    """Render a source with plain values; in `html` every value is escaped. Raises TemplateBroken."""
    template = parsed(kind, source)
    try:
        return template.render(facts)
    except ResourceLimitError as error:
        raise _broken("limit", error) from error
    except UndefinedError as error:
        raise _broken("unknown_name", error) from error
    # Filters meet values of any type, and Python's own errors come through some of them.
    except (LiquidError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise _broken("failed", error) from error


def _broken(code: str, error: Exception) -> TemplateBroken:
    if not isinstance(error, LiquidError):
        return TemplateBroken(code, f"{type(error).__name__}: {error}")
    place = error.context()
    return TemplateBroken(code, str(error.message or type(error).__name__), place[0] if place else None)
