"""A full disk under Airflow's own database, with all of `make run` around it."""

from pathlib import Path

import httpx
import pytest

from tests.e2e.stack import ended, environment_in, finish, start
from tests.full_disk import fill_bytes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("small_disk", ["size=64m"], indirect=True)
def test_a_full_disk_under_airflow_stops_training_alone_and_is_over_with_new_room(
    small_disk: Path, tmp_path: Path
) -> None:
    environment = environment_in(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "airflow").symlink_to(small_disk)
    started = start(environment)
    try:
        champion = (started.var / "store" / "champion" / "current.json").read_bytes()
        filler = fill_bytes(small_disk)
        refused = ended("commands", environment, "train")
        assert refused.returncode == 1 and "Airflow" in refused.stdout, refused.stdout
        health = httpx.get(f"http://127.0.0.1:{environment['CHURN_API_PORT']}/ready")
        assert health.status_code == 200 and health.json()["model_version"] == "1"
        assert (started.var / "store" / "champion" / "current.json").read_bytes() == champion
        filler.unlink()
        done = ended("commands", environment, "train")
        assert done.returncode == 0 and "from trigger to success" in done.stdout, done.stdout
        assert (started.var / "store" / "champion" / "current.json").read_bytes() == champion
    finally:
        finish(started)
