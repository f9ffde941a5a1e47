"""`make restore`: a backup into an empty stack, its hashes checked before anything is touched.

python3 -m infra.compose.restore BACKUP [--replace]

Where there is data already it refuses; --replace stops the stack, deletes that data and goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from infra.compose.backup import CHUNK_BYTES, FORMAT, MANIFEST, STORE_JOB, key_mark, sha256_of
from infra.compose.command import Compose, ComposeError, say
from infra.compose.up import wait_until_ready

KEEPERS = ("mysql", "postgres", "s3")
HEALTHY_SECONDS = 300
MYSQL = 'MYSQL_PWD="$MYSQL_PASSWORD" mysql --protocol=tcp -h 127.0.0.1 -u churn churn'
LOAD = f"set -o pipefail; gunzip | {MYSQL}"
POSTGRES = 'PGPASSWORD="$POSTGRES_PASSWORD" psql -h 127.0.0.1 -U postgres -v ON_ERROR_STOP=1 -At'
TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema ="


def main() -> int:
    """The command line; 1 when nothing, or not all, was restored."""
    parser = argparse.ArgumentParser(prog="make restore", description=__doc__)
    parser.add_argument("backup", type=Path, help="the directory, or the tar, of a backup")
    parser.add_argument("--replace", action="store_true", help="delete what the stack holds now")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        compose = Compose()
        with tempfile.TemporaryDirectory(prefix="churn-restore-") as scratch:
            folder = unpacked(options.backup, Path(scratch))
            restore(compose, folder, replace=options.replace)
        compose.show("up", "-d")
        wait_until_ready(compose, began=began)
    except (ComposeError, OSError) as error:
        sys.stderr.write(f"make restore: {error}\n")
        return 1
    say(f"restored in {time.monotonic() - began:.0f} s")
    return 0


def unpacked(backup: Path, scratch: Path) -> Path:
    """The backup as a directory."""
    if backup.is_dir():
        return backup
    if not backup.is_file():
        raise ComposeError(f"there is no backup {backup}")
    with tarfile.open(backup) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            if content is None or "/" in entry.name or entry.name.startswith("."):
                raise ComposeError(f"{backup} is no backup: it holds {entry.name!r}")
            with (scratch / entry.name).open("wb") as file:
                shutil.copyfileobj(content, file, CHUNK_BYTES)
    return scratch


def check(folder: Path) -> dict[str, Any]:
    """The manifest of a backup that is whole; ComposeError names the file that is not."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ComposeError(f"{folder} is no whole backup: it has no {MANIFEST}")
    manifest: dict[str, Any] = json.loads(path.read_text())
    if manifest.get("format") != FORMAT:
        raise ComposeError(
            f"{path} has format {manifest.get('format')!r}, this version reads {FORMAT}"
        )
    for name, expected in manifest["files"].items():
        file = folder / name
        found = sha256_of(file) if file.is_file() else "nothing"
        if found != expected["sha256"]:
            raise ComposeError(
                f"{file} has SHA-256 {found}, the manifest expects {expected['sha256']}: this "
                "backup is damaged, nothing was restored"
            )
    return manifest


def restore(compose: Compose, folder: Path, *, replace: bool = False) -> None:
    """Fill databases and store from a checked backup; the rest of the stack stays stopped."""
    manifest = check(folder)
    if manifest["id_key_sha256"] != key_mark(compose):
        say("  note: CHURN_ID_KEY is not the backup's; new log entries get other customer keys")
    keepers = [each for each in compose.services() if each in KEEPERS]
    compose.run("up", "-d", *keepers)
    wait_until_ready(compose, began=time.monotonic(), seconds=HEALTHY_SECONDS, only=keepers)
    compose.run("run", "--rm", "-T", "--no-deps", "store-init")
    held = contents(compose)
    if any(held.values()):
        if not replace:
            raise ComposeError(f"{_described(held)}: ARGS=--replace deletes that and goes on")
        compose.run("stop", *(each for each in compose.services() if each not in keepers))
        compose.run(*STORE_JOB, "clear")
    _fill(compose, folder)
    say(f"  champion {manifest['champion'] or 'none'}, {manifest['objects']} objects in the store")


def contents(compose: Compose) -> dict[str, int]:
    """How many tables and objects there are."""
    tables = {"customers": _run(compose, "mysql", f"echo \"{TABLES} 'churn'\" | {MYSQL} -N")}
    for name in ("airflow", "mlflow"):
        tables[name] = _run(compose, "postgres", f"{POSTGRES} -d {name} -c \"{TABLES} 'public'\"")
    counts = {f"tables of {name}": int(count) for name, count in tables.items()}
    counts["objects in the store"] = int(compose.run(*STORE_JOB, "count").split()[-1])
    return counts


def _run(compose: Compose, service: str, script: str) -> bytes:
    return compose.run("exec", "-T", service, "sh", "-c", script)


def _described(held: dict[str, int]) -> str:
    found = ", ".join(f"{count} {what}" for what, count in held.items() if count)
    return f"the stack is not empty, it holds {found}"


def _fill(compose: Compose, folder: Path) -> None:
    anew = "DROP DATABASE IF EXISTS churn; CREATE DATABASE churn CHARACTER SET utf8mb4"
    _run(compose, "mysql", f'{MYSQL} -e "{anew}"')
    _load(compose, folder / "customers.sql.gz", "exec", "-T", "mysql", "bash", "-c", LOAD)
    for name in ("airflow", "mlflow"):
        for statement in (
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
            f"CREATE DATABASE {name} OWNER {name}",
        ):
            _run(compose, "postgres", f'{POSTGRES} -c "{statement}"')
        load = (
            f'PGPASSWORD="${name.upper()}_PASSWORD" exec pg_restore -h 127.0.0.1 -U {name} '
            f"-d {name} --no-owner --no-privileges --exit-on-error"
        )
        _load(compose, folder / f"{name}.dump", "exec", "-T", "postgres", "sh", "-c", load)
    _load(compose, folder / "store.tar", *STORE_JOB, "unpack")


def _load(compose: Compose, path: Path, *arguments: str) -> None:
    began = time.monotonic()
    with path.open("rb") as file:
        compose.run(*arguments, source=file)
    say(f"  {path.name:18} {time.monotonic() - began:5.1f} s")


if __name__ == "__main__":
    sys.exit(main())
