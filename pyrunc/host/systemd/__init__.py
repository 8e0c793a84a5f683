"""systemd over its D-Bus: where it is reached, how it is spoken to, what is asked of it for a container's unit.

Imported only where systemd manages a container's cgroups.  jeepney, which puts messages into bytes and back, is found
by whoever is in this package.
"""

from pyrunc.host import site

site.add()
