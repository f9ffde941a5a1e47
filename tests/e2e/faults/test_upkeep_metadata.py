"""Airflow's own database away or spoilt when `churn_upkeep` cleans it: said, and nothing lost."""

from pathlib import Path

import pytest

from include.errors import CommandFailed
from include.store import LocalStore
from include.tasks.errors import reported
from include.upkeep.clean_metadata import clean_metadata
from tests.include.upkeep.conftest import upkeep_run

pytestmark = pytest.mark.slow  # Airflow's command line starts

NOISE = b"this was a database once" * 200


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("sqlite:///{home}/nowhere/airflow.db", "unable to open database file"),
        ("sqlite:///{home}/noise.db", "file is not a database"),
    ],
    ids=["is not there", "is garbage"],
)
def test_a_metadata_database_that_fails_is_named_and_nothing_of_it_is_deleted(
    local_store: LocalStore, tmp_path: Path, url: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    (tmp_path / "noise.db").write_bytes(NOISE)
    address = url.format(home=tmp_path)
    run = upkeep_run(local_store, tmp_path, airflow_database_url=address)
    with pytest.raises(CommandFailed, match=found) as told, reported():
        clean_metadata(run)
    assert "expected `airflow db clean` to end well, found code 1" in str(told.value)
    assert "nothing is lost, and the next run goes on from there" in str(told.value)
    assert (tmp_path / "noise.db").read_bytes() == NOISE and not [*local_store.list("")]
