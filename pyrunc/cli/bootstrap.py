"""The text of the start-up image: every lean module as compiled code in one file, with the finder that serves them.

``image`` compiles this file with ``MODULES`` filled in; nothing imports it.  One file instead of seventy saves
a third of the start-up: no directory is searched, nothing is opened and checked module by module.
"""

import sys
from _frozen_importlib import ModuleSpec
from marshal import loads
from posix import O_CLOEXEC, O_RDONLY, _exit, close, fstat, open, read, stat

#: name -> (file below the package, is it a package, size and mtime of its source or -1, offset and length of its code)
MODULES = {}  # type: ignore[var-annotated]
# Read whole and closed at once: an open descriptor could be taken for one of the caller's (--preserve-fds).
_file = open(__file__, O_RDONLY | O_CLOEXEC)
DATA = memoryview(read(_file, fstat(_file).st_size))
close(_file)
PACKAGE = __file__.rpartition("/")[0].rpartition("/")[0]


class Image:
    """Finds the modules of the image.  A source that has changed since is left to the ordinary import."""

    @staticmethod
    def find_spec(name, path=None, target=None):  # type: ignore[no-untyped-def]  # noqa: ARG004
        entry = MODULES.get(name)
        if entry is None:
            return None
        file, package, size, mtime, _, _ = entry
        file = PACKAGE + "/" + file
        if mtime >= 0:
            try:
                found = stat(file)
            except FileNotFoundError:
                return None
            if found.st_mtime_ns != mtime or found.st_size != size:
                return None
        spec = ModuleSpec(name, Image, origin=file, is_package=package)  # type: ignore[arg-type]
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [file.rpartition("/")[0]]
        return spec

    @staticmethod
    def create_module(spec):  # type: ignore[no-untyped-def]  # noqa: ARG004
        return None

    @staticmethod
    def exec_module(module):  # type: ignore[no-untyped-def]
        offset, length = MODULES[module.__name__][4:]
        exec(loads(DATA[offset : offset + length]), module.__dict__)


sys.meta_path.insert(0, Image)
sys.path.insert(0, PACKAGE.rpartition("/")[0])

from pyrunc.cli.lean import main  # noqa: E402

_exit(main(sys.argv[1:]))
