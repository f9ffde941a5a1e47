"""Prometheus metrics that add up over all workers, the dead ones included."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from webapp.champion.served_champion import ServedChampion
from webapp.process_usage import Usage, usage_of

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own; set by gunicorn.conf.py
ARCHIVE = "dead"  # stands for the process id in the files that hold what dead workers counted
LATENCY_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064),
    *(0.128, 0.256, 0.512, 1.0, 2.5, 5.0, 10.0),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The service's metrics; what the hot path touches is bound once."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._records = Counter("prediction_requests", "Records answered", registry=self.registry)
        self._latency = Histogram(
            "prediction_request_latency_seconds",
            "Time to answer a prediction request",
            buckets=LATENCY_SECONDS,
            registry=self.registry,
        )
        answers = self._counter("prediction_output_distribution", "Answers by label", "label")
        self._negatives, self._positives = answers.labels("0"), answers.labels("1")
        self._reloads = self._counter(
            "champion_reloads",
            "Champions that workers loaded, refused or could not reach",
            "outcome",
        )
        self._lost = _lost_rows(self.registry)
        self._requests = self._counter(
            "http_requests", "Requests by route and status", "method", "route", "status"
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request, by route",
            ["route"],
            buckets=LATENCY_SECONDS,
            registry=self.registry,
        )
        self._define_gauges()
        self._define_usage()
        self._bound: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._version: str | None = None

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _define_gauges(self) -> None:
        self._loaded = Gauge(
            "model_loaded",
            "1 when every worker has a champion",
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self._info = Gauge(
            "champion_info",
            "1 for the version that serves",
            ["version"],
            registry=self.registry,
            multiprocess_mode="livemostrecent",
        )
        self._trained = Gauge(
            "champion_trained_timestamp_seconds",
            "When the serving champion was made",
            registry=self.registry,
            multiprocess_mode="livemostrecent",
        )
        self._loaded.set(0)

    def _define_usage(self) -> None:
        self._cpu = self._counter(
            "process_cpu_seconds", "CPU time of the workers and the shipper, the dead ones included"
        )
        self._resident = Gauge(
            "process_resident_memory_bytes",
            "Memory of the workers and the shipper; pages that they share count in each",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._largest = Gauge(
            "process_resident_memory_max_bytes",
            "Memory of the largest of these processes",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._counted_cpu_seconds = 0.0

    def answered(self, *, rows: int, positives: int, seconds: float) -> None:
        """Count an answered prediction request."""
        self._records.inc(rows)
        self._latency.observe(seconds)
        if positives:
            self._positives.inc(positives)
        if rows > positives:
            self._negatives.inc(rows - positives)

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request of any kind."""
        bound = self._bound.get((method, route, status))
        if bound is None:
            known = method if method in METHODS else "other"
            bound = (
                self._requests.labels(known, route, str(status)),
                self._durations.labels(route),
            )
            if method == known:
                self._bound[method, route, status] = bound
        bound[0].inc()
        bound[1].observe(seconds)

    def reloaded(self, outcome: str, champion: ServedChampion | None) -> None:
        """Count what came of a look at the pointer, and show the champion that serves since."""
        self._reloads.labels(outcome).inc()
        if champion is None:
            return
        if self._version not in {None, champion.version}:
            self._info.labels(self._version).set(0)
        self._version = champion.version
        self._info.labels(champion.version).set(1)
        self._trained.set(champion.manifest.created_at.timestamp())
        self._loaded.set(1)

    def lost(self, rows: int) -> None:
        """Count answers that the log could not keep."""
        self._lost.inc(rows)

    def measure(self, *, shipper: int | None) -> None:
        """Look at what this worker and the shipper that it started use; one thread's business."""
        own, its = usage_of(os.getpid()), usage_of(shipper) if shipper else Usage()
        # A shipper's time moves to the worker's when it ends: it never counts twice.
        news = own.cpu_seconds + its.cpu_seconds - self._counted_cpu_seconds
        if news > 0:
            self._cpu.inc(news)
            self._counted_cpu_seconds += news
        self._resident.set(own.resident_bytes + its.resident_bytes)
        self._largest.set(max(own.resident_bytes, its.resident_bytes))

    def exposition(self, pending_rows: int) -> bytes:
        """Everything in Prometheus' text format."""
        pending = CollectorRegistry()
        pending.register(_PendingRows(pending_rows))
        return self._counted() + generate_latest(pending)

    def _counted(self) -> bytes:
        directory = os.environ.get(DIRECTORY_VARIABLE)
        if not directory:
            return generate_latest(self.registry)
        with _locked(Path(directory), fcntl.LOCK_SH):
            merged = CollectorRegistry()
            MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
            return generate_latest(merged)


class _PendingRows(Collector):
    """Counted on the disk at each scrape: it belongs to no process, and survives them all."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "prediction_log_pending_rows",
            "Answers on local disk that are not in the store yet",
            value=self._rows,
        )


def _lost_rows(registry: CollectorRegistry) -> Counter:
    return Counter(
        "prediction_log_lost_rows",
        "Answers that the log could not keep: no room on the disk, or damaged there",
        registry=registry,
    )


def count_lost_rows(rows: int) -> None:
    """Count lost answers in a process that has no other metrics."""
    if DIRECTORY_VARIABLE in os.environ:
        _lost_rows(CollectorRegistry()).inc(rows)


def forget_process(process_id: int) -> None:
    """Fold a dead process's counts into the archive and drop its gauges.

    Without it every restarted worker leaves files that each scrape reads for ever.
    """
    directory = Path(os.environ.get(DIRECTORY_VARIABLE, ""))
    if DIRECTORY_VARIABLE not in os.environ or not directory.is_dir():
        return
    with _locked(directory, fcntl.LOCK_EX):
        for path in directory.glob(f"*_{process_id}.db"):
            kind = path.name.removesuffix(f"_{process_id}.db")
            if not kind.startswith("gauge_"):
                _fold(path, directory / f"{kind}_{ARCHIVE}.db")
            path.unlink(missing_ok=True)


def _fold(source: Path, target: Path) -> None:
    archive = MmapedDict(str(target))  # type: ignore[no-untyped-call]
    try:
        for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(source)):  # type: ignore[no-untyped-call]
            before, _ = archive.read_value(key)  # type: ignore[no-untyped-call]
            archive.write_value(key, before + value, timestamp)  # type: ignore[no-untyped-call]
    finally:
        archive.close()  # type: ignore[no-untyped-call]


@contextmanager
def _locked(directory: Path, kind: int) -> Iterator[None]:
    """Scrapes share the lock, folding takes it alone: no count is seen twice or not at all."""
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, kind)
        yield
