"""What the tests of the spec layer share: a valid config to break, and what load_spec says of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

from pyrunc.errors import SpecError
from pyrunc.spec import load, template

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMAS = Path(__file__).parents[3] / "schemas"

#: Says whether an object of annotations is valid, as another program would.
ISOLATION = jsonschema.Draft4Validator(json.loads((SCHEMAS / "isolation.json").read_text()))

DEFAULT: dict[str, Any] = dict(template.default(rootless=False, uid=0, gid=0))


class _Missing:
    """Stands for a key to take away; its name is the same in every process, for the ids of tests."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


def config(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The default config, changed: keys are dotted paths, a number is an index, MISSING takes it out."""
    changed = copy.deepcopy(DEFAULT)
    for path, value in (changes or {}).items():
        *parents, last = (int(key) if key.isdecimal() else key for key in path.split("."))
        target: Any = changed
        for key in parents:
            target = target.setdefault(key, {}) if isinstance(target, dict) else target[key]
        if value is MISSING:
            del target[last]
        elif isinstance(target, list) and last == len(target):
            target.append(value)
        else:
            target[last] = value
    return changed


#: Two bind mounts, for ``annotated``.
BIND = {"destination": "/data", "source": "/x", "options": ["bind", "ro"]}
OTHER = {"destination": "etc//hosts", "type": "bind", "source": "/y"}


def annotated(annotations: dict[str, str], *mounts: dict[str, Any], cwd: str = "/work") -> dict[str, Any]:
    """The default config with more mounts and with annotations, whose keys are written without ``io.pyrunc.``."""
    document = config({"annotations": {f"io.pyrunc.{key}": value for key, value in annotations.items()}})
    document["mounts"] += mounts
    document["process"]["cwd"] = cwd
    return document


def said(document: object, read: Callable[[bytes], object] = load.load_spec) -> list[str]:
    """The lines that refuse a document, [] when it is taken."""
    error = refusal(json.dumps(document).encode(), read)
    return str(error).split("\n") if error else []


def refusal(data: bytes, read: Callable[[bytes], object] = load.load_spec) -> SpecError | None:
    try:
        read(data)
    except SpecError as error:
        return error
    return None
