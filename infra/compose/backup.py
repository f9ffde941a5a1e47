"""`make backup`: the databases and the object store of the running stack, into one directory.

python3 -m infra.compose.backup [--to DIRECTORY]

It holds customers.sql.gz, airflow.dump, mlflow.dump, store.tar, and manifest.json with the SHA-256
of each. Not in it: .env (keep that where you keep secrets), metrics, and answers that the API has
not shipped yet; those stay on its volume and are in the next backup.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tarfile
import time
from pathlib import Path

from infra.compose.command import PROJECT, Compose, ComposeError, say
from infra.compose.databases import DATABASES

MANIFEST = "manifest.json"
FORMAT = 1
STORE_JOB = tuple("run --rm -T --no-deps store-init python -m infra.compose.objects".split())
CHUNK_BYTES = 2**20
POINTER = "champion/current.json"
STORE = "store.tar"


def main() -> int:
    """The command line; 1 when there is no whole backup."""
    parser = argparse.ArgumentParser(prog="make backup", description=__doc__)
    stamp = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    parser.add_argument("--to", type=Path, default=PROJECT / "backups" / stamp)
    options = parser.parse_args()
    try:
        written = back_up(Compose(), options.to.resolve())
    except (ComposeError, OSError) as error:
        sys.stderr.write(f"make backup: {error}\n")
        return 1
    say(f"backup in {written}")
    return 0


def back_up(compose: Compose, target: Path) -> Path:
    """Write a backup under another name and rename it when it is whole; returns where it is."""
    if target.exists():
        raise ComposeError(f"{target} is there already: choose another --to")
    draft = target.with_name(f".{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    try:
        _write(compose, draft)
        return draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """A file's hash."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def key_mark(id_key: str) -> str:
    """What tells whether CHURN_ID_KEY is the one under which the logs were written."""
    return hashlib.sha256(id_key.encode()).hexdigest()


def _write(compose: Compose, folder: Path) -> None:
    before = compose.run(*STORE_JOB, "champions")
    for each in DATABASES:
        shell = ("exec", "-T", each.service, "bash", "-c")
        _save(compose, folder / each.file, *shell, each.dump)
    _save(compose, folder / STORE, *STORE_JOB, "pack")
    if compose.run(*STORE_JOB, "champions") != before:
        # The registry would know other versions than the store, and number the next one again.
        raise ComposeError("a champion was promoted while the backup was made: make another")
    champion, objects = _look_at_store(folder / STORE)
    manifest = {
        "format": FORMAT,
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "champion": champion,
        "objects": objects,
        "id_key_sha256": key_mark(compose.setting("CHURN_ID_KEY")),
        "files": {
            path.name: {"sha256": sha256_of(path), "size": path.stat().st_size}
            for path in sorted(folder.iterdir())
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    say(f"  champion {champion or 'none'}, {objects} objects in the store")


def _save(compose: Compose, path: Path, *arguments: str) -> None:
    began = time.monotonic()
    with path.open("wb") as file:
        compose.run(*arguments, into=file)
    say(f"  {path.name:18} {path.stat().st_size:>12,} bytes  {time.monotonic() - began:5.1f} s")


def _look_at_store(path: Path) -> tuple[str | None, int]:
    """The version in production and the number of objects; an unreadable tar is an error."""
    champion, objects = None, 0
    with tarfile.open(path) as archive:
        for entry in archive:
            objects += 1
            if entry.name == POINTER:
                content = archive.extractfile(entry)
                assert content is not None
                champion = _version_in(content.read())
    return champion, objects


def _version_in(pointer: bytes) -> str:
    try:
        return str(json.loads(pointer)["version"])
    except (ValueError, KeyError, TypeError):
        return "unreadable"  # the rest is worth a backup all the more


if __name__ == "__main__":
    sys.exit(main())
