"""The API while its store fails in each way: no answer waits, none is lost or half a model's."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from include.store import Store
from tests.conftest import AWS_DUMMY, empty_bucket
from tests.e2e.faults.matrix import faults
from tests.e2e.faults.proxy import Proxy
from tests.webapp.champions import Version, expected, publish, records
from tests.webapp.conftest import Server, loopback_port
from tests.webapp.load import Load, logged_ids
from webapp.store_timeouts import READ_TIMEOUT_SECONDS

pytestmark = pytest.mark.slow  # time-outs are waited for


@pytest.fixture(scope="module")
def bucket(s3_endpoint: str) -> Store:
    return empty_bucket(s3_endpoint)


@pytest.fixture(scope="module")
def proxy(s3_endpoint: str) -> Iterator[Proxy]:
    parts = urlsplit(s3_endpoint)
    found = Proxy(str(parts.hostname), parts.port or 0)
    yield found
    found.close()


@pytest.fixture(scope="module")
def _server_on_s3(
    tmp_path_factory: pytest.TempPathFactory, bucket: Store, proxy: Proxy, version_1: Version
) -> Iterator[Server]:
    publish(bucket, version_1)
    home = tmp_path_factory.mktemp("on-s3")
    found = Server(loopback_port(), home, environment_of(bucket, proxy))
    yield found.start()
    found.stop()


def environment_of(bucket: Store, proxy: Proxy) -> dict[str, str]:
    """A server whose store is behind the proxy."""
    return {
        **AWS_DUMMY,
        "AWS_ENDPOINT_URL": proxy.url,
        "CHURN_STORE_URI": bucket.uri,
        "CHURN_API_WORKERS": "1",
    }


@pytest.fixture
def on_s3(_server_on_s3: Server, proxy: Proxy) -> Iterator[Server]:
    """A server whose store answers, and answers again after the test."""
    yield _server_on_s3
    proxy.set("pass")
    _server_on_s3.until(_server_on_s3.has_shipped, seconds=60)


@pytest.mark.parametrize("fault", faults("api", "store"))
def test_no_answer_waits_for_a_store_that_fails_and_none_is_lost(
    on_s3: Server, bucket: Store, proxy: Proxy, fault: str
) -> None:
    before = Counter(logged_ids(bucket))
    proxy.set(fault)
    with Load(on_s3, records(8), clients=2) as load:
        load.wait_for(100, seconds=3.0)
    assert load.refused == [] and load.cut_off == 0
    assert load.slowest_seconds < READ_TIMEOUT_SECONDS / 2  # no answer waited for the store
    if fault not in {"slow", "torn"}:  # which let answers' objects through
        assert on_s3.metric("prediction_log_pending_rows") >= 0.5 * len(load.answers)
    proxy.set("pass")
    on_s3.until(on_s3.has_shipped, seconds=60)
    assert Counter(logged_ids(bucket)) - before == Counter(load.acknowledged)


@pytest.mark.parametrize("fault", ["refuse", "hang", "garbage"])
def test_a_restart_while_the_store_fails_serves_the_last_champion(
    on_s3: Server, proxy: Proxy, fault: str
) -> None:
    on_s3.stop()
    proxy.set(fault)
    before = len(on_s3.log)
    on_s3.start()
    log = on_s3.log[before:]
    assert "serving version 1 from the local copy" in log
    if fault == "hang":
        assert "cannot look at the champion pointer" not in log, "it waited for the store"
    answer = on_s3.http.post("/predict", json=records(1)[0])
    assert answer.status_code == 200 and answer.json()["model_version"] == "1"


@pytest.mark.parametrize("fault", faults("api", "store"))
def test_a_new_champion_that_cannot_be_read_whole_takes_over_once_it_can(
    on_s3: Server, bucket: Store, proxy: Proxy, version_1: Version, version_2: Version, fault: str
) -> None:
    own = {each[0].version: expected(each, records(8)) for each in (version_1, version_2)}
    on_s3.until(lambda: serves(on_s3, version_1))
    proxy.set(fault)
    publish(bucket, version_2)
    with Load(on_s3, records(8), clients=2) as load:
        load.wait_for(50, seconds=2.0)
        assert fault == "slow" or load.last_versions(50) == {"1"}
        proxy.set("pass")
        on_s3.until(lambda: load.last_versions(20) == {"2"})
    assert load.refused == [] and load.cut_off == 0
    for place, answer in load.answers:
        assert answer["probabilities"] == pytest.approx([own[answer["model_version"]][place]])
    publish(bucket, version_1)


@pytest.mark.parametrize("fault", ["refuse", "hang", "torn"])
def test_a_first_start_beside_a_store_that_fails_lives_and_is_ready_once_it_answers(
    tmp_path: Path, bucket: Store, proxy: Proxy, version_1: Version, fault: str
) -> None:
    publish(bucket, version_1)
    found = Server(loopback_port(), tmp_path, environment_of(bucket, proxy))
    proxy.set(fault)
    try:
        found.start(ready=False)
        assert found.http.get("/ready").status_code == 503
        answer = found.http.post("/predict", json=records(1)[0])
        assert answer.status_code == 503 and answer.json()["detail"]
        proxy.set("pass")
        found.until(lambda: serves(found, version_1))
    finally:
        proxy.set("pass")
        found.stop()


def serves(server: Server, version: Version) -> bool:
    """Whether the next answer is that version's."""
    answer = server.http.post("/predict", json=records(1)[0])
    return answer.status_code == 200 and bool(answer.json()["model_version"] == version[0].version)
