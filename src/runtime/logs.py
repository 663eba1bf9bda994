"""Logs: one JSON object a line on standard error, in UTC, with keys from a list and values masked and bounded.

    log = logs.logger(__name__)
    with logs.context(request_id="…", tenant_id=tenant_id):
        log.info("invoice_imported", count=3, duration_ms=12)

A key that is not on the list is dropped and its name told, so that nobody logs a debtor by accident. The standard
library's logging, which uvicorn and SQLAlchemy use, ends in the same lines.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from datetime import date, datetime
from enum import Enum
from typing import Any, Final, Literal, TextIO, cast
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from runtime.masking import mask

MAX_VALUE: Final = 2_000  # characters
MAX_TRACEBACK: Final = 16_000
MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 4
OVERLAP: Final = 512  # read beyond the cut before masking, so that no secret is cut until it looks harmless

# nothing that names or reaches a person, and no URL or path, which may carry a token
KEYS: Final = frozenset({
    "actor", "attempt", "cause", "channel", "code", "connector", "count", "dropped", "error", "event", "exception",
    "fence", "form", "host", "job", "kind", "level", "limit", "logger", "method", "mode", "outcome", "pid", "port",
    "process", "queue", "reason", "role", "route", "shard", "signal", "size", "stack", "state", "status", "step",
    "table", "task", "timestamp", "version", "worker",
})  # fmt: skip
FAMILIES: Final = ("_id", "_ids", "_count", "_ms", "_s", "_bytes", "_at", "_version")  # ids, measures, instants
_AS_IT_IS: Final = frozenset({"level", "timestamp"})  # made in this chain; a timestamp looks like a phone number

_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_UNSEEN_BUT_LINES: Final = re.compile(_UNSEEN.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f"))
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}")

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# what these say at info is noise or is said better by our own lines
QUIET: Final = {"uvicorn.access": logging.CRITICAL, "sqlalchemy": logging.WARNING, "arq": logging.WARNING,
                 "aiohttp": logging.WARNING, "asyncio": logging.WARNING, "alembic": logging.WARNING}  # fmt: skip


class LogSettings(Struct, frozen=True, kw_only=True):
    """What is written and how; `auto` is the console form on a terminal and JSON anywhere else."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    form: Literal["json", "console", "auto"] = "auto"
    more_keys: frozenset[str] = frozenset()


def logger(name: str) -> FilteringBoundLogger:
    """The logger of a module; it may be made before `configure_logs` and follows it."""
    return cast("FilteringBoundLogger", structlog.get_logger(module=name))  # structlog takes `logger` for itself


def context(**ids: object) -> AbstractContextManager[None]:
    """Put request_id, tenant_id, trace_id and the like on every line of this task until the end of the block."""
    return structlog.contextvars.bound_contextvars(**ids)


def configure_logs(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set logging up for this process; calling it again replaces what was set."""
    target = sys.stderr if stream is None else stream
    as_json = settings.form == "json" or (settings.form == "auto" and not target.isatty())
    finish: list[Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _keep_to(KEYS | settings.more_keys),
    ]
    render: Processor = (
        _render_json
        if as_json
        else structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    level = _LEVELS[settings.level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _name,
            structlog.processors.add_log_level,
            *finish,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # it brings handlers of its own
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True
    for name, floor in QUIET.items():
        logging.getLogger(name).setLevel(max(floor, level))
    logging.captureWarnings(capture=True)


def _name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["logger"] = event.pop("module", "")
    return event


def _keep_to(allowed: frozenset[str]) -> Processor:
    def keep(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        kept: EventDict = {}
        dropped: list[str] = []
        for key, value in event.items():
            if key in _AS_IT_IS:
                kept[key] = str(value)
            elif key in allowed or key.endswith(FAMILIES):
                limit = MAX_TRACEBACK if key in {"exception", "stack"} else MAX_VALUE
                kept[key] = safe(value, limit, lines=limit is MAX_TRACEBACK)
            else:
                dropped.append(_cut(key, 40, lines=False))
        if dropped:
            kept["dropped"] = sorted(dropped)[:MAX_ITEMS]
        return kept

    return keep


def safe(value: object, limit: int = MAX_VALUE, *, lines: bool = False, depth: int = 0) -> object:  # noqa: PLR0911 - one line a type
    """A value as it may be written: masked, bounded, and without characters that move a cursor."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        text = str(value)
        masked = mask(text)
        return value if masked == text else masked
    if isinstance(value, Enum):
        return safe(value.value, limit, depth=depth)
    if isinstance(value, UUID | datetime | date):
        return str(value)
    if isinstance(value, str):
        return value if _UUID.fullmatch(value) else _cut(value, limit, lines=lines)
    if isinstance(value, BaseException):
        return _cut(f"{type(value).__name__}: {value}", limit, lines=lines)
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        pairs = list(cast("Mapping[object, object]", value).items())[:MAX_ITEMS]
        return {_cut(str(key), 100, lines=False): safe(item, limit, depth=depth + 1) for key, item in pairs}
    if depth < MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        items = list(cast("list[object]", value))[:MAX_ITEMS]
        return [safe(item, limit, depth=depth + 1) for item in items]
    return f"<{type(value).__name__}>"  # its repr could hold anything


def _cut(text: str, limit: int, *, lines: bool) -> str:
    masked = mask(text[: limit + OVERLAP])
    if len(text) > limit + OVERLAP:
        masked = masked[:-OVERLAP]
    short = masked if len(text) <= limit else f"{masked[:limit]}… [{len(text)} characters]"
    return (_UNSEEN_BUT_LINES if lines else _UNSEEN).sub(_escape, short)


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()


def _render_json(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> str:  # Any: structlog's own
    first: Callable[[str], object] = event.pop
    head = {key: first(key) for key in ("timestamp", "level", "event") if key in event}
    return msgspec.json.encode({**head, **event}).decode()
