"""What a server's processes need over time, and whether it grows."""

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from scipy.stats import theilslopes

from research.figures import INKS, legend_below, panels, set_style
from tests.bench.loader import write
from tests.webapp.conftest import Server

FEWEST_SAMPLES = 10
# What may be added in an hour or, as a start is never quite over, in a shorter run.
LIMITS = {"memory, MiB": 16.0, "open files": 16.0, "threads": 4.0}
DISK = {"spool on disk, MiB": 16.0, "metric files, MiB": 1.0}
LIMITS |= DISK


@dataclass
class Watch:
    """Samples by measure, role and process: no series crosses a process's start."""

    server: Server
    warm_up_seconds: float
    series: dict[tuple[str, str, int], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    largest_tree_mib: float = 0.0

    def look(self) -> None:
        """One sample of each, or none of what ends meanwhile."""
        assert self.server.process is not None
        master = psutil.Process(self.server.process.pid)
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            workers, tree = by_age(self.server), [master, *master.children(recursive=True)]
            roles = [("master", master), ("older worker", workers[0])]
            roles += [("shipper", each) for each in tree[1:] if each not in workers]
            for role, process in roles:
                memory = process.memory_info().rss / 2**20
                found = (memory, process.num_fds(), process.num_threads())
                for measure, value in zip(LIMITS, found, strict=False):
                    self._note(measure, role, process.pid, value)
            whole = sum(each.memory_info().rss for each in tree) / 2**20
            self.largest_tree_mib = max(self.largest_tree_mib, whole)
            folders = (self.server.spool, *self.server.var_dir.glob("churn-metrics-*"))
            for measure, folder in zip(DISK, folders, strict=True):
                size = sum(path.stat().st_size for path in folder.iterdir())
                self._note(measure, "", 0, size / 2**20)

    def _note(self, measure: str, role: str, pid: int, value: float) -> None:
        self.series[measure, role, pid].append((time.monotonic(), value))

    def report(self) -> list[str]:
        """Print each slope of what lived longest; returns those that are too steep."""
        write(f"change an hour with its 95 % interval, after {self.warm_up_seconds:.0f} s")
        steep = []
        for (measure, role), values in sorted(self._longest().items()):
            times, found = np.array(values).T
            warm = times >= times[0] + self.warm_up_seconds
            name = f"{measure:18} {role:12}"
            if warm.sum() < FEWEST_SAMPLES:
                write(f"  {name} lives too shortly")
                continue
            hours = (times[warm] - times[0]) / 3600
            limit = LIMITS[measure] / min(1.0, hours[-1] - hours[0])
            slope, _, low, high = theilslopes(found[warm], hours, alpha=0.95)
            shown = f"{slope:+9.2f} [{low:+9.2f}, {high:+9.2f}]"
            write(f"  {name} {found[warm][0]:7.1f} {shown}, limit {limit:.0f}")
            if low > limit:
                steep.append(f"{measure} {role}: {shown} an hour, the limit is {limit:.0f}")
        return steep

    def draw(self, path: Path) -> None:
        """A panel a measure, over minutes, with a line for each process that lived longest."""
        set_style()
        figure, axes = panels(3, rows=2, height=2.4)
        roles = sorted({role for _, role in self._longest() if role})
        for axis, measure in zip(axes, LIMITS, strict=False):
            for (found, role), values in sorted(self._longest().items()):
                if found == measure:
                    times, heights = np.array(values).T
                    ink = INKS[roles.index(role)] if role else INKS[-1]
                    axis.plot((times - times[0]) / 60, heights, color=ink, label=role)
            axis.set(title=measure, xlabel="minutes", ylim=(0, None))
        for spare in axes[len(LIMITS) :]:
            spare.set_axis_off()
        legend_below(figure, axes[:1], columns=len(roles))
        figure.savefig(path)
        write(f"drawn into {path}")

    def _longest(self) -> dict[tuple[str, str], list[tuple[float, float]]]:
        by_length = sorted(self.series.items(), key=lambda item: len(item[1]))
        return {key[:2]: values for key, values in by_length}


def by_age(server: Server) -> list[psutil.Process]:
    """The workers, the oldest first."""
    return sorted(map(psutil.Process, server.workers()), key=psutil.Process.create_time)
