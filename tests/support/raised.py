"""The texts of errors, read from the source: every place that makes one, as a pattern with … for what is filled in."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from pyrunc import errors
from pyrunc.plan import failure as ops
from pyrunc.state import machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLANK = "…"

#: Calls that make an error -> which argument is its text. Each class of pyrunc.errors is one.
MAKERS = {
    **{name: 0 for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)},
    "Violation": 1,
    "Misuse": 0,
    "problem": 1,
    "refuse": 1,
    "_refuse": 1,
}


class Place:
    """Where a text is made; ``text`` is "" where it comes from elsewhere altogether."""

    __slots__ = ("line", "path", "text")

    def __init__(self, path: str, line: int, text: str) -> None:
        self.path = path
        self.line = line
        self.text = text

    def __repr__(self) -> str:
        return f"{self.path}:{self.line}: {self.text or '(passes on what others say)'}"


def places(package: Path) -> Iterator[Place]:
    for path in sorted(package.rglob("*.py")):
        if path.name != "_compiled.py" and "native" not in path.parts and path.name != "errors.py":
            yield from of_source(path.relative_to(package.parent).as_posix(), path.read_text())
    for reason in machine.REFUSALS.values():
        yield Place("pyrunc/state/machine.py", 0, re.sub(r"\{\w+\}", BLANK, reason))
    for reason, _ in ops.REASONS.values():
        if reason:
            yield Place("pyrunc/plan/failure.py", 0, f"{BLANK}: {reason} {BLANK}")


def of_source(path: str, source: str) -> Iterator[Place]:
    module = Module(ast.parse(source))
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        index = MAKERS.get(name)
        if index is None or len(node.args) <= index:
            continue
        for text in module.texts(node.args[index], module.around(node), 3):
            yield Place(path, node.lineno, text if re.search("[A-Za-z]{2}", text) else "")


class Module:
    """A source file, and what an expression in it may be as a text."""

    __slots__ = ("functions", "tree")

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        self.functions = {node.name: node for node in nodes}

    def around(self, node: ast.Call) -> ast.AST:
        inside = [each for each in self.functions.values() if each.lineno <= node.lineno <= (each.end_lineno or 0)]
        return inside[-1] if inside else self.tree

    def texts(self, node: ast.expr, scope: ast.AST, depth: int) -> list[str]:
        """Names are looked up among the assignments around, calls among the functions of the file."""
        if isinstance(node, ast.IfExp):
            return self.texts(node.body, scope, depth) + self.texts(node.orelse, scope, depth)
        found: list[str] = []
        if depth and isinstance(node, ast.Name):
            for value in _assigned(scope, node.id):
                found += self.texts(value, scope, depth - 1)
        elif depth and isinstance(node, ast.Call):
            for function in self._called(node.func):
                for each in ast.walk(function):
                    if isinstance(each, ast.Return) and each.value is not None and _is_text(each.value):
                        found += self.texts(each.value, function, depth - 1)
        else:
            found = [re.sub(f"{BLANK}+", BLANK, _template(node))]
        return found or [BLANK]

    def _called(self, function: ast.expr) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """The functions behind ``name(…)``, and behind ``TABLE[key](…)``."""
        if isinstance(function, ast.Name) and function.id in self.functions:
            return [self.functions[function.id]]
        if isinstance(function, ast.Subscript) and isinstance(function.value, ast.Name):
            tables = [table for table in _assigned(self.tree, function.value.id) if isinstance(table, ast.Dict)]
            names = [value.id for table in tables for value in table.values if isinstance(value, ast.Name)]
            return [self.functions[name] for name in names if name in self.functions]
        return []


def _assigned(scope: ast.AST, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(scope):
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            yield node.value


def _is_text(node: ast.expr) -> bool:
    return not (isinstance(node, ast.Constant) and not node.value)


def _template(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(value) for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _template(node.left) + _template(node.right)
    return BLANK
