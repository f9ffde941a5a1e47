"""What a task says holds no secret of the settings, whoever says it."""

from typing import Any

import pytest

from include.settings import Settings
from include.tasks import masking
from include.tasks.masking import secrets_of

NOTHING: dict[str, Any] = {"_env_file": None, "database_url": "", "tuning_storage": ""}


@pytest.mark.parametrize(
    ("settings", "secrets"),
    [
        ({}, set()),
        ({"database_url": "sqlite:////a/churn.db"}, set()),
        ({"database_url": "mysql+pymysql://churn@host/churn"}, set()),
        ({"database_url": "mysql+pymysql://churn:s3cret@host/churn"}, {"s3cret"}),
        ({"database_url": "mysql://churn:a%40b%2Fc@host/churn"}, {"a%40b%2Fc", "a@b/c"}),
        ({"database_url": "mysql://churn:a@b/c@host/churn"}, {"a@b/c", "a"}),
        (
            {"database_url": "mysql://churn:s3cret@h/d?ssl_ca=/a@b.pem"},
            {"s3cret", "s3cret@h/d?ssl_ca=/a"},
        ),
        ({"airflow_database_url": "postgresql://airflow:pg-one@host/a"}, {"pg-one"}),
        ({"mlflow_database_url": "postgresql://mlflow:pg-two@host/m"}, {"pg-two"}),
        ({"tuning_storage": "postgresql://airflow:pg-three@host/t"}, {"pg-three"}),
        ({"rate_limit_storage": "redis://:r3dis@host:6379/0"}, {"r3dis"}),
        ({"rate_limit_storage": "redis://host:6379/0"}, set()),
        ({"api_keys": "key-one, key-two"}, {"key-one", "key-two"}),
        ({"id_key": "of the log", "oidc_client_secret": "hush"}, {"of the log", "hush"}),
        ({"dashboard_password": "sesame", "dashboard_secret": "signs"}, {"sesame", "signs"}),
    ],
)
def test_each_secret_is_found(settings: dict[str, Any], secrets: set[str]) -> None:
    assert set(secrets_of(Settings(**{**NOTHING, **settings}))) == secrets


@pytest.mark.slow  # which imports Airflow
def test_airflow_shows_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.log import redact

    given = {
        "database_url": "mysql+pymysql://churn:p%40ss-of-mysql@host/churn",
        "id_key": "key-of-the-customers",
        "mlflow_database_url": "postgresql://mlflow:pass-of-mlflow@host/m",
    }
    said = {"url": f"cannot reach {given['mlflow_database_url']}", "words": ["p@ss-of-mysql"]}
    assert "pass-of-mlflow" in str(redact(said))
    monkeypatch.setattr(masking, "load_settings", lambda: Settings(**{**NOTHING, **given}))
    masking.mask_secrets()
    shown = str(redact({**said, "rendered": {"of": given["id_key"], "at": given["database_url"]}}))
    assert [each for each in secrets_of(masking.load_settings()) if each in shown] == []
    assert "cannot reach postgresql://mlflow:***@host/m" in shown
