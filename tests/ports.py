"""Ports for the tests that start servers: no two of them get the same, in no process."""

import atexit
import socket
import sys
from contextlib import ExitStack

HELD = ExitStack()
atexit.register(HELD.close)


def free_ports(count: int) -> list[int]:
    """Different loopback ports on which nobody listens; they stay reserved until this process ends.

    On Linux a server may listen where another socket is bound, as long as that one does not listen
    and both set SO_REUSEADDR; but nobody who asks for any port is given it. Elsewhere it may not.
    """
    return [_held() for _ in range(count)]


def _held() -> int:
    probe = HELD.enter_context(socket.socket())
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    port: int = probe.getsockname()[1]
    if sys.platform != "linux":
        probe.close()
    return port
