"""`make demo`: the loop closes before your eyes, on the stack that is up.

Ordinary traffic starts nothing. Then new customers come who differ from those before and leave by
another rule: the champion is worse on them, drift is found, a training run starts by itself, its
model wins on the hold-out, and the API answers with it. Each step is checked; the exit code is 0
only if all of them happened.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.champion.versions import Manifest, version_order
from include.contract import load_contract
from include.customers import loading
from include.customers.database import open_engine, shown_url
from include.customers.first_customers import MADE_UP, known_customers
from include.customers.table import TABLE
from include.drift.findings import DriftDay, read_day
from include.drift.guards import run_id_of
from include.params import load_params
from include.predictions import log as prediction_log
from include.settings import Settings
from include.store import open_store
from include.tasks import connections
from infra.airflow.dag_runs import RunFailed, follow
from infra.airflow.training_run import DAG_ID as TRAINING_DAG
from infra.airflow.training_run import gate_told
from infra.local import airflow, demo_traffic, status
from infra.local.demo_traffic import Answers, Api
from infra.local.running import exit_code, run_dag, running_stack

logger = logging.getLogger("demo")

DRIFT_DAG = "churn_drift"
ONLY_AUTO = "the demo closes the loop only where promotion is auto (params.yaml)"
ORDINARY_CUSTOMERS = 2500
WAIT_SECONDS = 120  # for the log, for the API
POLL_SECONDS = 0.5
COMPANY = (
    ". Drift is of a whole day: if others asked this API about customers today, run the "
    "demonstration again tomorrow (UTC). What is only a test can say so (X-Churn-Source: test)"
)
ELSEWHERE = (
    "Show it beside: CHURN_VAR_DIR=/tmp/demo with ports of its own, without CHURN_DATABASE_URL and "
    "CHURN_STORE_URI, for `make run` and `make demo`"
)
SEND_SECONDS = 60  # what asking about all customers may take; those of one step belong to one day


def main() -> int:
    """The command line; 1 when a step did not happen."""
    return exit_code("demo", _demonstrate)


def _demonstrate(settings: Settings) -> int:
    with closing(Demo(settings)) as demo:
        demo.run()
    return 0


class Demo:
    """One demonstration."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.places = settings, running_stack(settings)
        self.contract = load_contract()
        self.store = open_store(settings.resolved_store_uri)
        self.engine = open_engine(connections.with_driver(settings.resolved_database_url))
        self.api = Api(settings, self.places.api.url, self.contract)
        self.airflow = airflow.client(self.places)
        self.day = datetime.now(UTC).date()  # of the step's answers

    def close(self) -> None:
        """Give the connections back."""
        self.api.close()
        self.airflow.close()
        self.engine.dispose()

    def run(self) -> None:
        """Every step, in order."""
        old = self._champion()
        self._refuse(old)
        batch = demo_traffic.batches_so_far(self.engine, self.contract)
        ordinary = demo_traffic.ordinary_customers(
            self.engine, self.contract, rows=ORDINARY_CUSTOMERS, seed=batch
        )
        logger.info("champion is version %s: %s\n", old.version, status.figures(old))
        if self._has_started(old):
            raise RunFailed(
                f"drift has already started today's one training run for version {old.version}, "
                "and that version serves (still, or again): run the demo again tomorrow"
            )
        self._quiet(old, ordinary)
        newcomers, before = self._changed(old, batch)
        with demo_traffic.trickle(self.api, ordinary) as answered_by:
            self._retrain(old)
            new = self._promoted(old)
            self._answered_by(new, newcomers)
            # Not as customers: the day's log of the new champion is not what this is about.
            after = self.api.ask(newcomers, source=demo_traffic.WHAT_IF)
        self._compare(old, new, newcomers, before, after)
        self._nothing_failed(answered_by, old, new)

    def _refuse(self, old: Manifest) -> None:
        """Say what cannot be shown, or must not, before anybody is asked or written."""
        if load_params(self.settings.params_file).promotion == "manual":
            raise RunFailed(ONLY_AUTO)
        rows, known = known_customers(self.engine)
        if known is None:
            raise RunFailed(
                f"expected customers that this stack made up, found {rows:,} in the table {TABLE} "
                f"of {shown_url(self.engine)} that it did not load: the demonstration would put "
                f"made-up ones beside them. {ELSEWHERE}"
            )
        if old.target.is_early_warning:
            raise RunFailed(
                f"expected a champion that says who has left, found version {old.version}, which "
                f"warns early: it learns nothing new before months have closed. {ELSEWHERE}"
            )
        if known != MADE_UP:
            logger.warning(
                "The customers are %s: the demonstration puts made-up ones beside them, and its "
                "model learns from both. Keep nothing of it.\n",
                known,
            )

    def _quiet(self, old: Manifest, ordinary: pd.DataFrame) -> None:
        logger.info(
            "1. An ordinary day: the API is asked about %s customers.", f"{len(ordinary):,}"
        )
        self._send(old, ordinary)
        found = self._drift()
        statuses = [group.status for group in found.groups if group.version == old.version]
        if statuses != ["quiet"] or self._has_started(old):
            raise RunFailed(
                f"ordinary traffic must start nothing, found: {found.explanation}{COMPANY}"
            )
        logger.info("   No drift, and no training run.\n")

    def _changed(self, old: Manifest, batch: int) -> tuple[pd.DataFrame, Answers]:
        newcomers, drift = demo_traffic.changed_customers(batch)
        logger.info(
            "2. %s new customers, %s by %g standard deviations; of those with a high limit now the "
            "busiest leave.",
            f"{len(newcomers):,}",
            "busier" if drift.shift_sd > 0 else "idler",
            abs(drift.shift_sd),
        )
        answers = self._send(old, newcomers)
        loaded = loading.load_customers(self.engine, newcomers, now=datetime.now(UTC))
        lost = _auc(self.contract.labels(newcomers), answers.probabilities)
        known = old.metrics["roc_auc"] or 0.0
        if loaded.inserted != len(newcomers) or lost >= known:
            raise RunFailed(f"the champion must be worse on them: {lost:.3f}, before {known:.3f}")
        logger.info("   Their labels arrive: %s.", loaded)
        logger.info(
            "   On them version %s has ROC-AUC %.3f; on its own hold-out it had %.3f.\n",
            *(old.version, lost, known),
        )
        return newcomers, answers

    def _retrain(self, old: Manifest) -> None:
        logger.info("3. The drift DAG looks at the day.")
        found = self._drift()
        decision = found.retraining
        if not decision.triggered or decision.run_id != run_id_of(self.day, old.version):
            raise RunFailed(
                f"drift must start a training run, found: {decision.explanation}{COMPANY}"
            )
        logger.info("   %s.", found.explanation)
        logger.info("   Report: %s", found.report_uri)
        logger.info("   It has started %s.\n", decision.run_id)
        logger.info("4. The training run:")
        run = follow(self.airflow, TRAINING_DAG, decision.run_id, logs=self.places.airflow_logs)
        if not run.is_finished:
            raise RunFailed(ONLY_AUTO)
        logger.info("   ended well after %.1f s.", run.seconds or 0.0)

    def _promoted(self, old: Manifest) -> Manifest:
        new = self._champion()
        if new.version == old.version or new.trigger.get("trigger_reason") != "drift":
            raise RunFailed(
                f"the challenger must win, and the champion still is {new.version}; "
                f"{gate_told(self.store, run_id_of(self.day, old.version))}"
            )
        low, high = new.gate["gain_interval"]
        logger.info(
            "   Version %s beats version %s on the hold-out by %+.4f ROC-AUC (%+.4f to %+.4f), and "
            "is the champion.\n",
            *(new.version, old.version, new.gate["gain"], low, high),
        )
        return new

    def _answered_by(self, new: Manifest, people: pd.DataFrame) -> None:
        began = time.monotonic()
        (record,) = self.api.records_of(people.head(1))

        def answer() -> str | None:
            return self.api.ask_one(record, source=demo_traffic.WHAT_IF)

        _until(lambda: answer() == new.version, f"the API must answer with version {new.version}")
        seconds = time.monotonic() - began
        logger.info("5. The API answers with version %s, %.1f s later.", new.version, seconds)
        # Each worker looks at the pointer by itself, and nobody can choose which one is asked.
        time.sleep(2 * self.settings.champion_poll_seconds)

    def _compare(
        self, old: Manifest, new: Manifest, people: pd.DataFrame, before: Answers, after: Answers
    ) -> None:
        """Both versions on those newcomers that neither was trained on."""
        keys = people[self.contract.key.name].tolist()
        held = new.split.sides(keys) == "holdout"
        labels = self.contract.labels(people)[held]
        was = _auc(labels, before.probabilities[held])
        now = _auc(labels, after.probabilities[held])
        if after.versions != {new.version} or now <= was:
            raise RunFailed(f"version {new.version} must be better: {now:.3f}, before {was:.3f}")
        logger.info(
            "   On the %s newcomers whom neither was trained on: version %s %.3f, version %s %.3f.",
            *(int(held.sum()), old.version, was, new.version, now),
        )

    def _nothing_failed(self, answered_by: Counter[str], old: Manifest, new: Manifest) -> None:
        failed = sum(self.api.failures.values())
        ordered = sorted(answered_by, key=version_order)
        by = ", ".join(f"{answered_by[version]:,} by version {version}" for version in ordered)
        logger.info("   Meanwhile %s single requests were answered: %s.", answered_by.total(), by)
        if failed or set(answered_by) - {old.version, new.version}:
            raise RunFailed(f"{failed} requests failed: {dict(self.api.failures)}")
        logger.info("   Of %s requests in all, none failed.", f"{self.api.requests:,}")

    def _send(self, old: Manifest, people: pd.DataFrame) -> Answers:
        """Ask about customers within one UTC day, and wait until its log has all of them."""
        wait = seconds_to_wait(datetime.now(UTC))
        if wait:
            logger.info("   Midnight UTC is near: waiting %.0f s for the new day.", wait)
            time.sleep(wait)
        self.day = datetime.now(UTC).date()
        answers = self.api.ask(people)
        if self.api.failures or answers.versions != {old.version}:
            raise RunFailed(
                f"version {old.version} must answer all, found {set(answers.versions)}, failures "
                f"{dict(self.api.failures)}"
            )
        id_key = self.settings.customer_id_key()
        wanted = {prediction_log.customer_key(k, id_key) for k in people[self.contract.key.name]}
        _until(
            lambda: wanted <= demo_traffic.logged_keys(self.store, self.day, old.version),
            f"the log of {self.day} must hold all answers",
        )
        return answers

    def _drift(self) -> DriftDay:
        conf: dict[str, Any] = {"date": self.day.isoformat(), "cooldown_days": 0}
        run_dag(self.settings, DRIFT_DAG, conf)
        return read_day(self.store, self.day)

    def _has_started(self, old: Manifest) -> bool:
        """Whether this day's drift has started a training run for this champion."""
        return self.airflow.has_run(TRAINING_DAG, run_id_of(self.day, old.version))

    def _champion(self) -> Manifest:
        found = status.champion(self.settings)
        if found is None:
            raise RunFailed("there is no champion yet: `make train` first")
        return found


def seconds_to_wait(now: datetime) -> float:
    """How long to wait so that what is sent next does not straddle midnight UTC; 0 by day."""
    left = (datetime.combine(now.date(), datetime.max.time(), UTC) - now).total_seconds()
    return left + 1 if left < SEND_SECONDS else 0.0


def _auc(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, probabilities))


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RunFailed(f"{what}, and did not in {WAIT_SECONDS} s")
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
