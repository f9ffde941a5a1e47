import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from include.errors import ConfigurationError
from include.settings import PROJECT, Settings, load_settings


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
        (
            "CHURN_DATABASE_URL",
            "mysql+pymysql://h/d",
            "resolved_database_url",
            "mysql+pymysql://h/d",
        ),
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "tracking_uri", "http://mlflow:5000"),
        ("CHURN_API_URL", "http://api:8000", "api_url", "http://api:8000"),
        ("CHURN_PROMETHEUS_URL", "http://p:9090", "prometheus_url", "http://p:9090"),
        ("CHURN_API_PORT", "9000", "api_port", 9000),
        ("CHURN_RATE_LIMIT", "600/minute", "rate_limit", "600/minute"),
        (
            "CHURN_RATE_LIMIT_STORAGE",
            "redis://h",
            "rate_limit_storage",
            SecretStr("redis://h"),
        ),
        ("CHURN_CHAMPION_POLL_SECONDS", "0.5", "champion_poll_seconds", 0.5),
        ("CHURN_LOG_FLUSH_SECONDS", "3", "log_flush_seconds", 3),
        ("CHURN_LOG_FLUSH_ROWS", "7", "log_flush_rows", 7),
        ("CHURN_SPOOL_DIR", "/srv/spool", "resolved_spool_dir", Path("/srv/spool")),
        ("CHURN_SPOOL_MAX_BYTES", "2000000", "spool_max_bytes", 2_000_000),
        ("CHURN_MAX_BATCH_ROWS", "9", "max_batch_rows", 9),
        ("CHURN_MAX_BODY_BYTES", "2048", "max_body_bytes", 2048),
        ("CHURN_VAR_DIR", "/srv/var", "resolved_store_uri", "file:///srv/var/store"),
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


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CHURN_API_PORT", "eighty"),
        ("CHURN_API_PORT", "70000"),
        ("CHURN_CHAMPION_POLL_SECONDS", "0"),
        ("CHURN_LOG_FLUSH_ROWS", "-1"),
        ("CHURN_MAX_BATCH_ROWS", "1.5"),
        ("CHURN_SPOOL_MAX_BYTES", "1 GiB"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"cannot be used: {variable}: .*found '{value}'"):
        load_settings()


def test_every_setting_at_fault_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_API_PORT", "x")
    monkeypatch.setenv("CHURN_MLFLOW_PORT", "y")
    with pytest.raises(ConfigurationError, match="CHURN_API_PORT.*CHURN_MLFLOW_PORT"):
        load_settings()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_API_KEYS", "hush-1,hush-2")
    monkeypatch.setenv("CHURN_ID_KEY", "hush-3")
    assert "hush" not in repr(load_settings()) + load_settings().model_dump_json()


def test_every_setting_says_what_it_is() -> None:
    assert [n for n, field in Settings.model_fields.items() if not field.description] == []


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().api_port = 1


# --- the key of the customer HMAC


def test_the_id_key_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_ID_KEY", "hush")
    assert load_settings().customer_id_key() == b"hush"


@pytest.mark.parametrize("value", [None, ""])
def test_without_it_a_key_is_made_once_and_kept(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_VAR_DIR", str(tmp_path / "var"))
    if value is not None:
        monkeypatch.setenv("CHURN_ID_KEY", value)
    first = load_settings().customer_id_key()
    assert len(first) == 64
    assert load_settings().customer_id_key() == first


def test_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    Settings(var_dir=tmp_path).customer_id_key()
    assert [path.name for path in tmp_path.iterdir()] == ["id_key"]
    assert stat.S_IMODE((tmp_path / "id_key").stat().st_mode) == 0o600


def test_whoever_comes_at_once_gets_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: Settings(var_dir=tmp_path).customer_id_key(), range(64)))
    assert len(keys) == 1
