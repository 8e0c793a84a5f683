"""The real buildah in an enclosure, run with runc and with the runtime under test.

Only buildah's own configuration and command line live here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.callers.engine import IMAGE, Engine, Seen, unique

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.callers.enclosure import Enclosure

#: For the enclosure: a private /etc, in which rob is an ordinary user with ids of his own.
SETUP = """\
mkdir /run/etc
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
echo rob:x:12345:12345::/run/rob:/bin/sh >>/etc/passwd
echo rob:x:12345: >>/etc/group
echo rob:300000:65536 >/etc/subuid
echo rob:300000:65536 >/etc/subgid
mkdir -p -m 0700 /run/rob/run /run/rob/tmp
chown -R 12345:12345 /run/rob
"""

# default_ulimits: the machine's root may lack CAP_SYS_RESOURCE, and cannot raise a hard limit then.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
"""

_ROB = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--inh-caps=-all", "--"]

#: A tree in full but for times: kind, mode, owner, size of a file, target, device, content.
_TREE = """\
cd "$0" || exit
find . ! -type f -printf '%p %y %m %U:%G %l\\n' | sort
find . -type f -printf '%p %m %U:%G %s\\n' | sort
find . -type f -print0 | sort -z | xargs -0 sha256sum
find . -type c -exec stat -c '%n %t:%T' {} +
"""


class Buildah(Engine):
    """One buildah with its own storage; ``runtime`` is the path of the runtime under test.

    ``rootless``: of rob, whose files are in the enclosure's own /run, and end with it.
    """

    def __init__(self, enclosure: Enclosure, directory: Path, runtime: str, *, rootless: bool = False) -> None:
        super().__init__(enclosure, directory, runtime, name="buildah")
        self.rootless = rootless
        self.isolation = "rootless" if rootless else "oci"
        home = "/run/rob" if rootless else str(directory)
        self.env |= {"HOME": home, "TMPDIR": f"{home}/tmp", "CONTAINERS_CONF": f"{home}/containers.conf"}
        self.put("containers.conf", _CONTAINERS_CONF.encode())
        self.prefix: list[str] = []
        self.base = ["buildah", "--root", f"{home}/root", "--runroot", "/run/storage"]
        if rootless:
            self.env |= {"XDG_RUNTIME_DIR": f"{home}/run", "USER": "rob"}
            self.prefix = _ROB
            self.base = ["buildah", "--storage-driver", "vfs", "--root", f"{home}/root", "--runroot", f"{home}/runroot"]
        self._load()

    def put(self, name: str, data: bytes) -> str:
        """Write a file to where buildah's user can read it; its path."""
        path = f"{self.env['HOME']}/{name}"
        done = self.enclosure.run(
            ["sh", "-c", 'mkdir -p "$(dirname "$0")" && cat >"$0" && chmod 644 "$0"', path], stdin=data
        )
        assert done.returncode == 0, done
        return path

    def command(self, runtime: str, *arguments: str, flags: Sequence[str] = ()) -> list[str]:
        """``buildah FLAGS run --runtime RUNTIME ...``"""
        verb, *others = arguments
        chosen = ["--isolation", self.isolation, "--runtime", runtime] if verb in {"run", "bud"} else []
        return [*self.prefix, *self.base, *flags, verb, *chosen, *others]

    def must(self, *arguments: str, runtime: str = "") -> str:
        """A command that is to succeed; the last line of what it printed."""
        done = self.do(runtime, *arguments)
        assert done.returncode == 0, f"buildah {arguments}\n{done.stdout.decode()}{done.stderr.decode()}"
        return done.stdout.decode().rstrip("\n").rpartition("\n")[2]

    def _load(self) -> None:
        tar = self.put("image.tar", self.image())
        container = self.must("from", "scratch")
        self.must("add", container, tar, "/")
        self.must("config", "--cmd", "/bin/sh", "--env", "PATH=/bin:/srv", container)
        self.must("commit", container, IMAGE)
        self.must("rm", container)

    def container(self, image: str = IMAGE) -> str:
        """A new working container; its name."""
        parent = [] if self.rootless else ["--cgroup-parent", self.cgroup]
        return self.must("from", *parent, image)

    def run(self, runtime: str, *arguments: str, name: str = "", stdin: bytes = b"") -> Seen:
        """``buildah run`` in a new container of IMAGE, which stands in ``arguments`` between options and command."""
        name = self.container()
        words = [word for each in arguments for word in ([name, "--"] if each == IMAGE else [each])]
        done = self.do(runtime, "run", *words, stdin=stdin)
        self.must("rm", name)
        return Seen(done, {name: "<NAME>", self.cgroup: "<PARENT>", runtime: "<RUNTIME>"})

    def build(self, runtime: str, context: Path | str, *options: str) -> tuple[Seen, str]:
        """``buildah bud``: what came of it and the image's name."""
        tag = f"localhost/{unique()}"
        parent = [] if self.rootless else ["--cgroup-parent", self.cgroup]
        done = self.do(runtime, "bud", *parent, *options, "-t", tag, str(context))
        return Seen(done, {tag: "<TAG>", self.cgroup: "<PARENT>", runtime: "<RUNTIME>"}), tag

    def tree(self, image: str) -> list[str]:
        """Everything that is in an image, by lines."""
        container = self.must("from", image)
        mount = f'exec sh -c "$1" "$({" ".join(self.base)} mount {container})"'
        inside = [*self.prefix, *self.base, "unshare"] if self.rootless else []
        done = self.enclosure.run([*inside, "sh", "-c", mount, "sh", _TREE], env=self.env)
        assert done.returncode == 0, done
        self.must("rm", container)
        return done.stdout.decode().splitlines()
