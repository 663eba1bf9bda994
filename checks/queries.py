"""The rule that every query states its limit: what has none finds one in production."""

import ast
import re
from collections.abc import Iterator

from checks.source import Source, callee, string

LIMITS = {"limit", "fetch"}
SINGLE = {"scalar", "scalar_one", "scalar_one_or_none", "one", "one_or_none", "first", "fetchval", "fetchrow"}
EXECUTORS = {"execute", "scalars", "scalar", "stream", "stream_scalars", "stream_sync", "exec_driver_sql"}
DRIVER = {"fetch", "fetchrow", "fetchval", "cursor"}  # of asyncpg, which takes plain strings
NESTED = {"cte", "subquery", "scalar_subquery", "exists", "lateral", "as_scalar"}
INSIDE = {"in_", "not_in", "notin_", "from_select", "exists", "any_", "all_", "array", "select", "where", "values",
          "coalesce", "compile", "label", "literal", "and_", "or_", "not_", "filter", "having"}  # fmt: skip
UNIONS = {"union", "union_all", "intersect", "intersect_all", "except_", "except_all"}
AGGREGATES = {"count", "sum", "min", "max", "avg", "bool_or", "bool_and", "every", "array_agg", "string_agg",
              "jsonb_agg", "json_agg"}  # fmt: skip
WRAPPERS = {"coalesce", "cast", "label", "filter", "literal", "type_coerce", "greatest", "least"}

READS = re.compile(r"^(\s|--[^\n]*\n)*(select|with)\b", re.IGNORECASE)
WRITES = re.compile(r"\b(insert\s+into|update|delete\s+from|merge\s+into)\b(?!\s*(skip|nowait|of\b))", re.IGNORECASE)
LOCKS = re.compile(r"\bfor\s+(no\s+key\s+)?update\b", re.IGNORECASE)
LIMITED = re.compile(r"\b(limit|fetch\s+(first|next))\b", re.IGNORECASE)
FROM = re.compile(r"\bfrom\b", re.IGNORECASE)
TOTAL = re.compile(r"^\s*select\s+(coalesce\s*\(\s*)?(exists|count|sum|min|max|avg|bool_or|bool_and|array_agg"
                   r"|string_agg|jsonb?_agg)\s*\(", re.IGNORECASE)  # fmt: skip
GROUP = re.compile(r"\bgroup\s+by\b", re.IGNORECASE)
SERIES = re.compile(r"\b(unnest|generate_series|jsonb?_array_elements|regexp_split_to_table)\b", re.IGNORECASE)


def unbounded(source: Source) -> Iterator[ast.AST]:
    """Every query that could answer any number of rows: no limit, no single row asked for, no aggregate, no word.

    A `select(…)`, a `text("select …")` or a string given to asyncpg is followed to where it is used: along its chain
    of calls, through the names that it is given in its function or module, into the statement that contains it.
    """
    for node in source.calls():
        if _is_query(source, node) and not source.bounded(node) and not _ends_well(source, node, set()):
            yield node


def _is_query(source: Source, node: ast.Call) -> bool:
    name = source.dotted(node.func)
    if name.startswith("sqlalchemy") and name.endswith(".select"):
        return not _is_total(source, node)
    literal = _text_of(source, node.args[0]) if node.args else None
    if literal is None:
        return False
    takes_text = (name.startswith("sqlalchemy") and name.endswith(".text")) or callee(node) in DRIVER | EXECUTORS
    return takes_text and not _text_is_bounded(literal)


def _text_of(source: Source, node: ast.AST) -> str | None:
    """The SQL of a literal, of the fixed parts of an f-string, or of a constant of the module."""
    if isinstance(node, ast.JoinedStr):
        return "".join(string(part) or "?" for part in node.values)
    if isinstance(node, ast.Name):
        for statement in source.tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value and node.id in _targets(statement):
                return string(statement.value)
    return string(node)


def _text_is_bounded(sql: str) -> bool:
    if not READS.match(sql) or WRITES.search(LOCKS.sub("", sql)) or LIMITED.search(sql):
        return True
    if not FROM.search(sql):
        return not SERIES.search(sql)
    return bool(TOTAL.match(sql)) and not GROUP.search(sql)


def _is_total(source: Source, query: ast.Call) -> bool:
    """Whether every column is an aggregate and nothing is grouped, so that one row comes back."""
    methods = {callee(call) for call in _chain(source, query)[1]}
    return bool(query.args) and "group_by" not in methods and all(_is_aggregate(column) for column in query.args)


def _is_aggregate(column: ast.AST) -> bool:
    if not isinstance(column, ast.Call):
        return False
    name = callee(column)
    if name in AGGREGATES or name == "exists":
        return True
    inner = [*column.args, *([column.func.value] if isinstance(column.func, ast.Attribute) else [])]
    return name in WRAPPERS and any(_is_aggregate(part) for part in inner)


def _chain(source: Source, node: ast.AST) -> tuple[ast.AST, list[ast.Call]]:
    """The whole expression that a chain of attributes, calls and awaits makes of a node, and its calls."""
    calls: list[ast.Call] = []
    while True:
        parent = source.parents.get(node)
        is_link = (isinstance(parent, ast.Attribute) and parent.value is node) or isinstance(parent, ast.Await)
        if isinstance(parent, ast.Call) and parent.func is node:
            calls.append(parent)
            is_link = True
        if not is_link or parent is None:
            return node, calls
        node = parent


def _ends_well(source: Source, node: ast.AST, seen: set[str]) -> bool:
    """Follow an expression that holds an unlimited query to where it is used."""
    if isinstance(node, ast.Call) and callee(node) in DRIVER | EXECUTORS:
        return _one_row(source, node)  # the query is this call's own text
    whole, calls = _chain(source, node)
    if {callee(call) for call in calls} & (LIMITS | NESTED):
        return True
    parent = source.parents.get(whole)
    while isinstance(parent, ast.IfExp | ast.Starred | ast.BoolOp | ast.NamedExpr | ast.keyword):
        whole, parent = parent, source.parents.get(parent)
    if isinstance(parent, ast.Call):
        return _passes(source, parent, whole, seen)
    if isinstance(parent, ast.Assign | ast.AnnAssign):
        return _named(source, parent, seen)
    return False


def _passes(source: Source, call: ast.Call, argument: ast.AST, seen: set[str]) -> bool:
    name = callee(call)
    if name in DRIVER | EXECUTORS and call.args and call.args[0] is argument:
        return _one_row(source, call) or source.bounded(call)
    if name in UNIONS:
        return _ends_well(source, call, seen)
    return name in INSIDE or any(keyword.arg == "limit" for keyword in call.keywords)


def _one_row(source: Source, call: ast.Call) -> bool:
    return callee(call) in SINGLE or bool({callee(link) for link in _chain(source, call)[1]} & SINGLE)


def _named(source: Source, statement: ast.Assign | ast.AnnAssign, seen: set[str]) -> bool:
    """Whether every use of a name that holds a query is bounded; an unused one is another module's, and unknown."""
    names = _targets(statement) - seen
    scope = source.scope(statement)
    uses = [
        node
        for node in ast.walk(scope)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names
    ]
    chained = {callee(call) for use in uses for call in _chain(source, use)[1]}
    if chained & LIMITS:
        return True
    followed = seen | names
    others = [use for use in uses if not _is_own_step(source, use, names)]
    return bool(others) and all(source.bounded(use) or _ends_well(source, use, followed) for use in others)


def _is_own_step(source: Source, use: ast.Name, names: set[str]) -> bool:
    """Whether a use only builds the same query further: `query = query.where(…)`."""
    statement = source.statement(use)
    return isinstance(statement, ast.Assign | ast.AnnAssign) and bool(_targets(statement) & names)


def _targets(statement: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}
