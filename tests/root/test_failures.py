"""Failure costs nothing: each op of a plan fails once, and nothing is left behind.

The plans are that of the hello bundle, and that of one with all the annotations of pyrunc's own.

The ops of pyrunc-init fail through its test build (``fail=INDEX:ERRNO``), those of the runtime through
their entry in ``pyrunc.host.execute.OPS``; both in a process of their own that is the command line.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import Box, contents, wait_for_exit
from tests.support.bundles import Bundle
from tests.support.canary import outer_mounts
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs("root", "gcc", "cgroup1")

REPOSITORY = Path(__file__).parents[2]
CHUNKS = 4

#: The command line with a pyrunc-init that can fail, and with one op of the runtime that does.
PROGRAM = """\
import posix, sys
sys.path.insert(0, sys.argv.pop(1))
from pyrunc.host import execute, helper
init, argument, wanted = sys.argv[1:4]
helper.INIT = init
helper.TEST_ARGS = (argument,) if argument else ()
if wanted:
    index, errno = map(int, wanted.split(":"))
    count = 0
    def counted(real):
        def op(*arguments):
            global count
            count += 1
            if count - 1 == index:
                raise OSError(errno, "injected")
            return real(*arguments)
        return op
    for name in execute.OPS:
        execute.OPS[name] = counted(execute.OPS[name])
from pyrunc.cli.lean import main
posix._exit(main(sys.argv[4:]))
"""


class Hello:
    """A bundle, its plan, and the command line that fails on demand."""

    def __init__(self, bundle: Path, init: Path, plan: list[dict[str, Any]]) -> None:
        self.bundle = bundle
        self.init = init
        self.plan = plan

    def ops(self, *, runtime: bool) -> list[dict[str, Any]]:
        return [op for op in self.plan if (op["stage"] == "runtime") == runtime]

    def command(self, box: Box, verb: str, *words: str, fail: str = "", fail_runtime: str = "") -> Any:
        arguments = [str(REPOSITORY), str(self.init), fail and f"fail={fail}", fail_runtime]
        original = box.runtime
        try:
            script = box.bundle.path / "runtime"
            quoted = " ".join(f"'{word}'" for word in [sys.executable, "-I", "-S", "-X", "utf8", "-c"])
            program = box.bundle.path / "program.py"
            program.write_text(PROGRAM)
            quoted = quoted.removesuffix(" '-c'") + f" '{program}' " + " ".join(f"'{word}'" for word in arguments)
            script.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
            script.chmod(0o755)
            box.runtime = script
            return box.leaving(verb, *words, status=None)
        finally:
            box.runtime = original


#: What makes the hello bundle another one: its annotations.
ANNOTATIONS = {
    "hello": {},
    "isolated": {"tmp": "private", "workspace": "/new/work", "rootfs": "ephemeral", "cow": "/in/file:/in/directory"},
    "isolated over a plain rootfs": {"tmp": "private", "workspace": "/host/new/work", "cow": "/in/file:/in/directory"},
}


def isolated(bundle: Path, annotations: dict[str, str]) -> None:
    """Add annotations, and bind mounts of a directory of the host that need mount points."""
    host = bundle / "host"
    (host / "inner").mkdir(parents=True)
    (host / "file").write_text("of the host")
    config = json.loads((bundle / "config.json").read_text())
    config["annotations"] = {f"io.pyrunc.{name}": value for name, value in annotations.items()}
    for destination, source in {"/in/file": "host/file", "/in/directory": "host/inner", "/host": "host"}.items():
        mount = {"destination": destination, "type": "bind", "source": str(bundle / source), "options": ["bind"]}
        config["mounts"].append(mount)
    config["mounts"].append({"destination": "/host/new/tmpfs", "type": "tmpfs", "source": "tmpfs"})
    (bundle / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module", params=ANNOTATIONS)
def hello(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pyrunc: Path) -> Hello:
    from pyrunc.native import build

    directory = tmp_path_factory.mktemp("hello")
    init = build.build(directory / "native", test=True)
    run(
        sys.executable, REPOSITORY / "bundles/rootfs.py", REPOSITORY / "bundles/hello", "--output", directory / "bundle"
    )
    if ANNOTATIONS[request.param]:
        isolated(directory / "bundle", ANNOTATIONS[request.param])
    plan = json.loads(run(pyrunc, "plan", "--format", "json", "--bundle", directory / "bundle").stdout)
    return Hello(directory / "bundle", Path(init), plan["ops"])


@pytest.fixture
def new_hello(hello: Hello, pyrunc: Path, root: Path, ids: Callable[[], str], tmp_path: Path) -> Callable[[], Box]:
    """A factory of boxes of the hello bundle."""

    def make() -> Box:
        id_ = ids()
        bundle = Bundle(tmp_path / f"scratch-{id_}")  # where the failing command line lies
        return Box(pyrunc, root, id_, bundle, tmp_path)

    return make


def check_nothing_left(box: Box, hello: Hello, mounts: dict[str, str], what: str) -> list[str]:
    """What an injected failure has left behind, as lines."""
    left = []
    if box.exists():
        left.append(f"{what}: state {sorted(os.listdir(box.root / box.id))}")
    left += [f"{what}: cgroup {path}" for path in box.cgroups()]
    after = outer_mounts()
    ours = str(hello.bundle), box.id
    left += [f"{what}: {line}" for key, line in after.items() if key not in mounts and any(o in line for o in ours)]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                words = (entry / "cmdline").read_bytes()
                links = [os.readlink(entry / name) for name in ("cwd", "root")]
            except OSError:
                continue
            if box.id.encode() in words or any(link.startswith(str(hello.bundle)) for link in links):
                left.append(f"{what}: process {entry.name} {words!r}")
    return left


def names_the_op(said: str, where: str) -> bool:
    return not where or where in said


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_each_op_of_the_init_may_fail(hello: Hello, new_hello: Callable[[], Box], chunk: int) -> None:
    ops = hello.ops(runtime=False)
    names = [op["op"] for op in ops]
    waits = names.index("wait_start")
    wrong = []
    for index in range(chunk, len(ops), CHUNKS):
        box = new_hello()
        before = contents(hello.bundle)
        mounts = outer_mounts()
        what = f"op {index} {names[index]} ({ops[index]['where']})"
        result = hello.command(box, "create", "--bundle", str(hello.bundle), "ID", fail=f"{index}:{errno.EDQUOT}")
        if index >= waits:
            if result.status != 0:
                wrong.append(f"{what}: create failed: {result!r}")
                continue
            result = box.start(status=None)
        if result.status != 1:
            wrong.append(f"{what}: ended with {result.status}: {result.stderr}")
        elif not names_the_op(result.stderr, ops[index]["where"]):
            wrong.append(f"{what}: does not name {ops[index]['where']}: {result.stderr.strip()}")
        elif names[index] == "wait_start":
            pass  # nobody listens between READY and the FIFO; that it has stopped is all that can be said
        elif os.strerror(errno.EDQUOT).lower() not in result.stderr.lower() and "EDQUOT" not in result.stderr:
            wrong.append(f"{what}: does not name the error: {result.stderr.strip()}")
        if index >= waits and box.exists():
            pid = box.state()["pid"]
            if pid:
                wait_for_exit(pid)
            box.delete("--force")
        wrong += check_nothing_left(box, hello, mounts, what)
        if contents(hello.bundle) != before:
            wrong.append(f"{what}: the bundle has changed")
    assert not wrong, "\n".join(wrong)


def test_each_op_of_the_runtime_may_fail(hello: Hello, new_hello: Callable[[], Box]) -> None:
    wrong = []
    for index, op in enumerate(hello.ops(runtime=True)):
        box = new_hello()
        mounts = outer_mounts()
        before = contents(hello.bundle)
        what = f"op {index} {op['op']} ({op['where']})"
        result = hello.command(
            box, "create", "--bundle", str(hello.bundle), "ID", fail_runtime=f"{index}:{errno.EDQUOT}"
        )
        if contents(hello.bundle) != before:
            wrong.append(f"{what}: the bundle has changed")
        if result.status != 1:
            wrong.append(f"{what}: ended with {result.status}: {result.stderr}")
        wrong += check_nothing_left(box, hello, mounts, what)
    assert not wrong, "\n".join(wrong)


def test_the_plan_has_ops_of_every_stage(hello: Hello) -> None:
    assert {op["stage"] for op in hello.plan} >= {"runtime", "host"}
    assert len(hello.ops(runtime=False)) > 40


@pytest.mark.needs("busybox", "static")
def test_an_init_that_is_killed_is_reported_and_leaves_nothing(new_box: Callable[..., Box]) -> None:
    # The hook kills the container's first process while the runtime waits for it.
    box = new_box("/bin/true")
    script = 'pid=$(sed "s/.*\\"pid\\": *\\([0-9]*\\).*/\\1/"); kill -9 $pid'
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}
    box.bundle.edit(hooks={"createRuntime": [hook]})
    said = box.create_refused()
    assert "kill" in said.lower() or "died" in said.lower() or "signal" in said.lower()


@pytest.mark.needs("busybox", "static")
def test_a_runtime_that_is_killed_leaves_what_delete_force_removes(new_box: Callable[..., Box]) -> None:
    # The hook kills its parent, the runtime, between clone and pivot_root.
    box = new_box("/bin/true")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $PPID"]}
    box.bundle.edit(hooks={"createRuntime": [hook]})
    box.create(status=None)
    box.delete("--force")
    box.nothing_left()


@pytest.mark.needs("busybox", "static")
def test_a_runtime_killed_in_start_leaves_what_delete_force_removes(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.bundle.edit(hooks={"poststart": [{"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $PPID"]}]})
    box.create()
    box.start(status=None)
    assert box.status() == "running"
    box.delete("--force")
    box.nothing_left()
