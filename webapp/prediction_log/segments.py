"""The spool's segments as files: `<uuid>.open` while written to, then `<uuid>.<rows>.sealed`."""

from pathlib import Path

OPEN, SEALED = ".open", ".sealed"


def segments(directory: Path, *kinds: str) -> list[Path]:
    """The segments of all workers, of both kinds unless told which."""
    found = directory.iterdir() if directory.exists() else ()
    return [path for path in found if path.suffix in (kinds or (OPEN, SEALED))]


def segment_id(path: Path) -> str:
    """A segment's uuid."""
    return path.name.split(".")[0]


def rows_in(path: Path) -> int:
    """How many rows a segment holds: its name says it once it is sealed, until then its lines."""
    if path.suffix == SEALED:
        return int(path.name.split(".")[1])
    try:
        with path.open("rb") as file:
            file.readline()
            return sum(int(line[1 : line.find(b",")]) for line in file if line.endswith(b"\n"))
    except (FileNotFoundError, ValueError):  # just sealed, or damaged
        return 0


def sealed_path(path: Path, rows: int) -> Path:
    """The name of a segment once it is sealed."""
    return path.with_name(f"{segment_id(path)}.{rows}{SEALED}")
