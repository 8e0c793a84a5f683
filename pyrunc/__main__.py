"""Entry of the command line; the launcher runs ``python -I -S -X utf8 …/pyrunc/__main__.py ARGUMENTS``.

A script's own bytecode is never cached, so this file holds no more than the way to ``pyrunc.cli.lean``.
"""

import posix
import sys

if not __package__:  # run as a script, isolated: nothing has put the package on the path
    sys.path.insert(0, __file__.rpartition("/")[0].rpartition("/")[0] or ".")

from pyrunc.cli.lean import main

# Finalising the interpreter takes milliseconds and has nothing to do: output goes through write(2).
posix._exit(main(sys.argv[1:]))
