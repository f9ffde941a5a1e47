"""The key that names customers in the log is changed, while answers under the old one wait."""

from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from include.customers import loading
from include.customers.database import opened
from include.erasure.__main__ import main
from include.predictions.log import customer_key, key_mark, read_predictions
from include.store import LocalStore
from tests.webapp.champions import Version, publish, records
from tests.webapp.conftest import Server

pytestmark = pytest.mark.slow

ONE = 708082083
KEYS = ("the former", "the present")


def ask(server: Server) -> None:
    record = {**records(1)[0], "customer_id": ONE}
    server.http.post("/predict", json=record).raise_for_status()


def kill_all(server: Server) -> None:
    assert server.process is not None
    master = psutil.Process(server.process.pid)
    for each in (*master.children(recursive=True), master):
        each.kill()
    server.process.wait()
    server.process = None


def named(store: LocalStore) -> set[str]:
    """Whom today's log names."""
    batches = read_predictions(store, datetime.now(UTC).date(), columns=["customer_key"])
    return {key for batch in batches for key in batch["customer_key"].to_pylist()} - {None}


@pytest.fixture
def asked_under_both(server: Server, server_store: LocalStore, version_1: Version) -> Path:
    """The customer is in the log under two keys; what ships the former has the present one."""
    with opened(f"sqlite:///{server.var_dir / 'churn.db'}") as engine:
        loading.create_table(engine)
    publish(server_store, version_1)
    for key, flush_seconds in zip(KEYS, ("600", "1"), strict=True):
        server.environment |= {"CHURN_ID_KEY": key, "CHURN_LOG_FLUSH_SECONDS": flush_seconds}
        server.start()
        ask(server)
        if key == KEYS[0]:
            kill_all(server)
            assert not named(server_store)
    server.until(server.has_shipped)
    return server.var_dir


def test_a_customer_asked_about_under_a_key_that_was_changed_is_never_said_to_be_forgotten_halfway(
    asked_under_both: Path,
    server_store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    former, present = (customer_key(ONE, key.encode()) for key in KEYS)
    assert named(server_store) == {former, present}
    monkeypatch.setenv("CHURN_VAR_DIR", str(asked_under_both))
    monkeypatch.setenv("CHURN_ID_KEY", KEYS[1])
    asked = [str(ONE), "--asked-by", "case 17"]
    assert main(asked) == 1 and named(server_store) == {former}
    told = capsys.readouterr()
    assert key_mark(KEYS[0].encode()) in told.err and "0 left" not in told.out
    monkeypatch.setenv("CHURN_FORMER_ID_KEYS", KEYS[0])
    assert main(asked) == 0 and named(server_store) == set()
    assert "0 left" in capsys.readouterr().out
    (note,) = server_store.list("erasures/")
    assert "unfinished" not in note.key
