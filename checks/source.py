"""A parsed source file, and the small questions that rules ask of it."""

import ast
import re
import tokenize
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

ALLOW = re.compile(r"#\s*allow:\s*(?P<rule>[a-z-]+)\s*,\s*\S")
BOUNDED = re.compile(r"#\s*bounded:\s*\S")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Finding(NamedTuple):
    """A breach of a rule: where, which, and what to do instead."""

    path: str
    line: int
    rule: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.advice}"


class Source:
    """One file: its tree, its comments, who contains whom, and what its imports call things."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.tree = ast.parse(text, path)
        self.comments = dict(_comments(text))
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.names = dict(_imported(self.tree))
        self.docstrings = set(filter(None, map(_docstring, ast.walk(self.tree))))
        self.nodes = [node for node in ast.walk(self.tree) if node not in self.docstrings]

    @property
    def package(self) -> str:
        """The package under `src/` that the file belongs to, or an empty string."""
        parts = Path(self.path).parts
        return parts[1] if len(parts) > 1 and parts[0] == "src" else ""

    def calls(self) -> Iterator[ast.Call]:
        """Every call in the file."""
        return (node for node in self.nodes if isinstance(node, ast.Call))

    def strings(self) -> Iterator[ast.Constant]:
        """Every string, and every fixed part of an f-string, that is not a docstring."""
        return (node for node in self.nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))

    def dotted(self, node: ast.AST) -> str:
        """The full dotted name of an expression, through the file's imports; empty where it has none."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    def statement(self, node: ast.AST) -> ast.AST:
        """The statement that an expression stands in."""
        while not isinstance(node, ast.stmt) and node in self.parents:
            node = self.parents[node]
        return node

    def scope(self, node: ast.AST) -> Function | ast.Module:
        """The function around a node, or the module."""
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, Function):
                return node
        return self.tree

    def lines_of(self, node: ast.AST) -> range:
        """The lines on which a comment speaks of a node: the head of its statement, its own, and the one above."""
        statement = self.statement(node)
        first, last = _line(statement), _end(statement)
        inside = [_line(child) - 1 for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]
        last = min([last, *inside])  # of a compound statement only its head
        return range(first - 1, max(last, _end(node)) + 1)

    def bounded(self, node: ast.AST) -> bool:
        """Whether a comment says what bounds a query."""
        return any(BOUNDED.search(self.comments.get(line, "")) for line in self.lines_of(node))

    def allowances(self, node: ast.AST, rule: str) -> set[int]:
        """The lines of comments that allow a breach of the rule by this node, each with its reason."""
        found = {line: ALLOW.search(self.comments.get(line, "")) for line in self.lines_of(node)}
        return {line for line, match in found.items() if match and match["rule"] == rule}


def string(node: ast.AST | None) -> str | None:
    """The value of a string literal."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def callee(node: ast.Call) -> str:
    """The last part of the name of what is called: `limit` for `query.limit(3)`."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def _end(node: ast.AST) -> int:
    return getattr(node, "end_lineno", None) or _line(node)


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], alias.name if alias.asname else alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _docstring(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return None
    match node.body[0]:
        case ast.Expr(value=value) if string(value) is not None:
            return value
        case _:
            return None
