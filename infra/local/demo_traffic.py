"""What the demonstration sends: customers in batches, and a steady trickle that counts failures."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import cycle
from typing import Any

import httpx
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Engine

from include.contract import Contract
from include.customers import queries
from include.customers.sample import Drift, sample_customers
from include.predictions import log as prediction_log
from include.predictions.asked import CUSTOMER, KEYS
from include.settings import Settings
from include.store import Store

BATCH_RECORDS = 1000
TIMEOUT_SECONDS = 30
TRICKLE_PAUSE_SECONDS = 0.05
WHAT_IF = "what-if"
FIRST_DEMO_KEY = 900_000_001
KEYS_PER_BATCH = 1_000_000
NEW_CUSTOMERS = 4000
BUSIER = ("Total_Trans_Amt", "Total_Trans_Ct", "Total_Ct_Chng_Q4_Q1")


@dataclass(frozen=True)
class Answers:
    """Probabilities in the order of the customers, and which versions gave them."""

    probabilities: NDArray[np.float64]
    versions: frozenset[str]


class Api:
    """The inference API, with a count of what it did not answer."""

    def __init__(self, settings: Settings, url: str, contract: Contract) -> None:
        key = settings.api_keys[0].get_secret_value() if settings.api_keys else ""
        headers = {"X-API-Key": key} if key else {}
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
        )
        self._contract = contract
        self.requests = 0
        self.failures: Counter[str] = Counter()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def ask(self, people: pd.DataFrame, *, source: str = CUSTOMER) -> Answers:
        """Ask about customers in batches, as a bank's nightly job would."""
        records = self.records_of(people)
        parts = (records[at : at + BATCH_RECORDS] for at in range(0, len(records), BATCH_RECORDS))
        answers = [self._post("/predict_batch", {"records": part}, source) for part in parts]
        found = [answer for answer in answers if answer is not None]
        given = [p for answer in found for p in answer["probabilities"]]
        return Answers(np.array(given), frozenset(str(each["model_version"]) for each in found))

    def ask_one(self, record: dict[str, Any], *, source: str = CUSTOMER) -> str | None:
        """Ask about one customer; returns who answered, None where nobody did."""
        answer = self._post("/predict", record, source)
        return str(answer["model_version"]) if answer else None

    def records_of(self, people: pd.DataFrame) -> list[dict[str, Any]]:
        """Customers as a client sends them."""
        names = {self._contract.key.name: "customer_id"}
        wanted = people[[*names, *self._contract.feature_names]].rename(columns=names)
        return [{str(name): row[name] for name in row} for row in wanted.to_dict("records")]

    def _post(self, path: str, body: dict[str, Any], source: str) -> dict[str, Any] | None:
        self.requests += 1
        try:
            answer = self._http.post(path, json=body, headers={"X-Churn-Source": source})
        except httpx.HTTPError as error:
            self.failures[type(error).__name__] += 1
            return None
        if answer.status_code != httpx.codes.OK:
            self.failures[f"{answer.status_code} {answer.text[:200]}"] += 1
            return None
        return dict(answer.json())


@contextmanager
def trickle(api: Api, people: pd.DataFrame) -> Iterator[Counter[str]]:
    """Ask about one customer after the other while the block lasts; counts who answered."""
    answered_by: Counter[str] = Counter()
    stop = threading.Event()

    def ask() -> None:
        for record in cycle(api.records_of(people)):
            answered_by[api.ask_one(record) or "nobody"] += 1
            if stop.wait(TRICKLE_PAUSE_SECONDS):
                return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield answered_by
    finally:
        stop.set()
        thread.join()


def batches_so_far(engine: Engine, contract: Contract) -> int:
    """How many times the demonstration has put customers into this table."""
    frame = queries.read_customers(engine, contract, labelled_only=False)
    keys = frame[contract.key.name].astype("int64")
    latest = keys[keys >= FIRST_DEMO_KEY].max()
    return 0 if pd.isna(latest) else int((latest - FIRST_DEMO_KEY) // KEYS_PER_BATCH) + 1


def ordinary_customers(engine: Engine, contract: Contract, *, rows: int, seed: int) -> pd.DataFrame:
    """Customers whom the bank has: those of the table who stayed."""
    frame = queries.read_customers(engine, contract, labelled_only=True)
    stayed = frame[contract.labels(frame) == 0]
    chosen: pd.DataFrame = stayed.sample(min(rows, len(stayed)), random_state=seed)
    return chosen


def changed_customers(batch: int) -> tuple[pd.DataFrame, Drift]:
    """New customers who are busier or idler than those before, and leave by a changed rule.

    Each time the other way and every second time farther: what has been learnt once is no news.
    """
    size_sd = 0.5 * (1 + batch // 2)
    drift = Drift(size_sd if batch % 2 == 0 else -size_sd, BUSIER, changed_rule=True)
    first_key = FIRST_DEMO_KEY + batch * KEYS_PER_BATCH
    frame = sample_customers(NEW_CUSTOMERS, seed=1000 + batch, first_key=first_key, drift=drift)
    return frame, drift


def logged_keys(store: Store, day: date, version: str) -> set[str | None]:
    """The customers that a version's log of the day has."""
    found: set[str | None] = set()
    for batch in prediction_log.read_predictions(store, day, columns=KEYS):
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        found.update(key for by, source, key in rows if (by, source) == (version, CUSTOMER))
    return found
