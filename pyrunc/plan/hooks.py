"""hooks: which run when, and where.

runtime-spec config.md "POSIX-platform Hooks".  prestart, createRuntime, poststart and poststop run in the
runtime's namespaces (poststart and poststop belong to other verbs than create); createContainer and
startContainer run in the container's, as children of its first process.
"""

from __future__ import annotations

from pyrunc.spec.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder
    from pyrunc.spec.types import Hook


def before_pivot(b: Builder) -> None:
    """All mounts are made and the host is still reachable: the place that runc gives these hooks."""
    hooks = b.spec.get("hooks") or {}
    runtime = [("prestart", hooks.get("prestart") or ()), ("createRuntime", hooks.get("createRuntime") or ())]
    if any(found for _, found in runtime):
        b.on_container("hooks", "sync")
    for kind, found in runtime:
        for index, hook in enumerate(found):
            b.on_container(f"hooks.{kind}[{index}]", "runtime_hook", kind, *arguments(hook))
    _in_container(b, "createContainer", hooks.get("createContainer") or (), "creating")


def start_container(b: Builder) -> None:
    hooks = b.spec.get("hooks") or {}
    _in_container(b, "startContainer", hooks.get("startContainer") or (), "created")


def arguments(hook: Hook) -> tuple[str, tuple[str, ...], tuple[str, ...], int]:
    """Path, args (argv[0] is the path where there are none), env (empty where there is none), timeout."""
    args = tuple(hook.get("args") or (hook["path"],))
    return hook["path"], args, tuple(hook.get("env") or ()), hook.get("timeout") or 0


def _in_container(b: Builder, kind: str, hooks: list[Hook] | tuple[()], status: str) -> None:
    for index, hook in enumerate(hooks):
        state = state_text(b, status)
        b.on_container(f"hooks.{kind}[{index}]", "container_hook", kind, *arguments(hook), state)


def state_text(b: Builder, status: str) -> tuple[str, str]:
    """The state document in two halves; the executor puts its pid, as the container sees it, between them."""
    head = {"ociVersion": b.spec["ociVersion"], "id": b.request["id"], "status": status}
    tail: dict[str, object] = {"bundle": b.request["bundle"]}
    if b.spec.get("annotations"):
        tail["annotations"] = b.spec["annotations"]
    return dumps(head)[:-1] + ',"pid":', "," + dumps(tail)[1:]
