"""The smallest memory limit under which each runtime starts a static program: ``python -m tests.bench.smallest``.

Found by bisection, in pages, each limit tried several times.  On v1 or v2, as root; crun needs cgroup v2.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.support import programs
from tests.support.bundles import Bundle
from tests.support.command import run

PAGE = 4096
TRIES = 3


def starts(runtime: str, bundle: Bundle, root: Path, limit: int) -> bool:
    """Does the program run to its end each time, with at most ``limit`` bytes and no swap?"""
    bundle.edit(linux__resources={"memory": {"limit": limit, "swap": limit}})
    for number in range(TRIES):
        name = f"smallest-{os.getpid()}-{limit}-{number}"
        done = run(runtime, "--root", root, "run", "--bundle", bundle, name, status=None)
        if done.status:
            run(runtime, "--root", root, "delete", "--force", name, status=None)
            return False
    return True


def smallest(runtime: str, bundle: Bundle, root: Path) -> int | None:
    """In bytes, None where 16 MiB are not enough."""
    low, high = 0, 4096  # the answer is in (low, high] pages
    if not starts(runtime, bundle, root, high * PAGE):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if starts(runtime, bundle, root, middle * PAGE):
            high = middle
        else:
            low = middle
    return high * PAGE


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.smallest", description=__doc__)
    default = [str(Path(sys.prefix, "bin", "pyrunc")), "runc", "crun"]
    parser.add_argument("runtimes", nargs="*", default=default, metavar="RUNTIME")
    with tempfile.TemporaryDirectory(prefix="pyrunc-smallest-") as folder:
        bundle = Bundle(Path(folder, "bundle")).args("/bin/static")
        program = bundle.rootfs / "bin/static"
        program.write_bytes(programs.static("true", Path(__file__).parent).read_bytes())
        program.chmod(0o755)
        for number, name in enumerate(parser.parse_args().runtimes):
            runtime = shutil.which(name, path=programs.PATH)
            if runtime is None:
                sys.exit(f"{name} is not installed")
            found = smallest(runtime, bundle, Path(folder, f"state{number}"))
            print(Path(runtime).name, "does not start it" if found is None else f"{found >> 10} KiB", flush=True)


if __name__ == "__main__":
    main()
