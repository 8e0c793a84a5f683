"""Every difference from runc that the comparing tests accept, each with its reason.

A row is a regular expression, searched in one line of a difference (``SECTION -what runc showed`` or
``SECTION +what this runtime showed``), and the reason.  A row that no test meets any more is to be
deleted.
"""

from __future__ import annotations

KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"^dev [-+]fd/0 symbolic link (500|700) ",
        "exec, too, replaces a stdin that is the host's /dev/null by the container's, which is open both ways",
    ),
    (
        r"^dev \+core symbolic link|^links \+/dev/core /proc/kcore",
        "runc makes the link only where the host has /proc/kcore; a dangling link harms nobody",
    ),
    (
        r"^mountinfo [-+]\S+/(kcore|keys|timer_list|sched_debug|latency_stats|uptime|release_agent) .* root=/null ",
        "files are masked with a /dev/null that no container can have replaced (CVE-2025-31133), not with its own",
    ),
    (
        r"^mountinfo [-+]/(proc/(acpi|scsi|asound)|sys/(firmware|kernel|dev|dev/block)) on=\S+ device=\S+ root=/ ro,",
        "one read-only tmpfs masks all directories; runc makes one for each",
    ),
    (
        r"^mountinfo [-+]/sys/fs/cgroup on=/sys .* tmpfs rw,mode=755(,uid=\d+,gid=\d+)?$|^writable -/sys/fs/cgroup$",
        "the config asks for a read-only cgroup mount; runc 1.1 leaves the tmpfs around the controllers writable",
    ),
    (
        r"^mountinfo [-+]\S+ on=/ .* tmpfs tmpfs rw(,mode=755)?(,uid=\d+,gid=\d+)?$",
        "the mode of the directory that a tmpfs covers is given to the mount; runc 1.1 sets it afterwards by its path",
    ),
    (
        r"^files [-+]/tmp directory (1777|700|1770) 0:0$",
        "mode= of a tmpfs is kept; runc 1.1 replaces it with the mode of what is covered",
    ),
    (
        r"^mountinfo -/ on=nothing .* private overlay|^mountinfo \+/ on=nothing .* shared:N overlay",
        "podman asks for rootfsPropagation shared; runc 1.1 keeps the rootfs private where it is a mount point already",
    ),
    (
        r"^mountinfo -/ on=nothing .* master:N |^mountinfo \+/ on=nothing .* private ",
        "the rootfs is private, as with crun and runc 1.1.15: what the host mounts there later stays out of it",
    ),
    (
        r"^mountinfo [-+]/sys/fs/cgroup/systemd .* cgroup (systemd|cgroup) rw,name=systemd$",
        "the source of a cgroup mount is only a name",
    ),
    (
        r"^mountinfo [-+]/m on=/ device=/m root=/ rw,nosuid,nodev,(noexec,)?relatime private tmpfs tmpfs rw,mode=1770$",
        "a bind mount keeps the noexec of what it shows; runc 1.1 takes off what the config does not name",
    ),
    (
        r"^dev [-+]mqueue directory 1777 (0|65534):\d+ ",
        "the message queues belong to the container's root; under runc 1.1 to ids that are not mapped",
    ),
)
