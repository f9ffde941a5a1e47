"""Small files of the stack, written so that a reader sees all of them or nothing."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file under another name and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "w") as output:
            output.write(text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def kept_secret(path: Path) -> str:
    """A secret that is made once and readable by its owner alone."""
    if not path.exists():
        write_whole(path, secrets.token_urlsafe(24), mode=0o600)
    return path.read_text()
