"""The text of the start-up image: every lean module as compiled code in one file, with the finder that serves them.

``image`` compiles this file with the two tables filled in; nothing imports it.  One file instead of seventy: no
directory is searched, nothing is opened module by module, and what a command needs is executed in the order in which
it would have been imported, without the import machinery.
"""

import gc
import sys
from _frozen_importlib import ModuleSpec
from marshal import loads
from posix import O_CLOEXEC, O_RDONLY, _exit, close, execv, open, pread, stat, write

gc.disable()  # a command is over before a cycle could matter; collections are a tenth of the start-up

#: name -> (file below the package, is it a package, size and mtime of its source or -1, offset in SINGLE and length of
#: its code)
MODULES = {}  # type: ignore[var-annotated]
#: command -> the modules that it imports, each behind those that it needs itself; offset and length of their code
ORDERS = {}  # type: ignore[var-annotated]
#: Length and offset of the part that has the modules one by one, for those that are imported later.
SINGLES = {}  # type: ignore[var-annotated]
#: What that part begins with, in this very image.
STAMP = {}  # type: ignore[var-annotated]
#: How often to begin again with the image that has taken this one's place.
AGAIN = 3
PACKAGE = __file__.rpartition("/")[0].rpartition("/")[0]


class Image:
    """Finds the modules of the image.  A source that has changed since is left to the ordinary import."""

    @staticmethod
    def find_spec(name, path=None, target=None):  # type: ignore[no-untyped-def]  # noqa: ARG004
        entry = MODULES.get(name)
        if entry is None or is_stale(entry):  # type: ignore[no-untyped-call]
            return None
        file, package = PACKAGE + "/" + entry[0], entry[1]
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
        exec(loads(SINGLE[offset : offset + length]), module.__dict__)


def is_stale(entry):  # type: ignore[no-untyped-def]
    """Whether the source has changed; in an installed package it is not even asked."""
    file, _, size, mtime = entry[:4]
    if mtime < 0:
        return False
    try:
        found = stat(PACKAGE + "/" + file)
    except FileNotFoundError:
        return True
    return found.st_mtime_ns != mtime or found.st_size != size


def begin_again():  # type: ignore[no-untyped-def]
    """The interpreter has read the beginning of another image than is there now: an update has replaced it between."""
    times = int(sys._xoptions.get("pyrunc_again", 0)) + 1
    if times > AGAIN:
        write(2, f"pyrunc: {__file__}: the start-up image is damaged (install pyrunc again)\n".encode())
        _exit(1)
    arguments = sys.orig_argv[3:] if times > 1 else sys.orig_argv[1:]
    execv(sys.orig_argv[0], [sys.orig_argv[0], "-X", f"pyrunc_again={times}", *arguments])


def preload(names, together):  # type: ignore[no-untyped-def]
    """What ``import`` would do with each name, as far as our modules can tell.

    All modules exist before the first is executed, so that packages hold their members and circles close.
    """
    if any(is_stale(MODULES[name]) for name in names):  # type: ignore[no-untyped-call]
        return
    modules = sys.modules
    for name in names:
        module = modules[name] = Module(name)
        namespace = module.__dict__
        file = namespace["__file__"] = PACKAGE + "/" + MODULES[name][0]
        if MODULES[name][1]:
            namespace["__path__"] = [file.rpartition("/")[0]]
            namespace["__package__"] = name
        else:
            namespace["__package__"] = name.rpartition(".")[0]
    for name in names:
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, modules[name])
    for name, body in zip(names, loads(together)):  # noqa: B905
        exec(body, modules[name].__dict__)


Module = type(sys)
sys.meta_path.insert(0, Image)
sys.path.insert(0, PACKAGE.rpartition("/")[0])
_command = next((word for word in sys.argv[1:] if word in ORDERS), None)
_names, _offset, _length = ORDERS.get(_command, ([], 0, 0))
# Read at once, before an update of pyrunc replaces it, and closed at once: an open descriptor could be taken for one of
# the caller's (--preserve-fds).
_file = open(__file__, O_RDONLY | O_CLOEXEC)
_together = pread(_file, _length, _offset)
SINGLE = memoryview(pread(_file, *SINGLES))
close(_file)
if SINGLE[: len(STAMP)] != STAMP or (len(SINGLE), len(_together)) != (SINGLES[0], _length):
    begin_again()  # type: ignore[no-untyped-call]
if _names:
    preload(_names, _together)  # type: ignore[no-untyped-call]

from pyrunc.cli.lean import main  # noqa: E402

_exit(main(sys.argv[1:]))
