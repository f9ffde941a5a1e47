"""A variable that is set to nothing, as docker compose passes one on, is not set."""

from pathlib import Path

import pytest

from include.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("CHURN_VAR_DIR", "var_dir"),
        ("CHURN_SPOOL_DIR", "spool_dir"),
        ("CHURN_CHAMPION_DIR", "champion_dir"),
        ("CHURN_DASHBOARD_SECRET", "dashboard_secret"),
        ("CHURN_ID_KEY", "id_key"),
        ("MLFLOW_TRACKING_URI", "tracking_uri"),
    ],
)
def test_an_empty_variable_is_not_set(
    variable: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "")
    assert getattr(load_settings(), name) == Settings.model_fields[name].default


def test_without_a_secret_the_cookies_are_signed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_VAR_DIR", str(tmp_path))
    monkeypatch.setenv("CHURN_DASHBOARD_SECRET", "")
    assert len(load_settings().dashboard_cookie_key()) == 64


def test_an_empty_schedule_still_means_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_SCORING_SCHEDULE", "")
    assert load_settings().scoring_schedule == ""
