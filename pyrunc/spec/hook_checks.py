"""Rules for hooks and annotations."""

from __future__ import annotations

from ..errors import Violation
from . import jsontext
from .process_checks import not_absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .types import Hook, Spec


def check_hooks(spec: Spec) -> Iterator[Violation]:
    hooks: dict[str, list[Hook]] = spec.get("hooks", {})  # type: ignore[assignment]
    for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"):
        for index, hook in enumerate(hooks.get(kind, ())):
            where = f"hooks.{kind}[{index}]"
            if not hook["path"].startswith("/"):
                yield not_absolute(f"{where}.path", hook["path"])
            for number, entry in enumerate(hook.get("env", ())):
                if entry.find("=") < 1:
                    yield Violation(f"{where}.env[{number}]", f"{jsontext.dumps(entry)} is not NAME=value")


def check_annotations(spec: Spec) -> Iterator[Violation]:
    if "" in spec.get("annotations", {}):
        yield Violation("annotations", "a key must not be empty")
