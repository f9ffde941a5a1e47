import errno
import os
import stat
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from include.errors import ConfigurationError
from include.settings import PROJECT, Settings, load_settings
from tests.schedules import NEVER, NO_SCHEDULES, SCHEDULES


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("CHURN_", "MLFLOW_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resolved_store_uri", (PROJECT / "var" / "store").as_uri()),
        ("resolved_database_url", f"sqlite:///{PROJECT / 'var' / 'churn.db'}"),
        ("resolved_spool_dir", PROJECT / "var" / "spool"),
        ("tracking_uri", "http://127.0.0.1:5000"),
        ("api_url", "http://127.0.0.1:8000"),
        ("prometheus_url", ""),
        ("api_host", "127.0.0.1"),
        ("api_port", 8000),
        ("dashboard_port", 8050),
        ("airflow_port", 8080),
        ("mlflow_port", 5000),
        ("api_keys", ()),
        ("rate_limit", ""),
        ("champion_poll_seconds", 5),
        ("log_flush_seconds", 10),
        ("log_flush_rows", 5000),
        ("spool_max_bytes", 2**30),
        ("max_batch_rows", 10_000),
        ("max_body_bytes", 16 * 2**20),
    ],
)
def test_a_laptop_needs_no_setting(name: str, expected: object) -> None:
    assert getattr(Settings(), name) == expected


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("CHURN_STORE_URI", "s3://bucket/prefix", "resolved_store_uri", "s3://bucket/prefix"),
        ("CHURN_DATABASE_URL", "mysql://h/d", "resolved_database_url", "mysql://h/d"),
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "tracking_uri", "http://mlflow:5000"),
        ("CHURN_SPOOL_DIR", "/srv/spool", "resolved_spool_dir", Path("/srv/spool")),
        ("CHURN_MAX_BATCH_ROWS", "9", "max_batch_rows", 9),
        ("CHURN_VAR_DIR", "/srv/var", "resolved_store_uri", "file:///srv/var/store"),
        # As docker compose passes a variable on that is not set; an empty schedule means never.
        ("CHURN_VAR_DIR", "", "var_dir", PROJECT / "var"),
        ("CHURN_SPOOL_DIR", "", "spool_dir", None),
        ("CHURN_CHAMPION_DIR", "", "champion_dir", None),
        ("CHURN_DASHBOARD_SECRET", "", "dashboard_secret", None),
        ("CHURN_ID_KEY", "", "id_key", None),
        ("MLFLOW_TRACKING_URI", "", "tracking_uri", "http://127.0.0.1:5000"),
        ("CHURN_SCORING_SCHEDULE", "", "scoring_schedule", ""),
        ("CHURN_APPROVERS", "anna, bo", "approvers", ("anna", "bo")),
        ("CHURN_APPROVERS", "", "approvers", ()),
        ("CHURN_APPROVAL_HOURS", "0.5", "approval_hours", 0.5),
    ],
)
def test_each_variable_is_heard(
    variable: str, value: str, name: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(load_settings(), name) == expected


@pytest.mark.parametrize(
    ("value", "keys"), [("a", ["a"]), ("a,b", ["a", "b"]), (" a , ,b,", ["a", "b"]), (",", [])]
)
def test_api_keys_are_separated_by_commas(
    value: str, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_API_KEYS", value)
    assert [key.get_secret_value() for key in load_settings().api_keys] == keys


def test_every_setting_at_fault_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_API_PORT", "70000")
    monkeypatch.setenv("CHURN_SPOOL_MAX_BYTES", "1 GiB")
    expected = "cannot be used: CHURN_API_PORT: .*found '70000'; CHURN_SPOOL_MAX_BYTES: .*'1 GiB'"
    with pytest.raises(ConfigurationError, match=expected):
        load_settings()


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("CHURN_API_KEY", "CHURN_API_KEYS"),
        ("CHURN_KEEP_PREDICTION_DAYS", "CHURN_KEEP_PREDICTIONS_DAYS"),
        ("CHURN_STORE_URL", "CHURN_STORE_URI"),
    ],
)
def test_a_name_that_is_almost_a_settings_is_refused(
    misspelt: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_OF_OUR_OWN", "left alone")
    load_settings()
    monkeypatch.setenv(misspelt, "hidden")
    with pytest.raises(ConfigurationError, match=f"^{misspelt} is no setting, expected {meant}: "):
        load_settings()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_API_KEYS", "hush-1,hush-2")
    monkeypatch.setenv("CHURN_ID_KEY", "hush-3")
    assert "hush" not in repr(load_settings()) + load_settings().model_dump_json()


@pytest.mark.parametrize(
    "place", [":zq/zq@h:6379", ":zq:zq@h:zqzq", "h:zqzq", ":zq@x/zq:1@h:6379/0"]
)
def test_a_secret_at_fault_is_named_and_not_shown(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_RATE_LIMIT_STORAGE", f"redis://{place}")
    with pytest.raises(ConfigurationError, match="RATE_LIMIT_STORAGE: .*found a secret") as told:
        load_settings()
    assert "zq" not in "".join(traceback.format_exception(told.value))


@pytest.mark.parametrize("hours", ["0", "721", "inf", "nan"])
def test_nobody_is_waited_for_without_end(hours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_APPROVAL_HOURS", hours)
    with pytest.raises(ConfigurationError, match="CHURN_APPROVAL_HOURS"):
        load_settings()


def test_every_setting_says_what_it_is() -> None:
    assert [n for n, field in Settings.model_fields.items() if not field.description] == []


# --- schedules

VARIABLES = [f"CHURN_{name}_SCHEDULE" for name in ("TRAINING", "SCORING", "SNAPSHOT")]


def test_every_schedule_is_checked() -> None:
    named = {f"CHURN_{name.upper()}" for name in Settings.model_fields if "schedule" in name}
    assert named == set(VARIABLES)


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("value", SCHEDULES)
def test_a_schedule_is_taken_as_it_stands(
    value: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    found = load_settings().model_dump()[variable.removeprefix("CHURN_").lower()]
    assert found == value.strip()


@pytest.mark.parametrize("value", NEVER)
def test_no_schedule_means_never(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_TRAINING_SCHEDULE", value)
    assert load_settings().training_schedule == ""


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("value", NO_SCHEDULES)
def test_what_would_never_start_a_run_is_refused(
    value: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as told:
        load_settings()
    assert str(told.value).startswith(f"settings that cannot be used: {variable}: ")
    assert "expected five fields of cron" in str(told.value)
    assert str(told.value).endswith(f"found {value!r}")


def test_where_airflows_parser_is_missing_a_schedule_is_nobodys_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "croniter", None)
    monkeypatch.setenv("CHURN_TRAINING_SCHEDULE", "@weekly")
    assert load_settings().training_schedule == "@weekly"


# --- the key of the customer HMAC


def test_the_id_key_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_ID_KEY", "hush")
    assert load_settings().customer_id_key() == b"hush"


def test_without_it_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    first = Settings(var_dir=tmp_path / "var")
    again = Settings(var_dir=tmp_path / "var")
    assert len(first.customer_id_key()) == len(first.dashboard_cookie_key()) == 64
    assert again.customer_id_key() == first.customer_id_key() != first.dashboard_cookie_key()


def test_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    var = tmp_path / "var"
    Settings(var_dir=var).customer_id_key()
    assert [path.name for path in var.iterdir()] == ["id_key"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (var / "id_key", var)] == [0o600, 0o700]


def test_whoever_comes_at_once_gets_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: Settings(var_dir=tmp_path).customer_id_key(), range(64)))
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("name", "method"),
    [("ID_KEY", "customer_id_key"), ("DASHBOARD_SECRET", "dashboard_cookie_key")],
)
def test_a_full_disk_leaves_no_half_of_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, method: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    told = f"cannot keep a secret in .*No space left on device; make room .* set CHURN_{name}"
    with pytest.raises(ConfigurationError, match=told):
        getattr(Settings(var_dir=tmp_path), method)()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_key_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "id_key").touch()
    with pytest.raises(ConfigurationError, match="id_key is empty, expected the secret that was"):
        Settings(var_dir=tmp_path).customer_id_key()


def test_a_var_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(ConfigurationError, match="var/id_key: (Not a directory|File exists)"):
        Settings(var_dir=tmp_path / "var").customer_id_key()
