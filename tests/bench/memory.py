"""What a process has needed at most."""

import re
from pathlib import Path


def peak_mib() -> float:
    """This process's largest resident memory in MiB, on Linux.

    Not `getrusage`: its figure starts from what the parent had when it forked.
    """
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    if found is None:
        raise SystemExit("/proc/self/status names no VmHWM: memory is measured on Linux alone")
    return int(found[1]) / 1024
