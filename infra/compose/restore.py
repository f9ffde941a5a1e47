"""`make restore`: a backup into an empty stack, its hashes checked before anything is touched.

python3 -m infra.compose.restore BACKUP [--replace]

Where there is data already it refuses; --replace stops the stack, deletes that data and goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from infra.compose.backup import (
    FORMAT,
    MANIFEST,
    STORE,
    STORE_JOB,
    key_mark,
    sha256_of,
)
from infra.compose.command import Compose, ComposeError, say
from infra.compose.databases import DATABASES
from infra.compose.up import wait_until_ready

KEEPERS = ("mysql", "postgres", "s3")
HEALTHY_SECONDS = 300
STORE_DATA = "/data"  # where the service s3 keeps its files
SPACE_FACTOR = 2  # rows, their indexes and the log of writing them, for each byte of SQL


def main() -> int:
    """The command line; 1 when nothing, or not all, was restored."""
    parser = argparse.ArgumentParser(prog="make restore", description=__doc__)
    parser.add_argument("backup", type=Path, help="the directory of a backup")
    parser.add_argument("--replace", action="store_true", help="delete what the stack holds now")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        compose = Compose()
        restore(compose, options.backup, replace=options.replace)
        compose.show("up", "-d")
        wait_until_ready(compose, began=began)
    except (ComposeError, OSError) as error:
        sys.stderr.write(f"make restore: {error}\n")
        return 1
    say(f"restored in {time.monotonic() - began:.0f} s")
    return 0


def check(folder: Path) -> dict[str, Any]:
    """The manifest of a backup that is whole; ComposeError names the file that is not."""
    path = folder / MANIFEST
    if folder.is_file():
        raise ComposeError(f"{folder} is no directory: unpack it first, with `tar -xf`")
    if not path.is_file():
        raise ComposeError(f"{folder} is no whole backup: it has no {MANIFEST}")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ComposeError(f"{path} is damaged, nothing was restored: {error}") from error
    if manifest.get("format") != FORMAT:
        raise ComposeError(
            f"{path} has format {manifest.get('format')!r}, this version reads {FORMAT}"
        )
    for name in (*(each.file for each in DATABASES), STORE):
        expected = manifest["files"].get(name, {}).get("sha256", "no such file")
        file = folder / name
        found = sha256_of(file) if file.is_file() else "nothing"
        if found != expected:
            raise ComposeError(
                f"{file} has SHA-256 {found}, the manifest expects {expected}: this backup is "
                "damaged, nothing was restored"
            )
    return manifest


def restore(compose: Compose, folder: Path, *, replace: bool = False) -> None:
    """Fill databases and store from a checked backup; the rest of the stack stays stopped.

    Nothing is deleted before it is known that each part can be read and written to its end.
    """
    manifest = check(folder)
    if manifest["id_key_sha256"] != key_mark(compose.setting("CHURN_ID_KEY")):
        say(
            "  note: CHURN_ID_KEY is not the backup's; new log entries get other customer keys. "
            "Keep the backup's in CHURN_FORMER_ID_KEYS, or nobody's older ones can be erased"
        )
    keepers = [each for each in compose.services() if each in KEEPERS]
    compose.run("up", "-d", *keepers)
    wait_until_ready(compose, began=time.monotonic(), seconds=HEALTHY_SECONDS, only=keepers)
    compose.run("run", "--rm", "-T", "--no-deps", "store-init")  # the store can be written
    held = contents(compose)
    if any(held.values()) and not replace:
        raise ComposeError(f"{_described(held)}: ARGS=--replace deletes that and goes on")
    check_space(compose, needs(compose, folder))
    if any(held.values()):
        compose.run("stop", *(each for each in compose.services() if each not in keepers))
    _fill(compose, folder)
    say(f"  champion {manifest['champion'] or 'none'}, {manifest['objects']} objects in the store")


def contents(compose: Compose) -> dict[str, int]:
    """How many tables and objects there are."""
    counts = {
        f"tables of {each.name}": int(_shell(compose, each.service, each.tables))
        for each in DATABASES
    }
    counts["objects in the store"] = int(compose.run(*STORE_JOB, "count").split()[-1])
    return counts


def needs(compose: Compose, folder: Path) -> list[tuple[str, str, int]]:
    """Service, directory and bytes that each part will need; ComposeError where one is unreadable.

    Databases are dropped before they are filled: what they hold now is room for them.
    """
    found = []
    for each in DATABASES:
        size = _reading(compose, folder / each.file, *_bash(each.service, each.unpacked))
        held = int(_shell(compose, each.service, each.held_bytes))
        found.append((each.service, each.data, size * SPACE_FACTOR - held))
    size = _reading(compose, folder / STORE, *STORE_JOB, "check")
    if "s3" in compose.services():
        found.append(("s3", STORE_DATA, size))
    return found


def check_space(compose: Compose, wanted: list[tuple[str, str, int]]) -> None:
    """ComposeError unless each disk has room for all that goes there."""
    free: dict[tuple[str, str], int] = {}
    needed: Counter[tuple[str, str]] = Counter()
    for service, directory, size in wanted:
        told = compose.run("exec", "-T", service, "df", "-Pk", directory).decode()
        device, blocks, _, available, *_ = told.splitlines()[-1].split()
        free[device, blocks] = int(available) * 1024
        needed[device, blocks] += max(0, size)
    for disk, size in needed.items():
        if size > free[disk]:
            raise ComposeError(
                f"the disk {disk[0]} of the stack has {free[disk]:,} bytes free, the backup needs "
                f"about {size:,}: nothing was deleted. Free some, or restore to another machine"
            )


def _bash(service: str, script: str) -> tuple[str, ...]:
    return ("exec", "-T", service, "bash", "-c", script)


def _shell(compose: Compose, service: str, script: str) -> bytes:
    return compose.run(*_bash(service, script))


def _reading(compose: Compose, path: Path, *arguments: str) -> int:
    """What a command prints that reads the file to its end: how many bytes are in it."""
    try:
        with path.open("rb") as file:
            return int(compose.run(*arguments, source=file).split()[-1])
    except ComposeError as error:
        raise ComposeError(
            f"{path} cannot be restored here, nothing was deleted: {error}"
        ) from error


def _described(held: dict[str, int]) -> str:
    found = ", ".join(f"{count} {what}" for what, count in held.items() if count)
    return f"the stack is not empty, it holds {found}"


def _fill(compose: Compose, folder: Path) -> None:
    for each in DATABASES:
        for statement in each.renew:
            _shell(compose, each.service, statement)
        _load(compose, folder / each.file, *_bash(each.service, each.load))
    compose.run(*STORE_JOB, "clear")
    _load(compose, folder / STORE, *STORE_JOB, "unpack")


def _load(compose: Compose, path: Path, *arguments: str) -> None:
    began = time.monotonic()
    with path.open("rb") as file:
        compose.run(*arguments, source=file)
    say(f"  {path.name:18} {time.monotonic() - began:5.1f} s")


if __name__ == "__main__":
    sys.exit(main())
