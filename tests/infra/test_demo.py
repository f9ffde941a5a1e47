"""The demonstration keeps what it asks about in one step within one day of the log."""

from datetime import UTC, datetime

import pytest

from infra.local.demo import SEND_SECONDS, seconds_to_wait


@pytest.mark.parametrize("second", [0, 1, 59])
def test_it_waits_out_the_last_minute_of_a_day(second: int) -> None:
    now = datetime(2026, 11, 26, 23, 59, second, 500_000, tzinfo=UTC)
    assert 60 - second <= seconds_to_wait(now) < SEND_SECONDS + 1.5


@pytest.mark.parametrize(("hour", "minute"), [(0, 0), (12, 30), (23, 58)])
def test_it_goes_on_at_once_by_day(hour: int, minute: int) -> None:
    assert seconds_to_wait(datetime(2026, 11, 26, hour, minute, 59, tzinfo=UTC)) == 0
