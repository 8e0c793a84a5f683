#!/usr/bin/env python3
"""Builds the rootfs of an example bundle from what the host has; downloads nothing.

usage: rootfs.py BUNDLE [--output DIR] [--rootless]

A config that mounts /usr gets a skeleton: directories, /bin, /lib and so on as the host has them (links into
/usr), a few files in /etc, and every mount point.  A config that does not gets static programs in /bin:
busybox where the host has a static one, else a compiled ``true``.  With --output the whole bundle is copied
to DIR, and the bundle itself stays untouched.  --rootless changes the copy's config so that an ordinary user
can run it.

Standard library only; this file is also imported by the tests and by ``./dev demo``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DIRECTORIES = ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "var/tmp")

#: Links into /usr on every merged-/usr host; which of them exist depends on the architecture.
USR_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

ETC = {
    "passwd": (
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    ),
    "group": "root:x:0:\ntty:x:5:\nuser:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}

TRUE_C = "int main(void) { return 0; }\n"


class BundleError(Exception):
    """The host lacks what this bundle needs; the text says what."""


def build(bundle: Path) -> Path:
    """Make ``bundle``/rootfs anew for its config.json; returns its path."""
    config = read(bundle)
    rootfs: Path = bundle / config["root"]["path"]
    if rootfs.exists():
        shutil.rmtree(rootfs)
    uses_host = any(mount["destination"] == "/usr" for mount in config.get("mounts", ()))
    for name in DIRECTORIES:
        if not (uses_host and name in USR_LINKS):
            (rootfs / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (rootfs / name).chmod(0o1777)
    for name, text in ETC.items():
        (rootfs / "etc" / name).write_text(text)
    (rootfs / "etc/hostname").write_text(config.get("hostname", "localhost") + "\n")
    if uses_host:
        link_usr(rootfs, config)
    else:
        add_static_programs(rootfs / "bin", config["process"]["args"][0])
    add_mount_points(bundle, rootfs, config)
    give_to_container_root(rootfs, config)
    return rootfs


def read(bundle: Path) -> Any:
    return json.loads((bundle / "config.json").read_text(encoding="utf-8"))


def link_usr(rootfs: Path, config: Any) -> None:
    """/bin and the others as the host has them; a host that keeps them apart from /usr needs them mounted,
    too."""
    mounted = {mount["destination"] for mount in config["mounts"]}
    for name in USR_LINKS:
        host = Path("/", name)
        if host.is_symlink():
            (rootfs / name).symlink_to(os.readlink(host).lstrip("/"))
        elif host.is_dir() and f"/{name}" not in mounted:
            raise BundleError(f"/{name} of this host is no link into /usr: add a bind mount of it to config.json")


def add_static_programs(folder: Path, wanted: str) -> None:
    busybox = static_busybox()
    if busybox:
        shutil.copy(busybox, folder / "busybox")
        (folder / "busybox").chmod(0o755)
        listed = subprocess.run([folder / "busybox", "--list"], capture_output=True, check=True, text=True)
        for applet in listed.stdout.split():
            if applet != "busybox":
                (folder / applet).symlink_to("busybox")
    elif wanted == "/bin/true":
        compile_true(folder / "true")
    else:
        raise BundleError(f"{wanted} needs a static busybox (Debian and Ubuntu: apt-get install busybox-static)")


def static_busybox() -> Path | None:
    for folder in ("/bin", "/usr/bin", "/usr/local/bin", "/usr/sbin"):
        for name in ("busybox", "busybox.static"):
            path = Path(folder, name)
            if path.is_file() and is_static(path):
                return path
    return None


def is_static(path: Path) -> bool:
    """Is this a 64-bit ELF program without an interpreter (elf(5): no PT_INTERP)?"""
    data = path.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return False
    table, size, count = (int.from_bytes(data[at : at + width], "little") for at, width in ((32, 8), (54, 2), (56, 2)))
    pt_interp = 3
    return all(int.from_bytes(data[table + n * size :][:4], "little") != pt_interp for n in range(count))


def compile_true(target: Path) -> None:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise BundleError("needs a static busybox or a C compiler (apt-get install busybox-static)")
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "true.c")
        source.write_text(TRUE_C)
        subprocess.run([compiler, "-static", "-O1", "-s", "-o", target, source], check=True)


def add_mount_points(bundle: Path, rootfs: Path, config: Any) -> None:
    """Make what mounts land on, so that a read-only rootfs works, too. Below other mounts there is nothing to
    make."""
    covered: list[str] = []
    for mount in config.get("mounts", ()):
        target = mount["destination"]
        if not any(target.startswith(above + "/") for above in covered):
            point = rootfs / target.lstrip("/")
            point.parent.mkdir(parents=True, exist_ok=True)
            if is_bind(mount) and not Path(bundle, mount["source"]).is_dir():
                point.touch()
            else:
                point.mkdir(exist_ok=True)
        covered.append(target.rstrip("/"))


def is_bind(mount: Any) -> bool:
    return mount.get("type") == "bind" or not {"bind", "rbind"}.isdisjoint(mount.get("options", ()))


def give_to_container_root(rootfs: Path, config: Any) -> None:
    """Where root of the container is another user of the host, the rootfs belongs to that one."""
    if os.geteuid() != 0:
        return
    owner = [mapped_root(config["linux"].get(f"{kind}Mappings", ())) for kind in ("uid", "gid")]
    if owner == [0, 0]:
        return
    for path in (rootfs, *rootfs.rglob("*")):
        mode = path.lstat().st_mode
        os.chown(path, *owner, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(mode & 0o7777)  # chown(2) clears set-id bits


def mapped_root(mappings: Any) -> int:
    for entry in mappings:
        if entry["containerID"] == 0:
            return int(entry["hostID"])
    return 0


def rootless(config: Any) -> Any:
    """The same config for an ordinary user: a user namespace in which that user is the process's, and nothing
    that needs more."""
    linux, user = config["linux"], config["process"]["user"]
    if not any(entry["type"] == "user" for entry in linux["namespaces"]):
        linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = [{"containerID": user["uid"], "hostID": os.geteuid(), "size": 1}]
    linux["gidMappings"] = [{"containerID": user["gid"], "hostID": os.getegid(), "size": 1}]
    user.pop("additionalGids", None)  # nor is any of these mapped
    linux.pop("resources", None)  # the user's cgroup may not be writable
    for mount in config["mounts"]:
        # Only one group is mapped, so devpts cannot give its terminals to tty.
        mount["options"] = [option for option in mount.get("options", ()) if option != "gid=5"]
    return config


def copy(bundle: Path, target: Path, *, for_user: bool = False) -> Path:
    """Copy ``bundle`` (without its rootfs) to the directory ``target`` and build the rootfs there."""
    shutil.copytree(bundle, target, ignore=shutil.ignore_patterns("rootfs"), dirs_exist_ok=True)
    if for_user:
        config = rootless(read(bundle))
        (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    build(target)
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the rootfs of an example bundle from what the host has.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--output", type=Path, metavar="DIR", help="copy the bundle to DIR and build it there")
    parser.add_argument("--rootless", action="store_true", help="with --output: a config for an ordinary user")
    options = parser.parse_args()
    if options.rootless and not options.output:
        parser.error("--rootless changes config.json and therefore needs --output")
    try:
        if options.output:
            copy(options.bundle, options.output, for_user=options.rootless)
        else:
            build(options.bundle)
    except (BundleError, OSError) as error:
        print(f"rootfs.py: {options.bundle}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
