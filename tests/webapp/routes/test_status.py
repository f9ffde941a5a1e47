"""What the service tells of itself: which build runs, and whether new requests may come."""

import tomllib
from pathlib import Path

from flask.testing import FlaskClient

from include.settings import PROJECT, Settings
from include.store import LocalStore
from tests.webapp.champions import Version, publish
from tests.webapp.conftest import client_of


def test_the_index_says_which_build_runs(tmp_path: Path) -> None:
    told = client_of(Settings(var_dir=tmp_path, git_commit="c0ffee")).get("/").get_json()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert (told["version"], told["commit"]) == (project["version"], "c0ffee")


def test_the_index_and_the_description_name_one_version(client: FlaskClient) -> None:
    described = client.get("/openapi.json").get_json()["info"]["version"]
    assert described == client.get("/").get_json()["version"] != "unknown"


def test_an_instance_that_drains_is_not_ready_but_answers(
    tmp_path: Path, version_1: Version
) -> None:
    drain_file = tmp_path / "draining"
    publish(LocalStore(tmp_path / "store"), version_1)
    client = client_of(Settings(var_dir=tmp_path, drain_file=drain_file))
    assert client.get("/ready").status_code == 200
    assert client.get("/health").get_json()["status"] == "OK"
    drain_file.touch()
    answer = client.get("/ready")
    assert answer.status_code == 503 and "ask another one" in answer.get_json()["detail"]
    told = client.get("/health").get_json()
    assert told["status"] == "draining" and told["model_loaded"] is True
    drain_file.unlink()
    assert client.get("/ready").status_code == 200
