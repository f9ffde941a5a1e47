"""What Airflow's FAB auth manager makes of a provider's answer."""

import runpy
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

from include.settings import PROJECT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Using `httpx` with"),  # Starlette's, which Airflow imports
]

FILE = PROJECT / "infra" / "airflow" / "webserver_config.py"


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The file as Flask reads it."""
    if find_spec("airflow.providers.fab") is None:
        pytest.skip("no apache-airflow-providers-fab here: `make setup` to run this")
    for name, value in (("ISSUER", "https://a.example"), ("CLIENT_ID", "churn")):
        monkeypatch.setenv(f"CHURN_OIDC_{name}", value)
    monkeypatch.setenv("CHURN_OIDC_CLIENT_SECRET", "hush")
    return runpy.run_path(str(FILE))


def asked(config: dict[str, Any], id_token: dict[str, Any], userinfo: dict[str, Any]) -> Any:
    """Whom FAB is to sign in."""
    remotes = {"provider": SimpleNamespace(userinfo=lambda: userinfo)}
    manager = SimpleNamespace(oauth_remotes=remotes)
    found = config["SECURITY_MANAGER_CLASS"].get_oauth_user_info
    return found(manager, "provider", {"userinfo": id_token})


def test_a_role_of_the_claim_becomes_one_of_airflows(config: dict[str, Any]) -> None:
    person = asked(
        config, {"sub": "7"}, {"sub": "7", "email": "a@b.example", "roles": "churn-admin"}
    )
    assert (person["username"], person["email"]) == ("a@b.example", "a@b.example")
    assert [config["AUTH_ROLES_MAPPING"][key] for key in person["role_keys"]] == [["Admin"]]


@pytest.mark.parametrize("userinfo", [{"sub": "7"}, {"sub": "8", "roles": "churn-admin"}])
def test_who_has_no_role_is_nobody_to_airflow(
    userinfo: dict[str, Any], config: dict[str, Any]
) -> None:
    assert asked(config, {"sub": "7", "email": "a@b.example"}, userinfo) == {}


def test_roles_are_read_at_each_sign_in_and_nobody_has_one_by_default(
    config: dict[str, Any],
) -> None:
    assert config["AUTH_ROLES_SYNC_AT_LOGIN"] is True
    assert config["AUTH_USER_REGISTRATION_ROLE"] == "Public"
    (provider,) = config["OAUTH_PROVIDERS"]
    assert provider["remote_app"]["client_kwargs"]["code_challenge_method"] == "S256"
