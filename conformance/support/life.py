"""What one id may live through, as a model: each verb is carried out and foretold, and compared with what is so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import config, residue
from conformance.call import Call
from conformance.container import until
from conformance.runtime import environment
from conformance.verdict import Failed

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.workshop import Workshop

#: Words for the probe -> what it has written when it has begun.
PROGRAMS = {
    ("wait", "3"): "waiting\n",
    ("echo", "done"): "done\n",
    ("spawn", "+", "wait"): "spawned 2\nwaiting\n",
    ("exit", "7"): "",
}

#: What makes a create fail, and leave nothing.
BAD: dict[str, dict[str, Any]] = {
    "bind source": {
        "mounts": [{"destination": "/mnt", "type": "bind", "source": "/no/such/directory", "options": ["rbind"]}]
    },
    "root": {"root": {"path": "no-such-rootfs"}},
    "namespace": {"linux.namespaces": [{"type": "mount"}, {"type": "ipc", "path": "/no/such/namespace"}]},
    "sysctl": {"linux.sysctl": {"kernel.no_such_parameter": "1"}},
}


class Life:
    """One id.  ``status`` is that of the model, "" while no container has the id."""

    def __init__(self, workshop: Workshop, name: str) -> None:
        self.workshop = workshop
        self.id = f"{workshop.token}-{name}"
        self.status = ""
        self.box: Container
        self.program: tuple[str, ...]
        self.written = ""

    def bundle(self, program: tuple[str, ...]) -> Container:
        made = config.minimal(*program, token=self.id)
        return self.workshop.container(config=made, id=self.id)

    # --- the verbs ---------------------------------------------------------------------------------------------------

    def create(self, program: tuple[str, ...]) -> None:
        made = self.bundle(program)
        if self.status:
            made.create(expect="error")
            if made.pid_file.exists():
                raise Failed("a create that failed has written a pid file")
            return
        made.create()
        self.box, self.program, self.status, self.written = made, program, "created", ""

    def create_in_vain(self, what: str) -> None:
        made = self.bundle(("wait",))
        config.change(made.config, BAD[what])
        made.create(expect="error")
        if not self.status:
            self.left_nothing(made)

    def start(self) -> None:
        if self.status != "created":
            self.workshop.runtime.start(self.id).refused()
            return
        self.box.start()
        self.written = PROGRAMS[self.program]
        self.status = "running"
        if "wait" not in self.program:
            self.ended()
        else:
            self.until_written()

    def kill(self, signal: str) -> None:
        """What an uncommon signal does to a created container is open, so it is sent none."""
        outcome = self.workshop.runtime.kill(self.id, "KILL" if self.status == "created" else signal)
        if self.status not in ("created", "running"):
            outcome.refused()
            return
        outcome.succeeded()
        if self.status == "running" and signal != "KILL":
            self.written += {"TERM": "signal 15\n", "USR1": "signal 10\n"}[signal]
            self.until_written()
        if self.status == "created" or signal != "USR1":
            self.ended()

    def kill_with_nonsense(self) -> None:
        """That it fails is looked at by a test of its own; here, that nothing comes of it."""
        self.workshop.runtime.kill(self.id, "NOSUCHSIGNAL")

    def delete(self) -> None:
        """That of a created container has a test of its own: it fails, or it does its work."""
        outcome = self.workshop.runtime.delete(self.id)
        if self.status == "stopped":
            outcome.succeeded()
        elif self.status != "created":
            outcome.refused()
        if outcome.status == 0:
            self.box.exists = False
            self.status = ""
            self.left_nothing(self.box)

    # --- what happens without the runtime ----------------------------------------------------------------------------

    def die(self) -> None:
        """The first process is killed, not by the runtime."""
        if self.status in ("created", "running"):
            self.shell(f"kill -KILL $(cat {self.box.pid_file})")
            self.ended()

    def lose_the_bundle(self) -> None:
        """config.json goes, which is allowed at any time, and the root of a container that has been started."""
        if self.status:
            path = self.box.bundle.path
            self.shell(f"rm -rf {path}/config.json {'' if self.status == 'created' else self.box.rootfs}")
            self.box.bundle.written = self.box.bundle.snapshot()

    def shell(self, line: str) -> None:
        """A command that is no verb, as part of what can be repeated."""
        folder = self.workshop.folder / f"shell{next(self.workshop.numbers)}"
        told = self.workshop.evidence.call
        Call(["sh", "-c", line], folder, env=environment(), told=told).wait(self.workshop.runtime.deadline).succeeded()

    # --- is it so? ---------------------------------------------------------------------------------------------------

    def until_written(self) -> None:
        until(lambda: self.box.output() == self.written, f"{self.id} should write {self.written!r}{self.box.told()}")

    def ended(self) -> None:
        self.box.wait()
        until(lambda: self.box.status() == "stopped", f"{self.id}: its process has ended, it should be stopped", 5)
        self.status = "stopped"

    def left_nothing(self, box: Container) -> None:
        found = residue.wait(self.id, box.bundle.path, self.workshop.runtime.root, [box])
        if found:
            raise Failed(f"there is no {self.id} any more, but there is still:\n" + "\n".join(found))

    def compare(self) -> None:
        """Raises Failed where the model and what is there differ."""
        if not self.status:
            self.workshop.runtime.state(self.id).refused()
            return
        said = self.box.state()
        wanted = {"id": self.id, "status": self.status, "bundle": str(self.box.bundle.path)}
        if self.status != "stopped":
            wanted["pid"] = self.box.pid  # type: ignore[assignment]
        if differing := {name: said[name] for name in wanted if said[name] != wanted[name]}:
            raise Failed(f"the state of {self.id} should have {wanted}, and has {differing}")
        assert self.box.watched is not None
        if self.box.watched.wait(0) != (self.status == "stopped"):
            raise Failed(
                f"{self.id} is {self.status}, and its process {'lives' if self.status == 'stopped' else 'not'}"
            )
        if self.box.output() != self.written:
            raise Failed(f"{self.id} should have written {self.written!r}{self.box.told()}")
