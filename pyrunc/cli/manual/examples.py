"""The examples of the pages: commands for a shell, which tests/root/test_manual.py runs as they stand."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    #: What there is before the first example of a page: a directory ``bundle`` with a bundle whose process sleeps, and
    #: from ``created`` on a container ``box`` of it; ``private`` runs with an ephemeral rootfs, ``short`` has a
    #: process that ends at once.
    Setting = Literal["nothing", "bundle", "short", "created", "running", "paused", "private"]


class Example:
    __slots__ = ("lines", "text")

    def __init__(self, text: str, *lines: str) -> None:
        self.text = text
        self.lines = lines


class Examples:
    __slots__ = ("setting", "shown")

    def __init__(self, setting: Setting, *shown: Example) -> None:
        self.setting: Setting = setting
        self.shown = shown


#: Command, or "" for the program -> its examples.
EXAMPLES: Final = {
    "": Examples(
        "bundle",
        Example(
            "The life of a container, step by step:",
            "pyrunc create --bundle bundle box",
            "pyrunc start box",
            "pyrunc state box",
            "pyrunc kill box KILL",
            "pyrunc delete box",
        ),
        Example("A program in a container of its own, without a bundle:", "pyrunc sandbox -- echo hello"),
    ),
    "create": Examples(
        "bundle",
        Example("Create a container, look at it, and start it:",
                "pyrunc create --bundle bundle --pid-file box.pid box",
                "ps -o pid,args -p $(cat box.pid)",
                "pyrunc start box"),
    ),
    "start": Examples("created", Example("", "pyrunc start box")),
    "run": Examples(
        "short",
        Example("Run a container to its end, and delete it:", "pyrunc run --bundle bundle box"),
        Example("Again, with a /tmp of its own:", "pyrunc --private-tmp run --bundle bundle box"),
        Example("Leave it alone, and look later how it is:",
                "pyrunc run --detach --bundle bundle box </dev/null >box.log 2>&1",
                "pyrunc state box"),
    ),
    "state": Examples("running", Example("", "pyrunc state box")),
    "kill": Examples(
        "running",
        Example("Ask whether a signal could be sent:", "pyrunc kill box 0"),
        Example("Let it reload, by three names of the same signal:",
                "pyrunc kill box HUP", "pyrunc kill box sighup", "pyrunc kill box 1"),
        Example("End all of it:", "pyrunc kill --all box KILL"),
    ),
    "delete": Examples("running", Example("Whatever it is doing:", "pyrunc delete --force box")),
    "pause": Examples("running", Example("", "pyrunc pause box", "pyrunc list", "pyrunc resume box")),
    "resume": Examples("paused", Example("", "pyrunc resume box")),
    "update": Examples(
        "running",
        Example("See first what would be written:", "pyrunc update --memory 64m --pids-limit 100 --plan box"),
        Example("Write it:", "pyrunc update --memory 64m --pids-limit 100 box"),
        Example("As JSON, from standard input:",
                """echo '{"pids": {"limit": 50}}' | pyrunc update --resources - box"""),
    ),
    "events": Examples("running", Example("What the container uses now:", "pyrunc events --stats box")),
    "checkpoint": Examples(
        "running",
        Example("See what CRIU would be asked:", "pyrunc checkpoint --plan box"),
        Example("Keep the container as it is now, and let it go on, where CRIU knows this kernel:",
                "if criu check 2>/dev/null; then",
                "    pyrunc checkpoint --image-path images --leave-running box",
                "fi"),
    ),
    "restore": Examples(
        "running",
        Example("Stop a container, and let it go on where it was, where CRIU knows this kernel:",
                "if criu check 2>/dev/null; then",
                "    pyrunc checkpoint --image-path images box",
                "    pyrunc restore --detach --bundle bundle --image-path images box </dev/null >box.log 2>&1",
                "fi"),
    ),
    "diff": Examples(
        "private",
        Example("", "pyrunc exec box touch /etc/new", "pyrunc diff box"),
    ),
    "commit": Examples(
        "private",
        Example("An image layer, in a file and in a pipe:",
                "pyrunc exec box touch /etc/new",
                "pyrunc commit box layer.tar",
                "pyrunc commit box - | tar --list"),
        Example("The same in a directory:", "mkdir changes", "pyrunc commit box changes/"),
    ),
    "exec": Examples(
        "running",
        Example("A command, with the container's user and environment:", "pyrunc exec box ls -l /"),
        Example("As somebody else:", "pyrunc exec --user 1000:1000 --env LANG=C --cwd /tmp box id"),
        Example("In the background:",
                "pyrunc exec --detach --pid-file helper.pid box sleep 60 </dev/null >helper.log 2>&1"),
    ),
    "sandbox": Examples(
        "nothing",
        Example("", "pyrunc sandbox -- echo hello"),
        Example("With a directory to work in, a file of the host, and a limit:",
                "date >input",
                "pyrunc sandbox --workspace /work --file $PWD/input:/work/input --memory 128m -- cat input"),
        Example("What it is made of:", "pyrunc sandbox --workspace /work --print-config"),
    ),
    "list": Examples(
        "running",
        Example("", "pyrunc list"),
        Example("Delete all containers:", "for id in $(pyrunc list --quiet); do pyrunc delete --force $id; done"),
    ),
    "ps": Examples(
        "running",
        Example("", "pyrunc ps box"),
        Example("With columns of your choice:", "pyrunc ps box -o pid,etime,args"),
        Example("For a program:", "pyrunc ps --format json box"),
    ),
    "spec": Examples("nothing", Example("", "mkdir -p new/rootfs", "pyrunc spec --bundle new",
                                        "pyrunc validate --bundle new")),
    "validate": Examples("bundle", Example("", "pyrunc validate --bundle bundle && echo fine")),
    "plan": Examples(
        "bundle",
        Example("", "pyrunc plan bundle"),
        Example("What an option changes:", "pyrunc plan bundle >without",
                "pyrunc --private-tmp plan bundle | diff without - || true"),
    ),
    "features": Examples("nothing", Example("", "pyrunc features")),
    "setup": Examples(
        "nothing",
        Example("See what would be written for podman:", "pyrunc setup --dry-run podman"),
        Example("Have it in the rootless docker of this user, and take it out again:",
                "pyrunc setup --user docker", "pyrunc setup --user --remove docker"),
    ),
    "doctor": Examples("nothing", Example("", "pyrunc doctor || echo 'there is something to do'")),
    "completion": Examples(
        "nothing",
        Example("In this shell, now:", 'eval "$(pyrunc completion bash)"'),
        Example("For a user, from the next shell on:",
                "mkdir -p ~/.local/share/bash-completion/completions",
                "pyrunc completion bash >~/.local/share/bash-completion/completions/pyrunc"),
    ),
    "explain": Examples(
        "nothing",
        Example("What to do about an error:", "pyrunc explain 'box: container does not exist'"),
        Example("The last one:", "pyrunc state box 2>&1 | pyrunc explain -"),
        Example("All there are:", "pyrunc explain"),
    ),
}  # fmt: skip
