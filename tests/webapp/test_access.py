"""Keys, the rate limit, and the door that stays shut without keys."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from include.errors import ConfigurationError
from include.settings import Settings, load_settings
from include.store import LocalStore
from tests.ports import free_ports
from tests.webapp.champions import Version, publish
from tests.webapp.conftest import client_of
from webapp.access import refuse_open_door


def guarded(settings: Settings, version: Version, **changes: Any) -> FlaskClient:
    changed = Settings(**{**settings.model_dump(), **changes})
    publish(LocalStore(changed.var_dir / "store"), version)
    return client_of(changed)


@pytest.fixture
def locked(settings: Settings, version_1: Version) -> FlaskClient:
    return guarded(settings, version_1, api_keys="old, new")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer old"}, 200),
        ({"authorization": "bearer new"}, 200),
        ({"X-API-Key": "new"}, 200),
        ({}, 401),
        ({"X-API-Key": "neW"}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-API-Key": "old, new"}, 401),
        ({"Authorization": "Basic old"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer wröng"}, 401),
    ],
)
def test_either_key_opens_and_nothing_else_does(
    locked: FlaskClient, record: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    answer = locked.post("/predict", json=record, headers=headers)
    assert answer.status_code == status
    assert ("WWW-Authenticate" in answer.headers) is (status == 401)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((path, 200) for path in ("/health", "/ready", "/metrics")),
        *((path, 401) for path in ("/", "/model", "/docs", "/openapi.json", "/nowhere")),
    ],
)
def test_probes_need_no_key_and_everything_else_does(
    locked: FlaskClient, path: str, status: int
) -> None:
    assert locked.get(path).status_code == status
    assert locked.delete(path).status_code == (405 if status == 200 else status)


def test_only_loopback_needs_no_keys() -> None:
    refuse_open_door(Settings(), "127.0.0.1")
    with pytest.raises(ConfigurationError, match="CHURN_API_KEYS is empty"):
        refuse_open_door(Settings(), "0.0.0.0")
    refuse_open_door(Settings(api_keys=("k",)), "0.0.0.0")


@pytest.fixture
def open_to_all(settings: Settings, version_1: Version) -> FlaskClient:
    return guarded(settings, version_1, allowed_hosts="churn.example.org")


def test_without_keys_it_answers_to_its_own_names(
    open_to_all: FlaskClient, record: dict[str, Any]
) -> None:
    for host in ("localhost", "127.0.0.1:9", "Churn.Example.org.:443"):
        answer = open_to_all.post("/predict", json=record, headers={"Host": host})
        assert answer.status_code == 200, host


@pytest.mark.parametrize("path", ["/predict", "/health", "/metrics", "/nowhere"])
def test_and_to_no_other(open_to_all: FlaskClient, path: str) -> None:
    for host in ("evil.example", "localhost@evil.example", "a b", "\xb9\xb27.0.0.1"):
        answer = open_to_all.open(path, environ_overrides={"HTTP_HOST": host})
        assert answer.status_code == 421 and answer.content_type == "application/problem+json"
        detail = answer.get_json(force=True)["detail"]
        assert "CHURN_ALLOWED_HOSTS" in detail and detail.endswith(f"found {host!r}")


@pytest.mark.parametrize(
    ("host", "target", "status"),
    [
        ("localhost", "http://localhost:8000/health", 200),
        ("localhost", "http://evil.example/health", 421),
        ("evil.example", "http://localhost/health", 421),
        ("localhost", "evil.example:443", 421),
        ("localhost", "*", 200),
        ("localhost", "//evil.example/", 200),  # a path
        ("", "/health", 400),
    ],
)
def test_a_host_in_the_request_line_is_called_too(
    open_to_all: FlaskClient, host: str, target: str, status: int
) -> None:
    environ = {"HTTP_HOST": host, "RAW_URI": target}
    assert open_to_all.get("/health", environ_overrides=environ).status_code == status


def test_where_a_key_is_asked_for_any_name_will_do(locked: FlaskClient) -> None:
    headers = {"Host": "evil.example", "X-API-Key": "new"}
    assert locked.get("/model", headers=headers).status_code == 200


@pytest.mark.parametrize("name", ["http://churn.example.org", "a b", "*", "churn.example.org/x"])
def test_an_allowed_host_is_a_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("CHURN_ALLOWED_HOSTS", f"localhost,{name}")
    with pytest.raises(ConfigurationError, match="CHURN_ALLOWED_HOSTS: .*a host's name such as"):
        load_settings()


def test_each_key_has_its_own_limit(
    settings: Settings, version_1: Version, record: dict[str, Any]
) -> None:
    client = guarded(settings, version_1, api_keys="a,b", rate_limit="3/minute")

    def status(key: str) -> int:
        return client.post("/predict", json=record, headers={"X-API-Key": key}).status_code

    assert [status("a") for _ in range(5)] == [200, 200, 200, 429, 429]
    assert status("b") == 200
    answer = client.post("/predict", json=record, headers={"X-API-Key": "a"})
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
    assert answer.content_type == "application/problem+json" and "3 per 1 minute" in answer.text
    assert all(client.get("/health").status_code == 200 for _ in range(10))


def test_without_keys_an_invented_one_is_no_way_round_the_limit(
    settings: Settings, version_1: Version
) -> None:
    client = guarded(settings, version_1, rate_limit="3/minute")
    found = [client.get("/model", headers={"X-API-Key": str(n)}).status_code for n in range(5)]
    assert found == [200] * 3 + [429] * 2


def test_a_redis_that_is_away_refuses_nobody_and_each_worker_counts_alone(
    settings: Settings, version_1: Version
) -> None:
    away = f"redis://:secret@127.0.0.1:{free_ports(1)[0]}/0"
    client = guarded(settings, version_1, rate_limit="3/minute", rate_limit_storage=away)
    assert [client.get("/model").status_code for _ in range(5)] == [200] * 3 + [429] * 2


STORAGE = "memory:// or redis://host:port"


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("rate_limit", "fast", "must look like 600/minute, found 'fast'"),
        ("rate_limit_storage", "", STORAGE),
        ("rate_limit_storage", "slots:///tmp", STORAGE),
        ("rate_limit_storage", "redis", STORAGE),
        ("rate_limit_storage", "mongodb://:secret@host", STORAGE),
    ],
)
def test_a_limit_or_a_storage_that_is_none_is_refused(
    settings: Settings, version_1: Version, setting: str, value: str, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as found:
        guarded(settings, version_1, **{"rate_limit": "3/minute", setting: value})
    assert "secret" not in str(found.value)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server is installed")
def test_workers_share_one_count_in_redis(
    settings: Settings, version_1: Version, tmp_path: Path
) -> None:
    port = free_ports(1)[0]
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as redis:
        try:
            changes = {"rate_limit": "4/minute", "rate_limit_storage": f"redis://127.0.0.1:{port}"}
            time.sleep(1)
            clients = [guarded(settings, version_1, **changes) for _ in range(2)]
            found = [clients[turn % 2].get("/model").status_code for turn in range(6)]
        finally:
            redis.terminate()
    assert found == [200] * 4 + [429] * 2
