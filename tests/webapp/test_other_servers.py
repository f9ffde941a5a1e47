"""The application knows no server: others give the same answers and the same log."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from include.store import LocalStore
from tests.webapp.champions import Version, publish, records
from tests.webapp.conftest import GUNICORN, WORKERS, Server, body, loopback_port
from tests.webapp.load import logged_rows

pytestmark = pytest.mark.slow

SERVERS = {
    "ours": GUNICORN,
    "granian": (
        *("granian", "--interface", "wsgi", "--http", "1", "--no-ws", "--blocking-threads", "1"),
        *("--workers", str(WORKERS), "--port", "{port}", "--factory", "webapp:create_app"),
    ),
    # Built before the workers are forked, and without any hook of ours.
    "preloaded": (
        *("gunicorn", "--preload", "-k", "gthread", "--no-control-socket"),
        *("--workers", str(WORKERS), "-b", "127.0.0.1:{port}", "webapp:create_app()"),
    ),
}
MADE_EACH_TIME = {"prediction_id", "predicted_at", "latency_seconds"}


def ask(server: Server) -> list[dict[str, Any]]:
    """Answers to records, to a batch in chunks and to a question why, without their times."""
    headers = {"Content-Type": "application/json", "X-Churn-Source": "test"}
    batch = iter([body({"records": records(3)})])
    asked: list[tuple[str, Any]] = [("/predict", body(record)) for record in records(5)]
    asked += [("/predict_batch", batch), ("/explain", body(records(1)[0])), ("/predict", b"{")]
    found = []
    for place, (path, content) in enumerate(asked):
        headers["X-Request-ID"] = str(place)
        answer = httpx.post(server.url + path, content=content, headers=headers, timeout=20)
        found.append({"status_code": answer.status_code} | answer.json())
        found[-1].pop("timestamp", None)
    return found


@pytest.fixture(scope="module")
def under(
    tmp_path_factory: pytest.TempPathFactory, version_1: Version
) -> Iterator[dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]]]:
    """Under each server the answers and, once they are in the store, the logged rows."""
    found = {}
    for name, command in SERVERS.items():
        home = tmp_path_factory.mktemp(name)
        server = Server(loopback_port(), home, {"CHURN_ID_KEY": "secret"}, command=command)
        publish(LocalStore(home / "store"), version_1)
        try:
            server.start(ready=name == "ours")
            server.until(lambda server=server: server.http.get("/ready").status_code == 200)
            answers = ask(server)
            store = LocalStore(home / "store")
            server.until(lambda store=store: len(logged_rows(store)) >= 8)
        finally:
            server.stop()
        found[name] = answers, logged_rows(store)
    return found


@pytest.mark.parametrize("name", ["granian", "preloaded"])
def test_answers_and_log_are_the_same(
    under: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]], name: str
) -> None:
    answers, logged = under[name]
    assert [a["status_code"] for a in answers] == [200] * 7 + [400]
    assert len(logged) == 8
    assert (answers, _comparable(logged)) == (under["ours"][0], _comparable(under["ours"][1]))


def _comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [{k: v for k, v in row.items() if k not in MADE_EACH_TIME} for row in rows]
    return sorted(kept, key=lambda row: (row["request_id"], row["row"]))
