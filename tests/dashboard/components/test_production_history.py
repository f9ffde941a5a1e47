"""Which version served when: what the chart draws, and what its words and table say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.charts import Chart
from dashboard.components.production_history import (
    create_production_history,
    history_text,
    production_chart,
)
from include.champion.history import UNKNOWN, History, Move
from include.target import STATE, Target

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def move(before: str | None, to: str, *, days: float, who: str, why: str = "better") -> Move:
    """A move so many days ago."""
    return Move(moved_at=NOW - timedelta(days=days), before=before, to=to, who=who, why=why)


FIRST = move(None, "9", days=30, who="training run a", why="manual: the first")
SECOND = move("9", "10", days=10, who="training run b")
BACK = move("10", "9", days=1, who="anna", why="moved by anna: <b>complaints</b>")


HORIZON = Target(kind="horizon", gap_days=14, horizon_days=90)
TARGETS = {"9": STATE, "10": HORIZON}


def drawn(*moves: Move) -> dict[str, Any]:
    """The chart's traces by their names, and its lanes."""
    figure = chart(*moves).figure
    traces = {trace.get("name", "steps"): trace for trace in figure["data"]}
    return {**traces, "lanes": figure["layout"]["yaxis"]["categoryarray"]}


def chart(*moves: Move, **targets: Target) -> Chart:
    """The chart; `targets` begin with a v."""
    known = {name.removeprefix("v"): target for name, target in targets.items()}
    return production_chart(History(moves), serving=moves[-1].to, targets=known, now=NOW)


def test_each_time_in_production_is_a_bar_in_its_versions_lane() -> None:
    found = drawn(FIRST, SECOND, BACK)
    assert found["lanes"] == ["9", "10"]
    trained, person = found["Moved by a training run"], found["Moved by a person"]
    assert trained["y"] == ["9", "9", None, "10", "10", None]
    assert trained["x"] == [
        *("2026-10-23 12:00:00", "2026-11-12 12:00:00", None),
        *("2026-11-12 12:00:00", "2026-11-21 12:00:00", None),
    ]
    assert person["x"] == ["2026-11-21 12:00:00", "2026-11-22 12:00:00", None]
    assert found["steps"]["y"] == ["9", "10", "9", "9"]
    assert "By whom is not recorded" not in found


def test_a_reason_is_shown_as_text_and_not_taken_for_markup() -> None:
    (told, *_) = drawn(BACK)["Moved by a person"]["text"]
    assert told == (
        "Version 9, since 2026-11-21 12:00<br>moved by anna: &lt;b&gt;complaints&lt;/b&gt;"
    )
    page = str(create_production_history(History((BACK,)), serving="9", targets=TARGETS, now=NOW))
    assert "moved by anna: <b>complaints</b>" in page and "24 h" in page


@pytest.mark.parametrize(
    ("history", "serving", "told"),
    [
        (History((FIRST,)), "9", "Version 9 serves since 23 Oct 2026 12:00 UTC."),
        (
            History((FIRST, SECOND, BACK)),
            "9",
            "Version 9 serves since 21 Nov 2026 12:00 UTC; 3 moves are recorded; 1 of them went "
            "back to an earlier version.",
        ),
        (
            History((SECOND,)),
            "10",
            "Version 10 serves since 12 Nov 2026 12:00 UTC; before the first move version 9 "
            "served, since when is not known.",
        ),
        (
            History((SECOND, BACK), earlier=1200),
            "9",
            "Version 9 serves since 21 Nov 2026 12:00 UTC; the latest 2 moves are shown, 1,200 "
            "more are recorded; 1 of them went back to an earlier version.",
        ),
        (
            History((FIRST, move("11", "12", days=1, who=UNKNOWN))),
            "12",
            "Version 12 serves since 21 Nov 2026 12:00 UTC; 2 moves are recorded; moves in between "
            "are missing: what ended by a moment may have ended earlier.",
        ),
        (
            History((FIRST, SECOND)),
            "9",
            "Version 9 serves, by a pointer that somebody set back behind the latest move; 2 moves "
            "are recorded.",
        ),
    ],
)
def test_the_sentence_says_what_is_known_and_what_is_not(
    history: History, serving: str, told: str
) -> None:
    assert history_text(history, serving=serving) == told


def test_of_many_moves_the_latest_are_open_and_the_others_a_click_away() -> None:
    moves = [move(str(n), str(n + 1), days=100 - n, who="anna") for n in range(1, 51)]
    shown = create_production_history(History(tuple(moves)), serving="51", targets=TARGETS, now=NOW)
    paper = shown.children[1]
    opened, folded = (str(part) for part in paper.children)
    assert opened.count("Tr(") == 1 + 10 and "serves now" in opened
    assert folded.count("Tr(") == 1 + 40 and "40 before that" in folded


def test_a_gap_is_said_in_the_table_and_who_is_unknown_is_grey() -> None:
    moves = (FIRST, move("11", "12", days=1, who=UNKNOWN))
    page = str(create_production_history(History(moves), serving="12", targets=TARGETS, now=NOW))
    assert "by 2026-11-21 12:00" in page and "at most 29 days" in page
    assert drawn(*moves)["By whom is not recorded"]["y"] == ["12", "12", None]


def test_a_move_to_a_version_that_says_something_else_is_marked() -> None:
    found = chart(FIRST, SECOND, BACK, v9=STATE, v10=HORIZON)
    assert [line["x0"] for line in found.figure["layout"]["shapes"]] == [
        *("2026-11-12 12:00:00", "2026-11-21 12:00:00")
    ]
    signs = [sign["text"] for sign in found.figure["layout"]["annotations"]]
    assert signs == ["early warning", "who has left"]
    assert found.sentence.endswith("Since 2026-11-21 12:00 UTC it is predicted who has left.")
    page = str(
        create_production_history(History((SECOND,)), serving="10", targets=TARGETS, now=NOW)
    )
    assert "'leaves within 90 days, after the first 14'" in page


@pytest.mark.parametrize("targets", [{}, {"v9": STATE}, {"v9": STATE, "v10": STATE}])
def test_where_nothing_else_was_said_nothing_is_marked(targets: dict[str, Target]) -> None:
    found = chart(FIRST, SECOND, **targets)
    assert found.figure["layout"]["shapes"] == [] and "predicted" not in found.sentence
