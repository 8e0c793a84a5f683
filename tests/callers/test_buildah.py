"""``buildah run`` and ``buildah bud`` with runc and with the runtime under test, by root and by an ordinary user.

What is seen inside is the same, or tests/callers/differences.py says why not; what is built is the same tree.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.callers import buildah
from tests.callers.buildah import Buildah
from tests.callers.enclosure import Enclosure
from tests.callers.engine import IMAGE, remove_cgroups, sh
from tests.callers.sweeper import Sweeper
from tests.support.requirements import demand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.callers.engine import Seen

pytestmark = pytest.mark.needs("root", "buildah", "runc", "busybox", "nsenter", "unshare", "cgroup1")

_NOT_ROOT = ("setpriv", "python-for-all", "subids")


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory, pyrunc: Path) -> Iterator[Callable[[bool], Buildah]]:
    """buildah of root, and buildah of an ordinary user, in one enclosure of this worker."""
    directory = tmp_path_factory.mktemp("buildah")
    runtime = os.environ.get("PYRUNC_TEST_RUNTIME") or str(pyrunc)
    made: dict[bool, Buildah] = {}
    with contextlib.ExitStack() as sweepers, Enclosure(directory, setup=buildah.SETUP) as enclosure:

        def engine(rootless: bool) -> Buildah:
            if rootless not in made:
                (place := directory / ("user" if rootless else "root")).mkdir()
                made[rootless] = Buildah(enclosure, place, runtime, rootless=rootless)
                sweepers.enter_context(Sweeper(made[rootless].cgroup))
            return made[rootless]

        yield engine
    for each in made.values():
        remove_cgroups(each.cgroup)


@pytest.fixture
def root_buildah(engines: Callable[[bool], Buildah]) -> Buildah:
    return engines(False)


@pytest.fixture(params=[False, True], ids=["root", "user"])
def engine(request: pytest.FixtureRequest, engines: Callable[[bool], Buildah]) -> Buildah:
    if request.param:
        demand(*_NOT_ROOT)
    return engines(request.param)


def looks_same(engine: Buildah, *options: str) -> Seen:
    """`Buildah.same` of look, in a container without network unless ``options`` say otherwise."""
    network = () if any(option.startswith("--network") for option in options) else ("--network=none",)
    seen = engine.same("--hostname=box", *network, *options, IMAGE, "/bin/look")
    assert seen.code == 0, seen
    return seen


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--user", "alice", "--env", "A=b c", "--workingdir", "/srv"],
        ["--user", "1000:50", "--cap-add", "CAP_NET_ADMIN"],
        ["--cap-drop", "CAP_CHOWN,CAP_KILL", "--cap-add", "CAP_NET_ADMIN,CAP_NET_RAW", "--no-pivot"],
        ["--network=host"],
    ],
    ids=" ".join,
)
def test_run_shows_the_same_container(engine: Buildah, options: list[str]) -> None:
    seen = looks_same(engine, *options)
    if "alice" in options:
        assert {"A=b c"} <= set(seen.sections["env"])
        assert seen.sections["cwd"] == ["/srv"]
    if "--network=host" in options:
        assert "net " + engine.enclosure.run(["readlink", "/proc/1/ns/net"]).stdout.decode().strip() in seen.raw


def test_run_with_volumes(engine: Buildah) -> None:
    path = engine.put("volume/file", b"from the host\n").rpartition("/")[0]
    volumes = ["-v", f"{path}:/data:ro", "-v", f"{path}/file:/etc/new-file"]
    volumes += ["--mount", f"type=bind,src={path},dst=/m,ro", "--mount", "type=tmpfs,dst=/t,tmpfs-size=4m"]
    seen = looks_same(engine, *volumes)
    assert " ro," in seen.mount("/data")
    assert "size=4096k" in seen.mount("/t")
    seen = engine.same("--network=none", *volumes, *sh("cat /etc/new-file; touch /data/x /m/x 2>&1; touch /t/x"))
    assert seen.out.count("Read-only file system") == 2
    assert seen.out.startswith("from the host\n")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], 3),
        (["/bin/sh", "-c", "kill -9 $$; exit 1"], 1),
        (["no-such-command"], 1),
    ],
    ids=["exit", "kill", "missing"],
)
def test_run_ends_with_the_code_of_its_command(engine: Buildah, command: list[str], code: int) -> None:
    seen = engine.same("--network=none", IMAGE, *command)
    assert seen.code == code, seen
    if command[0] == "no-such-command":
        assert 'exec: "no-such-command": executable file not found in $PATH' in seen.err


def test_run_passes_its_standard_input(engine: Buildah) -> None:
    data = os.urandom(300_000)
    seen = engine.same("--network=none", IMAGE, "/bin/busybox", "sha256sum", stdin=data)
    assert seen.raw.split()[0] == hashlib.sha256(data).hexdigest()


def test_run_on_a_terminal(engine: Buildah) -> None:
    script = "tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal; trap 'echo interrupted; exit 8' INT; echo ready;"
    screens = []
    for runtime in (engine.reference, engine.runtime):
        name = engine.container()
        command = engine.command(runtime, "run", "--terminal", "--network=none", name, "--", "/bin/sh", "-c")
        code, screen = engine.enclosure.run_on_a_terminal(
            [*command, script + " read -r line"], env=engine.env, typed=b"\x03", after=b"ready"
        )
        engine.must("rm", name)
        assert (code, b"terminal" in screen, b"interrupted" in screen) == (8, True, True), screen
        screens.append(screen.replace(b"^C", b"").replace(name.encode(), b"NAME"))
    assert screens[0] == screens[1]


BUILD = f"""\
FROM {IMAGE}
ARG VERSION=1
ENV KIND=built
RUN echo "$KIND $VERSION $(id -u) $(umask)" >/srv/root && chmod 4750 /srv/root
COPY --chown=1000:1000 given /home/alice/given
WORKDIR /home/alice
USER alice
RUN echo "$(id) $(pwd) $HOME" >made && ln -s made link && mkdir -m 0711 deep && touch deep/x && echo more >>given
USER root
RUN --mount=type=cache,target=/cache rm -rf /cache/* && echo kept >/cache/x && \
 rm /srv/bad-format && mkfifo /srv/fifo && chown 42:43 /srv/fifo && ln /srv/root /srv/linked
RUN --mount=type=cache,target=/cache --mount=type=bind,source=given,target=/bound --mount=type=tmpfs,target=/fast \
 --mount=type=secret,id=key,required=true cp /cache/x /srv/from-cache && cp /bound /srv/from-bound && \
 ! touch /bound && touch /fast/x && grep -c ' /fast ' /proc/self/mountinfo >/srv/fast && \
 cp /run/secrets/key /srv/key && cut -d' ' -f5 /proc/self/mountinfo | sort >/srv/mounts && \
 grep ^Cap /proc/self/status >/srv/capabilities
"""


_MOUNT_POINT = re.compile(r" ?\./(cache|bound|fast|etc/hostname|run/\.containerenv|run/secrets(/key)?)( |$)")


@pytest.mark.parametrize(
    ("engine", "layers"),
    [(False, "--layers=true"), (True, "--layers=false")],
    indirect=["engine"],
    ids=["root", "user"],
)
def test_what_is_built_is_the_same_tree(engine: Buildah, layers: str) -> None:
    context = engine.put("context/Containerfile", BUILD.encode()).rpartition("/")[0]
    engine.put("context/given", b"given\n")
    secret = engine.put("secret", b"the secret\n")
    options = ["--network=none", "--no-cache", layers, "--build-arg", "VERSION=7", "--secret", f"id=key,src={secret}"]
    trees = []
    for runtime in (engine.reference, engine.runtime):
        seen, tag = engine.build(runtime, context, *options)
        assert seen.code == 0, seen
        trees.append(engine.tree(tag))
    assert [line for line in trees[1] if line not in trees[0]] == []
    # runc leaves the mount points that it had to make in what is built
    assert [line for line in trees[0] if line not in trees[1] and not _MOUNT_POINT.search(line)] == []
    assert "./srv/fifo p 644 42:43 " in trees[1]
    said = "; ".join(f"cat {name}" for name in ("/srv/root", "made", "given", "/srv/from-*", "/srv/fast", "/srv/key"))
    name = engine.container(tag)
    done = engine.do(engine.runtime, "run", "--network=none", name, "--", "/bin/sh", "-c", said)
    engine.must("rm", name)
    by_alice = "uid=1000(alice) gid=1000(alice) groups=50(staff),1000(alice) /home/alice /home/alice\n"
    assert done.stdout.decode() == f"built 7 0 0022\n{by_alice}given\nmore\ngiven\nkept\n1\nthe secret\n", done


@pytest.mark.parametrize(
    ("step", "code", "text"),
    [
        ("RUN echo before; exit 7", 7, "exit status 7"),
        ('RUN ["no-such-command"]', 1, "no-such-command{quote}: executable file not found in $PATH"),
    ],
    ids=["exit", "missing"],
)
def test_a_failing_step_is_told_with_its_code(engine: Buildah, step: str, code: int, text: str) -> None:
    context = engine.put("failing/Containerfile", f"FROM {IMAGE}\n{step}\n".encode()).rpartition("/")[0]
    for runtime in (engine.reference, engine.runtime):
        seen, tag = engine.build(runtime, context, "--network=none", "--no-cache")
        assert seen.code == code, seen
        # runc's log has the quotes of its errors in quotes
        assert any(text.format(quote=quote) in seen.err for quote in ('"', '\\"')), seen
        assert engine.do("", "inspect", "--type", "image", tag).returncode != 0


def test_an_unchanged_step_is_not_run_again(root_buildah: Buildah) -> None:
    context = root_buildah.put("cached/Containerfile", f"FROM {IMAGE}\nRUN date +%s%N >/srv/x\n".encode())
    trees = []
    for _ in range(2):
        seen, tag = root_buildah.build(root_buildah.runtime, context.rpartition("/")[0], "--network=none", "--layers")
        assert seen.code == 0, seen
        trees.append(root_buildah.tree(tag))
    assert "Using cache" in seen.out + seen.err
    assert trees[0] == trees[1]


def test_a_build_has_the_limits_that_were_given(root_buildah: Buildah) -> None:
    text = f"FROM {IMAGE}\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes; grep 'open files' /proc/self/limits\n"
    context = root_buildah.put("limited/Containerfile", text.encode()).rpartition("/")[0]
    options = ["--network=none", "--no-cache", "--memory", "64m", "--ulimit", "nofile=64:128", "--cpu-shares", "300"]
    ours = root_buildah.build(root_buildah.runtime, context, *options)[0]
    assert "\n67108864\n" in ours.out
    assert re.search(r"Max open files +64 +128 ", ours.out), ours


def test_nothing_is_left_in_the_cgroups(root_buildah: Buildah) -> None:
    root_buildah.run(root_buildah.runtime, "--network=none", *sh("true"))
    found = root_buildah.enclosure.run(
        ["find", "/sys/fs/cgroup", "-maxdepth", "2", "-name", root_buildah.cgroup.lstrip("/")]
    )
    assert found.stdout == b""
