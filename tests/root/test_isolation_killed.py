"""A runtime that is killed at any moment leaves nothing that ``delete --force`` does not remove.

The command line kills itself at a chosen moment: when pyrunc-init is about to run an op (its test build stops there),
when the state is written, when pyrunc-init is answered, when something is removed.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.box import Box, contents
from tests.root.test_failures import REPOSITORY, Hello, check_nothing_left, hello, new_hello
from tests.support.canary import outer_mounts

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["hello", "new_hello"]

pytestmark = pytest.mark.needs("root", "gcc", "cgroup1", "overlay")

#: usage: REPOSITORY INIT MOMENT NUMBER ARGUMENTS...
PROGRAM = """\
import posix, sys
sys.path.insert(0, sys.argv[1])
from pyrunc.host import helper
from pyrunc.host import message as messages
from pyrunc.state import store
helper.INIT, moment, number = sys.argv[2], sys.argv[3], int(sys.argv[4])
count = 0

def die():
    posix.kill(posix.getpid(), 9)

def counted(real, before):
    def call(*arguments, **options):
        global count
        count += 1
        if before and count - 1 == number:
            die()
        result = real(*arguments, **options)
        if not before and count - 1 == number:
            die()
        return result
    return call

def receive(self, real=helper.Init.receive):
    message = real(self)
    if message is not None and message.kind == messages.STOPPED:
        die()
    return message

what, _, when = moment.partition(" ")
if what == "op":
    helper.TEST_ARGS = (f"stop={number}",)
    helper.Init.receive = receive
elif what == "answer":
    helper.Init.go_on = counted(helper.Init.go_on, when == "before")
elif what == "spawn":
    helper.Init.__init__ = counted(helper.Init.__init__, when == "before")
else:
    for name in {"write": ["rename"], "remove": ["unlink", "rmdir"], "make": ["mkdir", "mkfifo"]}[what]:
        setattr(posix, name, counted(getattr(posix, name), when == "before"))
from pyrunc.cli.lean import main
posix._exit(main(sys.argv[5:]))
"""


class Killed:
    """Runs commands of a box that kill themselves."""

    def __init__(self, hello: Hello, scratch: Path) -> None:
        self.hello = hello
        self.program = scratch / "killed.py"
        self.program.write_text(PROGRAM)

    def command(self, box: Box, moment: str, number: int, *words: str) -> bool:
        """Whether the moment came, and the command was killed then."""
        command = [sys.executable, "-I", "-S", "-X", "utf8", str(self.program), str(REPOSITORY), str(self.hello.init)]
        command += [moment, str(number), "--root", str(box.root), *words]
        with box.out.open("ab") as out, box.err.open("ab") as err:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=60, check=False)
        assert done.returncode in (0, -signal.SIGKILL), (moment, number, box.err.read_text())
        return done.returncode != 0


@pytest.fixture
def killed(hello: Hello, tmp_path: Path) -> Killed:
    return Killed(hello, tmp_path)


def everything_left(box: Box, hello: Hello, mounts: dict[str, str], before: dict[str, str], what: str) -> list[str]:
    left = check_nothing_left(box, hello, mounts, what)
    after = contents(hello.bundle)
    left += [f"{what}: {name}" for name in before.keys() ^ after.keys()]
    left += [f"{what}: {name} has changed" for name in before.keys() & after.keys() if before[name] != after[name]]
    if (box.root / ".mount-points").exists():
        left.append(f"{what}: a list of mount points")
    return left


def settle(box: Box, hello: Hello, new_hello: Callable[[], Box]) -> None:
    """Where the kernel had not taken the mount namespace down yet, the next deletion removes what that kept."""
    if (box.root / ".mount-points").exists():
        after = new_hello()
        after.create("--bundle", str(hello.bundle))
        after.delete("--force")


MOMENTS = ("answer before", "answer after", "spawn before", "spawn after", "write before", "write after", "make after")


@pytest.mark.parametrize("chunk", range(3))
def test_creation_is_killed_before_an_op_of_the_init(
    hello: Hello, new_hello: Callable[[], Box], killed: Killed, chunk: int
) -> None:
    names = [op["op"] for op in hello.ops(runtime=False)]
    wrong = []
    for index in range(chunk, names.index("wait_start"), 3):
        box, mounts, before = new_hello(), outer_mounts(), contents(hello.bundle)
        what = f"killed before op {index} {names[index]}"
        assert killed.command(box, "op", index, "create", "--bundle", str(hello.bundle), box.id), what
        box.delete("--force")
        settle(box, hello, new_hello)
        wrong += everything_left(box, hello, mounts, before, what)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("moment", MOMENTS)
def test_creation_is_killed_at_what_the_runtime_does(
    hello: Hello, new_hello: Callable[[], Box], killed: Killed, moment: str
) -> None:
    wrong = []
    for number in range(200):
        box, mounts, before = new_hello(), outer_mounts(), contents(hello.bundle)
        was_killed = killed.command(box, moment, number, "create", "--bundle", str(hello.bundle), box.id)
        if not was_killed:
            # It has come to its end before: the container works, and goes as any.
            box.start()
        box.delete("--force")
        settle(box, hello, new_hello)
        wrong += everything_left(box, hello, mounts, before, f"killed at {moment} {number}")
        if not was_killed:
            break
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("moment", ["spawn before", "spawn after", "write before", "write after", "remove before",
                                    "remove after"])  # fmt: skip
def test_a_deletion_that_is_killed_can_be_repeated(
    hello: Hello, new_hello: Callable[[], Box], killed: Killed, moment: str
) -> None:
    wrong = []
    for number in range(200):
        box, mounts, before = new_hello(), outer_mounts(), contents(hello.bundle)
        box.create("--bundle", str(hello.bundle))
        was_killed = killed.command(box, moment, number, "delete", "--force", box.id)
        if was_killed:
            box.delete("--force")
        settle(box, hello, new_hello)
        wrong += everything_left(box, hello, mounts, before, f"killed at {moment} {number}")
        if not was_killed:
            break
    assert not wrong, "\n".join(wrong)
