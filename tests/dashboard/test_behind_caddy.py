"""MLflow and Prometheus behind a real Caddy: who is let in, and which headers get through."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from werkzeug.serving import make_server

from include.settings import PROJECT
from tests.caddy import environment
from tests.conftest import running
from tests.dashboard.conftest import served
from tests.dashboard.provider import signed_by
from tests.dashboard.test_single_sign_on import door
from tests.ports import free_ports

pytestmark = pytest.mark.slow

FORGED = (
    *("Remote-User", "remote_user", "Remote-Role", "REMOTE_ROLE", "X-Forwarded-User"),
    *("X_Forwarded-User", "X-Auth-Request-Email", "x_auth_request_groups", "X-WEBAUTH-USER"),
)


class Echo(BaseHTTPRequestHandler):
    """Stands for MLflow and Prometheus: tells which headers it was given."""

    def do_GET(self) -> None:
        """The headers as a list of pairs."""
        body = json.dumps([self.path, *self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture(scope="module")
def domain(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The domain, with its port, at which Caddy answers by the project's own files."""
    caddy, home = shutil.which("caddy"), tmp_path_factory.mktemp("caddy")
    if caddy is None:
        pytest.skip("no caddy on this machine: apt-get install caddy to run this")
    settings = signed_by(provider, home, dashboard_proxies=1)
    echo, port = ThreadingHTTPServer(("127.0.0.1", 0), Echo), free_ports(1)[0]
    with ExitStack() as stack:
        threading.Thread(target=echo.serve_forever).start()
        stack.callback(echo.server_close)
        stack.callback(echo.shutdown)
        dashboard = stack.enter_context(
            served(make_server("127.0.0.1", 0, door(settings), threaded=True))
        )
        place_files(home, dashboard.removeprefix("http://"), f"127.0.0.1:{echo.server_port}")
        variables = environment(caddy, home, port)
        command = [caddy, "run", "--config", str(home / "Caddyfile"), "--adapter", "caddyfile"]
        site = site_of(f"localhost:{port}", "mlflow")
        stack.enter_context(
            running(command, home / "log", env=variables, ready=lambda: is_up(site))
        )
        yield f"localhost:{port}"
        site.close()


def place_files(home: Path, dashboard: str, behind: str) -> None:
    """The project's files for Caddy, with what stands behind it on this machine."""
    compose = PROJECT / "infra" / "compose"
    main, sites = (compose / "Caddyfile").read_text(), (compose / "sso.caddy").read_text()
    for name, address in (("dashboard:8050", dashboard), ("mlflow:5000", behind)):
        sites = sites.replace(name, address)
    (home / "sites").mkdir()
    (home / "sites" / "operators.caddy").write_text(sites.replace("prometheus:9090", behind))
    (home / "Caddyfile").write_text(main.replace("admin localhost:2019", "admin off"))


def site_of(domain: str, name: str) -> httpx.Client:
    """A browser's way to one site: the name is this machine's, whoever resolves it."""
    _, _, port = domain.partition(":")
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Host": f"{name}.{domain}", "Accept": "text/html"},
        trust_env=False,
    )


def is_up(site: httpx.Client) -> bool:
    """Whether Caddy answers."""
    try:
        return site.get("/").status_code == 302
    except httpx.TransportError:
        return False


def come_in(site: httpx.Client, sub: str) -> None:
    """Sign in at a site; the provider sends people back to its name, which is asked here."""
    begun = site.get("/auth/begin")
    back = httpx.post(begun.headers["Location"], data={"sub": sub}).headers["Location"]
    assert back.startswith(f"http://{site.headers['Host']}/auth/callback?")
    assert site.get(httpx.URL(back).raw_path.decode()).status_code == 302


@pytest.mark.parametrize("name", ["mlflow", "prometheus"])
def test_nobody_comes_in_unasked(name: str, domain: str) -> None:
    with site_of(domain, name) as site:
        assert site.get("/a?b=1").headers["Location"] == "/sign-in?next=/a%3Fb%3D1"
        assert "Sign in with your account" in site.get("/sign-in").text
        assert site.get("/api", headers={"Accept": "*/*"}).status_code == 401
        forged = {"Remote-User": "ada", "Remote-Role": "admin", "X-Forwarded-Uri": "/sign-in"}
        assert site.post("/api", headers=forged).status_code == 401


@pytest.mark.parametrize(
    ("sub", "method", "path", "status"),
    [
        ("vera", "GET", "/", 200),
        ("vera", "POST", "/ajax-api/2.0/mlflow/runs/search", 200),
        ("vera", "POST", "/api/2.0/mlflow-artifacts/mpu/create/1/a/artifacts/search", 403),
        ("vera", "POST", "/ajax-api/2.0/mlflow/runs/delete", 403),
        ("vera", "DELETE", "/ajax-api/2.0/mlflow/registered-models/alias", 403),
        ("otto", "POST", "/ajax-api/2.0/mlflow/runs/delete", 200),
        ("nemo", "GET", "/", 302),
    ],
)
def test_a_viewer_looks_at_mlflow_and_changes_nothing(
    sub: str, method: str, path: str, status: int, domain: str
) -> None:
    with site_of(domain, "mlflow") as site:
        if sub != "nemo":
            come_in(site, sub)
        assert site.request(method, path).status_code == status


@pytest.mark.parametrize(("page", "status"), [("mlflow", 200), ("prometheus", 403)])
def test_a_page_beside_it_changes_nothing_in_mlflow(page: str, status: int, domain: str) -> None:
    with site_of(domain, "mlflow") as site:
        come_in(site, "otto")
        origin = {"Origin": f"http://{page}.{domain}"}
        deleted = site.post("/ajax-api/2.0/mlflow/runs/delete", headers=origin)
        assert deleted.status_code == status
        assert site.get("/", headers=origin).status_code == 200


def test_who_it_is_goes_along_and_nothing_else_that_claims_to(domain: str) -> None:
    with site_of(domain, "prometheus") as site:
        come_in(site, "vera")
        path, *found = site.get("/graph", headers=dict.fromkeys(FORGED, "ada")).json()
    told = [(name.lower(), value) for name, value in found]
    assert path == "/graph" and "ada" not in [value for _, value in told]
    assert [value for name, value in told if name == "remote-user"] == ["vera@bank.example"]
    assert [value for name, value in told if name == "remote-role"] == ["viewer"]
    assert not [name for name, _ in told if "_" in name or name == "cookie"]


def test_signing_out_at_one_site_signs_out_of_all(domain: str) -> None:
    with site_of(domain, "mlflow") as mlflow, site_of(domain, "prometheus") as prometheus:
        for site in (mlflow, prometheus):
            come_in(site, "ada")
            assert site.get("/").status_code == 200
        assert prometheus.post("/sign-out").status_code == 302
        assert mlflow.get("/").status_code == 302
