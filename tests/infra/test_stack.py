"""The stack starts, looks after its services, and leaves nothing behind."""

import os
import signal
import time
from pathlib import Path

import pytest

from infra.local import processes, stack
from infra.local.services import Layout
from infra.local.stack import Interrupted, Stack, StackError
from tests.infra.conftest import MakeService

SLEEPER = "import time\ntime.sleep(100)"
FALLING = "print('out of cheese')\nraise SystemExit(3)"
SHORT_LIVED = """
    import os, time
    with open(os.environ["MARK"], "a") as mark:
        mark.write("x")
    time.sleep(0.2)
"""


def tick_for(running: Stack, seconds: float) -> None:
    """Look after the services for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        running.tick()
        time.sleep(0.02)


def test_leaving_the_stack_stops_everything(places: Layout, make_service: MakeService) -> None:
    with Stack(places) as running:
        for name in ("a", "b"):
            running.start(make_service(name, SLEEPER))
        leaders = running.leaders
        assert len(processes.members(leaders)) == 2
    assert processes.members(leaders) == []
    assert not places.record.exists()


def test_an_error_inside_stops_everything_too(places: Layout, make_service: MakeService) -> None:
    with pytest.raises(ZeroDivisionError), Stack(places) as running:
        running.start(make_service("a", SLEEPER))
        leaders = running.leaders
        _ = 1 / 0
    assert processes.members(leaders) == []


def test_a_service_that_falls_while_starting_is_named_with_its_log(
    places: Layout, make_service: MakeService
) -> None:
    with Stack(places) as running:
        running.start(make_service("mlflow", FALLING))
        with pytest.raises(StackError) as caught:
            tick_for(running, 20)
    assert "mlflow ended with code 3" in str(caught.value)
    assert str(places.log("mlflow")) in str(caught.value)
    assert "| out of cheese" in str(caught.value)


def test_a_service_that_falls_later_is_restarted(
    places: Layout,
    make_service: MakeService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(stack, "RESTART_PAUSE_SECONDS", 0.05)
    service = make_service("api", SHORT_LIVED)
    with Stack(places) as running:
        running.restarting = True
        running.start(service)
        running.wait_until(lambda: Path(service.environment["MARK"]).exists(), "api", seconds=20)
        running.wait_until(
            lambda: len(Path(service.environment["MARK"]).read_text()) >= 2, "api", seconds=20
        )
    assert "restarting it in 0.05 s" in caplog.text


def test_a_service_that_keeps_falling_ends_the_run(
    places: Layout, make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "RESTART_PAUSE_SECONDS", 0.01)
    with Stack(places) as running:
        running.restarting = True
        running.start(make_service("api", FALLING))
        with pytest.raises(StackError, match="it fell 4 times: giving up"):
            tick_for(running, 30)


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


def test_a_service_may_not_end(places: Layout, make_service: MakeService) -> None:
    with Stack(places) as running:
        running.start(make_service("api", "print('bye')"))
        with pytest.raises(StackError, match="api ended with code 0"):
            tick_for(running, 20)


def test_waiting_is_bounded(places: Layout) -> None:
    with Stack(places) as running, pytest.raises(StackError, match="moon is not ready after 0.2 s"):
        running.wait_until(lambda: False, "moon", seconds=0.2)


@pytest.mark.parametrize("number", stack.SIGNALS)
def test_a_signal_ends_the_next_wait(number: signal.Signals, places: Layout) -> None:
    with Stack(places) as running:
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted):
            running.wait_until(lambda: False, "anything", seconds=5)


def test_signals_mean_what_they_meant_before(places: Layout) -> None:
    before = [signal.getsignal(number) for number in stack.SIGNALS]
    with Stack(places):
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in stack.SIGNALS] == before


def test_what_a_killed_run_left_is_stopped_by_the_next(
    places: Layout, make_service: MakeService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    service = make_service("orphan", SLEEPER)
    process = processes.start(
        service.command, log=places.log("orphan"), environment={}, directory=places.var
    )
    leader = processes.leader("orphan", process)
    processes.write_record(places.record, [leader])
    with Stack(places):
        assert process.wait(timeout=5) == -signal.SIGTERM
        assert processes.members([leader]) == []
    assert "stopping what an earlier run left behind" in caplog.text


def test_nobody_answers_on_a_free_port(free_port: int) -> None:
    assert not stack.answers(f"http://127.0.0.1:{free_port}/health")
