"""What Grafana is told of a provider, by the job that asks it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.compose import provider_addresses
from tests.pages import serving

FOUND = {
    "authorization_endpoint": "https://login.example.com/authorize",
    "token_endpoint": "https://login.example.com/token",
    "userinfo_endpoint": "https://login.example.com/userinfo",
}
DOCUMENTS = {
    "/good/.well-known/openid-configuration": (200, json.dumps({**FOUND, "issuer": "x"})),
    "/half/.well-known/openid-configuration": (200, json.dumps({"issuer": "x"})),
    "/page/.well-known/openid-configuration": (200, "<html>"),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where one provider answers, and what is none."""
    with serving(DOCUMENTS) as pages:
        yield pages.url


def run(issuer: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The job, for that issuer."""
    monkeypatch.setenv("CHURN_OIDC_ISSUER", issuer)
    monkeypatch.setattr("sys.argv", ["provider_addresses", str(folder)])
    return provider_addresses.main()


def test_each_address_is_a_file(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(f"{url}/good/", tmp_path, monkeypatch) == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == FOUND


@pytest.mark.parametrize("path", ["half", "page", "nowhere"])
def test_what_is_no_provider_is_refused(
    path: str,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(f"{url}/{path}", tmp_path, monkeypatch) == 1
    assert "see whether CHURN_OIDC_ISSUER is its issuer" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
