"""sysctls, LSM labels, no_new_privs, capabilities and seccomp: in which order they can be had.

runtime-spec config-linux.md "Sysctl", "Seccomp"; seccomp(2): a filter needs no_new_privs or
CAP_SYS_ADMIN.  With no_new_privs it is installed as the last thing before execve; otherwise right
before the final capabilities.
"""

from __future__ import annotations

from pyrunc.plan import identity
from pyrunc.plan.kernel import SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FLAGS
from pyrunc.spec import paths, sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder
    from pyrunc.spec.types import Process, Seccomp, Spec


#: crun's annotation for seccomp.listenerPath
SECCOMP_RECEIVER = "run.oci.seccomp.receiver"


def sysctls(b: Builder) -> None:
    """Written through the host's procfs, which shows the writer's namespaces; never through the container's."""
    for key, value in ((b.spec.get("linux") or {}).get("sysctl") or {}).items():
        b.on_container(paths.join("linux.sysctl", key), "proc_write", "sys/" + sysctl.file(key), value)


def _seccomp(b: Builder) -> Seccomp | None:
    return (b.spec.get("linux") or {}).get("seccomp")


def listener_path(spec: Spec) -> str:
    """Where the agent for SCMP_ACT_NOTIFY listens, "" where no rule needs one; the annotation is crun's."""
    seccomp = (spec.get("linux") or {}).get("seccomp")
    if not seccomp or all(rule["action"] != "SCMP_ACT_NOTIFY" for rule in seccomp.get("syscalls") or ()):
        return ""
    return seccomp.get("listenerPath") or (spec.get("annotations") or {}).get(SECCOMP_RECEIVER, "")


def before_ready(b: Builder, process: Process) -> None:
    _labels(b, process)
    seccomp = _seccomp(b)
    if process.get("noNewPrivileges"):
        b.on_container("process.noNewPrivileges", "no_new_privs")
        identity.capabilities(b, process)
    if seccomp and listener_path(b.spec):
        # The descriptor has to reach the agent while the runtime is still there to hand it on.
        load(b, seccomp)
        if not process.get("noNewPrivileges"):
            identity.capabilities(b, process)


def before_execve(b: Builder, process: Process) -> None:
    seccomp = _seccomp(b)
    listener = bool(listener_path(b.spec))
    if seccomp and not listener:
        load(b, seccomp)
    if not process.get("noNewPrivileges") and not listener:
        identity.capabilities(b, process)


def load(b: Builder, seccomp: Seccomp) -> None:
    flags = sum(SECCOMP_FLAGS[flag] for flag in seccomp.get("flags") or ())
    listener = int(bool(listener_path(b.spec)))
    if listener:
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER
    b.on_container("linux.seccomp", "seccomp", b"", flags, listener)


def _labels(b: Builder, process: Process) -> None:
    """Labels take effect at execve; the kernel's own file for each LSM (proc_pid_attr(5))."""
    label = process.get("apparmorProfile")
    if label:
        if b.facts["apparmor"]:
            b.on_container("process.apparmorProfile", "proc_write", "self/attr/apparmor/exec", f"exec {label}")
        else:
            b.problem("process.apparmorProfile", "this kernel has no AppArmor, or it is not enabled")
    label = process.get("selinuxLabel")
    if label:
        if b.facts["selinux"]:
            b.on_container("process.selinuxLabel", "proc_write", "self/attr/exec", label)
        else:
            b.problem("process.selinuxLabel", "this kernel has no SELinux, or it is not enabled")
    if (b.spec.get("linux") or {}).get("mountLabel"):
        b.problem(
            "linux.mountLabel",
            "this kernel has no SELinux, or it is not enabled"
            if not b.facts["selinux"]
            else "not implemented by pyrunc yet",
        )
