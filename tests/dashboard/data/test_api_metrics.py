"""The API's live figures, reckoned from two readings of its counters."""

import pytest

from dashboard.data.api_metrics import live_from_counters, parse_exposition, quantile


def test_quantiles_and_rates_of_two_readings() -> None:
    name = "prediction_request_latency_seconds_bucket"
    before = parse_exposition("prediction_requests_total 5\n")
    after = parse_exposition(
        f'{name}{{le="0.01"}} 50\n{name}{{le="0.1"}} 100\n{name}{{le="+Inf"}} 100\n'
        'http_requests_total{route="/predict",status="200"} 3\n'
        'http_requests_total{route="/predict",status="503"} 1\n'
        'http_requests_total{route="/ready",status="503"} 20\n'  # no answer was asked for
        "prediction_requests_total 25\n"
    )
    live = live_from_counters(after, before, seconds=10)
    assert (live.rate, live.errors, live.window) == (2.0, 0.25, "the last 10 s")
    assert live.p50 == pytest.approx(0.01)
    assert live.p99 == pytest.approx(0.01 + 0.09 * 49 / 50)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((0, 0, 0), None), ((0, 10, 10), 0.55), ((10, 10, 10), 0.05), ((0, 0, 10), 1.0)],
)
def test_a_quantile_lies_within_its_bucket(
    counts: tuple[int, int, int], expected: float | None
) -> None:
    name = "prediction_request_latency_seconds_bucket|"
    grown = dict(zip((f"{name}0.1", f"{name}1.0", f"{name}+Inf"), counts, strict=True))
    assert quantile(grown, 0.5) == (expected and pytest.approx(expected))
