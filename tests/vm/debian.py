"""Debian for the guest: its packages, kernel and Python environment as a tree, and disks made of layers above it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.vm import cache
from tests.vm.programs import call

REPOSITORY = Path(__file__).resolve().parents[2]
REQUIREMENTS = REPOSITORY / "requirements-dev.txt"


class Release(NamedTuple):
    """A release of Debian: its Python's version, its packages beside those of all releases, and the layouts of cgroups
    that its systemd and its kernel have."""

    python: str
    packages: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ("unified",)


RELEASES = {
    "bookworm": Release("3.11", layouts=("unified", "hybrid", "legacy")),
    # What podman reaches networks by, its firewall and the command docker are packages of their own there.
    "trixie": Release("3.13", ("passt", "nftables", "docker-cli")),
}
RELEASE = "bookworm"
KERNEL = "linux-image-cloud-amd64"
PACKAGES = (
    "systemd", "systemd-sysv", "udev", "dbus", "dbus-user-session", "libpam-systemd", "openssh-server", "iproute2",
    "kmod", "procps", "util-linux", "e2fsprogs", "podman", "conmon", "netavark", "aardvark-dns", "iptables", "runc",
    "crun", "uidmap", "slirp4netns", "fuse-overlayfs", "catatonit", "busybox-static", "strace", "python3",
    "python3-venv", "libseccomp2", "ca-certificates", "gcc", "libc6-dev", "linux-libc-dev", "git", "criu", "docker.io",
    "containerd",
)  # fmt: skip

#: Where the project is in the guest, with its virtual environment below.
PROJECT = "/opt/pyrunc"

SETUP = f"""
python3 -m venv {PROJECT}/.venv
rm /wheels/mypy-* /wheels/ruff-* # the linters run on the host
{PROJECT}/.venv/bin/pip --quiet --no-cache-dir install --no-index --no-deps /wheels/*.whl
rm -r /wheels
apt-get -q update
kernel=$(apt-cache depends {KERNEL} | sed -n 's/^ *Depends: \\(linux-image-\\)/\\1/p')
cd /root
apt-get -q -o APT::Sandbox::User=root download "$kernel"
dpkg -x linux-image-*.deb kernel # not to /, where a symlink stands in the place of its directory lib
mv "$(find kernel -path "*/lib/modules")" /usr/lib/modules
mv kernel/boot/* /boot
rm -r linux-image-*.deb kernel
depmod "${{kernel#linux-image-}}"
apt-get clean
rm -r /var/lib/apt/lists/*
"""


def debian(release: str) -> Path:
    """The folder with ``tree``, a root file system that nothing has been configured in, and ``kernel``."""
    python, packages = RELEASES[release].python, PACKAGES + RELEASES[release].packages
    parts: list[bytes | str] = [python, KERNEL, *packages, SETUP, REQUIREMENTS.read_bytes()]
    return cache.obtain(f"debian-{release}", cache.key(*parts), lambda folder: _make(folder, release, python, packages))


def _make(folder: Path, release: str, python: str, packages: tuple[str, ...]) -> None:
    print(f"vm: installing Debian {release} for the guest; this takes minutes, once", file=sys.stderr)
    log, tree = folder / "log", folder / "tree"
    include = "--include=" + ",".join(packages)
    call("debootstrap", "--variant=minbase", include, release, tree, mirror(), log=log, timeout=1200)
    # On the host, which may reach its index through a configuration of its own.
    options = ["--only-binary=:all:", "--python-version", python, "--implementation", "cp", "--no-deps"]
    pip = [sys.executable, "-m", "pip", "--quiet", "download", *options]
    call(*pip, "--require-hashes", "-r", REQUIREMENTS, "--dest", tree / "wheels", log=log, timeout=600)
    in_namespace('in_tree "$1" "$2"', tree, SETUP, log=log, timeout=900)
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    shutil.copy(kernel, folder / "kernel")


def mirror() -> str:
    """The archive of Debian that apt uses here; elsewhere Debian's own."""
    if shutil.which("apt-get"):
        words = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)"]
        listed = subprocess.run([*words, "Created-By: Packages"], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            origin, codename, component, address = line.split(" ", 3)
            if origin == "Debian" and codename in RELEASES and component == "main":
                return address
    return "http://deb.debian.org/debian/"


def in_namespace(script: str, *words: str | os.PathLike[str], log: Path, timeout: float) -> None:
    """Run a shell script in a mount namespace that goes with it; ``words`` are its $1 and so on."""
    clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _IN_TREE + script, "sh"]
    call(*clean, *unshare, *words, log=log, timeout=timeout)


#: in_tree TREE SCRIPT: run a script with TREE as its root.
_IN_TREE = """
in_tree() {
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    chroot "$1" /bin/sh -euc "$2"
    umount "$1/proc"
    umount -R "$1/dev"
}
"""

#: TREE FILES SCRIPT WHERE DISK SIZE SCRATCH.  The layer above the tree is in memory; no journal, as nobody writes to
#: the disk again.
_LAYER = """
mount -t tmpfs -o size=3g tmpfs "$7"
mkdir "$7/upper" "$7/work" "$7/merged"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$7/upper,workdir=$7/work" "$7/merged"
cp -a "$2/." "$7/merged$4"
in_tree "$7/merged" "$3"
mke2fs -q -t ext4 -O ^has_journal -d "$7/merged$4" "$5" "$6"
"""


def make_disk(release: str, disk: Path, files: Path, script: str, *, where: str = "/", size: str, log: Path) -> None:
    """Make ``disk``, a file system: what is below ``where`` when ``files`` was copied there and ``script`` has run.

    That happens in a layer above Debian's tree, on the host's processor, which is many times as fast as the guest's.
    """
    scratch = disk.with_name("scratch")
    scratch.mkdir()
    words = (debian(release) / "tree", files, script, where, disk, size, scratch)
    in_namespace(_LAYER, *words, log=log, timeout=600)
    scratch.rmdir()
