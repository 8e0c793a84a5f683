"""From the bytes of config.json to a valid Spec, or to every reason why it is none.

The only way into a Spec: what comes out of here has been through the schema and all rules, so that no
later layer looks at types again.
"""

from __future__ import annotations

from pyrunc.errors import SpecError, Violation
from pyrunc.spec import _compiled, checks, jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from pyrunc.spec.types import Process, Resources, Spec


def parse(data: bytes, name: str) -> dict[str, Any]:
    """The JSON object in ``data``.  Raises SpecError that begins with ``name`` when there is none."""
    value = jsontext.loads(data, name)
    if not isinstance(value, dict):
        raise SpecError([Violation(name, "expected a JSON object")])
    return value


def load_spec(data: bytes, name: str = "config.json") -> Spec:
    """The config in ``data``, or SpecError with every violation in document order.

    To list what is wrong with a config of the wrong shape takes the package jsonschema, which a lean process
    does not have on its path: then this raises ModuleNotFoundError, and the caller tries again with it.
    """
    spec = parse(data, name)
    _check(data, spec, _compiled.validate_config, checks.check_spec)
    return spec  # type: ignore[return-value]


def load_process(data: bytes, name: str = "process.json") -> Process:
    """The same for the file of ``exec --process``; its paths have no ``process.`` in front."""
    process = parse(data, name)
    _check(data, process, _compiled.validate_process, checks.check_process, "Process")
    return process  # type: ignore[return-value]


def load_resources(data: bytes, name: str = "resources.json") -> Resources:
    """The same for linux.resources alone, as update takes it; the paths are those of config.json."""
    resources = parse(data, name)
    place = ("linux", "resources")
    _check(data, resources, _compiled.validate_resources, checks.check_resources_alone, "Resources", place)
    return resources  # type: ignore[return-value]


def load_value(spec: object) -> Spec:
    """A config that was made in memory instead of read, as a copy of its own: the same rules and errors."""
    return load_spec(jsontext.dumps(spec).encode("utf-8", "surrogatepass"))


def _check(
    data: bytes,
    value: Any,
    validate: Callable[[Any], object],
    rules: Callable[..., list[Violation]],
    definition: str = "",
    place: tuple[str, ...] = (),
) -> None:
    """SpecError unless the value, which was parsed from ``data``, has its shape and keeps the rules.

    ``definition`` is the shape's name in schemas/config.json; ``place`` is where in config.json it stands, if the rules
    want to see it there.
    """
    document = value
    for key in reversed(place):
        document = {key: document}
    try:
        validate(value)
    except _compiled.Refused:
        from pyrunc.spec import shape

        found = shape.violations(value, definition, place)
        found += rules(document, [violation.path for violation in found])
        _refuse(document, [*found, *checks.check_characters(document)])
    found = rules(document)
    # Control characters stand in JSON text only as an escape, and surrogates in UTF-8 likewise.
    if b"\\u" in data:
        found.extend(checks.check_characters(document))
    if found:
        _refuse(document, found)


def _refuse(document: dict[str, Any], found: list[Violation]) -> NoReturn:
    from pyrunc.spec.paths import place, places

    known = places(document)
    found = sorted(dict.fromkeys(found), key=lambda violation: place(known, violation.path))
    raise SpecError(found) from None
