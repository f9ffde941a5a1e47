"""Airflow's own database: `airflow db clean` for some tables, whose old rows are kept aside first.

A task of Airflow 3 has no way to that database; this one is told it by CHURN_AIRFLOW_DATABASE_URL
and hands it to Airflow's command line in another process. What `db clean` deletes it first moves
to archive tables. They are exported, kept with this run's files (so for CHURN_KEEP_RUNS_DAYS), and
only then dropped: who is killed between leaves archives, which the next run exports and drops.

Rows go with the predictions of their time, not sooner: while a day can be judged again, the run
that it started must be known (`drift__<date>__v<version>`).
"""

import csv
import gzip
import logging
import os
import re
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from include.errors import CommandFailed, without_secrets
from include.upkeep.retention import moment_before
from include.upkeep.run import Freed, UpkeepRun, left_alone, say

logger = logging.getLogger(__name__)

TASK = "clean_metadata"
# `dag_run` takes task instances, their history, XComs and deadlines along. Not `dag` and
# `dag_version`, on whose foreign keys Airflow 3.3's own cleaning fails, and which stay small. Not
# `trigger`: a task that waits may hang on an old one. Airflow keeps `import_error` short itself.
TABLES = ("dag_run", "log", "job", "task_reschedule", "asset_event")
URL_VARIABLE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
# What a task's process is told lest it reach the database.
OF_A_TASK = ("AIRFLOW__CORE__SQL_ALCHEMY_CONN", "_AIRFLOW", "__AIRFLOW")
FOUND = re.compile(r"^Found (\d+) rows meeting deletion criteria", re.MULTILINE)
NOT_REACHED = (
    "CHURN_AIRFLOW_DATABASE_URL is not set; where Airflow is somebody else's (Amazon MWAA), that "
    "somebody cleans its database"
)
SHOWN_CHARACTERS = 2000


def clean_metadata(run: UpkeepRun) -> Freed:
    """Delete old runs, tasks and events from Airflow's database, and keep a copy for a while."""
    before = moment_before(run.now, run.retention.predictions_days)
    what = f"rows of Airflow's database of before {before:%Y-%m-%d}"
    url = run.places.airflow_database_url
    if not url:
        return left_alone(run, what, NOT_REACHED)
    said = _airflow(url, "clean", *_clean_options(run, before))
    if run.dry_run:
        return say(Freed(what, sum(map(int, FOUND.findall(said))), None, run.dry_run))
    kept = _keep_archives(run, url, what)
    if kept.objects:
        _airflow(url, "drop-archived", "--yes", "--tables", ",".join(TABLES))
    return say(kept)


def _clean_options(run: UpkeepRun, before: datetime) -> list[str]:
    options = ["--clean-before-timestamp", before.isoformat(), "--tables", ",".join(TABLES)]
    return [*options, "--error-on-cleanup-failure", "--dry-run" if run.dry_run else "--yes"]


def _keep_archives(run: UpkeepRun, url: str, what: str) -> Freed:
    """Export all archive tables, a killed run's too, and keep them as objects; size as CSV."""
    kept = Freed(what, 0, 0, run.dry_run)
    with tempfile.TemporaryDirectory(prefix="metadata-") as folder:
        options = ("--output-path", folder, "--tables", ",".join(TABLES))
        _airflow(url, "export-archived", "--export-format", "csv", *options)
        for path in sorted(Path(folder).glob("*.csv")):
            with path.open(newline="") as file:
                rows = sum(1 for _ in csv.reader(file)) - 1  # the first names the columns
            data = path.read_bytes()
            key = run.write(TASK, f"{path.name}.gz", gzip.compress(data))
            logger.info("%s rows are kept in %s", f"{rows:,}", key)
            kept += Freed(what, rows, len(data), run.dry_run)
    return kept


def _airflow(url: str, *arguments: str) -> str:
    """What `airflow db …` says; CommandFailed where it ends with an error."""
    # Whoever starts a program hands on an environment; the URL is no argument, which others see.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(OF_A_TASK)}
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", *arguments],
        env={**inherited, URL_VARIABLE: url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = without_secrets(done.stdout).strip()
    logger.info("airflow db %s:\n%s", arguments[0], said)
    if done.returncode != 0:
        raise CommandFailed(
            f"expected `airflow db {arguments[0]}` to end well, found code {done.returncode}: "
            f"…{said[-SHOWN_CHARACTERS:]}. Mend what it names; nothing is lost, and the next run "
            "goes on from there"
        )
    return said
