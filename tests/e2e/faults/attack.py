"""Clients without a key that do all they can to be in the way: python -m … KIND PORT HOST.

A process of their own, which tells by a line when all of them are there, and goes on until killed.
"""

import asyncio
import itertools
import resource
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

PAUSE_SECONDS = 0.2
POST = b"POST /predict HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: 15000000\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


async def _drip(writer: asyncio.StreamWriter, byte: bytes) -> None:
    while True:
        writer.write(byte)
        await writer.drain()
        await asyncio.sleep(PAUSE_SECONDS)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send without end, and take what comes back."""
    taking = asyncio.create_task(_take(reader))
    try:
        while not taking.done():
            writer.write(data)
            await writer.drain()
    finally:
        taking.cancel()


async def _take(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


async def slow_heads(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: bytes
) -> None:
    """A byte of a head at a time."""
    writer.write(POST % host + b"X-Slow: ")
    await _drip(writer, b"a")


async def slow_bodies(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: bytes
) -> None:
    """A byte of a body at a time."""
    writer.write(POST % host + LENGTH)
    await _drip(writer, b" ")


async def single_bytes(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: bytes
) -> None:
    """A body in chunks of one byte, as fast as they are taken."""
    writer.write(POST % host + CHUNKED)
    await _pour(reader, writer, b"1\r\n \r\n" * 10_000)


async def pipelined(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: bytes
) -> None:
    """Requests one behind the other, before any is answered."""
    await _pour(reader, writer, b"GET /health HTTP/1.1\r\nHost: %s\r\n\r\n" % host * 200)


async def announced(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: bytes
) -> None:
    """A large body that never comes."""
    writer.write(POST % host + LENGTH)
    await _take(reader)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: bytes) -> None:
    """A connection and no word."""
    await _take(reader)


# How many clients of each kind there are.
KINDS: dict[str, tuple[Attack, int]] = {
    "slow_heads": (slow_heads, 200),
    "slow_bodies": (slow_bodies, 200),
    "single_bytes": (single_bytes, 2),
    "pipelined": (pipelined, 2),
    "announced": (announced, 100),
    "silent": (silent, 3000),
}


async def main(kind: str, port: int, host: bytes) -> None:
    attack, clients = KINDS[kind]
    connected = itertools.count(1)
    there = asyncio.Event()

    async def be_in_the_way() -> None:
        """Again and again: who is cut off comes back."""
        first = True
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                if first and next(connected) == clients:
                    there.set()
                first = False
                with suppress(OSError):
                    await attack(reader, writer, host)
                writer.close()
            await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(be_in_the_way()) for _ in range(clients)]
    await there.wait()
    sys.stdout.write("all are there\n")
    sys.stdout.flush()
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()))
