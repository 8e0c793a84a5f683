"""A conformance suite for any OCI runtime: black box, through the runtime command-line interface alone.

Nothing here imports the project that it is kept in.  ``python -m conformance --help`` says how it is run, README.md how
a case is added.
"""

from __future__ import annotations

#: The version of the runtime specification whose statements are decided.
SPECIFICATION = "1.3.0"
