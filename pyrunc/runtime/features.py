"""``features``: the document of runtime-spec features.md.

It says what this build implements, whatever the host can do.  Every list is read from the table that
implements it; what has no table is a literal here, and a test holds it against the schema of the config.
"""

from __future__ import annotations

from pyrunc.host import seccomp
from pyrunc.plan import capabilities, kernel, mount_options
from pyrunc.plan.criu.dump import CONFIG_ANNOTATION
from pyrunc.plan.identity import KEEP_GROUPS
from pyrunc.plan.security import SECCOMP_RECEIVER
from pyrunc.plan.systemd import asked
from pyrunc.runtime import version
from pyrunc.spec import isolation
from pyrunc.spec.unimplemented import NOT_IMPLEMENTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

#: Annotations of config.json that change what the runtime does: an engine must not take them over from an image that
#: somebody else has made.  A name that ends with a dot stands for all that begin with it (features.md).
UNSAFE_ANNOTATIONS = (isolation.PREFIX, asked.PREFIX, KEEP_GROUPS, SECCOMP_RECEIVER, CONFIG_ANNOTATION)


def document() -> dict[str, Any]:
    """The features of this build, with the spec's keys in the spec's order."""
    return {
        "ociVersionMin": version.SPEC_OLDEST,
        "ociVersionMax": version.SPEC,
        "hooks": list(HOOKS),
        "mountOptions": sorted(mount_options.NAMES),
        "linux": _linux(),
        "annotations": {
            "io.pyrunc.version": version.VERSION,
            "io.pyrunc.commit": version.commit(),
            # runc's key, which podman and others look for.
            "org.opencontainers.runc.checkpoint.enabled": "true",
            # The keys that config.json may have, and what their values look like.
            **{key: form for key, (_, form) in isolation.KEYS.items()},
        },
        "potentiallyUnsafeConfigAnnotations": list(UNSAFE_ANNOTATIONS),
    }


def _linux() -> dict[str, Any]:
    return {
        "namespaces": sorted(kernel.NAMESPACES),
        "capabilities": list(capabilities.CAPS),
        "cgroup": {
            "v1": True,
            "v2": True,
            "systemd": True,
            "systemdUser": True,
            "rdma": _implemented("linux.resources.rdma"),
        },
        "seccomp": {
            "enabled": True,
            "actions": sorted(seccomp.ACTIONS),
            "operators": sorted(seccomp.OPERATORS),
            "archs": sorted(seccomp.ARCHITECTURES),
            "knownFlags": sorted(kernel.SECCOMP_FLAGS),
            "supportedFlags": sorted(kernel.SECCOMP_FLAGS),
        },
        "apparmor": {"enabled": True},
        "selinux": {"enabled": True},
        "intelRdt": {"enabled": _implemented("linux.intelRdt")},
        "memoryPolicy": {
            "modes": sorted(kernel.MEMORY_POLICIES),
            "flags": sorted(kernel.MEMORY_POLICY_FLAGS),
        },
        "mountExtensions": {"idmap": {"enabled": True}},
        "netDevices": {"enabled": _implemented("linux.netDevices")},
    }


def _implemented(path: str) -> bool:
    return path not in NOT_IMPLEMENTED
