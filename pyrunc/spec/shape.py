"""Everything that is wrong with the shape of a config, for a person who waits.

Runs only after the compiled validator has said no, so it may take its time (importing jsonschema costs
100 ms).  The wording of violations of schemas/config.json lives here.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.spec import _compiled, jsontext, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Protocol

    class ValidationError(Protocol):
        """What is used of jsonschema's class of that name."""

        validator: str
        validator_value: Any
        instance: Any
        schema: dict[str, Any]
        absolute_path: Sequence[str | int]


def violations(document: object, definition: str = "", place: tuple[str, ...] = ()) -> list[Violation]:
    """All violations of the shape of a config, in no order, some of them twice.  Needs the package jsonschema.

    Of a part of one, ``definition`` is its name in the schema, and ``place`` begins the paths.
    """
    import jsonschema

    schema = jsontext.loads(_compiled.SCHEMA.encode(), "schemas/config.json")
    if definition:
        pointer = f"#/definitions/{definition}"
        schema = {"$schema": schema["$schema"], "$ref": pointer, "definitions": schema["definitions"]}
    found: list[Violation] = []
    for error in jsonschema.Draft4Validator(schema).iter_errors(document):
        found.extend(_worded(error, place))
    return found


def _worded(error: ValidationError, place: tuple[str, ...]) -> Iterator[Violation]:
    path = paths.join_all((*place, *error.absolute_path))
    if error.validator == "required":
        # one error per missing key, each of which tells which one only in prose
        for key in error.validator_value:
            if key not in error.instance:
                yield Violation(paths.join(path, key), "required, but missing")
        return
    if error.validator == "enum" and not isinstance(error.instance, str):
        return  # its type is wrong, and that has been said
    yield Violation(path, _REASONS[error.validator](error))


def _type(error: ValidationError) -> str:
    return f"expected {error.validator_value}, got {show(error.instance)}"


def _enum(error: ValidationError) -> str:
    choices = ", ".join([value or '""' for value in error.validator_value])
    return f"{show(error.instance)} is not one of {choices}"


def _range(error: ValidationError) -> str:
    low, high = error.schema["minimum"], error.schema["maximum"]
    return f"{show(error.instance)} is not in the range {low} to {high}"


def _too_short(_: ValidationError) -> str:
    return "must not be empty"


def _too_many(error: ValidationError) -> str:
    if error.validator_value == 0:
        return "must be empty"
    return f"{len(error.instance)} entries, at most {error.validator_value} are possible"


_REASONS: dict[str, Callable[[ValidationError], str]] = {
    "type": _type,
    "enum": _enum,
    "minimum": _range,
    "maximum": _range,
    "minLength": _too_short,
    "minItems": _too_short,
    "maxItems": _too_many,
}


def show(value: object) -> str:
    """A value as it stands in the config, shortened."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = jsontext.dumps(value)
    if len(text) <= 80:
        return text
    return text[:60] + ('…"' if text.startswith('"') else "…")
