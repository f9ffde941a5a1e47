"""Prometheus metrics that add up over all workers, the dead ones included."""

import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from webapp import metric_files
from webapp.champion.served_champion import ServedChampion
from webapp.process_usage import ProcessUsage

LATENCY_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064),
    *(0.128, 0.256, 0.512, 1.0, 2.5, 5.0, 10.0),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The service's metrics."""

    def __init__(self) -> None:
        metric_files.use_files()
        self.registry = CollectorRegistry()
        self.usage = ProcessUsage(self.registry)
        self._version: str | None = None
        self._define_counts()
        self._define_gauges()

    def _define_counts(self) -> None:
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, buckets=LATENCY_SECONDS, registry=self.registry)
        self._records = counter("prediction_requests", "Records answered")
        self._latency = histogram(
            "prediction_request_latency_seconds", "Time to answer a prediction request"
        )
        answers = counter("prediction_output_distribution", "Answers by label", ["label"])
        self._negatives, self._positives = answers.labels("0"), answers.labels("1")
        self._reloads = counter(
            "champion_reloads",
            "Champions that workers loaded, refused, missed the pointer of or could not reach",
            ["outcome"],
        )
        self._lost = _lost_rows(self.registry)
        self._requests = counter(
            "http_requests", "Requests by route and status", ["method", "route", "status"]
        )
        self._durations = histogram(
            "http_request_duration_seconds", "Time to answer a request, by route", ["route"]
        )

    def _define_gauges(self) -> None:
        latest = partial(Gauge, multiprocess_mode="livemostrecent", registry=self.registry)
        self._loaded = Gauge(
            "model_loaded",
            "1 when every worker has a champion",
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self._info = latest("champion_info", "1 for the version that serves", ["version"])
        self._trained = latest(
            "champion_trained_timestamp_seconds", "When the serving champion was made"
        )
        # They belong to no process and survive them all: whoever is asked looks at the disk.
        self._pending = latest(
            "prediction_log_pending_rows", "Answers on local disk that are not in the store yet"
        )
        self._disk_free = latest(
            "churn_disk_free_bytes", "Room on the disk of the spool, for who is not root"
        )
        self._disk_size = latest("churn_disk_size_bytes", "Size of the disk of the spool")

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
        self._requests.labels(method, route, status).inc()
        self._durations.labels(route).observe(seconds)

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

    def exposition(self, *, pending_rows: int, spool_dir: Path) -> bytes:
        """Everything in Prometheus' text format."""
        self._pending.set(pending_rows)
        with suppress(OSError):  # a disk that is gone has no size; the log says so by its losses
            # The first answer makes the spool.
            made = next(each for each in (spool_dir, *spool_dir.parents) if each.exists())
            disk = shutil.disk_usage(made)
            self._disk_free.set(disk.free)
            self._disk_size.set(disk.total)
        return generate_latest(metric_files.AllProcesses(self.registry))


def _lost_rows(registry: CollectorRegistry) -> Counter:
    return Counter(
        "prediction_log_lost_rows",
        "Answers that the log could not keep: no room on the disk, or damaged there",
        registry=registry,
    )


def count_lost_rows(rows: int) -> None:
    """Count lost answers in a process that has no other metrics."""
    metric_files.use_files()
    _lost_rows(CollectorRegistry()).inc(rows)
