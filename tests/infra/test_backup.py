"""Restoring begins with a look at the backup: what is damaged touches nothing."""

import gzip
import json
import os
from pathlib import Path

import pytest

from infra.compose.backup import FORMAT, _save, sha256_of
from infra.compose.command import ENVIRONMENT, PROJECT, Compose, ComposeError
from infra.compose.databases import CUSTOMERS, DATABASES
from infra.compose.restore import _load, _reading, check
from infra.compose.up import has_champion, state
from tests.pages import serving


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of small files."""
    folder = tmp_path / "backup"
    folder.mkdir()
    for name in (*(each.file for each in DATABASES), "store.tar"):
        (folder / name).write_bytes(name.encode())
    files = {path.name: {"sha256": sha256_of(path)} for path in sorted(folder.iterdir())}
    manifest = {"format": FORMAT, "files": files, "champion": "3"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_whole_backup_is_taken(backup: Path) -> None:
    assert check(backup)["champion"] == "3"


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("mlflow.dump", b"Mlflow.dump", "mlflow.dump has SHA-256 .* nothing was restored"),
        ("store.tar", b"store.taR", "store.tar has SHA-256 .* nothing was restored"),
        ("store.tar", None, "store.tar has SHA-256 nothing"),
        ("manifest.json", None, "it has no manifest.json"),
        ("manifest.json", b'{"format": 99, "files": {}}', "has format 99"),
        ("manifest.json", b'{"format": 1, "files": {}}', "the manifest expects no such file"),
        ("manifest.json", b'{"format": 1, "fil', "is damaged, nothing was restored"),
    ],
)
def test_what_is_damaged_or_missing_is_found(
    backup: Path, name: str, data: bytes | None, told: str
) -> None:
    (backup / name).unlink()
    if data is not None:
        (backup / name).write_bytes(data)
    with pytest.raises(ComposeError, match=told):
        check(backup)


def test_a_backup_in_one_file_is_to_be_unpacked_first(tmp_path: Path) -> None:
    (tmp_path / "backup.tar").touch()
    with pytest.raises(ComposeError, match=r"backup.tar is no directory: unpack it first"):
        check(tmp_path / "backup.tar")


def test_without_an_environment_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match="`make env` writes one"):
        Compose(env_file=tmp_path / ".env")


@pytest.mark.parametrize(
    ("service", "status", "code", "health", "told"),
    [
        ("webapp", "running", 0, "healthy", "healthy"),
        ("webapp", "running", 0, "starting", "starting"),
        ("webapp", "exited", 0, None, "exited"),
        ("bootstrap", "running", 0, None, "running"),
        ("bootstrap", "restarting", 1, None, "running"),
        ("bootstrap", "created", 0, None, "waiting"),
        ("bootstrap", "exited", 0, None, "done"),
        ("bootstrap", "exited", 1, None, "failed with code 1"),
    ],
)
def test_what_a_container_is_in_a_word(
    service: str, status: str, code: int, health: str | None, told: str
) -> None:
    running = status in {"running", "restarting"}
    found: dict[str, object] = {"Status": status, "Running": running, "ExitCode": code}
    if health:
        found["Health"] = {"Status": health}
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
    shell, path = ("exec", "-T", "mysql", "bash", "-c"), tmp_path / "customers.sql.gz"
    _save(compose, path, *shell, CUSTOMERS.dump)
    assert gzip.decompress(path.read_bytes()).startswith(b"of --protocol")
    _load(compose, path, *shell, CUSTOMERS.load)
    assert (tmp_path / "loaded").read_bytes().startswith(b"of --protocol")


def test_half_a_dump_is_an_error(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "DUMP_CODE", "3")
    shell = ("exec", "-T", "mysql", "bash", "-c")
    with pytest.raises(ComposeError, match="ended with code 3"):
        _save(compose, tmp_path / "dump.gz", *shell, CUSTOMERS.dump)


LAST_LINE = b"-- Dump completed on 2026-11-27\n"


@pytest.mark.parametrize(
    ("dump", "told"),
    [
        (gzip.compress(b"CREATE TABLE x;\n" * 1000), "it breaks off: it has no line"),
        (gzip.compress(b"CREATE TABLE x;\n" + LAST_LINE)[:-9], "unexpected end of file"),
        (b"CREATE TABLE x;\n" + LAST_LINE, "not in gzip format"),
    ],
    ids=["no last line", "torn", "not packed"],
)
def test_a_dump_that_breaks_off_is_not_loaded(
    compose: Compose, tmp_path: Path, dump: bytes, told: str
) -> None:
    path = tmp_path / "customers.sql.gz"
    path.write_bytes(dump)
    shell = ("exec", "-T", "mysql", "bash", "-c", CUSTOMERS.unpacked)
    with pytest.raises(ComposeError, match=f"(?s)cannot be restored here, nothing .*{told}"):
        _reading(compose, path, *shell)


def test_the_size_of_a_whole_dump_is_told(compose: Compose, tmp_path: Path) -> None:
    path = tmp_path / "customers.sql.gz"
    path.write_bytes(gzip.compress(b"CREATE TABLE x;\n" * 1000 + LAST_LINE))
    shell = ("exec", "-T", "mysql", "bash", "-c", CUSTOMERS.unpacked)
    assert _reading(compose, path, *shell) == 16_000


@pytest.mark.parametrize(("loaded", "told"), [("1.0", True), ("0.0", False)])
def test_ready_means_that_every_worker_has_a_champion(
    loaded: str, told: bool, compose: Compose
) -> None:
    page = f"# TYPE model_loaded gauge\nmodel_loaded {loaded}\n"
    with serving({"/metrics": (200, page)}) as pages:
        compose.env_file.write_text(f"CHURN_API_PORT={pages.port}\n")
        assert has_champion(compose) is told
    assert not has_champion(compose)


def test_compose_is_told_the_project_without_its_link(compose: Compose, tmp_path: Path) -> None:
    (tmp_path / "mysql").write_text("#!/bin/sh\nprintenv PWD\n")
    told = compose.run("exec", "mysql", "mysql").decode().strip()
    assert told == ENVIRONMENT["PWD"] == str(PROJECT.resolve())
