"""Eight untrusted programs at the same time, then one that may write to a directory of the host."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyrunc

shared = Path(__file__).parent / "shared"


def task(number: int) -> str:
    """What a program of its own sandbox leaves in its workspace."""
    with pyrunc.Sandbox(workspace="/work", files={shared / "input": "/work/input"}, memory="64m", pids=32) as box:
        box.run(["sh", "-c", f"echo task {number} >result"], check=True, timeout=10)
        return box.read("/work/result").decode().strip()


with ThreadPoolExecutor(8) as pool:
    print(list(pool.map(task, range(1, 9))))

with pyrunc.Sandbox(mounts={shared: ("/shared", "rw")}, user=0) as box:
    box.run(["sh", "-c", "echo done >/shared/report"], check=True)
print(f"the trusted one has left {sorted(path.name for path in shared.iterdir())}")
