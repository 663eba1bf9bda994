"""Our own rules: one function each, its reason in its docstring, its name the skip comment's.

A breach that is right says so on its line: `# allow: wall-clock, because a lease is system time`. A query that is
bounded by something that the rule cannot see says by what: `# bounded: by the ids of one page`.
"""

import ast
import re
from collections.abc import Callable, Iterator, Sequence

from checks.queries import unbounded
from checks.source import ALLOW, Finding, Function, Source, callee, string

Breach = tuple[ast.AST, str]

WALL_CLOCKS = {
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
    "time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime",
}  # fmt: skip
STANDING_CLOCKS = {"now", "current_timestamp", "current_date", "current_time", "localtimestamp", "localtime",
                   "transaction_timestamp", "statement_timestamp"}  # fmt: skip
SQL_CLOCK = re.compile(
    r"\b(now|transaction_timestamp|statement_timestamp)\s*\(\s*\)|\bcurrent_(timestamp|date|time)\b|\blocaltimestamp\b",
    re.IGNORECASE,
)
TENANT_SWITCH = re.compile(r"\bset_config\s*\(|\b(set|reset)\s+(local\s+|session\s+)?app\.", re.IGNORECASE)
ROLE_SWITCH = re.compile(r"\b(set|reset)\s+(local\s+|session\s+)?(role\b|session\s+authorization\b)", re.IGNORECASE)
SQL_TAKERS = {"text", "exec_driver_sql", "fetch", "fetchrow", "fetchval"}
UNSAFE_FORMATS = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "jsonpickle"}
UNCHECKED_TLS = {"verify", "verify_ssl", "check_hostname", "ssl_verify"}
HTTP_CALLS = {"TCPConnector", "request", "get", "post", "put", "patch", "delete", "head", "ws_connect"}
MONEY_NAMES = re.compile(r"^Money$|_minor$")


def commit(source: Source) -> Iterator[Breach]:
    """One unit of work, one transaction, committed at the edge: a half-done command then cannot exist."""
    if source.package == "storage":
        return
    for call in source.calls():
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"commit", "begin"}:
            yield call, "open a unit of work; only storage begins and commits"


def wall_clock(source: Source) -> Iterator[Breach]:
    """Business time is passed in and system time is kernel.clock's or the database's, so that a test clock is true."""
    if source.package in {"kernel", "storage"}:
        return
    for node in source.nodes:
        if isinstance(node, ast.Attribute | ast.Name) and source.dotted(node) in WALL_CLOCKS:
            yield node, "take `now` as an argument, or kernel.clock.system_now() for system time"


def standing_clock(source: Source) -> Iterator[Breach]:
    """SQL's now() stands still inside a transaction: a lease taken by it is older than it says."""
    for call in source.calls():
        if source.dotted(call.func) in {f"sqlalchemy.func.{name}" for name in STANDING_CLOCKS}:
            yield call, "clock_timestamp() moves; now() is when the transaction began"
    for node in source.strings():
        if SQL_CLOCK.search(string(node) or ""):
            yield node, "clock_timestamp() moves; now() is when the transaction began"


def tenant_switch(source: Source) -> Iterator[Breach]:
    """Only storage's hook binds a transaction to a tenant, and storage to a role: no other line chooses whose rows."""
    if source.path == "src/storage/session.py":
        return
    for node in source.strings():
        sql = string(node) or ""
        if TENANT_SWITCH.search(sql) or (source.package != "storage" and ROLE_SWITCH.search(sql)):
            yield node, "open a session of the right kind; storage/session.py alone binds it"
    for call in source.calls():
        if source.dotted(call.func) == "sqlalchemy.func.set_config":
            yield call, "open a session of the right kind; storage/session.py alone binds it"


def unbounded_query(source: Source) -> Iterator[Breach]:
    """What has no limit finds one in production, in the memory of a worker."""
    for node in unbounded(source):
        yield node, "add .limit(), ask for one row, or say what bounds it: # bounded: by …"


def money_float(source: Source) -> Iterator[Breach]:
    """0.1 + 0.2 is not 0.3: money is an integer of minor units, a rate a Decimal."""
    touching = {source.scope(node) for node in source.nodes if _names_money(node)} - {source.tree}
    whole = any(_names_money(node) and source.scope(node) is source.tree for node in source.nodes)
    for node in source.nodes:
        scope = source.scope(node)
        if scope not in touching and not (whole and scope is source.tree):
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node, "write a Decimal or an integer of minor units"
        elif isinstance(node, ast.Name) and node.id == "float":
            yield node, "money is an integer of minor units, a rate a Decimal"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and any(map(_names_money, _sides(node))):
            yield node, "dividing integers gives a float: use Money.split, or a Decimal with a named rounding"


def f_string_sql(source: Source) -> Iterator[Breach]:
    """A value built into SQL is an injection waiting for its input; a bound parameter is not."""
    for call in source.calls():
        if callee(call) in SQL_TAKERS and call.args and _is_built(call.args[0]):
            yield call, "bind the value as a parameter"


def unsafe_format(source: Source) -> Iterator[Breach]:
    """Reading a pickle runs what its writer wanted; whoever reaches Valkey or a blob would own the workers."""
    for node in source.nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] in UNSAFE_FORMATS for name in names):
            yield node, "use msgspec"


def unchecked_tls(source: Source) -> Iterator[Breach]:
    """Without verification any host on the way may be the bank."""
    for node in source.nodes:
        if _trusts_anyone(node):
            yield node, "verify the certificate; a test's server brings its own CA"


def reasoned_any(source: Source) -> Iterator[Breach]:
    """An Any switches the type checker off; its line says why that is right here."""
    for node in source.nodes:
        if isinstance(node, ast.Name) and source.dotted(node) == "typing.Any":
            head = source.statement(node)
            lines = {node.lineno, *(source.lines_of(head) if isinstance(head, Function) else ())}
            if not any(line in source.comments for line in lines):
                yield node, "say on the line why the type cannot be known"


RULES: dict[str, Callable[[Source], Iterator[Breach]]] = {
    "commit": commit,
    "wall-clock": wall_clock,
    "standing-clock": standing_clock,
    "tenant-switch": tenant_switch,
    "unbounded-query": unbounded_query,
    "money-float": money_float,
    "f-string-sql": f_string_sql,
    "unsafe-format": unsafe_format,
    "unchecked-tls": unchecked_tls,
    "reasoned-any": reasoned_any,
}
EVERYWHERE = ("unsafe-format", "unchecked-tls")  # in tests, tools and migrations too


def examine(path: str, text: str, rules: Sequence[str] | None = None) -> list[Finding]:
    """The breaches in one file, and the allowances that allow nothing."""
    source = Source(path, text)
    wanted = rules if rules is not None else list(RULES) if source.package else EVERYWHERE
    findings: list[Finding] = []
    used: set[int] = set()
    for name in wanted:
        for node, advice in RULES[name](source):
            allowed = source.allowances(node, name)
            used |= allowed
            if not allowed:
                findings.append(Finding(path, getattr(node, "lineno", 1), name, advice))
    for line, comment in source.comments.items():
        match = ALLOW.search(comment)
        if match and line not in used and (match["rule"] in wanted or match["rule"] not in RULES):
            findings.append(Finding(path, line, match["rule"], "this comment allows nothing: take it away"))
    return sorted(set(findings))


def _names_money(node: ast.AST) -> bool:
    name = (
        node.id if isinstance(node, ast.Name)
        else node.attr if isinstance(node, ast.Attribute)
        else node.arg if isinstance(node, ast.arg | ast.keyword)
        else None
    )  # fmt: skip
    return bool(name and MONEY_NAMES.search(name))


def _sides(node: ast.BinOp) -> tuple[ast.AST, ast.AST]:
    return node.left, node.right


def _is_false(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _trusts_anyone(node: ast.AST) -> bool:
    match node:
        case ast.keyword(arg=name, value=value):
            return name in UNCHECKED_TLS and _is_false(value)
        case ast.Attribute(attr="CERT_NONE" | "_create_unverified_context"):
            return True
        case ast.Assign(targets=targets, value=value):
            named = any(isinstance(target, ast.Attribute) and target.attr in UNCHECKED_TLS for target in targets)
            return named and _is_false(value)
        case ast.Call(keywords=keywords) if callee(node) in HTTP_CALLS:  # ssl=False is aiohttp's word for the same
            return any(keyword.arg == "ssl" and _is_false(keyword.value) for keyword in keywords)
        case _:
            return False


def _is_built(node: ast.AST) -> bool:
    """Whether a string is put together from values (f-string, %, +, format); constants of the module are no values."""
    if isinstance(node, ast.JoinedStr):
        values = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        return not all(isinstance(value, ast.Name) and value.id.isupper() for value in values)
    if isinstance(node, ast.BinOp):
        constant = string(node.left) is not None and string(node.right) is not None
        return isinstance(node.op, ast.Add | ast.Mod) and not constant
    return isinstance(node, ast.Call) and callee(node) == "format" and isinstance(node.func, ast.Attribute)
