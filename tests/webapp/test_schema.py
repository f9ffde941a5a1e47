"""Each case that the API's own description allows or forbids, asked of a real server with a key.

schemathesis writes them: limits and what lies beyond, wrong types, media and methods, no key and a
wrong one. Random bytes are in test_http.py.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from include.store import LocalStore
from tests.webapp.champions import Version, publish
from tests.webapp.conftest import Server

pytestmark = pytest.mark.slow

KEY = "key-of-the-tests"
CONFIGURATION = f"""
[auth.openapi.header]
api_key = "{KEY}"

[checks.negative_data_rejection]
expected-statuses = [400, 401, 404, 405, 406, 413, 415, 422]  # 413 for one record too many
"""
SMALL = {"CHURN_API_WORKERS": "1", "CHURN_MAX_BATCH_ROWS": "100"}  # or one case would be megabytes
ARGUMENTS = (
    *("--phases", "examples,coverage", "--seed", "17", "--max-time", "60", "--no-color"),
    *("--generation-database", "none"),
)


def test_the_service_does_what_its_description_says(
    server: Server, server_store: LocalStore, version_1: Version, tmp_path: Path
) -> None:
    publish(server_store, version_1)
    server.environment = {"CHURN_API_KEYS": KEY, **SMALL}
    server.start()
    description, configuration = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    answer = server.http.get("/openapi.json", headers={"X-API-Key": KEY})
    description.write_text(answer.text)
    configuration.write_text(CONFIGURATION)
    program = str(Path(sys.executable).with_name("schemathesis"))
    command = [program, "--config-file", str(configuration), "run", str(description)]
    done = subprocess.run(
        [*command, "--url", server.url, *ARGUMENTS],
        cwd=tmp_path,  # where it keeps what failed
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-10_000:]
    assert "Tested: 8" in done.stdout and "Coverage" in done.stdout
