"""The API on a machine whose clock is wrong, or is set while it serves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.predictions.log import read_predictions
from include.store import LocalStore
from tests.webapp.champions import Version, publish, records
from tests.webapp.conftest import GUNICORN, PROJECT, Server
from tests.webapp.load import Load

pytestmark = pytest.mark.slow

# The wall clock of a worker: what stamps its answers, and what Python's own modules ask.
WRONG_CLOCK = """

import datetime as calendar
import time
import webapp.prediction_service as stamped

right, clock = time.time, Path({clock!r})


def wrong():
    return right() + float(clock.read_text())


class Wrong(calendar.datetime):
    @classmethod
    def now(cls, tz=None):
        return calendar.datetime.fromtimestamp(wrong(), tz)


time.time, stamped.datetime = wrong, Wrong
"""
DAY_SECONDS = 24 * 3600.0


@pytest.fixture
def clock(server: Server, tmp_path: Path) -> Path:
    """By how many seconds the server's clock is wrong."""
    found = tmp_path / "clock"
    found.write_text("0")
    ours = (PROJECT / "webapp" / "gunicorn.conf.py").read_text()
    conf = tmp_path / "gunicorn.conf.py"
    conf.write_text(ours + WRONG_CLOCK.format(clock=str(found)))
    server.environment["PYTHONPATH"] = "."
    server.command = ("gunicorn", "-c", str(conf), GUNICORN[-1])
    return found


def set_clock(clock: Path, seconds: float) -> None:
    draft = clock.with_suffix(".draft")
    draft.write_text(str(seconds))
    draft.replace(clock)


def logged_on(store: LocalStore, days: int) -> list[str]:
    """The request ids in the partition of a day, counted from today."""
    day = (datetime.now(UTC) + timedelta(days=days)).date()
    batches = read_predictions(store, day)
    return [row["request_id"] for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize("days", [1, -1], ids=["a day ahead", "a day behind"])
def test_every_answer_of_a_wrong_clock_is_logged_once_under_the_day_that_it_tells(
    server: Server, server_store: LocalStore, version_1: Version, clock: Path, days: int
) -> None:
    set_clock(clock, days * DAY_SECONDS)
    publish(server_store, version_1)  # by a right clock, as a training run elsewhere
    server.start()
    with Load(server, records(4), clients=2) as load:
        load.wait_for(50)
    server.until(server.has_shipped)
    assert load.refused == [] and load.cut_off == 0
    told = {datetime.fromisoformat(answer["timestamp"]).date() for _, answer in load.answers}
    assert told == {(datetime.now(UTC) + timedelta(days=days)).date()}
    assert sorted(logged_on(server_store, days)) == sorted(load.acknowledged)
    # Its age is the difference to Prometheus's own clock.
    trained = version_1[0].created_at.timestamp()
    assert server.metric("champion_trained_timestamp_seconds") == trained


def test_a_clock_that_is_set_while_answers_are_given_loses_none_and_keeps_no_champion_away(
    server: Server, server_store: LocalStore, version_1: Version, version_2: Version, clock: Path
) -> None:
    publish(server_store, version_1)
    server.start()
    with Load(server, records(4), clients=2) as load:
        for days in (1, -1, 0):
            load.wait_for(50)
            set_clock(clock, days * DAY_SECONDS)
        publish(server_store, version_2)
        server.until(lambda: load.last_versions(20) == {"2"})
    server.until(server.has_shipped)
    assert load.refused == [] and load.cut_off == 0
    logged = [each for days in (-1, 0, 1) for each in logged_on(server_store, days)]
    assert sorted(logged) == sorted(load.acknowledged)
    assert all(logged_on(server_store, days) for days in (-1, 0, 1))
