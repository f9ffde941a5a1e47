"""Ports for the tests that start whole servers."""

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Different loopback ports that nobody listens on at the moment."""
    with ExitStack() as probes:
        found = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in found]
