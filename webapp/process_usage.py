"""What the workers and the shipper take of the machine, together."""

from collections.abc import Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector


class ProcessUsage:
    """CPU time, the dead processes' included, and memory now; only Linux tells them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry)
        self._cpu = Counter(
            "process_cpu_seconds",
            "CPU time of the workers and the shipper, the dead ones included",
            registry=registry,
        )
        self._resident = gauge(
            "process_resident_memory_bytes",
            "Memory of the workers and the shipper; pages that they share count in each",
            multiprocess_mode="livesum",
        )
        self._largest = gauge(
            "process_resident_memory_max_bytes",
            "Memory of the largest of these processes",
            multiprocess_mode="livemax",
        )
        self._counted: dict[int, float] = {}

    def measure(self, processes: Iterable[int]) -> None:
        """Look at a worker and the shipper that it started; one thread's business."""
        found = {process: _read(process) for process in processes}
        spent = {process: usage.get("process_cpu_seconds", 0.0) for process, usage in found.items()}
        for process, seconds in spent.items():
            self._cpu.inc(max(0.0, seconds - self._counted.get(process, 0.0)))
        self._counted = spent
        sizes = [usage.get("process_resident_memory_bytes", 0.0) for usage in found.values()]
        self._resident.set(sum(sizes))
        self._largest.set(max(sizes, default=0.0))


def _read(process: int) -> dict[str, float]:
    metrics = ProcessCollector(registry=None, pid=lambda: process).collect()
    return {metric.name: metric.samples[0].value for metric in metrics}
