"""The directory of a container: ``ROOT/ID/`` with state.json, config.json, lock and exec.fifo.

state.json is replaced atomically.  Whoever changes a container holds its lock; whoever made it holds the lock
until it is created, so that an abandoned creation can be told from one in progress.
"""

from __future__ import annotations

import errno
import fcntl
import posix

from pyrunc.errors import HostError, NoContainer, SpecError, StateError
from pyrunc.host import files
from pyrunc.spec.jsontext import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NotRequired, Self, TypedDict

    from pyrunc.host.residue import Entry
    from pyrunc.plan.facts import Layer, Unit
    from pyrunc.spec.types import Hook, Resources

    #: path, device and inode of a namespace file
    Joined = tuple[str, int, int]

    class State(TypedDict):
        """state.json: what no later command could find out otherwise."""

        format: NotRequired[int]  # FORMAT of the pyrunc that made it; without it 1
        ociVersion: str
        id: str
        status: str  # "creating" or "created"; the rest is derived from the process
        pid: int
        start_time: int  # clock ticks after boot, field 22 of /proc/PID/stat
        created: str  # RFC 3339, UTC, nanoseconds
        owner: str
        bundle: str
        rootfs: str
        annotations: dict[str, str]
        cgroups: dict[str, str]  # controller -> absolute directory
        cgroup_manager: str
        unit: Unit | None  # of systemd, where that is the manager
        own_pid_namespace: bool
        joined_mounts: Joined | None
        no_new_keyring: bool
        hooks: dict[str, list[Hook]]  # poststart and poststop, which outlive create
        start_ops: list[tuple[int, str, str]]  # (index, name, where) of what runs after start
        layers: list[Layer]  # private writable trees, see plan.isolation
        made: list[Entry]  # mount points on the host's files, see host.residue
        made_in_layers: list[str]  # mount points in layers, by their paths in the container
        resources: NotRequired[Resources]  # linux.resources since the last update


#: Of state.json: one more when an older pyrunc could no longer take care of the container.
FORMAT = 1
ID_LIMIT = 1024
#: After that nobody is between two calls at a directory that nobody holds the lock of.
REST_SECONDS = 2
#: Of State: what every container has had, with the type of its value.
_MEMBERS = (
    ("ociVersion", str), ("id", str), ("status", str), ("pid", int), ("start_time", int), ("created", str),
    ("bundle", str), ("rootfs", str), ("annotations", dict), ("cgroups", dict), ("hooks", dict), ("start_ops", list),
    ("format", int),
)  # fmt: skip
_JSON_NAMES = {str: "a string", int: "a number", dict: "an object", list: "an array"}
_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")


def check_id(id: str) -> None:
    """Raise StateError unless ``id`` may name a directory; the same characters as runc's."""
    if not id:
        raise StateError("container ID cannot be empty")
    if id.startswith(".") or not _ID_CHARACTERS.issuperset(id):
        raise StateError(
            f"invalid container ID format: {id!r}",
            hint="allowed are letters, digits and _ + - ., the last not at the start",
        )
    if len(id) > ID_LIMIT or len(id) > 255:
        raise StateError(f"invalid container ID format: {len(id)} characters", hint="at most 255 are allowed")


def wrap(error: OSError, path: str) -> HostError:
    text = posix.strerror(error.errno or 0)
    hints = {
        errno.EACCES: "not yours: run as root, or give --root DIR",
        errno.ENOSPC: "the file system of the state is full: see --root",
        errno.EROFS: "the file system of the state is read-only: see --root",
    }
    return HostError(text[:1].lower() + text[1:], where=path, hint=hints.get(error.errno or 0, ""))


class Record:
    """One container's directory.  Lives as long as a command needs it; ``close`` gives the lock back."""

    __slots__ = ("_lock", "directory", "durable", "id")

    def __init__(self, root: str, id: str) -> None:
        self._lock = -1
        check_id(id)
        self.id = id
        self.directory = f"{root}/{id}"
        self.durable = True  # what is saved survives a power failure

    @property
    def fifo(self) -> str:
        return self.directory + "/exec.fifo"

    def claim(self) -> None:
        """Make the directory and hold its lock; StateError if the id is in use."""
        root = files.parent(self.directory)
        try:
            files.make_directories(root, 0o700)
        except OSError as error:
            raise wrap(error, root) from None
        ours = False
        try:
            ours = files.held(posix.mkdir, self.directory, 0o700) is None
            posix.chmod(self.directory, 0o700)  # whatever the umask has left of it
            self.lock()
        except FileExistsError:
            raise StateError(f"container with given ID already exists: {self.id}") from None
        except BaseException as error:
            if ours:
                self.remove()
            if isinstance(error, OSError):
                raise wrap(error, self.directory) from None
            raise

    def lock(self, *, wait: bool = True) -> bool:
        """Hold the container's lock; without ``wait``, False when another process has it."""
        path = self.directory + "/lock"
        try:
            fd = files.open_private(path)
        except (FileNotFoundError, NotADirectoryError):
            raise self.missing() from None
        except OSError as error:
            raise wrap(error, path) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if not files.exists(path):  # deleted while we waited
                raise self.missing()
        except BaseException as error:
            posix.close(fd)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._lock = fd
        return True

    @property
    def locked(self) -> bool:
        return self._lock >= 0

    def close(self) -> None:
        fd, self._lock = self._lock, -1
        if fd >= 0:
            posix.close(fd)

    def __del__(self) -> None:
        """Whoever was to close it was interrupted before."""
        if getattr(self, "_lock", -1) >= 0:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def missing(self) -> NoContainer:
        return NoContainer("container does not exist", where=self.id)

    def load(self) -> State:
        """state.json; NoContainer if there is no such container, or not yet, or not any more."""
        data = self._read("state.json")
        if data is None:
            if self._is_wreck():
                raise StateError("container is incomplete: its creation was interrupted", where=self.id,
                                 hint="use delete --force")  # fmt: skip
            data = self._read("state.json")  # its creation may have come that far
        if data is None:
            raise self.missing()
        try:
            state: Any = loads(data, self.directory + "/state.json")
        except SpecError as error:
            raise self._damaged(str(error)) from None
        if not isinstance(state, dict):
            raise self._damaged(f"{self.directory}/state.json: expected an object")
        # First: of what a newer format has, nothing is known, and --force would remove all that leads to the container.
        known = {"format": 1, **state}
        version = known["format"]
        if isinstance(version, int) and version > FORMAT:
            raise HostError(f"state.json has format {version}, and this pyrunc knows {FORMAT}", where=self.id,
                            hint="a newer pyrunc made the container: use that")  # fmt: skip
        for name, kind in _MEMBERS:
            if not isinstance(known.get(name), kind):
                raise self._damaged(f"{self.directory}/state.json: {name}: expected {_JSON_NAMES[kind]}")
        if not 0 <= state["pid"] < 1 << 31:
            raise self._damaged(f"{self.directory}/state.json: pid: no process has the id {state['pid']}")
        return state  # type: ignore[return-value]

    def _damaged(self, text: str) -> StateError:
        return StateError(f"damaged: {text}", where=self.id, hint="use delete --force")

    def _is_wreck(self) -> bool:
        """Whether the directory has no state and never will: who works at it, in the beginning or at the end, holds the
        lock, but for a moment between two calls."""
        if self.locked or not files.is_directory(self.directory):
            return self.locked
        try:
            fd = files.held(posix.open, self.directory + "/lock", posix.O_RDWR | posix.O_CLOEXEC | posix.O_NOFOLLOW)
        except FileNotFoundError:
            return self._has_rested()
        except OSError as error:
            raise wrap(error, self.directory + "/lock") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            posix.close(fd)
        return self._has_rested() and not files.exists(self.directory + "/state.json")

    def _has_rested(self) -> bool:
        import time

        try:
            return time.time() - posix.stat(self.directory).st_ctime > REST_SECONDS
        except FileNotFoundError:
            return False

    def config(self) -> bytes:
        """The config.json that the container was created from."""
        data = self._read("config.json")
        if data is None:
            raise self.missing()
        return data

    def _read(self, name: str) -> bytes | None:
        path = f"{self.directory}/{name}"
        flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK  # in case that somebody has made a FIFO of it
        try:
            fd = files.held(posix.open, path, flags)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise wrap(error, path) from None
        try:
            parts = []
            while part := posix.read(fd, 1 << 20):
                parts.append(part)
            return b"".join(parts)
        except OSError as error:
            raise wrap(error, path) from None
        finally:
            posix.close(fd)

    def save(self, state: State) -> None:
        """Replace state.json.  A byte of a path that is not UTF-8 is kept as an escape.

        Only a finished creation is worth the wait for the disk: what a power failure interrupts does not survive it
        in any form.
        """
        durable = self.durable and state["status"] != "creating"
        self.write("state.json", dumps(state).encode("utf-8", "backslashreplace"), durable=durable)

    def write(self, name: str, data: bytes, *, durable: bool = False) -> None:
        """Replace a file of the directory, atomically; the caller holds the lock."""
        path = f"{self.directory}/{name}"
        try:
            files.replace(path, data, 0o600, durable=durable, aside=path + ".tmp")
        except OSError as error:
            raise wrap(error, path) from None

    def make_fifo(self) -> None:
        """The FIFO that start and the init meet at.  Writable by all: the init may be any id; nobody else gets here."""
        try:
            posix.mkfifo(self.fifo, 0o622)
            posix.chmod(self.fifo, 0o622)
        except OSError as error:
            raise wrap(error, self.fifo) from None

    def remove(self) -> None:
        """Delete the directory; what is in it goes last to first, state.json at the very end but one."""
        for name in ("exec.fifo", "config.json", "state.json", "lock"):
            files.unlink(f"{self.directory}/{name}")
        try:
            posix.rmdir(self.directory)  # needs no descriptor, of which there may be none left
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        for name in posix.listdir(self.directory):
            if name in ("layers", "notify", "criu-root"):
                self._remove_directory(name)
            else:  # a temporary file of a write that was interrupted
                files.unlink(f"{self.directory}/{name}")
        posix.rmdir(self.directory)

    def _remove_directory(self, name: str) -> None:
        """Of mount points, from which the layers have gone, and private copies of files; or of a socket."""
        path = f"{self.directory}/{name}"
        for name in posix.listdir(path):
            try:
                posix.rmdir(f"{path}/{name}")
            except NotADirectoryError:
                posix.unlink(f"{path}/{name}")
        posix.rmdir(path)


class Store:
    """All containers of one runtime root."""

    __slots__ = ("root",)

    def __init__(self, root: str) -> None:
        self.root = root

    def ids(self) -> list[str]:
        """Names of the directories that may be containers, sorted; FileNotFoundError without the root."""
        return sorted(name for name in posix.listdir(self.root) if not name.startswith("."))

    def record(self, id: str) -> Record:
        return Record(self.root, id)

    def load(self, id: str) -> State:
        return self.record(id).load()
