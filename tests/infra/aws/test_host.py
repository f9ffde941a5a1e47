"""The machine's scripts: each part finds its own credentials, and renews them by itself."""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.session
import pytest

from include.settings import PROJECT

HOST = PROJECT / "infra" / "aws" / "host"
AWS = """#!/bin/sh
[ "$1 $2" = "sts assume-role" ] || exit 2
[ -e "$0.tried" ] || { touch "$0.tried"; exit 255; }
printf '{"Version": 1, "AccessKeyId": "%s", "Expiration": "%s", ' "$4" "$EXPIRES"
printf '"SecretAccessKey": "s", "SessionToken": "t"}'
"""


@pytest.fixture
def renew(tmp_path: Path) -> Path:
    """Where credentials.sh leaves what an AWS command line answers when it is asked again."""
    (tmp_path / "bin").mkdir()
    for name, text in {"aws": AWS, "sleep": "#!/bin/sh\n"}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "CHURN_ROLES": "web=arn:web airflow=arn:airflow",
        "CHURN_CREDENTIALS_DIR": str(tmp_path / "run"),
        "EXPIRES": expires,
    }
    subprocess.run(["bash", HOST / "credentials.sh"], env=environment, check=True)
    return tmp_path / "run"


def test_each_part_has_credentials_of_its_own(renew: Path) -> None:
    assert renew.stat().st_mode & 0o777 == 0o700
    found = {
        part: json.loads((renew / part / "credentials.json").read_text())["AccessKeyId"]
        for part in ("web", "airflow")
    }
    assert found == {"web": "arn:web", "airflow": "arn:airflow"}
    assert not list(renew.glob("*/*.new"))


def test_the_aws_libraries_read_them_and_renew_them(
    renew: Path, aws_settings: pytest.MonkeyPatch
) -> None:
    config = renew / "web" / "config"
    config.write_text(config.read_text().replace("/run/aws", str(renew / "web")))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws_settings.setenv(name, "")  # as docker-compose.production.yaml has them
    aws_settings.setenv("AWS_CONFIG_FILE", str(config))
    credentials = botocore.session.get_session().get_credentials()
    assert credentials is not None and credentials.method == "custom-process"
    assert credentials.get_frozen_credentials().access_key == "arn:web"
    assert not credentials.refresh_needed() and credentials.refresh_needed(3601)


@pytest.mark.parametrize("name", ["install.sh", "credentials.sh"])
def test_a_script_is_well_formed(name: str) -> None:
    subprocess.run(["bash", "-n", HOST / name], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-e", "SC1091,SC2016", HOST / name], check=True)


def test_docker_comes_after_what_its_containers_mount() -> None:
    steps = (HOST / "install.sh").read_text().rpartition("}\n")[2].split("\n")
    docker = steps.index("install_docker")
    for step in ("install_project", "write_settings", "fetch_authorities", "install_units"):
        assert steps.index(step) < docker


def test_units_start_what_is_there() -> None:
    told = "".join(path.read_text() for path in HOST.glob("churn*"))
    assert "/opt/churn/infra/aws/host/credentials.sh" in told
    assert "EnvironmentFile=/etc/churn/host.env" in told
    assert "docker compose up --detach --no-build" in told
