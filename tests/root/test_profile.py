"""The default seccomp profile of a box under real programs, and under calls that it is there to refuse."""

from __future__ import annotations

import ctypes
import errno
import json
from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.plan.capabilities import CAPS
from pyrunc.sandbox import profile
from tests.root.boxes import Boxes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


@pytest.fixture
def boxes(runtime: Path, root: Path, tmp_path: Path, ids: Callable[[], str]) -> Boxes:
    return Boxes(runtime, root, tmp_path, ids)


PYTHON = """
import asyncio, concurrent.futures, multiprocessing, os, pty, resource, signal, socket, sqlite3, subprocess, tempfile
import threading

def square(n):
    return n * n

def main():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(square, range(100))) == 328350
    for way in ("fork", "spawn"):
        with multiprocessing.get_context(way).Pool(2) as pool:
            assert sum(pool.map(square, range(100))) == 328350
    assert subprocess.run(["sh", "-c", "echo $((6*7))"], capture_output=True, text=True).stdout == "42\\n"

    async def serve():
        async def answer(reader, writer):
            writer.write((await reader.readline()).upper())
            writer.close()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\\n")
        assert await reader.readline() == b"HELLO\\n"
        writer.close()
        child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        assert (await child.communicate(b"through"))[0] == b"through"
        server.close()
    asyncio.run(serve())

    base = sqlite3.connect("test.db")
    base.execute("pragma journal_mode=wal")
    base.execute("create table t(a)")
    base.executemany("insert into t values(?)", [(n,) for n in range(1000)])
    base.commit()
    assert base.execute("select sum(a) from t").fetchone() == (499500,)
    timer = threading.Timer(0.01, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    signal.signal(signal.SIGUSR1, lambda *_: None)
    timer.start()
    timer.join()
    socket.socketpair()
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    assert any(name == "lo" for _, name in socket.if_nameindex())
    socket.getaddrinfo("localhost", 80)
    master, slave = pty.openpty()
    assert os.isatty(slave)
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, 4096)
    os.memfd_create("x")
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # a thread by its number; the first one's is 1 here
        pool.submit(lambda: os.sched_setaffinity(threading.get_native_id(), os.sched_getaffinity(0))).result()
    os.setpriority(os.PRIO_PROCESS, 0, 5)
    resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
    os.mkfifo("fifo")
    print("fine")

if __name__ == "__main__":
    main()
"""

SHELL = """
set -eu -o pipefail
mkdir -p deep/er && echo one >deep/er/file
find . -name file -newer / -exec cat {} + | tee copy | sort | uniq -c >/dev/null
tar czf all.tgz deep && mkdir out && tar xzf all.tgz -C out && cmp deep/er/file out/deep/er/file
diff <(echo a) <(echo a)
(exec 3<>/dev/shm/x; echo y >&3)
for n in $(seq 20); do sleep 0 & done; wait
trap 'echo fine' EXIT
"""

GIT = """
set -eu
git init -q . && git config user.email a@b && git config user.name c
echo 1 >file && git add . && git commit -q -m one
git checkout -q -b other && echo 2 >file && git commit -q -a -m two
git clone -q . copy && git -C copy log --oneline | wc -l | grep -qx 2
git gc -q && echo fine
"""

GCC = """
set -eu
printf '#include <stdio.h>\\n#include <pthread.h>\\nstatic void *go(void *x) { return x; }\\n' >x.c
printf 'int main(void) { pthread_t t; pthread_create(&t, 0, go, 0); pthread_join(t, 0); puts("fine"); }\\n' >>x.c
printf 'x: x.c\\n\\tgcc -O2 -pipe -pthread -o x x.c\\n' >Makefile
make -s -j2 && ./x
"""

NODE = """
const { Worker, isMainThread, parentPort } = require("worker_threads");
const { execFileSync } = require("child_process");
const http = require("http");
if (!isMainThread) { parentPort.postMessage(6 * 7); } else {
  if (execFileSync("echo", ["hi"]).toString() !== "hi\\n") process.exit(1);
  const server = http.createServer((_, answer) => answer.end("hello")).listen(0, "127.0.0.1", () => {
    http.get({ port: server.address().port, host: "127.0.0.1" }, (answer) => answer.on("data", (text) => {
      if (text.toString() !== "hello") process.exit(2);
      server.close();
      require("fs").promises.writeFile("out", "x").then(() => require("fs").watch(".").close());
      new Worker(__filename).on("message", (n) => console.log(n === 42 ? "fine" : n));
    }));
  });
}
"""

JAVA = """
import java.util.stream.*;
public class Main {
    public static void main(String[] a) throws Exception {
        Thread t = new Thread(() -> {}); t.start(); t.join();
        long sum = IntStream.range(0, 1000).parallel().asLongStream().sum();
        Process p = new ProcessBuilder("echo", "hi").start();
        p.waitFor();
        var socket = new java.net.ServerSocket(0, 1, java.net.InetAddress.getLoopbackAddress());
        java.security.SecureRandom.getInstanceStrong().nextInt();
        System.out.println(sum == 499500 && socket.getLocalPort() > 0 ? "fine" : "wrong");
    }
}
"""


@pytest.mark.parametrize(
    ("name", "text", "argv"),
    [
        pytest.param("main.py", PYTHON, ("python3", "main.py"), id="python"),
        pytest.param("main.sh", SHELL, ("bash", "main.sh"), id="bash"),
        pytest.param("main.sh", GIT, ("sh", "main.sh"), id="git", marks=pytest.mark.needs("git")),
        pytest.param("main.sh", GCC, ("sh", "main.sh"), id="gcc", marks=pytest.mark.needs("gcc", "make")),
        pytest.param("main.js", NODE, ("node", "main.js"), id="node", marks=pytest.mark.needs("node")),
        pytest.param("Main.java", JAVA, ("java", "Main.java"), id="java", marks=pytest.mark.needs("java")),
    ],
)
def test_everyday_programs_do_not_notice_the_filter(
    name: str, text: str, argv: tuple[str, ...], boxes: Boxes, tmp_path: Path
) -> None:
    source = tmp_path / name
    source.write_text(text)
    source.chmod(0o644)
    done = boxes.run(*argv, workspace="/work", files={source: f"/work/{name}"}, pids=256)
    assert done.stdout.endswith("fine\n"), done


#: Makes each call of a list with its arguments and prints [result, errno] of each.
CALLER = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
own = os.getpid()
texts, found = [], []
for number, *args in json.loads(sys.argv[1]):
    texts.append([ctypes.create_string_buffer(arg.encode()) if isinstance(arg, str) else arg for arg in args])
    ctypes.set_errno(0)
    result = libc.syscall(*[ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in (number, *texts[-1])])
    code = ctypes.get_errno()
    if os.getpid() != own:
        os._exit(0)  # the child of a clone
    found.append([result, code])
print(json.dumps(found))
"""


def number(name: str) -> int:
    """The number of a call on this machine, below 0 if libseccomp does not know it."""
    library = ctypes.CDLL("libseccomp.so.2")
    found: int = library.seccomp_syscall_resolve_name(name.encode())
    return found


def names(groups: tuple[profile.Group, ...]) -> list[str]:
    """Those that libseccomp can name, and so the profile has."""
    return [name for _, group in groups for name in group if number(name) >= 0]


def call(boxes: Boxes, calls: list[tuple[Any, ...]], *, filtered: bool = True, **given: Any) -> list[tuple[int, int]]:
    """(result, errno) of each call, by root of the host with all capabilities: what refuses is not the lack of one."""
    given = {"user": 0, "workspace": "/work", **given}
    config = boxes.config(
        "python3", "-c", CALLER, json.dumps([(number(name), *args) for name, *args in calls]), **given
    )
    config["process"]["capabilities"] = {
        kind: list(CAPS) for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")
    }
    if not filtered:
        del config["linux"]["seccomp"]
    return [(result, code) for result, code in json.loads(boxes.run_config(config).stdout)]


def test_what_a_box_has_no_business_with_is_refused_with_eperm(boxes: Boxes) -> None:
    """Bad pointers and descriptors everywhere: without the filter the kernel gets as far as noticing them."""
    listed = names(profile.DENIED)
    calls = [(name, -1, -1, -1, -1, -1, -1) for name in listed]
    refused = dict(zip(listed, call(boxes, calls), strict=True))
    assert {name: found for name, found in refused.items() if found != (-1, errno.EPERM)} == {}
    control = dict(zip(listed, call(boxes, calls, filtered=False), strict=True))
    # The host may have switched these off by sysctls of its own.
    sysctls = {"io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "perf_event_open", "bpf"}
    assert [name for name, found in control.items() if found == (-1, errno.EPERM) and name not in sysctls] == []


def test_what_programs_can_do_without_does_not_exist(boxes: Boxes) -> None:
    listed = names(profile.ABSENT)
    calls = [(name, -1, -1, -1, -1, -1, -1) for name in listed]
    assert set(call(boxes, calls)) == {(-1, errno.ENOSYS)}


CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWTIME, CLONE_NEWNET = 0x10000000, 0x20000, 0x80, 0x40000000
CLONE_FS, SIGCHLD = 0x200, 17
AF_UNIX, AF_INET, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK = 1, 2, 16, 17, 38, 40
STREAM, DATAGRAM, RAW, SEQPACKET, CLOEXEC = 1, 2, 3, 5, 0o2000000
SCTP, ROUTE, AUDIT = 132, 0, 9
UPPER = 1 << 32  # what the kernel cuts off of a 32-bit argument

FORBIDDEN: list[tuple[Any, ...]] = [
    ("unshare", CLONE_NEWUSER),
    ("unshare", CLONE_NEWNS | CLONE_FS),
    ("unshare", CLONE_NEWTIME),
    ("clone", CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0),
    ("clone", UPPER | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0),
    ("personality", 0x0400000),  # READ_IMPLIES_EXEC
    ("mknodat", -100, "/tmp/null", 0o020666, 0x103),
    ("mknodat", -100, "/tmp/disk", 0o060666, 0x800),
    ("mknodat", -100, "/tmp/disk", UPPER | 0o1060666, 0x800),
    ("socket", AF_VSOCK, STREAM, 0),
    ("socket", AF_ALG, SEQPACKET, 0),
    ("socket", AF_PACKET, RAW, 0),
    ("socket", UPPER | AF_PACKET, RAW, 0),
    ("socket", AF_NETLINK, RAW, AUDIT),
    ("socket", AF_INET, RAW, 1),
    ("socket", AF_INET, STREAM, SCTP),
    ("socket", AF_INET, SEQPACKET, 0),
    ("socketpair", AF_INET, STREAM, 0, 0),
    ("ioctl", 0, 0x5412, "x"),  # TIOCSTI
    ("ioctl", 0, UPPER | 0x5412, "x"),
    ("ioctl", 0, 0x541C, "x"),  # TIOCLINUX
    ("ioctl", 0, 0x5423, "x"),  # TIOCSETD
    ("fcntl", 0, 1024, 0),  # F_SETLEASE, F_RDLCK
    ("prlimit64", 1, 7, 0, 0),
    ("setpriority", 0, 1, 10),
    ("setpriority", 1, 0, 10),  # PRIO_PGRP
    ("setpriority", 2, 0, 10),  # PRIO_USER
    ("ioprio_set", 1, UPPER | 1, 0x6000),
    ("sched_setaffinity", 1, 8, "\x01"),
]

PERMITTED: list[tuple[Any, ...]] = [
    ("unshare", CLONE_FS),
    ("personality", 0xFFFFFFFF),
    ("mknodat", -100, "/tmp/fifo", 0o010666, 0),
    ("mknodat", -100, "/tmp/socket", 0o140666, 0),
    ("mknodat", -100, "/tmp/file", 0o666, 0),
    ("socket", AF_UNIX, STREAM | CLOEXEC, 0),
    ("socket", AF_INET, STREAM | CLOEXEC, 0),
    ("socket", AF_INET, DATAGRAM, 17),
    ("socket", AF_NETLINK, RAW | CLOEXEC, ROUTE),
    ("fcntl", 0, 1),  # F_GETFD
    ("prlimit64", 0, 7, 0, 0),
    ("setpriority", 0, 0, 10),
    ("ioprio_set", 1, 0, 0x6000),
]


def test_calls_are_told_apart_by_their_arguments(boxes: Boxes) -> None:
    found = call(boxes, FORBIDDEN)
    assert [made for made, (result, code) in zip(FORBIDDEN, found, strict=True) if (result, code) != (-1, 1)] == []
    found = call(boxes, PERMITTED)
    assert [(made, got) for made, got in zip(PERMITTED, found, strict=True) if got[0] < 0] == []


def test_only_a_box_for_debugging_can_trace(boxes: Boxes) -> None:
    trace_me = ("ptrace", 0, 0, 0, 0)
    assert call(boxes, [trace_me]) == [(-1, errno.EPERM)]
    assert call(boxes, [trace_me], debug=True) == [(0, 0)]


@pytest.mark.needs("strace")
def test_strace_works_in_a_box_for_debugging(boxes: Boxes) -> None:
    done = boxes.run("strace", "-f", "-e", "trace=write", "sh", "-c", "echo hello", debug=True)
    assert 'write(1, "hello\\n", 6)' in done.stderr


def test_programs_of_another_abi_are_killed(boxes: Boxes) -> None:
    """x32 is a bit in the number of a call; what a filter for x86-64 says of the number would not hold for it."""
    config = boxes.config("python3", "-c", "import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39)")
    assert boxes.run_config(config, status=None).status == 128 + 31


@pytest.mark.needs("runc")
def test_runc_takes_the_profile(boxes: Boxes, runc: Path) -> None:
    calls = [(number(name), *args) for name, *args in (*FORBIDDEN, ("clone3", -1, -1))]
    done = boxes.run("python3", "-c", CALLER, json.dumps(calls), runtime=runc)
    assert json.loads(done.stdout) == [[-1, errno.EPERM]] * len(FORBIDDEN) + [[-1, errno.ENOSYS]]
