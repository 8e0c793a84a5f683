"""The directories of a checkpoint, and what stands in them beside CRIU's own files."""

from __future__ import annotations

import posix

from pyrunc.errors import HostError, UsageError
from pyrunc.host import failure, files
from pyrunc.spec.jsontext import dumps, loads
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.plan.criu.mounts import External

#: What the first three descriptors were; runc and crun have this file, too.
DESCRIPTORS = "descriptors.json"
#: Mount point -> the bind mount that it came with.
EXTERNAL = "external-mounts.json"


class Directories:
    """``images`` and ``work`` as open descriptors; ``log`` is where CRIU's log comes to be."""

    __slots__ = ("images", "images_path", "work", "work_path")

    def __init__(self, images: str, work: str | None, *, make: bool) -> None:
        """``make``: the images are to be written."""
        self.images = self.work = -1
        self.images_path = images
        self.work_path = work or images
        try:
            self.images = _open(images, "--image-path", make=make)
            if work:
                self.work = _open(work, "--work-path", make=True)
        except BaseException:
            self.close()
            raise

    def log(self, name: str) -> str:
        return f"{self.work_path}/{name}"

    def paths(self) -> list[str]:
        return [self.images_path, *([self.work_path] if self.work >= 0 else [])]

    def numbers(self) -> dict[str, int]:
        return numbers([self.images, *([self.work] if self.work >= 0 else [])])

    def close(self) -> None:
        for fd in (self.images, self.work):
            if fd >= 0:
                posix.close(fd)
        self.images = self.work = -1

    def save(self, descriptors: Sequence[str], external: External) -> None:
        for name, value in ((DESCRIPTORS, list(descriptors)), (EXTERNAL, external)):
            path = f"{self.images_path}/{name}"
            try:
                files.replace(path, dumps(value).encode("utf-8", "backslashreplace"), 0o600)
            except OSError as error:
                raise HostError(failure.reason(error), where=path) from None

    def forget(self) -> None:
        """What ``save`` has written: without it no restore takes these images for a checkpoint."""
        for name in (DESCRIPTORS, EXTERNAL):
            path = f"{self.images_path}/{name}"
            if files.exists(path):
                posix.unlink(path)

    def descriptors(self) -> list[str]:
        """HostError without them: then there are no images, or not all of them."""
        found = self._read(DESCRIPTORS)
        if found is None:
            raise HostError(
                f"no checkpoint in {self.images_path}: it has no {DESCRIPTORS}",
                where="--image-path",
                hint="a pre-dump alone cannot be restored",
            )
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise HostError("is not a list of names", where=f"{self.images_path}/{DESCRIPTORS}")
        return found

    def external(self) -> External:
        """Empty for images of another runtime."""
        found = self._read(EXTERNAL) or {}
        if not isinstance(found, dict) or not all(
            isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)
            for value in found.values()
        ):
            raise HostError("is not what a checkpoint of pyrunc writes", where=f"{self.images_path}/{EXTERNAL}")
        return {point: (destination, rest) for point, (destination, rest) in found.items()}

    def _read(self, name: str) -> Any:
        path = f"{self.images_path}/{name}"
        try:
            with open(path, "rb", buffering=0) as file:
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostError(failure.reason(error), where=path) from None
        return loads(data, path)


def numbers(descriptors: Sequence[int]) -> dict[str, int]:
    """As CRIU's options: it opens what this process has there, by /proc/PID/fd."""
    return dict(zip(("images_dir_fd", "work_dir_fd"), descriptors, strict=False))


def _open(path: str, option: str, *, make: bool) -> int:
    try:
        if make:
            files.make_directories(path, 0o700)
        return files.held(posix.open, path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise HostError(failure.reason(error), where=f"{option} {path}") from None


def check_parent(images: str, parent: str) -> None:
    """The images of an earlier pre-dump, by a path that is relative to these (as CRIU keeps it: a symlink)."""
    if parent.startswith("/"):
        raise UsageError("--parent-path must be relative", where=f"--parent-path {parent}",
                         hint="it is relative to --image-path")  # fmt: skip
    if not files.is_directory(normal(f"{images}/{parent}")):
        raise UsageError(
            "invalid --parent-path: no such directory",
            where=f"--parent-path {parent}",
            hint=f"it is relative to --image-path {images}",
        )
