"""Two sandboxes at the same time; each has a /tmp of its own."""

import pyrunc

with pyrunc.Sandbox(tmp="64m") as one, pyrunc.Sandbox(tmp="64m") as other:
    one.write("/tmp/note", "mine\n")
    print(f"one sees {one.listdir('/tmp')}, the other {other.listdir('/tmp')}")
