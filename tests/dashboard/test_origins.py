"""What another site's page asks to change is refused, before anybody looks at its cookie."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dashboard import create_server, origins
from include.settings import Settings

HOST = "churn.example.org"
CHANGING = ("/sign-in", "/sign-out", "/_dash-update-component", "/nowhere")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A whole dashboard that asks for a password."""
    home = tmp_path_factory.mktemp("origins")
    server = create_server(Settings(var_dir=home, dashboard_password="sesame"))
    yield server.test_client()
    server.extensions["churn"].close()


def small(public: str = "") -> FlaskClient:
    """One address that takes each method, behind the check alone."""
    server = Flask("dashboard")
    server.add_url_rule("/page", methods=["GET", "POST", "DELETE"], view_func=lambda: "done")
    origins.register(server, Settings(dashboard_public_url=public))
    return server.test_client()


@pytest.mark.parametrize("path", CHANGING)
def test_another_sites_page_changes_nothing(path: str, whole: FlaskClient) -> None:
    headers = {"Origin": "https://evil.example", "Content-Type": "application/json"}
    answer = whole.post(path, headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.text and "keep the Host header" in answer.text


def test_its_own_page_signs_in_and_out(whole: FlaskClient) -> None:
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert whole.post("/sign-in", data={"password": "sesame"}, headers=own).status_code == 302
    foreign = whole.post("/sign-out", headers={"Sec-Fetch-Site": "same-site"})
    assert (foreign.status_code, whole.get("/").status_code) == (403, 200)
    assert whole.post("/sign-out", headers=own).status_code == 302
    assert whole.get("/").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # a program
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),  # such as MLflow's pages beside it
        ({"Sec-Fetch-Site": "cross-site", "Origin": f"https://{HOST}"}, 403),
        ({"Origin": f"https://{HOST}"}, 200),
        ({"Origin": f"https://{HOST}:8443"}, 403),
        ({"Origin": f"https://mlflow.{HOST}"}, 403),
        ({"Origin": f"https://{HOST}.evil.example"}, 403),
        ({"Origin": "null"}, 403),  # a page from a file, or shut in a frame
        ({"Origin": ""}, 403),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_who_asks_is_told_by_the_browser(method: str, headers: dict[str, str], status: int) -> None:
    answer = small().open("/page", method=method, headers={"Host": HOST, **headers})
    assert answer.status_code == status


def test_looking_is_free() -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert small().get("/page", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("public", "status"),
    [("", 403), (f"https://{HOST}", 200), (f"https://{HOST.upper()}:443/", 200)],
)
def test_behind_a_proxy_that_changes_the_host_its_public_name_counts(
    public: str, status: int
) -> None:
    headers = {"Host": "dashboard:8050", "Origin": f"https://{HOST}"}
    assert small(public).post("/page", headers=headers).status_code == status
