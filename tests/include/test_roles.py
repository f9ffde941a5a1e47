"""Which role somebody has by what a provider says, and by which name the system knows them."""

from typing import Any

import jmespath
import pytest
import yaml

from include import roles
from include.roles import Role
from include.settings import PROJECT, Settings

OVERLAY = PROJECT / "infra" / "compose" / "docker-compose.sso.yaml"
OF_GRAFANA = {"Admin": "admin", "Editor": "operator", "Viewer": "viewer"}


@pytest.mark.parametrize(
    ("claim", "claims", "role"),
    [
        ("roles", {"roles": ["churn-viewer"]}, "viewer"),
        ("roles", {"roles": "churn-operator"}, "operator"),
        ("roles", {"roles": ["x", "churn-viewer", "churn-admin"]}, "admin"),
        ("roles", {"roles": "not-churn-admin"}, None),
        ("roles", {"roles": []}, None),
        ("roles", {"roles": None}, None),
        ("roles", {"roles": {"churn-admin": True}}, None),
        ("roles", {}, None),
        ("realm_access.roles", {"realm_access": {"roles": ["churn-admin"]}}, "admin"),
        ('"https://bank/roles"', {"https://bank/roles": ["churn-operator"]}, "operator"),
    ],
)
def test_the_highest_role_of_the_claim_counts_in_the_dashboard_and_in_grafana(
    claim: str, claims: dict[str, Any], role: Role | None
) -> None:
    settings = Settings(oidc_role_claim=claim)
    assert roles.role_of(claims, settings) == role
    grafana = yaml.safe_load(OVERLAY.read_text())["services"]["grafana"]["environment"]
    path = grafana["GF_AUTH_GENERIC_OAUTH_ROLE_ATTRIBUTE_PATH"]
    path = path.replace("${CHURN_OIDC_ROLE_CLAIM:-roles}", claim)
    for name in ("viewer", "operator", "admin"):
        value = f"${{CHURN_OIDC_{name.upper()}:-churn-{name}}}"
        assert path.count(value) == 1
        path = path.replace(value, f"churn-{name}")
    assert OF_GRAFANA.get(jmespath.search(path, claims)) == role


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        (
            {"sub": "7", "preferred_username": "a", "email": "anna@bank.example"},
            "anna@bank.example",
        ),
        ({"sub": "7", "preferred_username": "anna", "email": ""}, "anna"),
        ({"sub": "7"}, "7"),
        ({"sub": "7", "email": "boss@bank.example", "email_verified": False}, "7"),
        ({"sub": "7", "email": "anna@bank.example", "email_verified": True}, "anna@bank.example"),
    ],
)
def test_a_name_is_what_people_read(claims: dict[str, Any], name: str) -> None:
    assert roles.name_of(claims) == name


def test_an_answer_about_somebody_else_is_not_used() -> None:
    told = {"sub": "7", "email": "anna@bank.example"}
    assert roles.all_claims(told, {"sub": "7", "roles": "a"}) == {**told, "roles": "a"}
    assert roles.all_claims(told, {"sub": "8", "roles": "a"}) == told
    assert roles.all_claims(told, {"sub": "7", "email": "x"})["email"] == told["email"]


@pytest.mark.parametrize("issuer", ["https://a.example/realm", "https://a.example/realm/"])
def test_the_provider_says_its_addresses_below_the_issuer(issuer: str) -> None:
    found = roles.discovery_url(Settings(oidc_issuer=issuer))
    assert found == "https://a.example/realm/.well-known/openid-configuration"


def test_an_empty_variable_is_the_default() -> None:
    settings = Settings(oidc_viewer="", oidc_role_claim="", oidc_client_secret="")
    assert (settings.oidc_viewer, settings.oidc_role_claim) == ("churn-viewer", "roles")
    assert settings.oidc_client_secret is None
