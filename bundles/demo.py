"""``./dev demo``: runs bundles/hello with the runtime that was just installed, and says how long it took.

usage: demo.py RUNTIME [--rootless]
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # the interpreter is isolated: nothing else puts the checkout on the path

from bundles import rootfs  # noqa: E402


def main() -> int:
    runtime, *options = sys.argv[1:]
    if options not in ([], ["--rootless"]):
        print("usage: ./dev demo [--rootless]", file=sys.stderr)
        return 2
    rootless = bool(options) or os.geteuid() != 0
    with tempfile.TemporaryDirectory(prefix="pyrunc-demo-") as scratch:
        try:
            bundle = rootfs.copy(HERE / "hello", Path(scratch, "hello"), for_user=rootless)
        except rootfs.BundleError as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
        name = f"demo-{secrets.token_hex(3)}"
        command = [
            runtime,
            "--root",
            os.path.join(scratch, "state"),
            "run",
            "--bundle",
            os.fspath(bundle),
            name,
        ]
        started = time.monotonic()
        status = subprocess.run(command, check=False).returncode
        took = time.monotonic() - started
        if status:
            print(f"demo: {' '.join(command)}: exit status {status}", file=sys.stderr)
            return status
    print(f"From start to deletion it took {took * 1000:.0f} ms.")
    print(f"The host is {os.uname().nodename}; its /tmp has {len(os.listdir('/tmp'))} files.")
    print(f"Try:  {runtime} --help")
    return 0


if __name__ == "__main__":
    sys.exit(main())
