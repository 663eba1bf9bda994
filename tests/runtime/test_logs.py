"""Log lines as they are written: keys from the list, values masked, one line each."""

import asyncio
import io
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any  # a log line is JSON of any form
from uuid import UUID

import msgspec
import pytest
import structlog

from runtime import logs
from runtime.logs import MAX_VALUE, LogSettings, configure_logs

TENANT = UUID(int=7)


def fail() -> None:
    raise RuntimeError("for marie@example.fr")


class Written(io.StringIO):
    def lines(self) -> list[dict[str, Any]]:  # Any: as above
        return [
            msgspec.json.decode(line, type=dict[str, Any]) for line in self.getvalue().splitlines()
        ]  # Any: as above

    def line(self) -> dict[str, Any]:  # Any: as above
        (only,) = self.lines()
        return only


@pytest.fixture
def written() -> Iterator[Written]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    stream = Written()
    configure_logs(LogSettings(form="json", more_keys=frozenset({"colour"})), stream)
    yield stream
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_line_has_time_level_event_and_logger_first(written: Written) -> None:
    logs.logger("dunning.planning").info("run_ended", planned_count=3, duration_ms=12, tenant_id=TENANT)
    line = written.line()
    assert list(line)[:3] == ["timestamp", "level", "event"]
    moment = datetime.fromisoformat(line.pop("timestamp"))
    assert moment.tzinfo == UTC
    assert line == {
        "level": "info", "event": "run_ended", "logger": "dunning.planning", "planned_count": 3, "duration_ms": 12,
        "tenant_id": str(TENANT),
    }  # fmt: skip


def test_key_that_is_not_listed_is_dropped_and_named(written: Written) -> None:
    logs.logger("x").info("saved", debtor_name="Marie Durand", invoice={"a": 1}, colour="red", invoice_id=TENANT)
    line = written.line()
    assert line["dropped"] == ["debtor_name", "invoice"]
    assert (line["colour"], line["invoice_id"]) == ("red", str(TENANT))
    assert "Marie" not in written.getvalue()


def test_values_are_masked_wherever_they_hide(written: Written) -> None:
    log = logs.logger("x")
    log.info(
        "mail for marie@example.fr", error=ValueError("FR7630006000011234567890189"), reason=["rel_live_abcDEF123"]
    )
    log.warning("w", cause={"to": {"phone": ("+33612345678",)}}, state={"marie@example.fr": 1}, size=4111111111111111)
    text = written.getvalue()
    for leak in ("marie@", "FR76", "rel_live", "+336", "4111"):
        assert leak not in text
    first, second = written.lines()
    assert first["error"] == "ValueError: [iban]"
    assert second["cause"] == {"to": {"phone": ["[phone]"]}}
    assert second["size"] == "[card]"


def test_traceback_is_masked_and_kept_on_one_line(written: Written) -> None:
    try:
        fail()
    except RuntimeError:
        logs.logger("x").exception("failed")
    line = written.line()
    assert "Traceback (most recent call last):\n" in line["exception"]
    assert "RuntimeError: for [email]" in line["exception"]


def test_forged_line_stays_a_value(written: Written) -> None:
    forged = 'x\n{"level":"error","event":"forged"}\r\x1b[2J\u2028\u202e'
    logs.logger("x").info(forged, reason=forged)
    line = written.line()
    assert line["event"] == line["reason"] == 'x\\n{"level":"error","event":"forged"}\\r\\x1b[2J\\u2028\\u202e'
    raw = written.getvalue().removesuffix("\n")
    assert not [character for character in raw if not character.isprintable()]


def test_long_value_is_cut(written: Written) -> None:
    logs.logger("x").info("y" * 10_000, reason=list(range(1000)))
    line = written.line()
    assert line["event"] == "y" * MAX_VALUE + "… [10000 characters]"
    assert len(line["reason"]) == 50


@pytest.mark.parametrize("before", ["y " * (MAX_VALUE // 2 - 10), "rel_live_" + "a" * 1500 + " " + "y " * 490])
@pytest.mark.parametrize("room", range(0, 40, 3))
def test_secret_across_the_cut_does_not_show_half(written: Written, before: str, room: int) -> None:
    """Neither at the cut, nor where the reading ends, which masking may bring before the cut."""
    for end in (MAX_VALUE, MAX_VALUE + logs.OVERLAP):
        start = before + "z " * ((end - len(before) - room) // 2)
        logs.logger("x").info(start + "marie.durand@example.fr" + " and so on" * 200)
    assert "marie" not in written.getvalue()


def test_object_tells_its_type_and_nothing_else(written: Written) -> None:
    class Debtor:
        def __repr__(self) -> str:
            return "Debtor(Marie)"

    logs.logger("x").info("seen", reason=Debtor(), state=b"Marie", cause={"a": {"b": {"c": {"d": {"e": "Marie"}}}}})
    assert "Marie" not in written.getvalue()
    assert written.line()["reason"] == "<Debtor>"


def test_context_is_on_each_line_of_its_task_only(written: Written) -> None:
    async def work(tenant_id: int, begun: asyncio.Event, go_on: asyncio.Event) -> None:
        with logs.context(request_id=f"req_{tenant_id}", tenant_id=UUID(int=tenant_id), trace_id="fe12" * 8):
            begun.set()
            await go_on.wait()
            logs.logger("x").info("seen", count=tenant_id)
        logs.logger("x").info("after", count=tenant_id)

    async def both() -> None:
        one, two = asyncio.Event(), asyncio.Event()
        await asyncio.gather(work(1, one, two), work(2, two, one))

    asyncio.run(both())
    for line in written.lines():
        ours = UUID(int=line["count"])
        assert line.get("tenant_id") == (str(ours) if line["event"] == "seen" else None)
        assert line.get("trace_id") == ("fe12" * 8 if line["event"] == "seen" else None)
    assert len(written.lines()) == 4


def test_standard_logging_ends_in_the_same_lines(written: Written) -> None:
    with logs.context(request_id="req_1"):
        logging.getLogger("uvicorn.error").info("started by %s", "marie@example.fr", extra={"debtor": "Marie"})
    line = written.line()
    assert (line["event"], line["logger"], line["level"]) == ("started by [email]", "uvicorn.error", "info")
    assert line["request_id"] == "req_1"
    assert "debtor" not in line


def test_quiet_loggers_are_quiet(written: Written) -> None:
    logging.getLogger("uvicorn.access").info("GET /portal/token-in-the-path")
    logging.getLogger("sqlalchemy.engine.Engine").info("SELECT 1")
    logging.getLogger("arq.worker").info("job(...)")
    assert written.getvalue() == ""
    logging.getLogger("sqlalchemy.pool").warning("pool overflow")
    assert written.line()["logger"] == "sqlalchemy.pool"


def test_warning_of_python_is_a_line(written: Written) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("this goes away", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "this goes away" in written.line()["event"]


def test_level_is_held(written: Written) -> None:
    configure_logs(LogSettings(level="warning", form="json"), written)
    logs.logger("x").info("quiet")
    logging.getLogger("y").info("quiet")
    logs.logger("x").warning("heard")
    assert [line["event"] for line in written.lines()] == ["heard"]


def test_console_form_is_readable_and_as_safe(written: Written) -> None:
    configure_logs(LogSettings(form="console"), written)
    try:
        fail()
    except RuntimeError:
        logs.logger("x").exception("failed\nagain", reason="\x1b[2J")
    text = written.getvalue()
    assert "failed\\nagain" in text
    assert "Traceback (most recent call last):\n" in text
    assert "\x1b" not in text
    assert "marie" not in text


def test_auto_is_json_where_nobody_looks(written: Written) -> None:
    configure_logs(LogSettings(form="auto"), written)
    logs.logger("x").info("seen")
    assert written.line()["event"] == "seen"


def test_logger_made_before_follows_a_later_setting() -> None:
    early = logs.logger("early")
    stream = Written()
    configure_logs(LogSettings(form="json"), stream)
    try:
        early.info("seen")
    finally:
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
    assert stream.line()["logger"] == "early"
