"""The table of commands and options.  Both parsers, the help and the completion read it.

Names, short forms and defaults are runc's where runc has them, since callers pass them literally.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    Kind = Literal["flag", "toggle", "optional", "text", "texts", "count", "ids", "choice", "switch"]

#: What a value on the command line may look like where it means yes or no, as Go's strconv.ParseBool has it.
BOOLEANS: Final = {
    "1": True, "t": True, "T": True, "true": True, "TRUE": True, "True": True,
    "0": False, "f": False, "F": False, "false": False, "FALSE": False, "False": False,
}  # fmt: skip

#: Kinds whose option takes no value.
FLAGS: Final = ("flag", "toggle")

#: Kinds whose option may be given more than once; the values are collected in order.
REPEATABLE: Final = ("texts", "ids")


class Option:
    """One option.

    ``kind``: ``flag`` takes no value (but ``--flag=false`` is understood); ``toggle`` is a flag whose absence
    (None) is not the same as ``false``; ``optional`` is a flag that may have a value, which only ``=`` attaches:
    False, True or that text; ``text``; ``texts``, repeatable;
    ``count``, an integer from 0; ``ids``, repeatable integers from 0; ``choice``, one of ``choices``;
    ``switch``: ``true``, ``false`` (in any spelling of a boolean) or ``auto``.
    """

    __slots__ = ("choices", "default", "help", "kind", "metavar", "name", "short")

    def __init__(
        self,
        name: str,
        short: str,
        kind: Kind,
        metavar: str,
        help: str,
        default: Value = None,
        choices: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.metavar = metavar
        self.help = help
        self.default: Value = False if kind in ("flag", "optional") else 0 if kind == "count" else default
        self.choices = choices


class Command:
    """One command.

    ``usage`` names its positional arguments, ``least`` and ``most`` say how many there may be (``most`` -1:
    any number).  ``interspersed`` is False where the first positional argument ends the options, because
    what follows belongs to another program.  What runs it stands in ``pyrunc.cli.verbs.VERBS``.
    """

    __slots__ = ("help", "interspersed", "least", "most", "name", "options", "usage")

    def __init__(
        self,
        name: str,
        help: str,
        usage: str,
        least: int,
        most: int,
        options: tuple[Option, ...] = (),
        *,
        interspersed: bool = True,
    ) -> None:
        self.name = name
        self.help = help
        self.usage = usage
        self.least = least
        self.most = most
        self.options = options
        self.interspersed = interspersed


if TYPE_CHECKING:
    Value = bool | int | str | list[str] | list[int] | None

ID: Final = "<container-id>"

GLOBAL: Final = (
    Option("debug", "", "flag", "", "log what is being done, and tracebacks"),
    Option("log", "", "text", "FILE", "append errors and log records to FILE"),
    Option("log-format", "", "choice", "FORMAT", "format of log records", "text", ("text", "json")),
    Option("root", "", "text", "DIR", "where the state of containers is kept (should be a tmpfs)"),
    Option("systemd-cgroup", "", "flag", "", "let systemd manage cgroups"),
    Option("cgroup-manager", "", "choice", "MANAGER", "who manages cgroups", "cgroupfs",
           ("cgroupfs", "disabled", "systemd")),
    Option("rootless", "", "switch", "BOOL|auto", "ignore missing permissions on cgroups", "auto"),
    # The annotations io.pyrunc.* for every container that has not its own; pyrunc.spec.isolation has their syntax.
    Option("private-tmp", "", "optional", "size=SIZE", "an empty tmpfs on /tmp, of each container alone"),
    Option("workspace", "", "text", "PATH|cwd[,size=SIZE]", "an empty tmpfs over PATH, owned by the process's user"),
    Option("ephemeral-rootfs", "", "optional", "size=SIZE", "writes to the rootfs go to a tmpfs of the container"),
    Option("cow", "", "texts", "DEST[:DEST...]", "bind mounts whose sources are never written to (repeatable)"),
)  # fmt: skip

BUNDLE: Final = Option("bundle", "b", "text", "DIR", "the bundle: a directory with a config.json (default: here)")
CONSOLE_SOCKET: Final = Option(
    "console-socket",
    "",
    "text",
    "SOCKET",
    "AF_UNIX socket that receives the master of the container's terminal",
)
PID_FILE: Final = Option("pid-file", "", "text", "FILE", "write the process id to FILE")
PIDFD_SOCKET: Final = Option("pidfd-socket", "", "text", "SOCKET", "AF_UNIX socket that receives the process's pidfd")
PRESERVE_FDS: Final = Option("preserve-fds", "", "count", "N", "pass N more file descriptors, from 3 on")
DETACH: Final = Option("detach", "d", "flag", "", "do not wait for the process")
CREATE: Final = (
    BUNDLE,
    CONSOLE_SOCKET,
    PID_FILE,
    PIDFD_SOCKET,
    Option("no-pivot", "", "flag", "", "do not use pivot_root(2); for a rootfs on a ramdisk"),
    Option("no-new-keyring", "", "flag", "", "keep the caller's session keyring"),
    PRESERVE_FDS,
)


#: One for each field that they set; what they take stands in pyrunc.cli.resources.
UPDATE: Final = (
    Option("resources", "r", "text", "FILE", "read linux.resources from FILE, or - for standard input"),
    Option("blkio-weight", "", "text", "WEIGHT", "weight of block I/O, 10 to 1000"),
    Option("cpu-period", "", "text", "USECS", "length of a period of the CPU quota"),
    Option("cpu-quota", "", "text", "USECS", "CPU time in a period, -1 for any"),
    Option("cpu-burst", "", "text", "USECS", "CPU time that may be saved up beyond the quota"),
    Option("cpu-share", "", "text", "SHARES", "weight of CPU time, 2 to 262144"),
    Option("cpu-rt-period", "", "text", "USECS", "length of a period for realtime processes"),
    Option("cpu-rt-runtime", "", "text", "USECS", "CPU time of realtime processes in a period"),
    Option("cpu-idle", "", "text", "0|1", "run only when nothing else does"),
    Option("cpuset-cpus", "", "text", "LIST", "the CPUs that may be used, as 0-3,7"),
    Option("cpuset-mems", "", "text", "LIST", "the memory nodes that may be used"),
    Option("memory", "m", "text", "BYTES", "memory limit, with k, m or g; -1 for none"),
    Option("memory-reservation", "", "text", "BYTES", "memory that is kept under pressure, or soft limit"),
    Option("memory-swap", "", "text", "BYTES", "limit of memory and swap together; -1 for none"),
    Option("kernel-memory", "", "text", "BYTES", "limit of kernel memory; up to Linux 5.15 with cgroup v1"),
    Option("kernel-memory-tcp", "", "text", "BYTES", "limit of memory for TCP; with cgroup v1"),
    Option("pids-limit", "", "text", "N", "limit of processes and threads; -1 for none"),
    Option("l3-cache-schema", "", "text", "SCHEMA", "not implemented: Intel RDT"),
    Option("mem-bw-schema", "", "text", "SCHEMA", "not implemented: Intel RDT"),
    Option("plan", "", "flag", "", "print what would be written, and write nothing"),
)

IMAGE_PATH: Final = Option("image-path", "", "text", "DIR", "directory of CRIU's images (default: checkpoint, here)")
#: What checkpoint and restore have in common.
CRIU: Final = (
    IMAGE_PATH,
    Option("work-path", "", "text", "DIR", "directory for CRIU's log (default: that of the images)"),
    Option("parent-path", "", "text", "DIR", "images of an earlier pre-dump, relative to --image-path"),
    Option("tcp-established", "", "flag", "", "with TCP connections"),
    Option("ext-unix-sk", "", "flag", "", "with UNIX sockets whose other end is outside"),
    Option("shell-job", "", "flag", "", "with a terminal that came from outside"),
    Option("file-locks", "", "flag", "", "with file locks"),
    Option("lazy-pages", "", "flag", "", "memory follows while the restored container runs already"),
    Option("auto-dedup", "", "flag", "", "memory is kept once, in the images that had it first"),
    Option("manage-cgroups-mode", "", "text", "soft|full|strict|ignore", "how CRIU handles cgroups (default: soft)"),
    Option("empty-ns", "", "texts", "network", "leave what is in this namespace to others; always so (repeatable)"),
    Option("plan", "", "flag", "", "print what would be asked of CRIU, and do nothing"),
)


def _format(*choices: str) -> Option:
    return Option("format", "f", "choice", "FORMAT", "how to print it", choices[0], choices)


COMMANDS: Final = {
    command.name: command
    for command in (
        Command("create", "create a container, ready to be started", ID, 1, 1, CREATE),
        Command("start", "start the process of a created container", ID, 1, 1),
        Command("run", "create and start a container, and wait for it", ID, 1, 1, (
            *CREATE,
            DETACH,
            Option("keep", "", "flag", "", "do not delete the container after it has ended"),
            Option("no-subreaper", "", "flag", "", "do not adopt orphaned processes of the container"),
        )),
        Command("state", "print the state of a container as JSON", ID, 1, 1),
        Command("kill", "send a signal (SIGTERM) to a container's init process", ID + " [signal]", 1, 2, (
            Option("all", "a", "flag", "", "to all processes of the container"),
        )),
        Command("delete", "delete a container and all that belongs to it", ID, 1, 1, (
            Option("force", "f", "flag", "", "kill it first if it runs; no error if it does not exist"),
        )),
        Command("pause", "stop all processes of a container", ID, 1, 1),
        Command("resume", "let the processes of a paused container go on", ID, 1, 1),
        Command("update", "change the limits of a container", ID, 1, 1, UPDATE),
        Command("events", "print what a container uses, and when it runs out of memory", ID, 1, 1, (
            Option("interval", "", "text", "TIME", "between two statistics, as 5s or 100ms", "5s"),
            Option("stats", "", "flag", "", "print statistics once, and exit"),
        )),
        Command("checkpoint", "write the processes of a running container to a directory", ID, 1, 1, (
            *CRIU,
            Option("leave-running", "", "flag", "", "let the container go on afterwards, and do not delete it"),
            Option("pre-dump", "", "flag", "", "only the memory, while the container runs on"),
            Option("tcp-skip-in-flight", "", "flag", "", "without connections that are not established yet"),
            Option("link-remap", "", "flag", "", "give deleted files that are open a name again"),
            Option("page-server", "", "text", "ADDRESS:PORT", "send memory there; with --lazy-pages, serve it there"),
            Option("status-fd", "", "text", "FD", "where a NUL byte is written when --lazy-pages serves"),
        )),
        Command("restore", "make a container from the directory of a checkpoint", ID, 1, 1, (
            BUNDLE,
            *CRIU,
            CONSOLE_SOCKET,
            PID_FILE,
            DETACH,
            Option("tcp-close", "", "flag", "", "TCP connections of the checkpoint come back closed"),
            Option("lsm-profile", "", "text", "TYPE:NAME", "another LSM profile than at the checkpoint"),
            Option("lsm-mount-context", "", "text", "CONTEXT", "another SELinux context of mounts"),
            Option("no-subreaper", "", "flag", "", "do not adopt orphaned processes of the container"),
            Option("no-pivot", "", "flag", "", "accepted for runc's sake: CRIU decides"),
        )),
        Command("diff", "list a container's changes in its private layers", ID, 1, 1, (
            _format("text", "json"),
        )),
        Command("commit", "write a container's changes to a directory or an image layer", ID + " DEST", 2, 2, (
            Option("layer", "", "text", "PATH", "only the layer at PATH in the container"),
        )),
        Command("exec", "run another process in a container", ID + " [command [argument...]]", 1, -1, (
            CONSOLE_SOCKET,
            Option("cwd", "", "text", "PATH", "working directory, in the container"),
            Option("env", "e", "texts", "NAME=VALUE", "set an environment variable (repeatable)"),
            Option("tty", "t", "flag", "", "give the process a terminal"),
            Option("user", "u", "text", "UID[:GID]", "user and group of the process"),
            Option("additional-gids", "g", "ids", "GID", "a further group of the process (repeatable)"),
            Option("process", "p", "text", "FILE", "the process as JSON, as in config.json"),
            DETACH,
            PID_FILE,
            PIDFD_SOCKET,
            Option("process-label", "", "text", "LABEL", "SELinux label of the process"),
            Option("apparmor", "", "text", "PROFILE", "AppArmor profile of the process"),
            Option("no-new-privs", "", "toggle", "", "the process can gain no privileges"),
            Option("cap", "c", "texts", "CAP", "add a capability (repeatable)"),
            PRESERVE_FDS,
            Option("cgroup", "", "texts", "[CONTROLLER,...:]PATH", "a cgroup below the container's"),
            Option("ignore-paused", "", "flag", "", "allow it in a paused container"),
        ), interspersed=False),
        Command("sandbox", "run a command in a container made for it", "[command [argument...]]", 0, -1, (
            Option("rootfs", "", "text", "DIR|host", "a root file system, a bundle, or the host's /usr (default)"),
            Option("writable", "", "optional", "SIZE", "writes to the rootfs go to a tmpfs of the sandbox"),
            Option("tmp", "", "text", "SIZE|none", "size of its /tmp"),
            Option("workspace", "", "text", "PATH[,size=SIZE]", "an empty directory of its own to work in"),
            Option("file", "", "texts", "SRC:DEST[:MODE]", "a file of the host: ro (default), rw or cow (repeatable)"),
            Option("mount", "", "texts", "SRC:DEST[:MODE]", "the same for a directory (repeatable)"),
            Option("memory", "", "text", "BYTES|none", "memory limit, with k, m or g (default: 1g)"),
            Option("pids", "", "text", "N|none", "limit of processes and threads (default: 512)"),
            Option("cpus", "", "text", "N", "limit of CPUs, as 1.5"),
            Option("timeout", "", "text", "SECONDS", "kill it then, and exit with 124"),
            Option("network", "", "flag", "", "share the host's network"),
            Option("user", "u", "text", "UID[:GID]", "user and group (default: 1000)"),
            Option("env", "e", "texts", "NAME=VALUE", "set an environment variable (repeatable)"),
            Option("cwd", "", "text", "PATH", "working directory (default: the workspace, or /)"),
            Option("hostname", "", "text", "NAME", "its host name"),
            Option("rlimit", "", "texts", "NAME=SOFT[:HARD]", "a limit such as nofile=100 (repeatable)"),
            Option("userns", "", "flag", "", "a user namespace also for root"),
            Option("allow-ptrace", "", "flag", "", "let debuggers work"),
            Option("print-config", "", "flag", "", "print the config.json, and run nothing"),
        ), interspersed=False),
        Command("list", "list containers", "", 0, 0, (
            _format("table", "json"),
            Option("quiet", "q", "flag", "", "only the ids"),
        )),
        Command("ps", "list the processes of a container", ID + " [option of ps...]", 1, -1, (
            _format("table", "json"),
        ), interspersed=False),
        Command("spec", "write a config.json to start from", "", 0, 0, (
            BUNDLE,
            Option("rootless", "", "flag", "", "for a caller who is not root"),
        )),
        Command("validate", "list everything that is wrong with a config.json", "", 0, 0, (BUNDLE,)),
        Command("plan", "print what create would do, and do nothing", "[bundle]", 0, 1, (
            BUNDLE,
            Option("diff", "", "text", "DIR", "show what changes from the bundle to the one in DIR"),
            _format("text", "json"),
        )),
        Command("setup", "put pyrunc into an engine's configuration", "podman|containerd|docker|crio", 1, 1, (
            Option("user", "", "flag", "", "of this user's engine, not the system's"),
            Option("dry-run", "", "flag", "", "print what would change, and change nothing"),
            Option("remove", "", "flag", "", "take it out again"),
            Option("default", "", "flag", "", "also make it the engine's default runtime"),
            Option("config", "", "text", "FILE", "the file to change instead of the engine's usual one"),
            Option("runtime", "", "text", "PATH", "pyrunc as the engine will see it (default: this one)"),
            Option("sysroot", "", "text", "DIR", "configure the system below DIR, as when an image is built"),
        )),
        Command("doctor", "check this machine and its engines, and say what to do", "", 0, 0, (
            _format("text", "json"),
        )),
        Command("features", "print what this runtime supports as JSON", "", 0, 0),
        Command("completion", "print a script that completes command lines in a shell", "bash|zsh|fish", 1, 1),
        Command("explain", "tell what to do about an error", "[name|text...]", 0, -1),
    )
}  # fmt: skip
