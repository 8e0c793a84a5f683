"""``restore``: a container from the images of a checkpoint, in the place of ``run`` and ``create``.

It is created as any other: state, cgroups, mount points; but CRIU makes its processes, as children of this one.
"""

from __future__ import annotations

import _signal
import posix

from pyrunc.errors import CriuFailed, HostError, PyruncError
from pyrunc.host import cgroups, criu, execute, files, helper, insides, process
from pyrunc.plan import cgroup_mounts
from pyrunc.plan.criu import mounts, refusals, rpc
from pyrunc.plan.criu import restore as plan
from pyrunc.plan.criu.dump import LEFT_OUT
from pyrunc.plan.wire import encode
from pyrunc.runtime import attached, clock, lazy
from pyrunc.runtime import run as running
from pyrunc.runtime.checkpoint import require_root
from pyrunc.runtime.conversation import Conversation, perform
from pyrunc.runtime.create import announce
from pyrunc.runtime.creation import Creation
from pyrunc.runtime.images import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.plan.builder import Plan
    from pyrunc.plan.criu.rpc import Options as CriuOptions
    from pyrunc.plan.criu.wishes import Wishes
    from pyrunc.plan.facts import HostFacts, Request
    from pyrunc.plan.ops import Op
    from pyrunc.runtime.creation import Options
    from pyrunc.runtime.images import Directories
    from pyrunc.spec.types import Spec


def restore(
    *,
    root: str,
    id: str,
    bundle: str,
    options: Options,
    directories: Directories,
    wishes: Wishes,
    pid_file: str | None,
    detach: bool,
    no_subreaper: bool,
    warn: Callable[[str], None],
) -> int:
    """Returns the exit status of the process, 0 at once with ``detach``.  HostError where CRIU refuses."""
    require_root("restore")
    options.serves_terminal = not detach and not options.console_socket
    restoration = Restoration(root, id, options, warn, directories, wishes)
    restoration.create(bundle)
    talk, record = restoration.talk, restoration.record
    try:
        try:
            announce(talk.pid, talk.pidfd, pid_file, None)
            if not detach:
                from pyrunc.host import foreground

                foreground.hold()
                if not no_subreaper and not restoration.state["own_pid_namespace"]:
                    foreground.become_subreaper()
        except BaseException:
            running.discard(restoration, warn)
            raise
        record.close()
        if detach:
            return 0
        status = attached.attend(talk)
        running.delete(restoration, warn)
        return status
    finally:
        talk.close()
        record.close()


class Restoration(Creation):
    """A creation by CRIU."""

    __slots__ = ("_descriptors", "_directories", "_path", "_program", "_service", "_wishes")

    def __init__(
        self,
        root: str,
        id: str,
        options: Options,
        warn: Callable[[str], None],
        directories: Directories,
        wishes: Wishes,
    ) -> None:
        super().__init__(root, id, options, warn)
        self._directories = directories
        self._wishes = wishes
        self._path = criu.search_path(posix.environ)

    def _conversation(self, program: list[Op]) -> Conversation:
        return _Talk(program, self.warn)

    def _planned(self, data: bytes, request: Request) -> Plan:  # noqa: ARG002
        """Also everything else that can refuse before anything is changed."""
        refusals.check(self.spec, layers=bool(request["isolation"]))
        self._program = criu.find(self._path)
        found = criu.version(self._program, self._path)
        for option, wish in (("--lsm-profile", self._wishes.lsm_profile),
                             ("--lsm-mount-context", self._wishes.lsm_mount_context)):  # fmt: skip
            if wish and found < (3, 16):
                raise HostError(f"{option} requires at least CRIU 3.16", where=option)
        if self._wishes.lazy_pages:
            lazy.require(self._program, self._path)
            lazy.require_daemon(self._directories.log(lazy.SOCKET))
        self._descriptors = self._directories.descriptors()
        return planned(self.spec, self.facts, request, self._program, self._path, self._directories.paths())

    def _converse(self, program: list[Op], after: dict[int, list[Op]], context: execute.Context) -> None:
        """pyrunc-init becomes CRIU, which then is asked."""
        talk = self.talk
        assert isinstance(talk, _Talk)
        talk.cgroups = self.state["cgroups"]
        ours, theirs = criu.pair()
        opened: list[int] = []
        try:
            asked = self._asked(opened)
            init = helper.Init(encode(program), given=[theirs.fileno(), *opened])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            files.close(opened)
        talk.init = init
        context.cloner = init.pid
        talk.service = criu.Service(ours, init.hand_over())
        talk.maker = init.pid

        def on_sync(op: int) -> None:
            for todo in after.get(op, ()):
                execute.execute(todo, context)

        talk.run(init, _nothing, on_sync)  # until it has become CRIU
        init.close()
        asked.update(numbers([talk.layers[index] for index in sorted(talk.layers)]))

        def notice(script: str, pid: int, fd: int) -> None:
            if script == "setup-namespaces":
                self._exists(pid, context)
                if self._has_new_network():
                    perform(plan.loopback(pid), self.warn)
                on_sync(len(program) - 1)
            elif script == "orphan-pts-master" and fd >= 0:
                talk.master = posix.dup(fd)

        try:
            answer = talk.service.ask({"type": rpc.RESTORE, "opts": asked}, notice)
        except CriuFailed as error:
            raise criu.explain(error, self._directories.log(plan.LOG)) from None
        self._exists((answer.get("restore") or {}).get("pid", 0), context)
        status = talk.service.close()
        if status:
            raise HostError(f"criu ended with {status}", hint=f"CRIU's log is {self._directories.log(plan.LOG)}")
        posix.rmdir(asked["root"])
        talk.pidfd = process.open_pidfd(talk.pid, self.state["start_time"])
        self.state["created"] = clock.now()
        if self.options.console_socket:
            self._send_master()

    def _asked(self, opened: list[int]) -> CriuOptions:
        """The request's options; namespaces that CRIU gets by descriptor are ``opened``."""
        namespaces = {}
        for entry in (self.spec.get("linux") or {}).get("namespaces") or ():
            if entry.get("path") and entry["type"] in LEFT_OUT:
                namespaces[entry["type"]] = criu.FIRST + len(opened)
                opened.append(files.held(posix.open, entry["path"], posix.O_RDONLY | posix.O_CLOEXEC))
        return asked_of_criu(
            self.spec,
            self.plan,
            self._wishes,
            root=f"{self.record.directory}/{plan.ROOT}",
            bundle=self.state["bundle"],
            facts=self.facts,
            directories=self._directories,
            descriptors=self._descriptors,
            namespaces=namespaces,
        )

    def _exists(self, pid: int, context: execute.Context) -> None:
        """The container's first process: from here on "delete --force" finds it, should this one be killed."""
        if pid and pid != self.talk.pid:
            self.talk.pid = context.pid = pid
            self.state["pid"] = pid
            self.state["start_time"] = process.start_time(pid) or 0
            self.record.save(self.state)

    def _has_new_network(self) -> bool:
        entries = (self.spec.get("linux") or {}).get("namespaces") or ()
        return any(entry["type"] == "network" and not entry.get("path") for entry in entries)

    def _send_master(self) -> None:
        from pyrunc.host import console

        assert self.options.console_socket
        if self.talk.master < 0:
            raise HostError("the images have no terminal", where="--console-socket")
        console.send_master(self.options.console_socket, self.talk.master, "/dev/ptmx")


def planned(spec: Spec, facts: HostFacts, request: Request, program: str, path: str, directories: list[str]) -> Plan:
    """Descriptors of CRIU: its socket, the namespaces to enter."""
    entries = (spec.get("linux") or {}).get("namespaces") or ()
    joined = sum(1 for entry in entries if entry.get("path") and entry["type"] in LEFT_OUT)
    return plan.restore(
        spec, facts, request, program=program, path=path, descriptors=1 + joined, directories=directories
    )


def asked_of_criu(
    spec: Spec,
    made: Plan,
    wishes: Wishes,
    *,
    root: str,
    bundle: str,
    facts: HostFacts,
    directories: Directories,
    descriptors: list[str],
    namespaces: dict[str, int],
) -> CriuOptions:
    shown = cgroup_mounts.shown(facts, mounts.namespaces(spec), made.cgroups)
    sources = mounts.sources(directories.external(), spec, bundle, shown)
    return plan.options(
        spec,
        wishes,
        root=root,
        cgroups={
            controller: path[len(facts["cgroup"]["mounts"][controller].rstrip("/")) :] or "/"
            for controller, path in made.cgroups.items()
        },
        sources={key: insides.source(source) for key, source in sources.items()},
        descriptors=descriptors,
        namespaces=namespaces,
    )


class _Talk(Conversation):
    """With pyrunc-init, and then with the CRIU that it has become."""

    __slots__ = ("cgroups", "maker", "service")

    def __init__(self, program: list[Op], warn: Callable[[str], None]) -> None:
        super().__init__(program, warn)
        self.service: criu.Service | None = None
        self.cgroups: dict[str, str] = {}
        self.maker = 0

    def _note(self, message: Any) -> None:
        """Mount points are made by what becomes CRIU, before there is a container."""
        self.pid, pid = self.maker, self.pid
        try:
            super()._note(message)
        finally:
            self.pid = pid

    def abort(self) -> None:
        """CRIU first: while it lives it makes processes.  Then whatever it has made, and its first process is ours."""
        service, self.service = self.service, None
        if service is not None:
            service.close(kill=True)
        try:
            cgroups.signal_all(self.cgroups, _signal.SIGKILL)
        except (PyruncError, OSError):
            super().abort()
            raise
        super().abort()


def _nothing() -> None:
    """There is no clone: CRIU tells of the first process."""


def preview(root: str, id: str, bundle: str, options: Options, images: str, wishes: Wishes) -> str:
    """The plan as text, and below it what CRIU would be asked, but for the numbers of descriptors."""
    from pyrunc.plan import describe
    from pyrunc.runtime import bundle as bundles
    from pyrunc.runtime.images import Directories
    from pyrunc.spec.jsontext import dumps_pretty

    spec, _ = bundles.load(bundle)
    isolation = bundles.isolation(spec, options.isolation)
    refusals.check(spec, layers=bool(isolation))
    facts = bundles.facts(options.rootless)
    if options.cgroup_manager == "systemd":
        facts = bundles.with_systemd(facts)
    state_dir = f"{root}/{id}"
    request = bundles.request(id, bundle, state_dir, cgroup_manager=options.cgroup_manager)
    path = criu.search_path(posix.environ)
    made = planned(spec, facts, request, criu.find(path), path, [images])
    directories = Directories(images, None, make=False)
    try:
        asked = asked_of_criu(
            spec,
            made,
            wishes,
            root=f"{state_dir}/{plan.ROOT}",
            bundle=bundle,
            facts=facts,
            directories=directories,
            descriptors=directories.descriptors(),
            namespaces={},
        )
    finally:
        directories.close()
    return describe.text(made) + dumps_pretty(asked) + "\n"
