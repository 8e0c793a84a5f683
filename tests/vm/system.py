"""The guest's system disk: Debian with the files of ours that make it a machine for tests, as a table."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.vm import cache
from tests.vm.debian import PROJECT, debian, make_disk
from tests.vm.programs import call

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

USER, UID = "user", 1000

#: What udev would load, and what containers need.
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "overlay", "fuse", "tun", "veth", "bridge", "bfq", "loop")

#: An ordinary user's containers need the controllers that are delegated to its systemd, of which Debian gives two.
DELEGATED = "cpu cpuset io memory pids"

FILES: Mapping[str, str] = {
    "etc/hostname": "guest\n",
    "etc/pyrunc-guest": "",  # by which tests know where they are
    "etc/hosts": "127.0.0.1 localhost guest\n",
    "etc/machine-id": "707972756e6300007079727569000000\n",
    "etc/fstab": f"/dev/vda {PROJECT} ext4 defaults,x-systemd.device-timeout=120s 0 0\n",
    "etc/modules-load.d/guest.conf": "".join(f"{name}\n" for name in MODULES),
    # Where the host is busy, the first session of a user takes minutes.
    "etc/systemd/system.conf.d/guest.conf": "[Manager]\nDefaultTimeoutStartSec=600s\n",
    "etc/systemd/system/user@.service.d/patience.conf": "[Service]\nTimeoutStartSec=600s\n",
    "etc/systemd/network/guest.network": (
        "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    ),
    "etc/systemd/journald.conf.d/guest.conf": "[Journal]\nStorage=volatile\n",
    "etc/systemd/system/user@.service.d/delegate.conf": f"[Service]\nDelegate={DELEGATED}\n",
    "etc/systemd/system/serial-getty@ttyS0.service.d/login.conf": (
        "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 %I $TERM\n"
    ),
    # All devices of the machine again would take longer than all else at boot.
    "etc/systemd/system/systemd-udev-trigger.service.d/less.conf": (
        "[Service]\nExecStart=\nExecStart=udevadm trigger --subsystem-match=block --subsystem-match=net\n"
        "ExecStart=udevadm trigger --sysname-match=ttyS0\n"
    ),
    "etc/ssh/sshd_config.d/guest.conf": (
        "HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\nPrintMotd no\nPrintLastLog no\n"
        "MaxSessions 100\nMaxStartups 100\n"
    ),
    f"var/lib/systemd/linger/{USER}": "",
    "etc/environment": f"PATH={PROJECT}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
}

#: What takes time at boot and is of no use in a machine that lives for minutes.
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "fstrim.timer", "systemd-networkd-wait-online.service", "podman-auto-update.timer", "podman-restart.service",
    "podman.service", "podman.socket", "podman-auto-update.service", "getty@tty1.service", "systemd-binfmt.service",
    "systemd-random-seed.service", "systemd-update-utmp.service", "systemd-sysusers.service", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount", "sys-kernel-config.mount", "modprobe@drm.service", "modprobe@efi_pstore.service",
    "modprobe@configfs.service", "modprobe@dm_mod.service", "systemd-pstore.service",
    "proc-sys-fs-binfmt_misc.automount",
    # A tmpfs there would have nodev, and the root filesystems of tests with it.
    "tmp.mount",
    # Tests start daemons of their own.
    "docker.service", "docker.socket", "containerd.service",
)  # fmt: skip

SETUP = f"""
useradd --create-home --uid {UID} --shell /bin/bash {USER}
passwd --quiet --delete root
systemctl --quiet set-default multi-user.target
systemctl --quiet enable systemd-networkd ssh
systemctl --quiet mask {" ".join(MASKED)}
for home in /root /home/{USER}; do
    install -d -m 700 "$home/.ssh"
    install -m 600 /key.pub "$home/.ssh/authorized_keys"
done
chown -R {USER}:{USER} /home/{USER}
rm /key.pub /etc/ssh/ssh_host_*_key.pub # those of the keys that Debian has made, and another one is in use
"""


def system(release: str) -> Path:
    """The folder with ``disk`` (ext4), ``kernel``, and for ssh ``key`` and ``known_hosts``."""
    parts = [debian(release).name, SETUP, *FILES, *FILES.values()]
    return cache.obtain(f"system-{release}", cache.key(*parts), lambda folder: _make(folder, release))


def _make(folder: Path, release: str) -> None:
    log, files = folder / "log", folder / "files"
    for name, text in FILES.items():
        path = files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for key in ("key", "host_key"):
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "guest", "-f", folder / key, log=log)
    shutil.copy(folder / "key.pub", files / "key.pub")
    (files / "etc/ssh").mkdir(exist_ok=True)
    shutil.copy(folder / "host_key", files / "etc/ssh/ssh_host_ed25519_key")
    (folder / "known_hosts").write_text("guest " + (folder / "host_key.pub").read_text())
    make_disk(release, folder / "disk", files, SETUP, size="6G", log=log)
    shutil.rmtree(files)
    shutil.copy(debian(release) / "kernel", folder / "kernel")
