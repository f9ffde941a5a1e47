"""What Prometheus is told while files of counts are damaged, and while it is told slowly."""

import secrets
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.webapp.champions import records
from tests.webapp.conftest import Server

pytestmark = pytest.mark.slow

DAMAGES = {
    "empty": lambda whole: b"",
    "torn": lambda whole: whole[:100],
    "noise": lambda whole: secrets.token_bytes(len(whole)),
    "longer than it says": lambda whole: b"\xff\xff\xff\x7f" + whole[4:],
}


def counted(server: Server) -> float:
    """The answers that a scrape tells of, which Prometheus could read."""
    answer = server.http.get("/metrics")
    assert answer.status_code == 200
    families = {each.name: each for each in text_string_to_metric_families(answer.text)}
    return sum(sample.value for sample in families["prediction_requests"].samples)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_scrape_tells_all_that_whole_files_tell_whatever_lies_beside_them(
    running: Server, damage: str
) -> None:
    *_, folder = sorted(running.var_dir.glob("churn-metrics-*"))
    assert running.http.post("/predict", json=records(1)[0]).status_code == 200
    before = counted(running)
    for path in folder.glob("*_0.db"):  # beside those of the living, as of a worker long gone
        damaged: Path = path.with_name(path.name.replace("_0.db", "_97.db"))
        damaged.write_bytes(DAMAGES[damage](path.read_bytes()))
    try:
        assert counted(running) == before
        assert running.http.post("/predict", json=records(1)[0]).status_code == 200
        assert counted(running) == before + 1
    finally:
        for path in folder.glob("*_97.db"):
            path.unlink()
