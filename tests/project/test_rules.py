"""Each of our own rules on planted code: what it must flag, and what it must leave alone."""

from textwrap import dedent

import pytest

from checks.rules import RULES, examine

IMPORTS = """\
import time
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from sqlalchemy import exists, func, select, text, union_all, update
from sqlalchemy import select as pick
"""
HEAD = IMPORTS.count("\n")


def breaches(rule: str, code: str, path: str = "src/dunning/planning.py") -> list[int]:
    """The lines of the planted code, counted from 1, that the rule flags."""
    return [finding.line - HEAD for finding in examine(path, IMPORTS + dedent(code).strip("\n") + "\n", [rule])]


FLAGGED = {
    "commit": [
        "await session.commit()",
        "async with session.begin():\n    pass",
        "transaction = await connection.begin()",
    ],
    "wall-clock": [
        "now = datetime.now(UTC)",
        "day = date.today()",
        "started = time.time()",
        "import datetime as dt\nnow = dt.datetime.utcnow()",
        "from time import time as seconds\nstarted = seconds()",
        "field(default_factory=datetime.utcnow)",
    ],
    "standing-clock": [
        "column = mapped_column(server_default=func.now())",
        "late = func.current_date()",
        "q = text('select id from due where at < now()')",
        "q = text('select id from due where at < CURRENT_TIMESTAMP limit 1')",
        "q = f'update due set {column} = localtimestamp'",
    ],
    "tenant-switch": [
        "await session.execute(text(\"select set_config('app.tenant_id', :t, true)\"))",
        "await session.execute(select(func.set_config('app.tenant_id', t, True)))",
        "await connection.exec_driver_sql('SET LOCAL app.tenant_id = 1')",
        "await connection.exec_driver_sql('set local role relance_owner')",
        "await connection.exec_driver_sql('reset role')",
    ],
    "unbounded-query": [
        "rows = await session.execute(select(Invoice).where(Invoice.debtor_id == debtor_id))",
        "rows = (await session.scalars(pick(Invoice))).all()",
        (
            "async def f(session):\n    query = select(Invoice)\n    query = query.where(Invoice.open)\n"
            "    return await session.scalars(query)"
        ),
        "rows = await session.execute(text('select id from invoice'))",
        "rows = await session.execute(text('with due as (select 1 from due) select id from due for update'))",
        "SQL = 'select id from invoice'\nrows = await connection.fetch(SQL)",
        "async def f(session):\n    async for row in await session.stream(select(Invoice)):\n        pass",
        "def open_invoices():\n    return select(Invoice)",
        "rows = await session.execute(select(Invoice.kind, func.count()).group_by(Invoice.kind))",
        "rows = await session.execute(text('select kind, count(*) from invoice group by kind'))",
        "rows = await session.execute(union_all(select(A), select(B)))",
        "UNUSED_HERE = text('select id from invoice')",
        "rows = await session.execute(text('select unnest(:ids)'))",
        "ALL = text('select id from invoice')\none = (await s.execute(ALL)).one()\nmany = await s.execute(ALL)",
    ],
    "money-float": [
        "def f(amount_minor: int) -> int:\n    return int(amount_minor * 0.2)",
        "def f(invoice):\n    return float(invoice.total_minor)",
        "def f(invoice, parts):\n    return invoice.total_minor / parts",
        "class Share:\n    amount_minor: int\n    rate: float",
        "def f(rate: float) -> Money:\n    return Money(1, 'EUR')",
    ],
    "f-string-sql": [
        "q = text(f'select id from invoice where number = {number} limit 1')",
        "q = text('select id from ' + table)",
        "q = text('select id from %s' % table)",
        "q = text('select id from {}'.format(table))",
        "await connection.exec_driver_sql(f'drop table {name}')",
    ],
    "unsafe-format": ["import pickle", "from shelve import open", "import os, dill"],
    "unchecked-tls": [
        "client.get(url, verify=False)",
        "context.check_hostname = False",
        "context.verify_mode = ssl.CERT_NONE",
        "http.post(url, ssl=False)",
    ],
    "reasoned-any": ["def f(x: Any) -> None: ...", "table: dict[str, Any] = {}"],
}
LEFT_ALONE = {
    "commit": [
        "async with session.begin_nested():\n    pass",
        "async with work(tenant_id) as session:\n    pass",
        "await session.commit()  # allow: commit, because the lock must be seen by the other server",
    ],
    "wall-clock": [
        "started = time.monotonic()",
        "now = clock.now()",
        "day = datetime(2026, 1, 1)",
        "def f(now: datetime) -> date:\n    return now.date()",
        "# allow: wall-clock, because a human reads it\nprint(datetime.now(UTC))",
    ],
    "standing-clock": [
        "column = mapped_column(server_default=func.clock_timestamp())",
        "q = text('select id from due where at < (select clock_timestamp()) limit 1')",
        'def f():\n    """SQL has now() and current_timestamp."""',
        "message = 'try again, not now (later)'",
    ],
    "tenant-switch": ["q = text(\"select current_setting('app.tenant_id')\")", "note = 'roles of a member'"],
    "unbounded-query": [
        "rows = await session.execute(select(Invoice).where(Invoice.open).limit(100))",
        "row = (await session.execute(select(Invoice).where(Invoice.id == key))).scalar_one_or_none()",
        "row = await session.scalar(select(Invoice).where(Invoice.id == key))",
        "row = (await session.scalars(select(Invoice).where(Invoice.id == key))).one()",
        "total = await session.execute(select(func.count()).select_from(Invoice))",
        "total = await session.execute(select(func.coalesce(func.sum(Invoice.total_minor), 0)))",
        "found = await session.execute(select(exists(select(Invoice).where(Invoice.open))))",
        "due = select(Queue.id).where(Queue.ready).cte('due')",
        "rows = await session.execute(update(Queue).where(Queue.id.in_(select(Due.id))).returning(Queue.id))",
        (
            "async def f(session, debtor):\n    query = select(Invoice)\n    if debtor:\n"
            "        query = query.where(Invoice.debtor_id == 1)\n    return await session.scalars(query.limit(50))"
        ),
        "rows = await session.execute(union_all(select(A), select(B)).limit(10))",
        "rows = await page(session, select(Invoice), limit=50)",
        "rows = await session.execute(select(Invoice).where(Invoice.id.in_(ids)))  # bounded: by the page's ids",
        "# bounded: by the page's ids\nrows = await session.execute(\n    select(Invoice).where(Invoice.id == 1)\n)",
        "rows = await session.execute(text('select id from invoice order by id limit :rows'))",
        "ok = await session.execute(text('select pg_advisory_xact_lock(:key)'))",
        "n = await session.execute(text('select count(*) from invoice'))",
        "n = await connection.fetchval('select id from invoice where number = $1', number)",
        "await session.execute(text('update due set clocked = true where not clocked'))",
        "await session.execute(text('with d as (select 1 from due) insert into queue select * from d'))",
        (
            "READ = text('select state from key where id = :id')\n"
            "async def f(session):\n    return (await session.execute(READ)).first()"
        ),
        "async def f(session):\n    return await session.get(Invoice, key)",
    ],
    "money-float": [
        "def f(amount_minor: int, rate: Decimal) -> Decimal:\n    return amount_minor * rate",
        "def f(path):\n    return path / 'amounts.csv'",
        "TIMEOUT_S = 0.5\ndef f(amount_minor): ...",
        "def f(root, invoice):\n    return root / str(invoice.total_minor)",
        "def f(amount_minor):\n    wait(0.5)  # allow: money-float, because it is a delay",
    ],
    "f-string-sql": [
        "q = text('select id from invoice where number = :number limit 1')",
        "q = text(f'set local role {OWNER}')",
        "q = text('select 1 ' + 'from one')",
        "label = f'invoice {number}'",
        "q = text(f'lock table {t}')  # allow: f-string-sql, because t is one of our own tables",
    ],
    "unsafe-format": ["import json", "import pickletools_of_ours"],
    "unchecked-tls": ["client.get(url, verify=True)", "asyncpg.connect(dsn, ssl=False)", "signature.verify(body)"],
    "reasoned-any": ["info: dict[Any, Any] = {}  # Any: SQLAlchemy's own type", "x: int = 1"],
}


def test_every_rule_is_tried_both_ways() -> None:
    assert set(FLAGGED) == set(LEFT_ALONE) == set(RULES)


@pytest.mark.parametrize(("rule", "code"), [(rule, code) for rule, codes in FLAGGED.items() for code in codes])
def test_rule_flags(rule: str, code: str) -> None:
    assert breaches(rule, code)


@pytest.mark.parametrize(("rule", "code"), [(rule, code) for rule, codes in LEFT_ALONE.items() for code in codes])
def test_rule_leaves_alone(rule: str, code: str) -> None:
    assert breaches(rule, code) == []


def test_breach_is_told_by_its_line() -> None:
    code = """
        async def f(session, debtor_id):
            one = await session.scalar(select(Invoice))
            return await session.scalars(
                select(Invoice).where(Invoice.debtor_id == debtor_id)
            )
    """
    assert breaches("unbounded-query", code) == [4]


def test_a_skip_needs_its_own_rule_and_a_reason() -> None:
    assert breaches("commit", "await s.commit()  # allow: commit") == [1]
    assert breaches("commit", "await s.commit()  # allow: wall-clock, because of reasons") == [1]
    assert breaches("commit", "await s.commit()  # allow: commit, because of reasons") == []


def test_a_comment_speaks_of_its_own_statement_only() -> None:
    code = """
        async def f(session):  # bounded: by nothing
            rows = await session.execute(select(Invoice))  # bounded: by a fixture
            more = 1
            return await session.execute(select(Invoice))
    """
    assert breaches("unbounded-query", code) == [4]


def test_a_stale_skip_is_a_breach() -> None:
    assert breaches("commit", "x = 1  # allow: commit, because it once was") == [1]
    assert breaches("commit", "x = 1  # allow: no-such-rule, because of a slip") == [1]


@pytest.mark.parametrize(
    ("rule", "code", "home"),
    [
        ("commit", "await session.commit()", "src/storage/database.py"),
        ("wall-clock", "now = datetime.now(UTC)", "src/kernel/clock.py"),
        ("tenant-switch", "q = text(\"select set_config('app.tenant_id', :t, true)\")", "src/storage/session.py"),
        ("tenant-switch", "q = text('set local role relance_owner')", "src/storage/migrating.py"),
    ],
)
def test_the_room_that_owns_it_may(rule: str, code: str, home: str) -> None:
    assert breaches(rule, code, home) == []
    assert breaches(rule, code, "src/tenants/switching.py") == [1]


def test_outside_the_product_only_the_rules_of_safety_hold() -> None:
    code = IMPORTS + "import pickle\nnow = datetime.now(UTC)\n"
    assert [finding.rule for finding in examine("tests/dunning/test_x.py", code)] == ["unsafe-format"]
