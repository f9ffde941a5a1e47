"""Restoring begins with a look at the backup: what is damaged touches nothing."""

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest

from infra.compose.backup import DUMPS, FORMAT, _save, sha256_of, write_tar
from infra.compose.command import ENVIRONMENT, Compose, ComposeError
from infra.compose.restore import LOAD, _load, check, unpacked
from infra.compose.up import state


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of two small files."""
    folder = tmp_path / "backup"
    folder.mkdir()
    for name in ("mlflow.dump", "store.tar"):
        (folder / name).write_bytes(name.encode())
    files = {path.name: {"sha256": sha256_of(path)} for path in sorted(folder.iterdir())}
    manifest = {"format": FORMAT, "files": files, "champion": "3"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        ("mlflow.dump", b"Mlflow.dump", "mlflow.dump has SHA-256 .* nothing was restored"),
        ("store.tar", None, "store.tar has SHA-256 nothing"),
        ("manifest.json", None, "it has no manifest.json"),
        ("manifest.json", b'{"format": 99}', "has format 99"),
    ],
)
def test_a_damaged_backup_is_refused(
    name: str, data: bytes | None, fault: str, backup: Path
) -> None:
    (backup / name).unlink()
    if data is not None:
        (backup / name).write_bytes(data)
    with pytest.raises(ComposeError, match=fault):
        check(backup)


def test_a_tar_is_the_same_backup_for_its_owner_alone(backup: Path, tmp_path: Path) -> None:
    path, scratch = tmp_path / "backup.tar", tmp_path / "scratch"
    write_tar(backup, path)
    assert path.stat().st_mode & 0o777 == 0o600
    scratch.mkdir()
    assert check(unpacked(path, scratch))["champion"] == "3"


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "folder/file"])
def test_a_tar_cannot_write_elsewhere(backup: Path, tmp_path: Path, name: str) -> None:
    path, scratch = tmp_path / "backup.tar", tmp_path / "scratch"
    scratch.mkdir()
    with tarfile.open(path, "w") as archive:
        archive.add(backup / "store.tar", arcname=name)
    with pytest.raises(ComposeError, match="is no backup"):
        unpacked(path, scratch)
    assert list(scratch.iterdir()) == []


def test_without_an_environment_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match="`make env` writes one"):
        Compose(env_file=tmp_path / ".env")


def _up(health: str) -> dict[str, object]:
    return {"Status": "running", "Running": True, "ExitCode": 0, "Health": {"Status": health}}


def _job(status: str, *, code: int = 0) -> dict[str, object]:
    return {"Status": status, "Running": status in {"running", "restarting"}, "ExitCode": code}


@pytest.mark.parametrize(
    ("service", "found", "told"),
    [
        ("webapp", _up("healthy"), "healthy"),
        ("webapp", _up("starting"), "starting"),
        ("webapp", _job("exited"), "exited"),
        ("bootstrap", _job("running"), "running"),
        ("bootstrap", _job("restarting", code=1), "running"),
        ("bootstrap", _job("created"), "waiting"),
        ("bootstrap", _job("exited"), "done"),
        ("bootstrap", _job("exited", code=1), "failed with code 1"),
    ],
)
def test_what_a_container_is_in_a_word(service: str, found: dict[str, object], told: str) -> None:
    labels = {"com.docker.compose.service": service}
    assert state({"State": found, "Config": {"Labels": labels}}) == told


# Stands for docker: runs in this shell what it was to run in a container.
DOCKER = """#!/bin/sh
[ "$2" = version ] && exit 0
while [ "$1" != mysql ]; do shift; done
shift
exec "$@"
"""


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compose:
    """Compose whose containers are this machine, with a mysqldump and a mysql of the test's own."""
    (tmp_path / ".env").write_text("")
    for name, script in {
        "docker": DOCKER,
        "mysqldump": '#!/bin/sh\necho "of $*"\nexit "${DUMP_CODE:-0}"\n',
        "mysql": f"#!/bin/sh\ncat > {tmp_path}/loaded\n",
    }.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Compose(env_file=tmp_path / ".env")


def test_customers_are_packed_and_unpacked_on_the_way(compose: Compose, tmp_path: Path) -> None:
    _, script = DUMPS["customers.sql.gz"]
    _save(compose, tmp_path / "customers.sql.gz", "exec", "-T", "mysql", "bash", "-c", script)
    assert gzip.decompress((tmp_path / "customers.sql.gz").read_bytes()).startswith(
        b"of --protocol"
    )
    _load(compose, tmp_path / "customers.sql.gz", "exec", "-T", "mysql", "bash", "-c", LOAD)
    assert (tmp_path / "loaded").read_bytes().startswith(b"of --protocol")


def test_half_a_dump_is_an_error(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "DUMP_CODE", "3")
    _, script = DUMPS["customers.sql.gz"]
    with pytest.raises(ComposeError, match="ended with code 3"):
        _save(compose, tmp_path / "dump.gz", "exec", "-T", "mysql", "bash", "-c", script)
