"""Entry of the command line; the launcher runs ``python -I -S -X utf8 …/pyrunc/__main__.py ARGUMENTS``.

A script's own bytecode is never cached, so this file holds no more than the way to ``pyrunc.cli.lean``.
"""

import os
import sys

if not __package__:  # run as a script, isolated: nothing has put the package on the path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from pyrunc.cli.lean import main

# Finalising the interpreter takes milliseconds and has nothing to do: output goes through os.write.
os._exit(main(sys.argv[1:]))
