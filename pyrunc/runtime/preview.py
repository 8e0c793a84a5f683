"""``plan``: what create would do with a bundle, shown instead of done."""

from __future__ import annotations

from pyrunc.plan import create, describe
from pyrunc.runtime import bundle as bundles
from pyrunc.spec.jsontext import dumps, dumps_pretty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.plan.builder import Plan


def plan(
    bundle: str, root: str, *, cgroup_manager: str, rootless: str, isolation: dict[str, str] | None = None
) -> Plan:
    """The plan of create for the bundle.  The id is always the same, so that equal bundles have equal plans.

    Nothing is touched: the seccomp filter stays empty, and sources of mounts are not looked at, save whether one
    that is copied on write is a file or a directory.
    """
    spec, _ = bundles.load(bundle)
    id = "container"
    wishes = bundles.isolation(spec, isolation or {})
    request = bundles.request(
        id,
        bundle,
        f"{root}/{id}",
        cgroup_manager=cgroup_manager,
        isolation=wishes,
        cow_directories=bundles.cow_directories(spec, wishes, bundle),
    )
    facts = bundles.facts(rootless)
    if cgroup_manager == "systemd":
        facts = bundles.with_systemd(facts)
    return create.create(spec, facts, request)


def text(of: Plan) -> str:
    """For a reader: one operation a line."""
    return describe.text(of)


def json(of: Plan) -> str:
    """For a program."""
    return dumps_pretty(describe.document(of)) + "\n"


def difference(before: Plan, after: Plan) -> str:
    """What changes from one plan to the other, as diff -u prints it; empty if nothing does."""
    import difflib

    old, new = (_unnumbered(of) for of in (before, after))
    return "".join(difflib.unified_diff(old, new, "before", "after", n=1))


def _unnumbered(of: Plan) -> list[str]:
    """The lines of the text without their numbers: one operation more changes those of all that follow."""
    return [line.lstrip().partition(" ")[2] for line in text(of).splitlines(keepends=True)]


def difference_json(before: Plan, after: Plan) -> str:
    """The same for a program: the operations that only one of the plans has, in order."""
    import difflib

    old, new = (describe.document(of)["ops"] for of in (before, after))
    matcher = difflib.SequenceMatcher(None, [dumps(op) for op in old], [dumps(op) for op in new], autojunk=False)
    changes: list[dict[str, Any]] = []
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            changes += [{"change": "remove", "op": op} for op in old[old_start:old_end]]
            changes += [{"change": "add", "op": op} for op in new[new_start:new_end]]
    return dumps_pretty(changes) + "\n"
