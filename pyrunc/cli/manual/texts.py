"""What the table of commands does not say: descriptions, exit statuses, files, environment.

The marks are those of ``roff.prose``; an empty line ends a paragraph.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: Of the last change of these texts; a build takes no other, so that the same source makes the same pages.
DATE: Final = "2026-11-22"

Pairs = tuple[tuple[str, str], ...]

_STATUSES: Final[Pairs] = (
    ("0", "It succeeded."),
    ("1", "It failed, and the last line of standard error says why. Nothing that it had made is left."),
)
_ROOT: Final[Pairs] = (
    ("/run/pyrunc", "The state of root's containers, one directory for each."),
    ("$XDG_RUNTIME_DIR/pyrunc", "The same of an ordinary user."),
)
_ENVIRONMENT: Final[Pairs] = (
    ("XDG_RUNTIME_DIR", "Where the state of an ordinary user's containers is kept, unless `--root` says otherwise."),
)
_BUS: Final[Pairs] = (
    (
        "DBUS_SESSION_BUS_ADDRESS",
        "Where an ordinary user's systemd is reached, with `--systemd-cgroup`; else in `XDG_RUNTIME_DIR`.",
    ),
)
_PASSED: Final[Pairs] = (
    ("LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES", "Sockets of sd_listen_fds(3) are passed on to the process."),
)
_NOTIFY: Final[Pairs] = (
    ("NOTIFY_SOCKET", "The process gets a socket of its own in its place; what it says there is passed on."),
)
_CRIU_CONFIG: Final = (
    "/etc/criu/runc.conf",
    "More options of CRIU's for containers; the annotation `org.criu.config` of a container names another file.",
)
_CONFIG: Final[Pairs] = (("BUNDLE/config.json", "What the container is to be; see runtime-spec."),)


class Texts:
    """What a page says beyond the table; ``also`` names other commands, ``elsewhere`` what is no page of ours."""

    __slots__ = ("also", "description", "elsewhere", "environment", "files", "statuses")

    def __init__(
        self,
        description: str,
        *,
        statuses: Pairs = _STATUSES,
        environment: Pairs = _ENVIRONMENT,
        files: Pairs = _ROOT,
        also: tuple[str, ...] = (),
        elsewhere: tuple[str, ...] = (),
    ) -> None:
        self.description = description
        self.statuses = statuses
        self.environment = environment
        self.files = files
        self.also = also
        self.elsewhere = elsewhere


PROGRAM: Final = Texts(
    """
    `pyrunc` makes containers from OCI bundles: directories with a file *config.json*, which says what a
    container is to be, and a root file system. It is called by people and by engines such as podman(1),
    containerd and docker(1), which find in it the commands, options, output and texts of runc(8).

    *config.json* becomes a list of operations, which `pyrunc plan` prints before any of them happens. A
    static program carries them out, one by one; a failure names the line of *config.json* that asked for
    it.

    `pyrunc explain` says what to do about an error.
    """,
    statuses=(
        *_STATUSES,
        ("3", "There is no such command."),
        ("130", "It was interrupted."),
        ("others", "`run`, `exec` and `sandbox` exit with the status of the process; see their pages."),
    ),
    environment=(*_ENVIRONMENT, *_BUS, *_PASSED, *_NOTIFY, ("NO_COLOR", "If it is set, help has no bold headings.")),
    files=(*_ROOT, *_CONFIG),
    elsewhere=("The OCI runtime specification: https://github.com/opencontainers/runtime-spec",),
)

#: How any command line is read.
COMMAND_LINES: Final = """
Any option may be written with one dash or two, its value as the next word or behind `=`. A flag takes `=true`
or `=false`. Global options stand before the command, others before or after its arguments; only for `exec`,
`ps` and `sandbox`, what follows the first argument belongs to another program. `--` ends the options.
"""

_PROCESS: Final[Pairs] = (("STATUS", "That of the process, or 128 and the number of the signal that ended it."),)

COMMANDS: Final = {
    "create": Texts(
        """
    Makes everything that *config.json* asks for, up to the process itself: that waits for `pyrunc start`,
    and the container's status is *created*. The standard streams become those of the process, unless it has
    a terminal: then `--console-socket` names who gets the terminal's other end.

    Hooks run as runtime-spec has it. After a failure nothing of the container is left.

    File names are relative to the current directory, also with `--bundle`.
    """,
        environment=(*_ENVIRONMENT, *_BUS, *_PASSED, *_NOTIFY),
        files=(*_ROOT, *_CONFIG),
        also=("start", "run", "plan", "validate", "spec"),
    ),
    "start": Texts(
        """
    Lets the process of a container go on that `pyrunc create` has made. It returns when the process runs
    its program.
    """,
        environment=(*_ENVIRONMENT, *_NOTIFY),
        also=("create", "run"),
    ),
    "run": Texts(
        """
        Does what `create` and `start` do, waits for the process, and deletes the container. Signals
        that it gets are passed on to the process. With `--detach` it returns when the process runs.
        """,
        statuses=(
            *_PROCESS,
            ("0", "With `--detach`: it runs."),
            ("1", "It could not be run, and the last line of standard error says why."),
        ),
        environment=(*_ENVIRONMENT, *_BUS, *_PASSED, *_NOTIFY),
        files=(*_ROOT, *_CONFIG),
        also=("create", "start", "delete", "sandbox"),
    ),
    "state": Texts(
        """
    Prints the state of runtime-spec: the status is one of *creating*, *created*, *running*, *paused* and
    *stopped*, and the pid is 0 when it is stopped.
    """,
        also=("list",),
    ),
    "kill": Texts(
        """
    The signal has a number or a name, with or without SIG and in any case: `9`, `KILL`, `sigkill`,
    `RTMIN+3`. 0 only asks whether one could be sent. The first process of a pid namespace does not get
    signals that it does not handle, but KILL and STOP, which it always gets.

    `--all` sends it to every process in the container's cgroups. The end of a container that has no pid
    namespace of its own leaves others of its processes behind: KILL ends them, too.
    """,
        also=("delete", "ps"),
        elsewhere=(r"`signal`(7)",),
    ),
    "delete": Texts(
        """
    The container must have stopped, or never have been started. Removes its cgroups, its mounts, what had
    to be made in its rootfs, and its state, and runs its poststop hooks. What it leaves behind for a reason
    is told as a warning.
    """,
        also=("kill", "list"),
    ),
    "pause": Texts(
        """
    Freezes the container's cgroup: its processes keep their memory and get no time until `pyrunc resume`.
    """,
        also=("resume", "update"),
    ),
    "resume": Texts("""
    Undoes what `pyrunc pause` has done.
    """, also=("pause",)),
    "update": Texts(
        """
    Changes limits of a container that exists. All of them are changed or none: where one is refused, the
    others are put back. What is not named stays as it is.

    Each option is one field of linux.resources; `--resources` takes any number of them as JSON.
    """,
        also=("events", "pause"),
        elsewhere=("`cgroups`(7)",),
    ),
    "checkpoint": Texts(
        """
    Lets CRIU write the processes of a running container, with their memory, to a directory, and deletes the
    container then, unless it is to be left running. `pyrunc restore` makes a container of the directory.

    Where CRIU refuses, the error has the lines of its log, and the container runs on as it was. Options that
    name what the container has, connections or locks for instance, have to be given to both commands.
    """,
        files=(
            ("dump.log", "CRIU's log, in the directory of `--work-path`."),
            _CRIU_CONFIG,
        ),
        also=("restore", "pause"),
        elsewhere=("`criu`(8)",),
    ),
    "restore": Texts(
        """
    Makes a container of what `pyrunc checkpoint` has written, and lets it go on; with `--detach`, in the
    background, and else until it ends, like `pyrunc run`. The bundle is that of the checkpoint, or one like it:
    the rootfs has to hold what it held then, and bind mounts are made from the sources that it names.

    Limits and hooks are those of the bundle, of which prestart and createRuntime run. Where CRIU refuses, the
    error has the lines of its log, and nothing is left.
    """,
        files=(
            ("restore.log", "CRIU's log, in the directory of `--work-path`."),
            _CRIU_CONFIG,
        ),
        also=("checkpoint", "run"),
        elsewhere=("`criu`(8)",),
    ),
    "events": Texts(
        """
    Prints one JSON object a line: of the type `stats` with what the container uses, and `oom` when its
    memory has run out. It ends with the container.
    """,
        also=("update", "ps"),
    ),
    "diff": Texts(
        """
    A container with an ephemeral rootfs, a workspace or copy-on-write mounts has layers of its own. `diff`
    lists what is different in them from what is below: *A* for added, *C* for changed and *D* for deleted
    paths.

    Layers end with the container's last process.
    """,
        also=("commit",),
    ),
    "commit": Texts(
        """
    *DEST* is a directory, which gets the changes applied, or a file, which becomes an OCI image layer: a
    tar archive with whiteouts. A slash at its end asks for a directory. `-` is standard output.
    """,
        also=("diff",),
    ),
    "exec": Texts(
        """
    Runs a command in the namespaces and cgroups of a container that is created or running, confined as its
    own process is. The command is looked for in the PATH of the container.

    `--process` takes all of it from a file with the process object of *config.json*; then there is no
    command on the line.

    `--cgroup` puts it into a cgroup below the container's: one path for all controllers, or for those
    before the colon.
    """,
        statuses=(
            *_PROCESS,
            ("0", "With `--detach`: it runs."),
            ("255", "It could not be run, and the last line of standard error says why."),
        ),
        also=("run", "ps"),
        elsewhere=("`capabilities`(7)",),
    ),
    "sandbox": Texts(
        """
    Makes a container for one command, and deletes it when that has ended. It shares with the host what is
    named, and /usr unless `--rootfs` says otherwise, read-only. It has no network, no capabilities and a
    seccomp filter.

    Unless told otherwise it has 1g of memory and 512 processes, where the host can limit them.
    """,
        statuses=(
            *_PROCESS,
            ("124", "The time that `--timeout` gave was over."),
            ("125", "The sandbox could not be made."),
            ("126", "The command was found and could not be run."),
            ("127", "The command was not found."),
        ),
        also=("run", "diff"),
    ),
    "list": Texts(
        """
    A container that cannot be read is left out, with a warning. Containers of another `--root` are not
    listed.
    """,
        statuses=(("0", "It succeeded."), ("1", "It failed: an explicit `--root` does not exist, or cannot be read.")),
        also=("state", "ps"),
    ),
    "ps": Texts(
        """
        Calls ps(1) with the options that follow the id, or `-ef`, and shows the lines that belong to
        the container. Process ids are the host's.
        """,
        environment=(*_ENVIRONMENT, ("PATH", "Where `ps` is looked for first.")),
        also=("list", "exec"),
        elsewhere=("`ps`(1)",),
    ),
    "spec": Texts(
        """
    Writes a config.json that runs a shell in a directory *rootfs* beside it. One that is there is not
    replaced.
    """,
        environment=(),
        files=_CONFIG,
        also=("validate", "plan", "create"),
    ),
    "validate": Texts(
        """
    Prints one line for each violation: its path in config.json, and what is wrong. What is only doubtful is
    a warning on standard error.
    """,
        statuses=(("0", "Nothing is wrong."), ("1", "Something is wrong, or config.json cannot be read.")),
        environment=(),
        files=_CONFIG,
        also=("plan", "spec", "explain"),
    ),
    "plan": Texts(
        """
    Prints every operation of `pyrunc create` in order, with its arguments, and behind # the part of
    config.json that asks for it. It looks at the host, needs no privilege and changes nothing. Global
    options count as they would for `create`.
    """,
        files=_CONFIG,
        also=("validate", "create"),
    ),
    "features": Texts(
        """
    Prints the features structure of runtime-spec: namespaces, capabilities, mount options, annotations.
    """,
        environment=(),
        files=(),
    ),
    "setup": Texts(
        """
    Writes what an engine needs to know about pyrunc: a drop-in file for podman and CRI-O, a section of
    config.toml for containerd, an entry of daemon.json for docker. It shows the difference, and does nothing
    where nothing is to do.

    `--remove` puts the file back as it was, or takes pyrunc out of what somebody has changed since. The
    engine is not restarted: what to do is printed.
    """,
        statuses=(
            ("0", "It is done, or there was nothing to do."),
            ("1", "It failed, and the last line of standard error says why. Nothing has changed."),
        ),
        environment=(("HOME, XDG_CONFIG_HOME", "Where the files of a user are, with `--user`."),),
        files=(
            ("/etc/containers/containers.conf.d", "Podman's."),
            ("/etc/containerd/config.toml", "Containerd's."),
            ("/etc/docker/daemon.json", "Docker's."),
            ("/etc/crio/crio.conf.d", "CRI-O's."),
        ),
        also=("doctor",),
    ),
    "doctor": Texts(
        """
    Looks at the kernel, the layout of cgroups, id maps, seccomp, security modules, and engines with their
    configuration. Each finding says what to do about it. Nothing is changed.
    """,
        statuses=(("0", "There is no problem."), ("1", "There is at least one.")),
        also=("setup", "features", "explain"),
    ),
    "completion": Texts(
        """
    Prints a script for the named shell, which completes commands, options, values, files and the ids of
    containers. An installation brings the scripts along, in *share/bash-completion/completions*,
    *share/zsh/site-functions* and *share/fish/vendor_completions.d*.
    """,
        environment=(),
        files=(),
    ),
    "explain": Texts(
        """
    Finds what is known about an error: when it comes, and what to do. *text* is a message of pyrunc, as it
    was printed or a part of it, or the short name of an error; `-` takes it from standard input. Without an
    argument all short names are listed.
    """,
        statuses=(("0", "It is known."), ("1", "It is not.")),
        environment=(),
        files=(),
        also=("validate",),
    ),
}  # fmt: skip
