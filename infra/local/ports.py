"""The stack's ports: checked before anything starts, so that nothing is ever half up."""

import errno
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Port:
    """A port of the stack: what listens there, and the variable that moves it."""

    name: str
    number: int
    variable: str

    @property
    def url(self) -> str:
        """Where it is found."""
        return f"http://{HOST}:{self.number}"


def port_faults(ports: Sequence[Port]) -> list[str]:
    """One sentence for each port that the stack cannot have."""
    counts = Counter(port.number for port in ports)
    shared = [port for port in ports if counts[port.number] > 1]
    faults = [
        f"port {p.number} is given to {p.name} and to another: change {p.variable}" for p in shared
    ]
    return faults + [fault for port in ports if port not in shared and (fault := _fault(port))]


def _fault(port: Port) -> str | None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past ones may linger
            probe.bind((HOST, port.number))
        return None
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        by = f"is in use by {_holder(port.number)}" if in_use else f"is refused ({error.strerror})"
    return f"port {port.number}, for {port.name}, {by}: set {port.variable} to another port"


def _holder(number: int) -> str:
    """The process that listens there, as far as this user may see it."""
    for process in psutil.process_iter(["pid", "name"]):
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.Error:  # somebody else's, or gone
            continue
        for connection in connections:
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == number:
                return f"{process.info['name']} (process {process.pid})"
    return "somebody whose processes this user may not see"
