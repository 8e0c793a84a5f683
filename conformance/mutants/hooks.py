"""Mutants that run hooks otherwise than the config says."""

from __future__ import annotations

from typing import Any

from conformance.mutants.mutant import edits

Config = dict[str, Any]

WITHIN = "test_hooks.py::test_a_hook_runs_within_its_verb"
STATE = "test_hooks.py::test_a_hook_reads_the_state"
OWN = "test_hooks.py::test_a_hook_has_its_own_arguments_and_environment"


def of(config: Config, kind: str) -> list[dict[str, Any]]:
    """The hooks of a kind, which may be changed."""
    found: list[dict[str, Any]] = config.get("hooks", {}).get(kind, [])
    return found


def moved(config: Config, kind: str, other: str) -> None:
    """What is of one kind becomes of another, behind those that are."""
    if "hooks" in config:
        config["hooks"].setdefault(other, []).extend(config["hooks"].pop(kind, []))


def through(config: Config, kind: str, script: str) -> None:
    """A line of the shell runs each hook of a kind: it is called with ``"$0" "$@"``."""
    for hook in of(config, kind):
        hook["args"] = ["sh", "-c", script, hook["path"], *hook.get("args", [])[1:]]
        hook["path"] = "/bin/sh"


def drop(kind: str, breaks: str, test: str) -> None:
    def edit(config: Config) -> None:
        config.get("hooks", {}).pop(kind, None)

    edits(breaks, test, f"forgets-{kind}-hooks")(edit)


def turn_round(kind: str, breaks: str) -> None:
    def edit(config: Config) -> None:
        of(config, kind).reverse()

    test = f"test_hooks.py::test_hooks_of_a_kind_run_in_their_order_one_after_the_other[{kind}]"
    edits(breaks, test, f"runs-{kind}-hooks-from-last-to-first")(edit)


drop("prestart", "config.prestart.state", f"{STATE}[prestart]")
drop("createRuntime", "runtime.lifecycle.createruntime-invoked", f"{WITHIN}[createRuntime]")
drop("createContainer", "config.createcontainer-hooks.state", f"{STATE}[createContainer]")
drop("startContainer", "runtime.lifecycle.startcontainer-invoked", f"{WITHIN}[startContainer]")
drop("poststart", "runtime.lifecycle.poststart-invoked", f"{WITHIN}[poststart]")
drop("poststop", "runtime.lifecycle.poststop-invoked", f"{WITHIN}[poststop]")

turn_round("prestart", "config.prestart.order")
turn_round("startContainer", "config.startcontainer-hooks.order")
turn_round("poststop", "config.poststop.order")


@edits("config.prestart.during-create", f"{WITHIN}[prestart]")
def runs_prestart_hooks_in_start(config: Config) -> None:
    """Poststart hooks would not do: runc up to 1.1 runs them in create."""
    moved(config, "prestart", "startContainer")


@edits("config.poststop.before-return", f"{WITHIN}[poststop]")
def runs_poststop_hooks_in_start(config: Config) -> None:
    moved(config, "poststop", "poststart")


@edits(
    "config.createcontainer-hooks.namespace",
    "test_hooks.py::test_a_hook_of_the_container_is_in_its_namespaces[createContainer]",
)
def runs_createcontainer_hooks_in_its_own_namespaces(config: Config) -> None:
    moved(config, "createContainer", "createRuntime")


@edits("config.createcontainer-hooks.after-createruntime", "test_hooks.py::test_the_hooks_of_create_run_kind_by_kind")
def runs_createcontainer_before_createruntime_hooks(config: Config) -> None:
    moved(config, "createContainer", "prestart")


@edits("config.createruntime-hooks.state", f"{STATE}[createRuntime]")
def gives_hooks_no_state(config: Config) -> None:
    through(config, "createRuntime", 'exec "$0" "$@" </dev/null')


@edits("runtime.state.status-creating", "test_state.py::test_the_status_that_hooks_read")
def tells_hooks_that_the_container_is_created(config: Config) -> None:
    through(config, "createRuntime", 'sed s/creating/created/ | "$0" "$@"')


@edits("runtime.lifecycle.createruntime-failure-error", "test_hook_failures.py::test_the_verb_fails[createRuntime]")
def forgives_hooks_that_fail(config: Config) -> None:
    through(config, "createRuntime", '"$0" "$@" || :')


@edits("config.posix-platform-hooks.args", f"{OWN}[createRuntime]")
def calls_hooks_by_their_paths(config: Config) -> None:
    for hook in of(config, "createRuntime"):
        hook["args"][0] = hook["path"]


@edits("config.posix-platform-hooks.env", f"{OWN}[poststart]")
def gives_hooks_no_environment(config: Config) -> None:
    for hook in of(config, "poststart"):
        hook.pop("env", None)
