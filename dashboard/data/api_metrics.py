"""The API's live figures: from Prometheus where there is one, else from the API's own /metrics."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from include.errors import ChurnError

WINDOW = "5m"
HTTP_SECONDS = 5.0
# Whoever waits for the first champion asks /ready again and again, and 503 is the right answer.
WAITING = "/ready"
_ASKED = f'http_requests_total{{route!="{WAITING}"'
QUERIES = {
    "rate": f"sum(rate(prediction_requests_total[{WINDOW}]))",
    "p50": "histogram_quantile(0.5, sum by (le) "
    f"(rate(prediction_request_latency_seconds_bucket[{WINDOW}])))",
    "p99": "histogram_quantile(0.99, sum by (le) "
    f"(rate(prediction_request_latency_seconds_bucket[{WINDOW}])))",
    # A status that never occurred has no series, and nothing divided by something is nothing.
    "errors": f'(sum(rate({_ASKED},status=~"5.."}}[{WINDOW}])) or vector(0)) '
    f"/ sum(rate({_ASKED}}}[{WINDOW}]))",
    "refused": f'(sum(rate({_ASKED},status=~"4.."}}[{WINDOW}])) or vector(0)) '
    f"/ sum(rate({_ASKED}}}[{WINDOW}]))",
    "pending": "sum(prediction_log_pending_rows)",
    "lost": "sum(prediction_log_lost_rows_total)",
}


class PrometheusDown(ChurnError):
    """Prometheus did not answer."""


@dataclass(frozen=True)
class LiveFigures:
    """The figures of a window; None where nothing was asked in it."""

    rate: float | None
    p50: float | None
    p99: float | None
    errors: float | None
    refused: float | None
    pending: float | None
    lost: float | None
    window: str | None  # None at the first reading: nothing to compare it with yet
    answered: float | None = None  # since the service began


def parse_exposition(text: str) -> dict[str, float]:
    """Prometheus' text format as sums: by name, by name and status, and by name and bucket."""
    found: dict[str, float] = defaultdict(float)
    for sample in (s for family in text_string_to_metric_families(text) for s in family.samples):
        name, labels = sample.name, sample.labels
        if name == "http_requests_total" and labels.get("route") == WAITING:
            continue
        overall = "le" in labels and "route" not in labels
        found[f"{name}|{labels['le']}" if overall else name] += sample.value
        if "status" in labels:
            found[f"{name}|{labels['status'][0]}xx"] += sample.value
    return found


def live_from_counters(
    now: Mapping[str, float], before: Mapping[str, float | None], *, seconds: float
) -> LiveFigures:
    """Figures of the time between two readings of /metrics."""
    grown = {name: value - (before.get(name) or 0.0) for name, value in now.items()}
    if any(v < 0 for n, v in grown.items() if n.endswith("_total")):  # the API was restarted
        grown = dict(now)
    asked = grown.get("http_requests_total", 0.0)
    return LiveFigures(
        rate=grown.get("prediction_requests_total", 0.0) / seconds if seconds > 0 else None,
        p50=quantile(grown, 0.5),
        p99=quantile(grown, 0.99),
        errors=grown.get("http_requests_total|5xx", 0.0) / asked if asked else None,
        refused=grown.get("http_requests_total|4xx", 0.0) / asked if asked else None,
        pending=now.get("prediction_log_pending_rows"),
        lost=now.get("prediction_log_lost_rows_total", 0.0),
        window=f"the last {seconds:.0f} s" if seconds > 0 else None,
        answered=now.get("prediction_requests_total", 0.0),
    )


def quantile(grown: Mapping[str, float], share: float) -> float | None:
    """A latency's quantile from its histogram, as PromQL's histogram_quantile gives it."""
    prefix = "prediction_request_latency_seconds_bucket|"
    buckets = sorted(
        (float(name.removeprefix(prefix)), count)  # float() knows +Inf
        for name, count in grown.items()
        if name.startswith(prefix)
    )
    if not buckets or buckets[-1][1] <= 0:
        return None
    bounds, counts = zip((0.0, 0.0), *buckets[:-1], strict=True)  # nothing is known above the last
    return float(np.interp(share * buckets[-1][1], counts, bounds))


def live_from_prometheus(url: str) -> LiveFigures:
    """Figures of the last minutes, by PromQL."""
    with httpx.Client(base_url=url.rstrip("/"), timeout=HTTP_SECONDS) as client:
        found = {name: _ask(client, query) for name, query in QUERIES.items()}
    return LiveFigures(**found, window=f"the last {WINDOW.removesuffix('m')} minutes")


def _ask(client: httpx.Client, query: str) -> float | None:
    try:
        answer = client.get("/api/v1/query", params={"query": query})
        answer.raise_for_status()
        rows: list[Any] = answer.json()["data"]["result"]
        value = float(rows[0]["value"][1]) if rows else math.nan
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
        raise PrometheusDown(f"Prometheus at {client.base_url} did not answer: {error}") from error
    return None if math.isnan(value) else value
