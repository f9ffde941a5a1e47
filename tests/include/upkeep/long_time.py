"""What a stack of 10,000 customers has after a long time, at sizes found after a day of one."""

import os
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, create_engine, text

OBJECTS = {  # bytes of what a day leaves in the store
    "predictions/date={day}/{id}.parquet": 60_000,
    "scores/date={day}/part-0000.parquet": 450_000,
    "scores/date={day}/summary.json": 2_000,
    "monitoring/date={day}/drift.json": 30_000,
    "monitoring/date={day}/outcomes.json": 20_000,
    "monitoring/date={day}/report.html": 4_750_000,
    "monitoring/date={day}/report.json": 60_000,
    "runs/scheduled__{day}/plan_ranges/plan.json": 300_000,
}
OF_A_WEEK = {"runs/weekly__{day}/ingest_data/customers.parquet": 5_700_000}
DAGS = {
    "churn_drift": ("plan_parts", "collect_predictions", "detect_drift", "publish_report"),
    "churn_scoring": ("plan_ranges", "score_range", "summarise_scores"),
    "churn_training": ("ingest_data", "validate_data", "train_model", "promote_model"),
}
TASK_LOG, PARSE_LOG = 5_000, 700_000
EVENTS = ("running", "success")  # of a task, in Airflow's table `log`


def days_before(now: datetime, days: int) -> Iterator[datetime]:
    """Each day's moment, the oldest first; the last one is yesterday's."""
    return (now - timedelta(days=back) for back in range(days, 0, -1))


def fill_store(root: Path, now: datetime, *, days: int) -> None:
    """Objects of so many days, as old as they would be."""
    for place, moment in enumerate(days_before(now, days)):
        found = OBJECTS | (OF_A_WEEK if place % 7 == 0 else {})
        for key, size in found.items():
            name = key.format(day=moment.date(), id=uuid.uuid4().hex)
            _file(root / name, size, moment)


def fill_logs(folder: Path, now: datetime, *, days: int) -> None:
    """Airflow's logs of so many days."""
    for moment in days_before(now, days):
        for dag, tasks in DAGS.items():
            run = folder / f"dag_id={dag}" / f"run_id=scheduled__{moment.date()}"
            for task in tasks:
                _file(run / f"task_id={task}" / "attempt=1.log", TASK_LOG, moment)
            parsed = folder / "dag_processor" / str(moment.date()) / "dags-folder"
            _file(parsed / f"{dag}.py.log", PARSE_LOG, moment)


def _file(path: Path, size: int, moment: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)  # its size counts, and it takes no room
    os.utime(path, (moment.timestamp(), moment.timestamp()))


def fill_metadata(url: str, now: datetime, *, days: int) -> None:
    """Runs, tasks, XComs and events of so many days in Airflow's database, SQLite or PostgreSQL."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for moment in days_before(now, days):
            for dag, tasks in DAGS.items():
                _run(connection, dag, tasks, moment)
    engine.dispose()


def _run(database: Connection, dag: str, tasks: tuple[str, ...], moment: datetime) -> None:
    at = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
    run = f"scheduled__{at}"
    _insert(
        database,
        "dag_run",
        dag_id=dag,
        run_id=run,
        run_type="scheduled",
        state="success",
        run_after=at,
        logical_date=at,
        start_date=at,
        end_date=at,
    )
    wanted = text("SELECT id FROM dag_run WHERE dag_id = :dag AND run_id = :run")
    made = database.execute(wanted, {"dag": dag, "run": run}).scalar_one()
    for task in tasks:
        of_task = {"dag_id": dag, "task_id": task, "run_id": run, "map_index": -1}
        own = {"state": "success", "try_number": 1, "pool": "default_pool", "pool_slots": 1}
        dates = {"start_date": at, "end_date": at}
        _insert(database, "task_instance", id=uuid.uuid4().hex, **of_task, **own, **dates)
        value = '"' + "x" * 500 + '"'
        _insert(
            database,
            "xcom",
            dag_run_id=made,
            key="return_value",
            value=value,
            timestamp=at,
            **of_task,
        )
        _insert(database, "rendered_task_instance_fields", rendered_fields=value, **of_task)
        for event in EVENTS:
            _insert(database, "log", dttm=at, event=event, owner="airflow", **of_task)


def _insert(database: Connection, table: str, **row: object) -> None:
    values = ", ".join(f":{name}" for name in row)
    database.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})"), row)
