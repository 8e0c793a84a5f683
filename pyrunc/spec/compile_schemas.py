"""Build tool: schemas/config.json to ``_compiled.py``, the validator of the hot path.

Nothing here is imported at run time.  fastjsonschema writes code that explains a failure at length and needs
its own package, re and decimal for it.  pyrunc needs a yes or no (a refused config is gone through by
jsonschema), so that code is cut down to the decisions: every raise becomes ``raise Refused``, and what only
served messages goes.  The schema itself travels along as text, for jsonschema.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Run as a script, it stands in the same directory as a types.py that is not Python's.
    sys.path.pop(0)

import ast
import json
from typing import TYPE_CHECKING, Any

import fastjsonschema

if TYPE_CHECKING:
    from os import PathLike

HEADER = '''\
"""Compiled from schemas/config.json by compile_schemas.py.  Do not edit."""


class Refused(Exception):
    """The value does not match its schema."""
'''

#: The keywords that _Cutter and pyrunc/spec/shape.py know.
KEYWORDS = frozenset(
    (
        *("$schema", "title", "description", "definitions", "$ref"),
        *("type", "properties", "required", "additionalProperties", "items", "enum"),
        *("minimum", "maximum", "minLength", "minItems", "maxItems"),
    )
)

#: Parts of config.json that come alone: each has a schema that refers to its definition.
PARTS = ("process", "resources")

#: Each keyword stands only beside its type, which is checked first.
TYPES = {
    **dict.fromkeys(("properties", "required", "additionalProperties"), "object"),
    **dict.fromkeys(("items", "minItems", "maxItems"), "array"),
    **dict.fromkeys(("enum", "minLength"), "string"),
    **dict.fromkeys(("minimum", "maximum"), "integer"),
}


def compile_all(schemas_dir: str | PathLike[str], out_file: str | PathLike[str]) -> None:
    """Write the module with ``validate_config``, one such function for each of PARTS, ``Refused`` and ``SCHEMA``."""
    config = _read(f"{schemas_dir}/config.json")
    config = {key: value for key, value in config.items() if key != "title"}
    _check_keywords(config)
    tree = ast.parse(fastjsonschema.compile_to_code(config, use_default=False, detailed_exceptions=False))
    written = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    functions = [_without_unused(_Cutter().visit(function)) for function in written]
    names = [function.name for function in functions]
    aliases = [f"validate_{part} = {_function(_read(f'{schemas_dir}/{part}.json'), part, names)}" for part in PARTS]
    parts = [
        HEADER,
        *(ast.unparse(ast.fix_missing_locations(function)) for function in functions),
        "\n".join(["validate_config = validate", *aliases]),
        f"SCHEMA = {json.dumps(_without_prose(config), separators=(',', ':'))!r}",
    ]
    with open(out_file, "w", encoding="utf-8") as file:
        file.write("\n\n".join(parts) + "\n")


def _function(schema: dict[str, Any], part: str, names: list[str]) -> str:
    """The function that fastjsonschema made of the definition that ``schema`` stands for."""
    file, _, pointer = schema["$ref"].partition("#")
    if file != "config.json":
        raise ValueError(f"{part}.json refers to {file}, not to config.json")
    wanted: str = "validate" + pointer.replace("/", "_").lower().replace("_", "___", 1)
    if wanted not in names:
        raise ValueError(f"fastjsonschema made no function {wanted}")
    return wanted


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        value: dict[str, Any] = json.load(file)
    return value


def _without_prose(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: _without_prose(value)
            for key, value in schema.items()
            if not (key in ("description", "title") and isinstance(value, str))
        }
    return schema


def _check_keywords(schema: dict[str, Any]) -> None:
    unknown = schema.keys() - KEYWORDS
    if unknown:
        raise ValueError(f"schema keywords that pyrunc's validators do not know: {sorted(unknown)}")
    for keyword, needed in TYPES.items():
        if keyword in schema and schema.get("type") != needed:
            raise ValueError(f"{keyword} needs type {needed}, or _Cutter would take out a guard")
    if "properties" in schema and "additionalProperties" in schema:
        raise ValueError("properties beside additionalProperties: _Cutter keeps no set of keys")
    for container in ("properties", "definitions"):
        for child in schema.get(container, {}).values():
            _check_keywords(child)
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            _check_keywords(schema[keyword])


class _Cutter(ast.NodeTransformer):
    """Takes out of fastjsonschema's code what does not decide."""

    def __init__(self) -> None:
        self.aliases: dict[str, ast.Name] = {}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.args = ast.arguments([], [ast.arg("data")], None, [], [], None, [])
        self.generic_visit(node)
        return node

    def visit_Return(self, node: ast.Return) -> None:
        """The value is not changed, so nobody wants it back."""

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        return ast.copy_location(ast.Raise(ast.Name("Refused", ast.Load())), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id=name)) if name.startswith("validate"):
                node.args = node.args[:1]
            case ast.Call(func=ast.Name(id="set"), args=[ast.List(elts=members)]):
                return ast.Set(members)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """``data_keys.remove(…)`` only serves an exact list of what else there is."""
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "attr", "") == "remove":
            return None
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) if name.endswith(("_is_dict", "_is_list")):
                return None
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(
                    func=ast.Name(id="set"), args=[ast.Call(func=ast.Attribute(value=ast.Name() as mapping))]
                ),
            ):
                # data_keys = set(data.keys()): the mapping itself answers the same questions
                self.aliases[name] = mapping
                return None
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return self.aliases.get(node.id, node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Take out the guards that a value of the right type passes; its type was checked one step before."""
        self.generic_visit(node)
        match node.test:
            case ast.Name(id=name) if name.endswith(("_is_dict", "_is_list")):
                return node.body
            case ast.Call(func=ast.Name(id="isinstance")):
                return node.body
            case ast.BoolOp(op=ast.And(), values=[ast.Call(func=ast.Name(id="isinstance")), ast.UnaryOp()]):
                return node.body
            case ast.UnaryOp(op=ast.Not(), operand=ast.BoolOp(op=ast.Or(), values=members)):
                node.test = _not_in(members)
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        """The index was for the message."""
        self.generic_visit(node)
        match node:
            case ast.For(
                target=ast.Tuple(elts=[_, item]),
                iter=ast.Call(func=ast.Name(id="enumerate"), args=[many]),
            ):
                node.target, node.iter = item, many
        return node


def _without_unused(function: ast.FunctionDef) -> ast.FunctionDef:
    """Without the assignments whose name nobody reads any more."""
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}

    class Sweeper(ast.NodeTransformer):
        def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
            target = node.targets[0]
            return node if isinstance(target, ast.Name) and target.id in read else None

    Sweeper().visit(function)
    return function


def _not_in(members: list[ast.expr]) -> ast.expr:
    """``not (isinstance(x, str) and x == "a" or …)`` as ``x not in ("a", …)``, x being a string."""
    values: list[ast.expr] = []
    subject: ast.expr | None = None
    for member in members:
        match member:
            case ast.BoolOp(values=[_, ast.Compare(left=subject, ops=[ast.Eq()], comparators=[value])]):
                values.append(value)
            case _:
                raise ValueError(f"not a member of an enum of strings: {ast.unparse(member)}")
    assert subject is not None
    return ast.Compare(subject, [ast.NotIn()], [ast.Tuple(values, ast.Load())])


if __name__ == "__main__":
    here = __file__.rpartition("/")[0] or "."
    compile_all(f"{here}/../../schemas", sys.argv[1] if len(sys.argv) > 1 else f"{here}/_compiled.py")
