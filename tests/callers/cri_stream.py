"""What ``kubectl exec`` and ``kubectl attach`` do with an address that the CRI gave: ``python cri_stream.py URL``.

The standard streams are those of the program in the container, the exit status is its own.  ``--size COLUMNSxROWS``
makes its terminal that large; ``--leave`` goes when the input ends, whatever the program does.  The protocol is
Kubernetes' v4.channel.k8s.io: a binary message is a channel's number and its data.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

if TYPE_CHECKING:
    from collections.abc import Sequence

PROTOCOL = Subprotocol("v4.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS, RESIZE = range(5)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--size")
    parser.add_argument("--leave", action="store_true")
    given = parser.parse_args(words)
    url = given.url.replace("http://", "ws://", 1)
    with connect(url, subprotocols=[PROTOCOL], compression=None, ping_interval=None, proxy=None) as connection:
        if given.size:
            columns, rows = map(int, given.size.split("x"))
            connection.send(bytes([RESIZE]) + json.dumps({"Width": columns, "Height": rows}).encode())
        threading.Thread(target=hand_over, args=[connection, given.leave], daemon=True).start()
        return received(connection)


def hand_over(connection: ClientConnection, leave: bool) -> None:
    """Our input, as it comes; this version of the protocol cannot say that it has ended."""
    try:
        while data := os.read(0, 4096):
            connection.send(bytes([STDIN]) + data)
        if leave:
            connection.close()
    except ConnectionClosed:
        return


def received(connection: ClientConnection) -> int:
    """Print what comes until the other end says how it went, or goes."""
    for message in connection:
        assert isinstance(message, bytes)
        channel, data = message[0], message[1:]
        if channel in (STDOUT, STDERR):
            os.write(channel, data)
        elif channel == STATUS and data:
            return status(json.loads(data))
    return 0


def status(told: Any) -> int:
    """The exit status in a Status of Kubernetes."""
    if told["status"] == "Success":
        return 0
    for cause in (told.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    sys.stderr.write(f"{told['message']}\n")
    return 255


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
