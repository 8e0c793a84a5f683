"""The same file of the host in two sandboxes: read-only, and as a private copy."""

import os
from pathlib import Path

import pyrunc

token = Path(__file__).parent / "secrets/token"

with pyrunc.Sandbox(files={token: ("/data/token", "ro")}, user=0) as box:
    print("ro:", box.run(["chmod", "777", "/data/token"], text=True).stderr.strip())
with pyrunc.Sandbox(files={token: ("/data/token", "cow")}, user=0) as box:
    box.run(["chmod", "777", "/data/token"], check=True)
    inside = box.run(["stat", "-c", "%a", "/data/token"], text=True).stdout.strip()
    print(f"cow: {inside} inside, {os.stat(token).st_mode & 0o777:o} outside")
