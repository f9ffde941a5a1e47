"""The service while its store refuses, hangs or dawdles: no answer waits, and none is lost."""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from include.store import Store
from tests.conftest import AWS_DUMMY, empty_bucket
from tests.e2e.faults.proxy import Proxy
from tests.webapp.champions import Version, publish, records
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
    environment = {
        **AWS_DUMMY,
        "AWS_ENDPOINT_URL": proxy.url,
        "CHURN_STORE_URI": bucket.uri,
        "CHURN_API_WORKERS": "1",
    }
    found = Server(loopback_port(), tmp_path_factory.mktemp("on-s3"), environment)
    yield found.start()
    found.stop()


@pytest.fixture
def on_s3(_server_on_s3: Server, proxy: Proxy) -> Iterator[Server]:
    """A server whose store answers, and answers again after the test."""
    yield _server_on_s3
    proxy.set("pass")
    _server_on_s3.until(_server_on_s3.has_shipped, seconds=60)


@pytest.mark.parametrize("fault", ["refuse", "hang", "slow"])
def test_a_faulty_store_delays_no_answer_and_loses_none(
    on_s3: Server, bucket: Store, proxy: Proxy, fault: str
) -> None:
    before = Counter(logged_ids(bucket))
    proxy.set(fault)
    with Load(on_s3, records(8), clients=2) as load:
        load.wait_for(100, seconds=3.0)
    assert load.refused == [] and load.cut_off == 0
    assert load.slowest_seconds < READ_TIMEOUT_SECONDS / 2  # no answer waited for the store
    if fault != "slow":
        assert on_s3.metric("prediction_log_pending_rows") >= 0.5 * len(load.answers)
    proxy.set("pass")
    on_s3.until(on_s3.has_shipped, seconds=60)
    assert Counter(logged_ids(bucket)) - before == Counter(load.acknowledged)


@pytest.mark.parametrize("fault", ["refuse", "hang"])
def test_a_restart_while_the_store_is_away_serves_the_last_champion(
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
