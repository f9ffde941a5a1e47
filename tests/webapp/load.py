"""Clients that ask all the time and remember what they were told."""

import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import httpx

from include.predictions.log import read_predictions
from include.store import Store
from tests.webapp.conftest import Server

PAUSE_SECONDS = 0.005  # between two requests of a client, so that the clients are not the load


@dataclass
class Load:
    """Some clients in threads, for the length of a `with` block."""

    server: Server
    records: list[dict[str, Any]]
    clients: int = 4
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # record, answer
    refused: list[httpx.Response] = field(default_factory=list)
    cut_off: int = 0  # connections that ended without an answer
    slowest_seconds: float = 0.0

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def acknowledged(self) -> set[str]:
        """The request ids of all answers."""
        return {answer["request_id"] for _, answer in self.answers}

    def last_versions(self, answers: int) -> set[str]:
        """The versions in the last answers, of which each client had several."""
        return {answer["model_version"] for _, answer in self.answers[-answers:]}

    def wait_for(self, answers: int, *, seconds: float = 0.5) -> None:
        """Wait for so many more answers, and at least so long."""
        wanted = len(self.answers) + answers
        begun = time.monotonic()
        while len(self.answers) < wanted or time.monotonic() < begun + seconds:
            assert time.monotonic() < begun + 60, f"{answers} answers in a minute did not come"
            time.sleep(0.02)

    def _ask(self) -> None:
        turn = 0
        while not self._stop.is_set():
            # A new client after each break, as a load balancer would have it.
            with httpx.Client(base_url=self.server.url, timeout=20, verify=False) as client:
                try:
                    while not self._stop.is_set():
                        turn += 1
                        self._ask_once(client, turn % len(self.records))
                        self._stop.wait(PAUSE_SECONDS)
                except httpx.TransportError:
                    self.cut_off += 1
                    self._stop.wait(0.02)

    def _ask_once(self, client: httpx.Client, place: int) -> None:
        headers = {"X-Request-ID": uuid.uuid4().hex}
        answer = client.post("/predict", json=self.records[place], headers=headers)
        self.slowest_seconds = max(self.slowest_seconds, answer.elapsed.total_seconds())
        if answer.status_code == 200:
            self.answers.append((place, answer.json()))
        else:
            self.refused.append(answer)


def logged_ids(store: Store) -> list[str]:
    """The request ids in the prediction log, one for each row."""
    return [row["request_id"] for row in logged_rows(store)]


def logged_rows(store: Store) -> list[dict[str, Any]]:
    """The prediction log of today and of just before."""
    now = datetime.now(UTC)
    days = {now.date(), (now - timedelta(minutes=10)).date()}
    batches = [batch for day in sorted(days) for batch in read_predictions(store, day)]
    return [row for batch in batches for row in batch.to_pylist()]
