"""Disks without room: for bytes alone, and for names, too."""

from pathlib import Path

import pytest


def fill_bytes(disk: Path) -> Path:
    """What leaves no room for a byte more."""
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler


def fill(disk: Path) -> list[Path]:
    """All that leaves room for no byte and no file."""
    found = [fill_bytes(disk)]
    with pytest.raises(OSError, match="No space"):
        for number in range(10_000):
            found.append(disk / f"file-{number}")
            found[-1].touch()
    return found[:-1]
