"""The stack in containers, started once. `make test-containers`; `make test` leaves it alone."""

import os
from collections.abc import Iterator

import pytest

from tests.containers.stack import RunningStack, running_stack

ASKED_FOR = bool(os.environ.get("CHURN_TEST_CONTAINERS"))
collect_ignore_glob = [] if ASKED_FOR else ["test_*.py"]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Everything healthy, with a first champion; its volumes are deleted at the end."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
