"""Asks a server as fast as it answers, over some connections, and measures: wrk, or our own client.

Our own client is one process of Python: it takes more of the machine than wrk, so that ratios to
slow servers come out lower with it. Compare figures of one client only.
"""

import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("{path}")
wrk.body = file:read("*a")
file:close()
"""
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Measured:
    """What one run found; latencies in seconds."""

    requests_per_second: float
    p50: float
    p99: float
    failed: int


def ask(port: int, path: str, *, body: bytes | None, connections: int, seconds: float) -> Measured:
    """Ask one path for so many seconds."""
    if shutil.which("wrk"):
        return _wrk(port, path, body, connections, seconds)
    return _own(port, path, body, connections, seconds)


def client_name() -> str:
    """Which client asks."""
    return (
        "wrk" if shutil.which("wrk") else "the bench's own client (install wrk for finer figures)"
    )


def _wrk(port: int, path: str, body: bytes | None, connections: int, seconds: float) -> Measured:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    command += ["--timeout", "20s"]
    with tempfile.TemporaryDirectory() as home:
        if body is not None:
            content, script = Path(home, "body"), Path(home, "post.lua")
            content.write_bytes(body)
            script.write_text(LUA.format(path=content))
            command += ["-s", str(script)]
        command.append(f"http://127.0.0.1:{port}{path}")
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    failed = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    for found in re.findall(r"Socket errors: (.*)", text):
        failed += sum(map(int, re.findall(r"\d+", found)))
    assert rate, text
    return Measured(float(rate[1]), _percentile(text, "50%"), _percentile(text, "99%"), failed)


def _percentile(text: str, which: str) -> float:
    found = re.search(rf"{which}\s+([\d.]+)(us|ms|s|m)\b", text)
    assert found, text
    return float(found[1]) * UNITS[found[2]]


def _own(port: int, path: str, body: bytes | None, connections: int, seconds: float) -> Measured:
    verb = "GET" if body is None else "POST"
    head = f"{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body or b'')}\r\n\r\n".encode() + (body or b"")
    selector, taken, failed = selectors.DefaultSelector(), [], 0
    started: dict[int, float] = {}
    inbox: dict[int, bytes] = {}
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        selector.register(sock, selectors.EVENT_READ)
        started[sock.fileno()], inbox[sock.fileno()] = time.perf_counter(), b""
        sock.sendall(request)
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for key, _ in selector.select(1):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            data = inbox[key.fd] + sock.recv(2**20)
            if not _whole(data):
                inbox[key.fd] = data
                continue
            now = time.perf_counter()
            taken.append(now - started[key.fd])
            failed += not data.startswith(b"HTTP/1.1 200")
            inbox[key.fd], started[key.fd] = b"", now
            sock.sendall(request)
    elapsed = time.perf_counter() - begun
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    taken.sort()
    return Measured(
        len(taken) / elapsed, taken[len(taken) // 2], taken[len(taken) * 99 // 100], failed
    )


def _whole(data: bytes) -> bool:
    head, separator, rest = data.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return bool(separator and found and len(rest) >= int(found[1]))


def write(line: str = "") -> None:
    """One line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
