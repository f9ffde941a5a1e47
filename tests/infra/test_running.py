"""Whoever needs a stack gets the one of this directory, whatever else the shell names."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.settings import Settings
from infra.airflow.dag_runs import RunFailed
from infra.local import airflow, commands, demo, status
from infra.local.directory import alone, prepare
from infra.local.running import exit_code, running_stack
from infra.local.services import Layout, layout
from tests.alone import stand_alone
from tests.e2e.stack import environment_in
from tests.pages import Pages, serving

PORTS = ("api_port", "airflow_port", "mlflow_port", "dashboard_port")
WHY = ["--reason", "why"]


@pytest.fixture
def two_servers() -> Iterator[tuple[Pages, Pages]]:
    """This stack's, and somebody else's; both answer nobody."""
    with serving(otherwise=403) as ours, serving(otherwise=403) as theirs:
        yield ours, theirs


@pytest.fixture
def up(settings: Settings, places: Layout) -> Iterator[Layout]:
    """A stack that is up as far as others can tell."""
    prepare(places)
    airflow.prepare(places)
    with alone(places):
        tell(places, settings)
        yield places


def tell(places: Layout, settings: Settings) -> None:
    found = status.describe(places, settings, None, failure=None)
    places.stack_file.write_text(json.dumps(found))


def elsewhere(settings: Settings, number: int = 1) -> Settings:
    """The settings of a shell that names other ports."""
    return settings.model_copy(update=dict.fromkeys(PORTS, number))


def test_a_full_disk_is_a_message_and_a_fault_of_ours_is_not(
    places: Layout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    in_a_shell(monkeypatch, places.var, port=1)

    def fail(number: int) -> int:
        (places.var.parent / "made").touch(0o666)
        raise OSError(number, os.strerror(number), "/var/x")

    assert exit_code("run", lambda _: fail(errno.ENOSPC)) == 1
    assert "make run: [Errno 28] No space left on device: '/var/x'. Make room" in caplog.text
    assert (places.var.parent / "made").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileNotFoundError):
        exit_code("run", lambda _: fail(errno.ENOENT))


def test_the_ports_are_those_that_the_stack_has(settings: Settings, up: Layout) -> None:
    assert running_stack(elsewhere(settings)) == up
    story = demo.Demo(elsewhere(settings))
    assert story.places == up
    story.close()


def test_what_a_killed_stack_left_is_no_stack(settings: Settings, places: Layout) -> None:
    with pytest.raises(RunFailed, match=f"no stack is up in {places.var}: `make run` first"):
        running_stack(settings)
    prepare(places)
    with alone(places):
        tell(places, settings)  # with the pid of a process that lives: this one
        assert json.loads(places.stack_file.read_text())["pid"] == os.getpid()
    with pytest.raises(RunFailed, match="no stack is up in"):
        running_stack(settings)
    with alone(places), pytest.raises(RunFailed, match="is not up yet: wait for it"):
        running_stack(settings)


@pytest.mark.parametrize(
    ("name", "other"),
    [("database_url", "mysql+pymysql://me:hush@db/bank"), ("store_uri", "s3://other/place")],
)
def test_a_shell_that_names_other_data_is_refused(
    name: str, other: str, places: Layout, up: Layout
) -> None:
    shell = Settings(var_dir=places.var, _env_file=None, **{name: other})  # type: ignore[arg-type]
    with pytest.raises(RunFailed, match=f"set CHURN_{name.upper()} as `make run` had it") as caught:
        running_stack(shell)
    assert other.replace("hush", "***") in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [["train"], ["score"], ["rollback", "2", *WHY], ["promote", *WHY]],
    ids=lambda words: str(words[0]),
)
def test_no_command_talks_to_somebody_elses_servers(
    words: list[str],
    settings: Settings,
    up: Layout,
    two_servers: tuple[Pages, Pages],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = two_servers
    tell(layout(elsewhere(settings, ours.port)), settings)
    in_a_shell(monkeypatch, up.var, port=theirs.port)
    monkeypatch.setattr(sys, "argv", ["commands", *words])
    assert commands.main() == 1
    assert ours.asked and not theirs.asked


@pytest.mark.parametrize("words", [["dags", "list", "--output", "json"], ["--help"], []])
def test_airflows_own_words_reach_it_with_this_stacks_ports(
    words: list[str], up: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_shell(monkeypatch, up.var, port=1)
    became: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(
        os, "execve", lambda _, command, environment: became.append((command, environment))
    )
    monkeypatch.setattr(sys, "argv", ["commands", "airflow", *words])
    commands.main()
    ((command, environment),) = became
    assert command[1:] == ["-m", "airflow", *words]
    assert environment["AIRFLOW__API__PORT"] == str(up.airflow.number)


def in_a_shell(monkeypatch: pytest.MonkeyPatch, var: Path, *, port: int) -> None:
    """Name other ports than the stack has."""
    monkeypatch.setenv("CHURN_VAR_DIR", str(var))
    for name in PORTS:
        monkeypatch.setenv(f"CHURN_{name.upper()}", str(port))


def test_data_is_deleted_when_the_stack_is_down_and_not_before(
    up: Layout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    in_a_shell(monkeypatch, up.var, port=1)
    monkeypatch.setattr(sys, "argv", ["commands", "clean-data"])
    assert commands.main() == 1
    assert f"a stack is up in {up.var}: stop it first" in caplog.text
    assert up.passwords.exists()


def test_months_are_loaded_into_the_stacks_database_and_into_no_other(
    up: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    in_a_shell(monkeypatch, up.var, port=1)
    exits = tmp_path / "exits.csv"
    exits.write_text("CLIENTNUM,left_on,known_at\n7,2026-01-05,2026-01-06\n")
    monkeypatch.setattr(sys, "argv", ["commands", "load-history", "--exits", str(exits)])
    monkeypatch.setenv("CHURN_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    assert commands.main() == 1
    assert "set CHURN_DATABASE_URL as `make run` had it" in caplog.text
    monkeypatch.delenv("CHURN_DATABASE_URL")
    assert commands.main() == 0
    assert (up.var / "churn.db").exists() and not (tmp_path / "other.db").exists()


def test_what_is_deleted_and_what_stays_is_said(
    places: Layout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    in_a_shell(monkeypatch, places.var, port=1)
    monkeypatch.setenv("CHURN_STORE_URI", "s3://bucket/prefix")
    monkeypatch.setattr(sys, "argv", ["commands", "clean-data"])
    assert commands.main() == 0
    assert f"nothing is deleted: no stack was ever in {places.var}" in caplog.text
    assert not places.var.exists()
    prepare(places)
    with alone(places):
        airflow.prepare(places)
        (places.var / "churn.db").touch()
    assert commands.main() == 0
    assert f"deleted in {places.var}: airflow, churn.db" in caplog.text
    assert "stays, because it lies elsewhere: s3://bucket/prefix" in caplog.text
    assert not places.airflow_home.exists()


def test_no_test_reaches_what_a_shell_or_a_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_STORE_URI", "s3://bank")
    monkeypatch.setenv("CHURN_TEST_CONTAINERS", "1")
    stand_alone()
    assert "CHURN_STORE_URI" not in os.environ and os.environ["CHURN_TEST_CONTAINERS"] == "1"
    (tmp_path / ".env").write_text("CHURN_DATABASE_URL=mysql+pymysql://bank/customers\n")
    asks = f"import dotenv, sys; sys.exit(dotenv.load_dotenv({str(tmp_path / '.env')!r}))"
    for environment in (dict(os.environ), environment_in(tmp_path)):
        assert subprocess.run([sys.executable, "-c", asks], env=environment).returncode == 0
