"""Runs one OCI hook in the runtime namespace (runtime-spec 1.3, config.md, POSIX-platform Hooks).

For prestart, createRuntime, poststart and poststop.  The hooks that run in the container's namespaces are
pyrunc-init's.  What a failure means for the container is the caller's business.
"""

from __future__ import annotations

from pyrunc.errors import OpFailed
from pyrunc.host import child, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def run(
    kind: str,
    path: str,
    args: Sequence[str],
    env: Sequence[str],
    timeout: int,
    state_json: str,
    bundle: str,
    where: str,
) -> None:
    """Run the hook to its end with the state on its stdin; OpFailed unless it exits with 0.

    ``env`` is the whole environment; ``timeout`` is in seconds, 0 for none; ``args`` may be empty, then the
    path stands for it.  It runs in the bundle's directory, as with runc.
    """
    try:
        ended = child.run(
            path, args or (path,), env, state_json.encode("utf-8", "backslashreplace"), timeout or None, bundle
        )
    except OSError as error:
        what = f"error running {kind} hook: {path}"
        raise failure.op_failed(error, what, op="runtime_hook", where=where) from error
    if ended.timed_out:
        how = f"still running after the timeout of {timeout} s, killed"
    elif ended.code:
        how = ended.how
    else:
        return
    said = f"stdout: {ended.stdout}, stderr: {ended.stderr}"
    raise OpFailed(f"error running {kind} hook: {path}: {how}, {said}", op="runtime_hook", where=where)
