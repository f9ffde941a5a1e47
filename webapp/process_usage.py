"""What a process takes of the machine, as Linux tells it in /proc; elsewhere nothing is known."""

import os
from pathlib import Path
from typing import NamedTuple

# https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, counted from the field after the name
USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM, RESIDENT_PAGES = 11, 12, 13, 14, 21


class Usage(NamedTuple):
    """CPU since the process began, its ended children's included, and memory now."""

    cpu_seconds: float = 0.0
    resident_bytes: int = 0


def usage_of(process_id: int) -> Usage:
    """What a process has used; nothing when there is no such process."""
    try:
        line = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return Usage()
    fields = line.rpartition(")")[2].split()  # the name before it may hold blanks
    ticks = sum(int(fields[i]) for i in (USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM))
    return Usage(
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        resident_bytes=int(fields[RESIDENT_PAGES]) * os.sysconf("SC_PAGE_SIZE"),
    )
