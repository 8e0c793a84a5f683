"""A program that calls a CRI plugin: ``python cri_client.py SOCKET``, one call a line of its input, its answer a line.

A process of its own, since gRPC has threads and descriptors that tests of a runtime do not want in theirs.  A call is
``[method, request]``; the answer ``[null, response]`` or ``[code, message]``.  Messages are as JSON has those of
protobuf, with the field names of cri.proto: 64-bit numbers are strings, bytes are base64.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format


def main(socket: str) -> None:
    sys.path.insert(0, str(Path(__file__).parent))  # where protoc looks
    messages, services = grpc.protos_and_services("cri.proto")
    # The name of the other end is the socket's path else, which Go's server does not take for one.
    channel = grpc.insecure_channel(f"unix:{socket}", options=[("grpc.default_authority", "localhost")])
    runtime, images = services.RuntimeServiceStub(channel), services.ImageServiceStub(channel)
    for line in sys.stdin:
        name, request = json.loads(line)
        call = getattr(images if name.startswith("Image") else runtime, name)
        message = json_format.ParseDict(request, getattr(messages, f"{name}Request")())
        print(json.dumps(answered(call, message)), flush=True)


def answered(call: Any, message: Any) -> list[Any]:
    try:
        response = call(message, timeout=120, wait_for_ready=True)
    except grpc.RpcError as error:
        return [error.code().name, error.details()]
    told = json_format.MessageToDict(
        response, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return [None, told]


if __name__ == "__main__":
    main(sys.argv[1])
