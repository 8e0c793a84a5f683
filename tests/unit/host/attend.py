"""A small runtime for the tests: runs a program in the foreground, with -t on a pty of its own."""

from __future__ import annotations

import os
import sys
import termios

sys.path.insert(0, sys.argv.pop(1))

from pyrunc.host import foreground

if sys.argv[1] == "-t":
    master, slave = os.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.ONLCR  # as pyrunc-init leaves it
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    actions = [(os.POSIX_SPAWN_DUP2, slave, fd) for fd in (0, 1, 2)]
    command = ["setsid", "-c", "-w", *sys.argv[2:]]
    pid = os.posix_spawnp("setsid", command, os.environ, file_actions=actions, setsigmask=())
    os.close(slave)
else:
    master = -1
    pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, setsigmask=())
pidfd = os.pidfd_open(pid)
status = foreground.wait(pid, pidfd, master)
os.close(pidfd)
heavy = {"typing", "re", "enum", "ctypes", "socket", "signal", "selectors", "struct"} & set(sys.modules)
sys.exit(99 if heavy else status)
