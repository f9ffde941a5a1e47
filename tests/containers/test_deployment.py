"""An image set replaced by a good one, and by bad ones, while clients ask all the time."""

import shutil
import signal
import time
from collections.abc import Iterator

import pytest

from tests.containers.hosts import (
    FAULTS,
    MISLABELLED,
    Askers,
    Host,
    push_versions,
    registry,
    running_host,
)

DEPLOY_SECONDS = 600  # on a machine that is busy with something else

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        shutil.which("docker-registry") is None,
        reason="apt-get install docker-registry: images are pulled from somewhere",
    ),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with every version."""
    with registry() as name:
        push_versions(name, tmp_path_factory.mktemp("images"))
        yield name


@pytest.fixture(scope="module")
def good_host(images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A machine that gets good images."""
    with running_host(images, tmp_path_factory.mktemp("good"), "old") as host:
        yield host


@pytest.fixture(scope="module")
def bad_host(images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A machine that gets bad ones."""
    with running_host(images, tmp_path_factory.mktemp("bad"), "old") as host:
        yield host


def deployed(host: Host, tag: str, *, seconds: float = 120) -> tuple[int, str]:
    """How a deployment to its end went, and what it said."""
    began = time.monotonic()
    process = host.deploy(tag, seconds=seconds)
    told, _ = process.communicate(timeout=DEPLOY_SECONDS)
    print(f"\n{told}{tag}: {time.monotonic() - began:.1f} s")  # noqa: T201
    return process.returncode, told


def tell(askers: Askers) -> None:
    """Figures for whoever reads the log."""
    waited = f"the longest wait {askers.longest_seconds:.2f} s"
    print(f"{askers.answers} answers, {len(askers.failures)} failures, {waited}")  # noqa: T201


def test_a_good_image_answers_and_no_request_failed(good_host: Host) -> None:
    assert good_host.commit() == "old"
    with Askers(good_host) as askers:
        code, told = deployed(good_host, "new")
    tell(askers)
    assert code == 0, told
    assert good_host.commit() == "new"
    assert good_host.images() == {"webapp": "new"}
    assert good_host.compose.setting("CHURN_TAG") == "new"
    assert askers.answers > 100 and askers.failures == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_image_is_never_asked_and_the_old_one_answers_on(bad_host: Host, fault: str) -> None:
    with Askers(bad_host) as askers:
        code, told = deployed(bad_host, fault, seconds=40)
    tell(askers)
    assert code == 1 and "not deployed" in told, told
    assert bad_host.commit() == "old"
    assert bad_host.images() == {"webapp": "old"}
    assert bad_host.compose.setting("CHURN_TAG") == "old"
    assert askers.answers > 100 and askers.failures == []


def test_an_image_that_fails_once_it_was_let_in_makes_room_for_the_former_one(
    bad_host: Host,
) -> None:
    with Askers(bad_host) as askers:
        code, told = deployed(bad_host, MISLABELLED)
    tell(askers)
    assert code == 1 and "were built from commit" in told and "old is back after" in told
    assert bad_host.images() == {"webapp": "old"}
    assert askers.answers > 100 and askers.failures == []


def test_images_that_cannot_be_pulled_change_nothing(bad_host: Host) -> None:
    before = bad_host.compose.containers()
    code, told = deployed(bad_host, "nowhere")
    assert code == 1 and "nothing was changed" in told
    assert [x["Id"] for x in bad_host.compose.containers()] == [x["Id"] for x in before]


@pytest.mark.parametrize("line", ["from old to new", "a new one predicts"])
def test_after_a_kill_in_the_middle_the_next_call_goes_on(bad_host: Host, line: str) -> None:
    with Askers(bad_host) as askers:
        with bad_host.deploy("new") as process:
            assert process.stdout is not None
            while line not in (said := process.stdout.readline()):
                assert said, "the deployment ended before it was killed"
            time.sleep(1)
            process.send_signal(signal.SIGKILL)
        code, told = deployed(bad_host, "old")
    tell(askers)
    assert code == 0, told
    assert bad_host.images() == {"webapp": "old"}
    assert askers.failures == []
