"""Finding a C compiler for the tests' own programs; pyrunc's own native part finds its compiler itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path


@cache
def static() -> tuple[str, ...]:
    """The command of a compiler that makes static programs here, () if there is none."""
    candidates = [os.environ["CC"].split()] if os.environ.get("CC") else []
    candidates += [["musl-gcc"], ["cc"], ["gcc"], ["clang"]]
    for words in candidates:
        if shutil.which(words[0]) and _links_statically(words):
            return tuple(words)
    return ()


def _links_statically(words: list[str]) -> bool:
    with tempfile.TemporaryDirectory(prefix="pyrunc-cc-") as folder:
        source = Path(folder, "empty.c")
        source.write_text('#include <linux/types.h>\n#include <stdio.h>\nint main(void) { return puts("") < 0; }\n')
        done = subprocess.run(
            [*words, "-static", "-o", os.path.join(folder, "empty"), os.fspath(source)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0
