"""exec's options, next to runc's: cgroups, users, groups, capabilities, labels, and who is told of the process."""

from __future__ import annotations

import array
import json
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import DEADLINE, wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


@pytest.fixture
def both(new_box: Callable[..., Box], runc: Path, runtime: Path) -> list[Box]:
    """The same running container of runc and of the runtime under test."""
    return [new_box("/bin/sleep", "1000", runtime=which).started() for which in (runc, runtime)]


@pytest.fixture
def below(both: list[Box]) -> Iterator[None]:
    """A cgroup ``below/it`` in each of the containers' own."""
    made: list[Path] = []
    for box in both:
        for cgroup in box.cgroups():
            if cgroup.name != "below":
                (cgroup / "below/it").mkdir(parents=True)
                made += [cgroup / "below/it", cgroup / "below"]
    yield
    for box in both:
        box.delete("--force")
    for folder in made:
        if folder.exists():  # a runtime may have deleted them with its own
            folder.rmdir()


CHOICES = [
    (),
    ("below",),
    ("/below",),
    ("below/it",),
    (":below",),
    ("pids:below",),
    ("pids,cpu:below/it",),
    ("pids:below", "memory:below/it"),
    ("pids:/",),
]
WRONG = [
    ("a:b:c",),
    ("pids:below", "below"),
    ("below", "pids:below"),
    ("..",),
    ("pids:../..",),
    ("nosuch:below",),
]


def options(choice: tuple[str, ...]) -> list[str]:
    return [word for one in choice for word in ("--cgroup", one)]


@pytest.mark.needs("runc", "cgroup1")
@pytest.mark.usefixtures("below")
def test_a_cgroup_is_chosen_as_runc_chooses_it(both: list[Box]) -> None:
    for choice in CHOICES:
        seen = []
        for box in both:
            done = box.exec(*options(choice), "ID", "cat", "/proc/self/cgroup", status=None)
            lines = [line for line in done.stdout.splitlines() if not line.startswith("0::")]
            seen.append((done.status, sorted(line.partition(":")[2].replace(box.id, "BOX") for line in lines)))
        assert seen[1] == seen[0], choice


@pytest.mark.needs("runc", "cgroup1")
def test_a_wrong_cgroup_is_refused_in_runcs_words(both: list[Box]) -> None:
    for choice in WRONG:
        theirs, ours = (box.exec(*options(choice), "ID", "true", status=255).stderr for box in both)
        said = re.search(r"((invalid|unknown) .*|[^ ]* is not a sub.*)\"\n?$", theirs)
        assert said, (choice, theirs)
        assert said[1].replace('\\"', '"').replace("SubCgroupPaths", "--cgroup") in ours, choice


@pytest.mark.needs("cgroup1")
def test_a_cgroup_that_does_not_exist_is_named(sleeper: Box) -> None:
    said = sleeper.exec("--cgroup", "pids:nowhere", "ID", "true", status=255).stderr
    assert re.search(r"--cgroup: /.*/nowhere: no such cgroup", said)
    assert len(sleeper.processes()) == 1


def test_what_runc_lets_pass_and_makes_no_sense_is_refused(sleeper: Box) -> None:
    said = sleeper.exec("--cgroup", "pids:/", "--cgroup", "cpu,pids:/below", "ID", "true", status=255).stderr
    assert 'invalid --cgroup argument(s): duplicate controller "pids"' in said
    said = sleeper.exec("--cgroup", ",pids:/", "ID", "true", status=255).stderr
    assert "invalid --cgroup argument: ,pids:/ (empty <controller> prefix)" in said
    assert len(sleeper.processes()) == 1


IDENTITIES: tuple[tuple[str, ...], ...] = (
    (),
    ("--user", "1000"),
    ("--user", "1000:100"),
    ("--user", "0:0", "-g", "5"),
    ("-g", "5", "-g", "6"),
    ("-u", "7:8", "--additional-gids", "9", "--additional-gids=10"),
    ("--cap", "CAP_SYS_TIME"),
    ("-c", "CAP_SYS_TIME", "-c", "CAP_CHOWN", "-u", "1000"),
    ("--no-new-privs",),
    ("--no-new-privs=false",),
    ("-e", "A=B", "-e", "TERM=dumb", "-e", "EMPTY="),
    ("--cwd", "/tmp"),
    ("--cwd=/no/such/directory",),
)
FIELDS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs")


def identity(box: Box, words: tuple[str, ...]) -> tuple[Any, ...]:
    done = box.exec(*words, "ID", "/bin/probe", status=None)
    if done.status:
        return (done.status,)
    seen = json.loads(done.stdout)
    return {field: seen["status"][field] for field in FIELDS}, sorted(seen["env"]), seen["cwd"]


@pytest.mark.needs("runc")
def test_a_process_has_the_identity_that_it_has_under_runc(both: list[Box]) -> None:
    for words in IDENTITIES:
        theirs, ours = (identity(box, words) for box in both)
        assert ours == theirs, words


@pytest.mark.needs("no-apparmor", "no-selinux")
@pytest.mark.parametrize(("option", "name"), [("--apparmor", "AppArmor"), ("--process-label", "SELinux")])
def test_a_label_that_the_kernel_does_not_know_is_refused(sleeper: Box, option: str, name: str) -> None:
    said = sleeper.exec(option, "some_label", "ID", "true", status=255).stderr
    assert f"this kernel has no {name}, or it is not enabled" in said
    assert len(sleeper.processes()) == 1


class PidfdSocket:
    """Who wants the pidfd: listens, and takes one message with one descriptor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(DEADLINE)

    def pid(self) -> int:
        """Of the process behind the descriptor."""
        connection, _ = self.listener.accept()
        with connection, self.listener:
            connection.settimeout(DEADLINE)
            _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(16))
        (fd,) = array.array("i", b"".join(entry[2] for entry in ancillary))
        try:
            fields = dict(line.split(":\t") for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines())
            return int(fields["Pid"])
        finally:
            os.close(fd)


@pytest.mark.parametrize("verb", ["create", "run", "exec"])
def test_a_pidfd_socket_gets_the_process(verb: str, new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box("/bin/sleep", "1000")
    wanted = PidfdSocket(tmp_path / "pidfd")
    words = ("--pidfd-socket", tmp_path / "pidfd", "--pid-file", tmp_path / "pid")
    if verb == "exec":
        box.started()
        box.leaving("exec", "--detach", *words, "ID", "/bin/sleep", "1000")
    elif verb == "run":
        box.leaving("run", "--detach", *words, "--bundle", box.bundle, "ID")
    else:
        box.create(*words)
    pid = wanted.pid()
    assert pid == int((tmp_path / "pid").read_text())
    assert (pid == box.state()["pid"]) == (verb != "exec")


@pytest.mark.parametrize("verb", ["create", "run", "exec"])
def test_a_pidfd_socket_that_nobody_listens_on_leaves_nothing(
    verb: str, new_box: Callable[..., Box], tmp_path: Path
) -> None:
    box = new_box("/bin/sleep", "1000")
    words = ("--pidfd-socket", str(tmp_path / "nobody"), "--pid-file", str(tmp_path / "pid"))
    if verb == "exec":
        box.started()
        said = box.leaving("exec", "--detach", *words, "ID", "/bin/sleep", "1000", status=255).stderr
        assert box.processes() == [box.state()["pid"]]
    else:
        said = box.refused(verb, *words, *(["--detach"] if verb == "run" else []), "--bundle", box.bundle, "ID")
    assert f"--pidfd-socket: {tmp_path}/nobody: no such file or directory" in said
    assert not (tmp_path / "pid").exists()


@pytest.mark.needs("runc")
def test_kill_has_runcs_words_for_every_form_of_a_signal(both: list[Box]) -> None:
    forms = ["0", "CONT", "SIGCONT", "cont", "sigcont", "SigCont", "18", "WINCH", "28", "URG", "IO", "SIGPWR"]
    wrong = ["NOPE", "SIG", "1.5", "9 9", "SIGSIGCONT", "RTMIN+99"]
    for form in forms:
        assert [box.kill(form).stderr for box in both] == ["", ""], form
    for form in wrong:
        theirs, ours = (box.kill(form, status=1).stderr for box in both)
        said = re.search(r'msg="(.*)"', theirs)
        assert said
        assert said[1].replace('\\"', '"') in ours, form
    for box in both:
        pid = box.state()["pid"]
        assert box.command("kill", "ID", "KILL").stderr == ""
        wait_for_exit(pid)
