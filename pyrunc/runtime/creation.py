"""Creates one container, or leaves nothing behind.

First everything that can refuse without an effect: the config, the rootfs, the terminal, the plan, the
filter.  Then the state directory, the runtime's ops, pyrunc-init, and at last the state "created".
"""

from __future__ import annotations

import posix

from pyrunc.errors import PyruncError
from pyrunc.host import execute, failure, files, helper, process
from pyrunc.plan.capabilities import CAPS
from pyrunc.plan.create import create as plan_create
from pyrunc.plan.ops import SLOT_ROOT, Op
from pyrunc.plan.wire import encode
from pyrunc.runtime import bundle as bundles
from pyrunc.runtime import clock, inherited, mount_points
from pyrunc.runtime.conversation import Conversation, perform, split
from pyrunc.spec.checks import warnings
from pyrunc.spec.jsontext import dumps
from pyrunc.state import machine
from pyrunc.state.store import FORMAT, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.plan.builder import Plan
    from pyrunc.plan.facts import HostFacts, Layer, Request
    from pyrunc.spec.types import Hook, Spec
    from pyrunc.state.store import Joined, State


class Options:
    """How a container is created, beyond its config; the defaults are those of the command line."""

    __slots__ = (
        "cgroup_manager",
        "console_socket",
        "hold",
        "isolation",
        "no_new_keyring",
        "no_pivot",
        "notify_socket",
        "pass_layers",
        "preserve_fds",
        "rootless",
        "serves_terminal",
        "stdio",
    )

    def __init__(
        self,
        *,
        console_socket: str | None = None,
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        preserve_fds: int = 0,
        cgroup_manager: str | None = None,
        rootless: str | None = None,
        isolation: dict[str, str] | None = None,
        pass_layers: bool = False,
        stdio: Sequence[int] = (0, 1, 2),
        serves_terminal: bool = False,
        hold: bool = False,
        notify_socket: str | None = None,
    ) -> None:
        self.console_socket = console_socket
        self.no_pivot = no_pivot
        self.pass_layers = pass_layers  # talk.layers gets what no other process could read
        self.no_new_keyring = no_new_keyring
        self.preserve_fds = preserve_fds
        self.cgroup_manager = cgroup_manager or "cgroupfs"
        self.rootless = rootless
        self.isolation = isolation or {}  # what the annotations io.pyrunc.* would say; those of the config win
        self.stdio = stdio
        self.serves_terminal = serves_terminal  # the caller passes the terminal's bytes on itself
        self.notify_socket = notify_socket  # of the caller's service manager
        self.hold = hold  # a sandbox: nothing of the caller's is passed on, and the init's socket stays open


class Creation:
    """After ``create``: ``state`` is saved, ``talk`` has pid, pidfd and the terminal's master."""

    __slots__ = ("facts", "options", "plan", "record", "spec", "state", "talk", "warn")

    def __init__(self, root: str, id: str, options: Options, warn: Callable[[str], None]) -> None:
        self.record = Record(root, id)
        self.options = options
        self.warn = warn
        self.spec: Spec
        self.facts: HostFacts
        self.plan: Plan
        self.state: State
        self.talk: Conversation

    def create(self, bundle: str, config: tuple[Spec, bytes] | None = None) -> None:
        """``config`` is a valid one in place of what the bundle has, and its text."""
        data, rootfs = self._prepare(bundle, config or bundles.load(bundle))
        context = execute.Context(self._state_json, bundle, self.warn)
        before, program, after = split(self.plan)
        waits = any(op.name == "wait_start" for op in program)
        self.talk = self._conversation(program)
        noted = self._noted(program, rootfs)
        self.talk.making = noted
        self.state = self._first_state(bundle, rootfs, program, noted)
        try:
            self.record.claim()
            self.record.write("config.json", data)
            self.record.save(self.state)
            if waits:
                self.record.make_fifo()
            if self.options.notify_socket:
                from pyrunc.runtime import sd_notify

                sd_notify.make_directory(self.record.directory)
            for op in before:
                execute.execute(op, context)
            held = mount_points.creating(files.parent(self.record.directory))
            try:
                self._converse(program, after, context)
            finally:
                posix.close(held)
            self.state["status"] = machine.CREATED
            self.record.save(self.state)
            execute.settle(context)
            if waits:
                self.talk.part()
        except BaseException as error:
            # Not what another container has, whose id is asked for again; a sandbox's is its own.
            if self.record.locked or (self.options.hold and not isinstance(error, PyruncError)):
                self._undo(error, context, rootfs)
            raise

    def _conversation(self, program: list[Op]) -> Conversation:
        return Conversation(program, self.warn)

    def _first_state(self, bundle: str, rootfs: str, program: list[Op], noted: mount_points.Noted) -> State:
        return {
            "format": FORMAT,
            "ociVersion": self.spec["ociVersion"],
            "id": self.record.id,
            "status": machine.CREATING,
            "pid": 0,
            "start_time": 0,
            "created": clock.now(),
            "owner": inherited.owner(),
            "bundle": bundle,
            "rootfs": rootfs,
            "annotations": dict(self.spec.get("annotations") or {}),
            "cgroups": self.plan.cgroups,
            "cgroup_manager": self.options.cgroup_manager,
            "unit": self.plan.unit,
            "own_pid_namespace": self._has_own_pid_namespace(),
            "joined_mounts": self._joined_mounts(),
            "no_new_keyring": self.options.no_new_keyring,
            "hooks": self._later_hooks(),
            "start_ops": _after_start(program),
            "layers": self._layers(),
            "made": noted.made,
            "made_in_layers": noted.in_layers,
        }

    def _prepare(self, bundle: str, config: tuple[Spec, bytes]) -> tuple[bytes, str]:
        """Everything that can refuse; nothing is changed."""
        options = self.options
        self.spec, data = config
        if options.notify_socket:
            from pyrunc.runtime import sd_notify

            self.spec = sd_notify.with_socket(self.spec, self.record.directory)
        for violation in warnings(self.spec, CAPS):
            self.warn(str(violation))
        rootfs = bundles.check_rootfs(self.spec, bundle)
        bundles.check_joined(self.spec)
        terminal = bool(self.spec["process"].get("terminal"))
        inherited.check_terminal(terminal, options.console_socket, here=options.serves_terminal)
        env, descriptors = ([], 0) if options.hold else inherited.listen_fds(options.preserve_fds)
        inherited.check_descriptors(descriptors)
        isolation = bundles.isolation(self.spec, options.isolation)
        bundles.check_lower(isolation, rootfs)
        self.facts = self._facts()
        if options.cgroup_manager == "systemd":
            self.facts = bundles.with_systemd(self.facts)
        request = bundles.request(
            self.record.id,
            bundle,
            self.record.directory,
            no_pivot=options.no_pivot,
            no_new_keyring=options.no_new_keyring,
            preserve_fds=descriptors,
            cgroup_manager=options.cgroup_manager,
            isolation=isolation,
            pass_layers=options.pass_layers,
            cow_directories=bundles.cow_directories(self.spec, isolation, bundle),
            extra_env=env,
            serves_terminal=options.serves_terminal,
            terminal_size=inherited.terminal_size() if terminal and options.serves_terminal else None,
            hold=options.hold,
        )
        self.plan = self._planned(data, request)
        for violation in self.plan.warnings:
            self.warn(str(violation))
        return data, rootfs

    def _facts(self) -> HostFacts:
        return bundles.facts(self.options.rootless)

    def _planned(self, data: bytes, request: Request) -> Plan:  # noqa: ARG002  # the text of the config
        plan = plan_create(self.spec, self.facts, request)
        root = self.record.directory.rpartition("/")[0]
        plan.set_filter(bundles.filter_of(self.spec, root + "/.seccomp", self.facts["machine"]))
        return plan

    def _converse(self, program: list[Op], after: dict[int, list[Op]], context: execute.Context) -> None:
        talk = self.talk

        def on_cloned() -> None:
            context.pid = talk.pid
            self.state["pid"] = talk.pid
            self.state["start_time"] = process.start_time(talk.pid) or 0
            # From here on "delete --force" finds the process, should this one be killed.
            self.record.save(self.state)

        def on_sync(op: int) -> None:
            for todo in after.get(op, ()):
                execute.execute(todo, context)

        talk.listener = self._send_listener
        preserved = 0
        for op in program:
            if op.name == "preserve_fds":
                preserved = op.args[0]  # type: ignore[assignment]
        init = helper.Init(encode(program), stdio=self.options.stdio, preserve_fds=preserved)
        talk.init = init
        context.cloner = init.pid
        if not talk.run(init, on_cloned, on_sync):
            raise talk.died()
        if self.options.console_socket:
            from pyrunc.host import console

            console.send_master(self.options.console_socket, talk.master, "/dev/ptmx")

    def _layers(self) -> list[Layer]:
        if not self.plan.layers:
            return []
        from pyrunc.runtime import layers

        return layers.identified(self.plan.layers)

    def _noted(self, program: list[Op], rootfs: str) -> mount_points.Noted:
        """What is behind the mounts on which mount points may have to be made."""
        layers = {layer["slot"]: layer["destination"] for layer in self.plan.layers}
        bases = {} if SLOT_ROOT in layers else {SLOT_ROOT: rootfs}
        for op in program:
            if op.name in ("open_tree", "copy_symlink") and op.args[0] != SLOT_ROOT:
                bases[op.args[0]] = op.args[1]  # type: ignore[index,assignment]
        return mount_points.Noted(bases, layers, lambda: self.record.save(self.state))

    def _joined_mounts(self) -> Joined | None:
        entries = (self.spec.get("linux") or {}).get("namespaces") or ()
        for path in (entry.get("path") for entry in entries if entry["type"] == "mount"):
            if path:
                from pyrunc.runtime import joined_mounts

                return joined_mounts.identify(path)
        return None

    def _has_own_pid_namespace(self) -> bool:
        entries = (self.spec.get("linux") or {}).get("namespaces") or ()
        return any(entry["type"] == "pid" and not entry.get("path") for entry in entries)

    def _later_hooks(self) -> dict[str, list[Hook]]:
        hooks = self.spec.get("hooks") or {}
        found: dict[str, list[Hook]] = {}
        for kind in ("poststart", "poststop"):
            if hooks.get(kind):
                found[kind] = hooks[kind]
        return found

    def _state_json(self) -> str:
        from pyrunc.runtime.state import document

        return dumps(document(self.state, machine.CREATING, self.state["pid"]))

    def _send_listener(self, fd: int) -> None:
        from pyrunc.runtime import notify

        notify.send(self.spec, self.state, machine.CREATING, self.state["pid"], fd)

    def _undo(self, error: BaseException, context: execute.Context, rootfs: str) -> None:
        """Take everything back, whatever else fails; what cannot be is added to the error."""
        from pyrunc.runtime import destroy

        notes: list[str] = []
        root = files.parent(self.record.directory)
        steps = [
            self.talk.abort,
            lambda: self._leave_joined(rootfs),
            lambda: destroy.detach_layers(self.record.directory, self.warn),
            lambda: notes.extend(destroy.remove_mount_points(root, self.record.id, self.state["made"])),
            lambda: self._detach_filter(context),
            lambda: notes.extend(execute.undo(context)),
            lambda: self._poststop(error),
            self.record.remove,
        ]
        for step in steps:
            for _ in range(2):
                try:
                    step()
                except PyruncError as another:
                    notes.append(str(another))
                except OSError as another:
                    notes.append(failure.sentence(another))
                except BaseException as another:  # noqa: BLE001  # an interruption: what counts is the first error
                    notes.append(repr(another))
                    continue
                break
        self.record.close()
        if isinstance(error, PyruncError):
            for note in notes:
                error.add(note)

    def _detach_filter(self, context: execute.Context) -> None:
        """Devices of a cgroup that was there before; others take their filter with them."""
        for op in self.talk.program:
            if op.name == "device_filter" and context.found and op.args[0] in context.found.directories:
                perform([Op("detach_device_filter", (op.args[0],), op.where)], self.warn)

    def _leave_joined(self, rootfs: str) -> None:
        if self.state["joined_mounts"]:
            from pyrunc.runtime import joined_mounts

            joined_mounts.detach(self.state["joined_mounts"], rootfs, self.warn)

    def _poststop(self, error: BaseException) -> None:
        """runtime.md "Lifecycle": after a failed hook, go on at the deletion, with its hooks."""
        if isinstance(error, PyruncError) and error.where.startswith("hooks."):
            from pyrunc.runtime.destroy import poststop

            poststop(self.state, self.warn)


def _after_start(program: list[Op]) -> list[tuple[int, str, str]]:
    """What start needs to name the op that failed, long after the plan is gone; nothing for a sandbox."""
    first = next((index for index, op in enumerate(program) if op.name == "wait_start"), len(program))
    return [(index, op.name, op.where) for index, op in enumerate(program) if index >= first]


def close(creation: Creation) -> None:
    """Give back the lock and the descriptors; the container stays."""
    creation.talk.close()
    creation.record.close()
