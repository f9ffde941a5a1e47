"""What the list says of the nights that it compares."""

from datetime import UTC, date, datetime

import pytest

from dashboard.components.list_filters import comparison_text
from dashboard.data.nights import Night
from include.scoring.earlier import EarlierNight, Span

LAST_NIGHT = EarlierNight("night", date(2026, 11, 25), "4")
LAST_WEEK = EarlierNight("week", date(2026, 11, 19), "3")


@pytest.mark.parametrize(
    ("compared", "span", "told"),
    [
        ((LAST_NIGHT,), "night", "compared with 25 Nov 2026."),
        ((LAST_NIGHT,), "week", "since last week: unknown, nobody was scored then."),
        (
            (LAST_NIGHT, LAST_WEEK),
            "week",
            "not compared, for the scores of 19 Nov 2026 are another version's (3, now 4).",
        ),
    ],
)
def test_what_is_not_compared_is_said(
    compared: tuple[EarlierNight, ...], span: Span, told: str
) -> None:
    night = Night(datetime(2026, 11, 26, 3, tzinfo=UTC), "4", 10, ("high",), compared)
    assert comparison_text(night, span).endswith(told)
