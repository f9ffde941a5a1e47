"""What the stack costs while nobody asks anything of it."""

import time

import httpx
import pytest

from infra.compose.up import SERVICE_LABEL
from tests.containers.stack import RunningStack

SECONDS = 30
POLLING = ("airflow-scheduler", "postgres")  # one asks the other whether anything is due
POLLING_SHARE_MAX = 0.15  # of one core

pytestmark = pytest.mark.timeout(1800)


def cpu_seconds(stack: RunningStack) -> dict[str, float]:
    """What each container that is up has used, its health checks included, as Docker counts it."""
    found = {}
    with httpx.Client(transport=httpx.HTTPTransport(uds="/var/run/docker.sock")) as docker:
        for each in stack.compose.containers():
            if each["State"]["Running"]:
                page = f"http://docker/containers/{each['Id']}/stats"
                told = docker.get(page, params={"stream": "false", "one-shot": "true"}, timeout=30)
                used = told.json()["cpu_stats"]["cpu_usage"]["total_usage"]
                found[each["Config"]["Labels"][SERVICE_LABEL]] = used / 1e9
    return found


def test_an_idle_stack_leaves_the_cores_to_others(stack: RunningStack) -> None:
    stack.wait()
    before, began = cpu_seconds(stack), time.monotonic()
    time.sleep(SECONDS)
    after, seconds = cpu_seconds(stack), time.monotonic() - began
    shares = {name: (after[name] - before[name]) / seconds for name in before}
    for name, share in sorted(shares.items(), key=lambda each: -each[1]):
        print(f"{name:22} {share:6.1%}")  # noqa: T201
    print(f"{'together':22} {sum(shares.values()):6.1%} of one core")  # noqa: T201
    assert sum(shares[name] for name in POLLING) < POLLING_SHARE_MAX
