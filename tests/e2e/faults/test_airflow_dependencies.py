"""What each task of each DAG needs, and how it ends when that does not answer as it should."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic_core import to_jsonable_python

from include.champion import tracking
from include.customers import database
from include.errors import ChurnError, DatabaseUnavailable, RegistryError, StoreError
from include.store import s3
from include.tasks.errors import reported
from include.tasks.limits import QUICK
from tests.conftest import empty_bucket, empty_database
from tests.e2e.faults.pipelines import (
    TASKS,
    Places,
    World,
    founded,
    made_anew,
    seen,
    without_second,
)
from tests.e2e.faults.proxy import Proxy, line_to

pytestmark = [
    pytest.mark.slow,  # time-outs are waited for
    pytest.mark.timeout(600),  # the first waits until every task has been done once
    # of Evidently and what it imports
    pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Deprecated in litestar"),
]

DATABASE, STORE, MLFLOW = "database", "store", "mlflow"
NEEDS = {
    "ingest_data": (DATABASE, STORE, MLFLOW),
    "validate_data": (STORE, MLFLOW),
    "transform_data": (STORE,),
    "train_model": (STORE, MLFLOW),
    "evaluate_model": (STORE, MLFLOW),
    "approve_promotion": (STORE, MLFLOW),
    "promote_model": (STORE, MLFLOW),
    "plan_ranges": (DATABASE, STORE),
    "score_range": (DATABASE, STORE),
    "summarise_scores": (DATABASE, STORE),
    "snapshot_customers": (DATABASE,),
    "record_exits": (DATABASE,),
    "plan_parts": (STORE,),
    "collect_predictions": (STORE,),
    "detect_drift": (DATABASE, STORE),
    "publish_report": (STORE,),
    "measure_outcomes": (DATABASE, STORE),
    "prepare_study": (DATABASE, STORE, MLFLOW),
    "tune_hyperparameters": (STORE,),  # what it has told MLflow once is not told again
    "publish_best": (STORE, MLFLOW),
    "delete_runs": (STORE,),
    "delete_predictions": (STORE,),
    "clean_mlflow": (STORE, MLFLOW),
}
SAYS: dict[str, tuple[type[ChurnError], str]] = {
    DATABASE: (DatabaseUnavailable, "could not .* in mysql.*Check that .*CHURN_DATABASE_URL"),
    STORE: (StoreError, "AWS_ENDPOINT_URL|try later"),
    MLFLOW: (RegistryError, "did not do what it was asked: .*MLFLOW_TRACKING_URI names it"),
}
S3_BACKOFF = 20  # seconds at most, of botocore's standard mode
FAULTS = ("refuse", "hang", "garbage", "page")
CASES = [
    (task, each, fault)
    for task, needs in NEEDS.items()
    for each in needs
    for fault in FAULTS
    if (each, fault) != (DATABASE, "page")  # no web server waits for MySQL to speak first
]
MOMENTS = {
    *("snapshot_at", "decided_at", "scored_at", "made_at", "promoted_at"),
    *("seconds", "body", "deadline", "target_reason"),
}

Lines = dict[str, Proxy]


@pytest.fixture(scope="module")
def lines_and_world(
    tmp_path_factory: pytest.TempPathFactory,
    mariadb_server: str,
    s3_endpoint: str,
    mlflow_server: str,
) -> Iterator[tuple[Lines, World]]:
    """A bank over lines that can be broken, in which every task has been done undisturbed."""
    with ExitStack() as stack:
        url = stack.enter_context(empty_database(mariadb_server))
        customers, database_url = stack.enter_context(line_to(url))
        store, endpoint = stack.enter_context(line_to(s3_endpoint))
        mlflow, tracking_uri = stack.enter_context(line_to(mlflow_server))
        places = Places(
            home=tmp_path_factory.mktemp("lines"),
            database=f"{database_url}?connect_timeout=1&read_timeout=5&write_timeout=5",
            store=empty_bucket(s3_endpoint).uri,
            mlflow=tracking_uri,
            endpoint=endpoint,
        )
        world = founded(places)
        for task in TASKS:
            made_anew(world, task)
            world.run(task)
        without_second(world)
        yield {DATABASE: customers, STORE: store, MLFLOW: mlflow}, world
        world.engine.dispose()


@pytest.fixture
def lines(lines_and_world: tuple[Lines, World]) -> Lines:
    return lines_and_world[0]


@pytest.fixture
def world(
    lines: Lines, lines_and_world: tuple[Lines, World], monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """The bank, whose client of MLflow gives up after seconds."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    yield lines_and_world[1]
    for line in lines.values():
        line.set("pass")
    if seen(lines_and_world[1]).champion == "2":
        without_second(lines_and_world[1])


def undated(answer: Any) -> Any:
    """An answer without what depends on the moment."""
    found = to_jsonable_python(answer)
    if isinstance(found, list):
        return [undated(each) for each in found]
    if not isinstance(found, dict):
        return found
    return {name: undated(each) for name, each in found.items() if name not in MOMENTS}


def test_every_task_is_in_the_table() -> None:
    assert {*NEEDS} == {*TASKS} - {"reject"}  # which goes on without MLflow


def test_whoever_hangs_is_given_up_before_the_shortest_limit_of_a_task_ends_it() -> None:
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES

    retries = MLFLOW_HTTP_REQUEST_MAX_RETRIES.default
    backoff = [2**retry + 1 for retry in range(1, retries + 1)]
    seconds = {
        DATABASE: database.CONNECT_SECONDS + database.ANSWER_SECONDS,
        STORE: s3.ATTEMPTS * (s3.CONNECT_TIMEOUT_SECONDS + s3.READ_TIMEOUT_SECONDS + S3_BACKOFF),
        MLFLOW: (retries + 1) * tracking.REQUEST_SECONDS + sum(backoff),
    }
    assert max(seconds.values()) < QUICK.total_seconds()


@pytest.mark.parametrize(("task", "needed", "fault"), CASES)
def test_a_task_that_is_not_answered_says_so_changes_nothing_and_is_tried_again(
    lines: Lines,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    needed: str,
    fault: str,
) -> None:
    undisturbed = world.answers[task]
    made_anew(world, task)
    before, (kind, message) = seen(world), SAYS[needed]
    lines[needed].set("refuse")  # whoever is connected is cut off
    lines[needed].set(fault)
    with pytest.raises(kind, match=message), reported():
        world.run(task)
    lines[needed].set("pass")
    monkeypatch.undo()  # what answers may take its time
    assert seen(world) == before
    assert undated(world.run(task)) == undated(undisturbed)


@pytest.mark.parametrize(
    ("task", "needed"), [(task, each) for task, needs in NEEDS.items() for each in needs]
)
def test_a_slow_line_delays_a_task_and_changes_none_of_its_answers(
    lines: Lines, world: World, monkeypatch: pytest.MonkeyPatch, task: str, needed: str
) -> None:
    monkeypatch.undo()
    undisturbed = world.answers[task]
    made_anew(world, task)
    lines[needed].set("slow")
    assert undated(world.run(task)) == undated(undisturbed)
