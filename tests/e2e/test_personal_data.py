"""After a day of work no customer's number is outside the customer database and what expires.

A day as it is: training with faulty rows, nightly scores, a snapshot, answers over HTTP (wrong
ones too), drift in several parts, outcomes, an analyst's calls, a campaign, an upload; with every
log, all that Airflow hands from task to task, every metric and every file of MLflow looked at.
"""

import gzip
import io
import json
import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic_core import to_jsonable_python

from dashboard import create_server
from dashboard.data import campaign, uploads
from dashboard.data.api_client import ChurnApi
from include.champion.registry import Registry
from include.contract import load_contract
from include.customers import contacts, loading
from include.customers.__main__ import main as customers_command
from include.customers.contacts import Mark
from include.customers.first_customers import ROWS_ONLY, refuse_mixing, source_of
from include.customers.sample import sample_customers
from include.drift.collect_predictions import collect_predictions
from include.drift.detect_drift import detect_drift
from include.drift.measure_outcomes import measure_outcomes
from include.drift.plan_parts import plan_parts
from include.drift.publish_report import publish_report
from include.errors import ChurnError
from include.handover import frame_bytes
from include.history.record_exits import record_exits
from include.history.run import HistoryRun
from include.history.snapshot_customers import snapshot_customers
from include.params import load_params
from include.scoring.plan_ranges import plan_ranges
from include.scoring.score_range import score_range
from include.scoring.summarise_scores import summarise_scores
from include.settings import Settings
from include.store import LocalStore
from include.tasks.scoring import summarise_scores as summarise_task
from include.training.evaluate_model import Lineage
from include.training.ingest_data import ingest_data
from include.training.train_model import train_model
from include.training.transform_data import transform_data
from include.training.validate_data import validate_data
from tests.conftest import PROJECT, running, running_mlflow
from tests.include.bank_days import drift_run
from tests.include.banks import bank_of, training_run
from tests.include.conftest import changed, evaluate, promote_judged, sql
from tests.include.nights import night_of
from tests.leaks import NUMBERS, files_below, leaks, numbers_in, renumbered
from tests.ports import free_ports
from tests.webapp.conftest import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Deprecated in litestar"),
]

CONTRACT = load_contract()
KEY = CONTRACT.key.name
ID_KEY = "an id key of this test"
# What the rule allows: a run's own tables, which expire, and the scores of each night, likewise.
MAY_NAME = ("store/runs/", "store/scores/", "churn.db", "uploads/")


@dataclass
class Day:
    """A stack's directory, and all that was said that day."""

    var: Path
    engine: sa.Engine
    people: pd.DataFrame
    api: Server
    said: dict[str, list[str]] = field(default_factory=dict)

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.var / "store")

    @property
    def settings(self) -> Settings:
        return Settings(var_dir=self.var, api_url=self.api.url)

    def handed(self, answer: Any) -> Any:
        """A task's answer; Airflow's database keeps it, and shows it in the log."""
        self.say("XCom", json.dumps(to_jsonable_python(answer)))
        return answer

    def say(self, where: str, what: str) -> None:
        self.said.setdefault(where, []).append(what)

    def fails(self, work: Callable[[], Any]) -> None:
        """What a task's log says of a failure."""
        with pytest.raises(ChurnError) as failure:
            work()
        self.say("a failed task's log", str(failure.value))

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Each file of the stack, and what was said."""
        yield from files_below(self.var)
        yield from ((where, "\n".join(lines).encode()) for where, lines in self.said.items())


def forbidden(files: Iterable[tuple[str, bytes]]) -> dict[str, int]:
    """How many customers are named where nobody may be."""
    return {n: count for n, count in leaks(files).items() if not n.startswith(MAY_NAME)}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """The day, with everything below one directory."""
    var = tmp_path_factory.mktemp("stack")
    people = renumbered(sample_customers(1000, seed=4))
    before = datetime.now(UTC) - timedelta(days=40)
    engine = bank_of(f"sqlite:///{var / 'churn.db'}", people, now=before)
    port = free_ports(1)[0]
    environment = {
        **{"CHURN_ID_KEY": ID_KEY, "CHURN_ACCESS_LOG": "true", "CHURN_LOG_LEVEL": "DEBUG"},
        "CHURN_LOG_FLUSH_ROWS": "300",  # several objects, so that drift has several parts
    }
    found = Day(var, engine, people, Server(port, var, environment))
    with ExitStack() as parts:
        parts.callback(engine.dispose)
        parts.callback(found.api.stop)
        parts.enter_context(_log_kept(var / "airflow.log"))
        mlflow = parts.enter_context(running_mlflow(_made(var / "mlflow")))
        _train(found, mlflow)
        _score(found)
        _snapshot(found)
        _answer(found)
        _watch(found)
        _work_of_analysts(found)
        _load(found)
        yield found


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _log_kept(path: Path) -> ExitStack:
    """All that is logged in this process, as a task's log has it."""
    kept, handler, root = ExitStack(), logging.FileHandler(path), logging.getLogger()
    handler.addFilter(lambda record: record.name != "httpx")  # of the test's own requests
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    kept.callback(handler.close)
    kept.callback(root.setLevel, level)
    kept.callback(root.removeHandler, handler)
    return kept


def _spoil(day: Day, rows: int) -> None:
    """Break the contract in so many rows: a number, a category, a date."""
    last = sorted(NUMBERS)[:rows][-1]
    sql(day.engine, f"UPDATE churners SET Customer_Age = {KEY} WHERE {KEY} <= {last}")
    sql(day.engine, f"UPDATE churners SET Gender = 'of ' || {KEY} WHERE {KEY} <= {last}")
    sql(day.engine, f"UPDATE churners SET labelled_at = '2099-01-01' WHERE {KEY} = {last}")


def _mend(day: Day) -> None:
    sql(day.engine, "UPDATE churners SET labelled_at = NULL")
    loading.load_customers(day.engine, day.people, now=datetime.now(UTC) - timedelta(days=40))


def _train(day: Day, mlflow: str) -> None:
    """A run that fails by its faulty rows, and one that sets few aside and is promoted."""
    params = changed(load_params(Settings().params_file), {"n_estimators": 20, "max_depth": 3})
    parts = {"store": day.store, "engine": day.engine, "registry": Registry(mlflow)}
    run = training_run("manual__day", params, **parts)
    _spoil(day, 200)
    failed = replace(run, dag_run_id="manual__failed")
    day.fails(lambda: validate_data(failed, ingest_data(failed)))
    _mend(day)
    _spoil(day, 5)
    ingested = day.handed(ingest_data(run))
    validated = day.handed(validate_data(run, ingested))
    assert validated.rejected_rows == 5
    transformed = day.handed(transform_data(run, validated))
    trained = day.handed(train_model(run, ingested, transformed))
    lineage = Lineage(ingested, validated, transformed, trained)
    evaluated = day.handed(evaluate(run, lineage))
    assert day.handed(promote_judged(run, lineage, evaluated)).version == "1"


def _score(day: Day) -> None:
    """A night in four ranges, with rows that cannot be scored; and what Airflow keeps of it."""
    night = replace(
        night_of(day.store, day.engine, range_rows=300, chunk_rows=110), now=datetime.now(UTC)
    )
    planned = day.handed(plan_ranges(night))
    done = [day.handed(score_range(night, portion)) for portion in planned]
    assert len(planned) == 4 and sum(each.unscorable_rows for each in done) == 5
    summary = to_jsonable_python(summarise_scores(night, planned, done))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("include.tasks.scoring.scoring_task", lambda name: lambda **given: summary)
        patch.setattr("include.tasks.scoring.tell", lambda context, **facts: day.handed(facts))
        day.handed(summarise_task(planned=[], scored=[]))
    day.fails(lambda: summarise_scores(night, planned, done[:-1]))


def _snapshot(day: Day) -> None:
    run = HistoryRun(engine=day.engine, now=datetime.now(UTC))
    day.handed(snapshot_customers(run))
    day.handed(record_exits(run))


def _answer(day: Day) -> None:
    """Customers as callers send them: rightly, wrongly, and as no HTTP at all."""
    day.api.start()
    features = day.people[list(CONTRACT.feature_names)].to_dict("records")
    ids = day.people[KEY].tolist()
    asked = [{**record, "customer_id": each} for record, each in zip(features, ids, strict=True)]
    http = day.api.http
    for shipped, start in enumerate((0, 334, 668), start=1):  # two would fill one part or two
        body = {"records": asked[start : start + 334]}
        assert http.post("/predict_batch", json=body).status_code == 200
        day.api.until(lambda: len([*day.store.list("predictions/")]) >= shipped)  # noqa: B023
    one = ids[7]
    for wrong in ({"customer_id": [one]}, {"Gender": f"of {one}"}, {str(one): one}, {KEY: one}):
        assert http.post("/predict", json={**asked[7], **wrong}).status_code == 422
    assert http.post("/explain", json=asked[7]).status_code == 200
    assert http.get(f"/customers/{one}?number={one}").status_code == 404
    torn = f'{{"customer_id": {one}'
    json_type = {"Content-Type": "application/json"}
    assert http.post("/predict", content=torn, headers=json_type).status_code == 400
    http.request(f"GET{one}", f"/{one}")
    day.api.until(day.api.has_shipped)
    day.say("/metrics", http.get("/metrics").text)
    day.say("/model", http.get("/model").text)


def _watch(day: Day) -> None:
    """Drift over today's log in several parts, its report, and outcomes."""
    rules = {"part_mebibytes": 0.01, "report_rows": 200}
    run = drift_run(
        "drift",
        rules,
        store=day.store,
        day=datetime.now(UTC).date(),
        now=datetime.now(UTC) + timedelta(days=1),
        open_engine=lambda: day.engine,
        id_key=ID_KEY.encode,
    )
    planned = day.handed(plan_parts(run))
    assert len(planned) > 1
    collected = [day.handed(collect_predictions(run, part)) for part in planned]
    detected = day.handed(detect_drift(run, collected))
    day.handed(publish_report(run, detected))
    day.handed(measure_outcomes(run))


def _work_of_analysts(day: Day) -> None:
    """Calls, notes, a campaign, an upload, and each page of the dashboard once."""
    now, ids = datetime.now(UTC), day.people[KEY].tolist()
    contacts.mark(day.engine, [Mark(ids[3], "called", note=f"asked for {ids[4]}")], now=now)
    rows = [{"customer": each, "probability": 0.5} for each in ids[10:60]]
    day.say(
        "campaign",
        str(campaign.start(day.engine, rows, control_share=0.2, model_version="1", now=now)),
    )
    file = day.people.head(40).rename(columns={KEY: "customer_id"}).to_csv(index=False).encode()
    token = uploads.keep(day.var, uploads.read_upload(file, CONTRACT))
    api = ChurnApi(day.settings)
    assert uploads.score_next(day.var, token, api).done == 40
    api.close()
    server = create_server(day.settings)
    client = server.test_client()
    for path in ("/", f"/customer?number={ids[0]}", "/crm/v1.csv?status=all", f"/nobody/{ids[0]}"):
        assert client.get(path).status_code in {200, 404}
    assert numbers_in(client.get("/crm/v1.csv?status=all").data), "the list itself has them"
    server.extensions["churn"].close()


def _load(day: Day) -> None:
    """Files that cannot be loaded, in the words that `make run` and the containers keep."""
    path, other = day.var.parent / "customers.csv", day.var.parent / "other.csv"
    faulty = day.people.assign(Gender="of " + day.people[KEY].astype(str))
    faulty.to_csv(path, index=False)
    day.people.head(3).to_csv(other, index=False, header=False)
    for file in (path, other):
        for command in ("load", "check"):
            with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
                assert customers_command([command, str(file), ROWS_ONLY]) == 1
            day.say("customers.log", out.getvalue())
    assert "row 2: Gender: expected one of F, M\n" in day.said["customers.log"][0]
    day.fails(lambda: refuse_mixing(day.engine, day.people.head(3), source_of(path)))


def test_nobody_is_named_outside_the_database_and_what_expires(day: Day) -> None:
    assert forbidden(day.everything()) == {}


def test_the_day_had_everybody_at_work(day: Day) -> None:
    """Or the test would find nothing because nothing was done."""
    names = {name for name, _ in day.everything()}
    below = {name.split("/")[1] for name in names if name.startswith("store/")}
    assert below >= {"champion", "monitoring", "predictions", "runs", "scores"}
    assert {"airflow.log", "api.log", "XCom", "/metrics", "mlflow/mlflow.db"} <= names
    assert any(name.startswith("mlflow/artifacts/") for name in names)
    named = leaks(day.everything())
    for place in ("manual__day/ingest_data/customers", "manual__failed/validate_data/faults"):
        assert f"store/runs/{place}.parquet" in named, "a run's own tables name rows"
    assert any(name.startswith("store/scores/") for name in named)


@pytest.mark.parametrize(
    ("place", "planted"),
    [
        ("api.log", lambda n: f'{{"message":"no answer for {n}"}}\n'.encode()),
        ("store/monitoring/date=2026-01-01/drift.json", lambda n: f'{{"row": {n}}}'.encode()),
        ("store/predictions/date=2026-01-01/x.parquet", lambda n: _parquet([int(n)])),
        ("store/monitoring/x.parquet", lambda n: _parquet([str(n)])),
        ("mlflow/artifacts/rows.csv.gz", lambda n: gzip.compress(str(n).encode())),
        ("mlflow/artifacts/rows.npy", lambda n: (int(n)).to_bytes(8, "little")),
        ("airflow.db", lambda n: _sqlite(int(n))),
    ],
)
def test_a_planted_number_is_found(place: str, planted: Callable[[int], bytes]) -> None:
    data = planted(sorted(NUMBERS)[500])
    files = [(place, b"{}"), (place, data), ("store/runs/x", data)]
    assert forbidden(files) == {place: 1}


def test_a_proxy_keeps_no_address_that_names_a_customer(tmp_path: Path, free_port: int) -> None:
    """Of what it could not forward it logs the request."""
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("no caddy on this machine: apt-get install caddy to run this")
    text = (PROJECT / "infra" / "compose" / "Caddyfile").read_text()
    options = text.partition("\n}\n\n(public)")[0].replace("admin localhost:2019", "admin off")
    options = options.replace("{$CHURN_TLS_EMAIL}", "somebody@example.org")
    site = f"http://127.0.0.1:{free_port} {{\n\treverse_proxy 127.0.0.1:9\n}}\n"
    (tmp_path / "Caddyfile").write_text(f"{options}\n}}\n{site}")
    command = [caddy, "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"]
    page = f"http://127.0.0.1:{free_port}/customer?number={min(NUMBERS)}"

    def refused() -> bool:
        try:
            return httpx.get(page, headers={"Referer": page}).status_code == 502
        except httpx.TransportError:
            return False

    with running(command, tmp_path / "log", ready=refused):
        pass
    log = (tmp_path / "log").read_bytes()
    assert b'"uri":"/customer?..."' in log and not numbers_in(log)


def _parquet(values: list[Any]) -> bytes:
    return frame_bytes(pd.DataFrame({"x": values}))


def _sqlite(number: int) -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE xcom (value INTEGER)")
        connection.execute("INSERT INTO xcom VALUES (?)", (number,))
        connection.commit()
        return connection.serialize()
