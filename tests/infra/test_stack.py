"""The stack starts, looks after its services, and leaves nothing behind."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from include.settings import Settings
from infra.local import processes, stack
from infra.local.services import Layout, layout
from infra.local.stack import Interrupted, Stack, StackError
from tests.full_disk import fill
from tests.infra.conftest import MakeService

SLEEPER = "import time\ntime.sleep(100)"
FALLING = "print('out of cheese')\nraise SystemExit(3)"


def tick_until(running: Stack, condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Look after the services until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        running.tick()
        time.sleep(0.02)


def test_an_error_inside_stops_everything(places: Layout, make_service: MakeService) -> None:
    with pytest.raises(ZeroDivisionError), Stack(places) as running:
        for name in ("a", "b"):
            running.start(make_service(name, SLEEPER))
        leaders = running.leaders
        assert len(processes.members(leaders)) == 2
        _ = 1 / 0
    assert processes.members(leaders) == []
    assert not places.record.exists()


@pytest.mark.parametrize(("source", "code"), [(FALLING, 3), ("print('out of cheese')", 0)])
def test_a_service_that_ends_while_starting_is_named_with_its_log(
    source: str, code: int, places: Layout, make_service: MakeService
) -> None:
    with Stack(places) as running:
        running.start(make_service("mlflow", source))
        with pytest.raises(StackError) as caught:
            tick_until(running, lambda: False)
    assert f"mlflow ended with code {code}" in str(caught.value)
    assert str(places.log("mlflow")) in str(caught.value)
    assert "| out of cheese" in str(caught.value)


def test_a_service_that_keeps_falling_is_left_and_tried_again_while_the_others_go_on(
    places: Layout,
    make_service: MakeService,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Stack(places) as running:
        running.restarting = True
        running.start(make_service("api", SLEEPER))
        running.start(make_service("mlflow", FALLING))
        tick_until(running, lambda: "it fell 4 times: the others go on" in caplog.text)
        assert caplog.text.count("restarting it; that log is now ") == 3
        assert places.log("mlflow").with_name("mlflow.log.1").exists()
        running.tick()
        assert caplog.text.count("it fell 4 times") == 1
        assert [each.name for each in running.leaders if processes.members([each])] == ["api"]
        monkeypatch.setattr(stack, "RESTART_WINDOW_SECONDS", 0)  # as if that were long ago
        tick_until(running, lambda: caplog.text.count("restarting it") == 4)


@pytest.mark.parametrize("small_disk", ["size=4m,nr_inodes=100"], indirect=True)
def test_on_a_full_disk_services_go_on_and_come_back_without_a_log(
    small_disk: Path,
    settings: Settings,
    make_service: MakeService,
    caplog: pytest.LogCaptureFixture,
) -> None:
    places = layout(settings.model_copy(update={"var_dir": small_disk / "var"}))
    with Stack(places) as running:
        running.restarting = True
        running.start(make_service("api", SLEEPER))
        fill(small_disk)
        (api,) = running.leaders
        os.kill(api.pid, signal.SIGKILL)
        tick_until(running, lambda: "restarting it" in caplog.text)
        running.start(make_service("dashboard", SLEEPER))
        assert len(processes.members(running.leaders)) == 2
    assert "No space left on device" in caplog.text
    assert "api cannot be recorded" in caplog.text and "dashboard has no log" in caplog.text


def test_a_job_may_end_and_a_failed_one_is_an_error(
    places: Layout, make_service: MakeService
) -> None:
    with Stack(places) as running:
        good = make_service("good", "print('done')", ends=True)
        running.start(good)
        running.finish(good)
        bad = make_service("bad", FALLING, ends=True)
        running.start(bad)
        with pytest.raises(StackError, match="bad ended with code 3"):
            running.finish(bad)


def test_waiting_is_bounded(places: Layout, free_port: int) -> None:
    page = f"http://127.0.0.1:{free_port}/health"
    with Stack(places) as running, pytest.raises(StackError, match="moon is not ready after 0.2 s"):
        running.wait_until(lambda: stack.answers(page), "moon", seconds=0.2)


@pytest.mark.parametrize("number", stack.SIGNALS)
def test_a_signal_ends_the_next_wait_and_means_later_what_it_meant(
    number: signal.Signals, places: Layout
) -> None:
    before = signal.getsignal(number)
    with Stack(places) as running:
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted):
            running.wait_until(lambda: False, "anything", seconds=5)
    assert signal.getsignal(number) == before


def test_a_job_that_ended_badly_is_told_once_and_takes_nobody_along(
    places: Layout, make_service: MakeService
) -> None:
    with Stack(places) as running:
        running.start(make_service("api", SLEEPER))
        running.restarting = True
        job = replace(make_service("airflow-migrate", FALLING), ends=True)
        running.start(job)
        with pytest.raises(StackError, match="airflow-migrate ended with code 3"):
            running.finish(job)
        running.tick()
        assert [each.name for each in running.leaders] == ["api"]
