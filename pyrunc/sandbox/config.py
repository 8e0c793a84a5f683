"""The text of a config that was made in memory, and that it is valid: checked once for each different one."""

from __future__ import annotations

from pyrunc.spec.jsontext import dumps
from pyrunc.spec.load import load_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.types import Spec

#: The last ones: as they were made, as they were read back from their text, and the text.  Nobody changes them.
#: To compare two is cheap, because what is large in them (the filter) is one object.
_known: list[tuple[Spec, Spec, bytes]] = []
_LIMIT = 16


def valid(config: Spec) -> tuple[Spec, bytes]:
    """The config as it is read from its text, and the text; SpecError with every violation."""
    for made, found, data in _known:
        if made == config:
            return found, data
    data = dumps(config).encode("utf-8", "surrogatepass")
    found = load_spec(data)
    _known.insert(0, (config, found, data))
    del _known[_LIMIT:]
    return found, data
