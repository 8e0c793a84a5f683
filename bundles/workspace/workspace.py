"""Two runs, one after the other, each with an empty workspace."""

import pyrunc

seen = []
for write in (True, False):
    with pyrunc.Sandbox(workspace="/work") as box:
        if write:
            box.run(["touch", "sentinel.txt"], check=True)  # the workspace is where programs start
        seen.append(box.listdir("/work"))
print(f"the first run has {seen[0]}, the second {seen[1]}")
