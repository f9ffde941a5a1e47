"""A port that cannot be had is named before anything starts."""

import os
import socket
from collections.abc import Iterator

import pytest

from infra.local.ports import Port, port_faults


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port on which this process listens."""
    with socket.create_server((request.param, 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_names_its_holder_and_its_variable(taken: int) -> None:
    (fault,) = port_faults([Port("MLflow", taken, "CHURN_MLFLOW_PORT")])
    assert f"port {taken}, for MLflow, is in use by" in fault
    assert f"(process {os.getpid()})" in fault
    assert "set CHURN_MLFLOW_PORT to another port" in fault


def test_one_port_cannot_serve_two(free_port: int) -> None:
    faults = port_faults([Port("A", free_port, "CHURN_A"), Port("B", free_port, "CHURN_B")])
    assert faults == [
        f"port {free_port} is given to A and to another: change CHURN_A",
        f"port {free_port} is given to B and to another: change CHURN_B",
    ]


def test_a_port_that_was_just_closed_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", number))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first lingers in TIME_WAIT
        client.close()
    assert port_faults([Port("A", number, "CHURN_A")]) == []
