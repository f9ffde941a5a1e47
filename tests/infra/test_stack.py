"""The stack starts, looks after its services, and leaves nothing behind."""

import os
import signal
import time

import pytest

from infra.local import processes, stack
from infra.local.services import Layout
from infra.local.stack import Interrupted, Stack, StackError
from tests.infra.conftest import MakeService

SLEEPER = "import time\ntime.sleep(100)"
FALLING = "print('out of cheese')\nraise SystemExit(3)"


def tick_for(running: Stack, seconds: float) -> None:
    """Look after the services for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
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
            tick_for(running, 20)
    assert f"mlflow ended with code {code}" in str(caught.value)
    assert str(places.log("mlflow")) in str(caught.value)
    assert "| out of cheese" in str(caught.value)


def test_a_service_that_keeps_falling_is_restarted_and_then_ends_the_run(
    places: Layout, make_service: MakeService, caplog: pytest.LogCaptureFixture
) -> None:
    with Stack(places) as running:
        running.restarting = True
        running.start(make_service("api", FALLING))
        with pytest.raises(StackError, match="it fell 4 times: giving up"):
            tick_for(running, 30)
    assert caplog.text.count("restarting it") == 3
    assert places.log("api").with_name("api.log.1").exists()


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
