"""The API for an hour while everything moves; run by `make soak`.

Two workers on a local store are asked without a break while the champion moves each minute and the
younger worker is killed every two; a day of drift and a night's scoring run beside them. The older
worker and the master live through the whole run, so that their slopes cross no start.
"""

import argparse
import itertools
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pandas as pd

from include.champion import versions
from include.champion.native_trees import NativeTrees
from include.customers.database import opened
from include.params import load_params
from include.predictions.log import read_predictions
from include.settings import Settings
from include.store import LocalStore
from tests.bench.bench_drift import measured, write_day
from tests.bench.bench_growth import Bank, scored
from tests.bench.customers import load_made_up
from tests.bench.loader import write
from tests.bench.watch import Watch, by_age
from tests.webapp.champions import Version, expected, make_version, model_input, publish, records
from tests.webapp.conftest import Server, body, loopback_port
from tests.webapp.load import Load

PROMOTE_SECONDS, KILL_SECONDS, BESIDE_SECONDS, SAMPLE_SECONDS = 60.0, 120.0, 180.0, 3.0
WARM_UP_SECONDS = 600.0  # or a third of a shorter run
PAUSE_SECONDS = 0.03  # of each client between two questions: the machine is not the test
RECORDS, BATCH_ROWS, CUSTOMERS, DRIFT_ROWS = 60, 20, 2000, 100_000
BAD = [("/predict", b"{}", 422), ("/predict", b"{", 400), ("/nowhere", b"", 404)]
BAD += [("/predict_batch", b'{"records":[]}', 422), ("/explain", b"[]", 422)]


@dataclass(frozen=True)
class Question:
    """What a client asks, and what it must hear."""

    path: str
    content: bytes
    status: int = 200
    own: dict[str, list[float]] = field(default_factory=dict)  # each version's answer

    @property
    def rows(self) -> int:
        """How many rows its answer has in the log."""
        return 0 if self.path == "/explain" else max(map(len, self.own.values()), default=0)


@dataclass
class Clients(Load):
    """Clients that judge each answer when it comes, and ask again what was cut off."""

    acknowledged_rows: dict[str, int] = field(default_factory=dict)  # by request
    cut_off_requests: set[str] = field(default_factory=set)
    heard: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def _ask_once(self, client: httpx.Client, place: int) -> None:
        question = self.questions[place]
        while not self._stop.wait(PAUSE_SECONDS):
            request = uuid.uuid4().hex
            headers = {"X-Request-ID": request, "Content-Type": "application/json"}
            try:
                answer = client.post(question.path, content=question.content, headers=headers)
            except httpx.TransportError:
                self.cut_off_requests.add(request)
                continue
            self.judge(question, request, answer)
            return

    def judge(self, question: Question, request: str, answer: httpx.Response) -> None:
        """Count an answer, and note what is wrong with it."""
        self.slowest_seconds = max(self.slowest_seconds, answer.elapsed.total_seconds())
        self.heard.append(f"{question.path} {answer.status_code}")
        if answer.status_code != question.status:
            told = f"{question.path}: expected {question.status}, found {answer.status_code}"
            self.faults.append(f"{told}: {answer.text[:200]}")
        elif question.own:
            said = answer.json()
            found = said.get("probabilities") or [said["probability"]]
            if found != question.own[said["model_version"]]:
                self.faults.append(f"{question.path}: not the answer of {said['model_version']}")
            if question.rows:
                self.acknowledged_rows[request] = question.rows


def main() -> None:
    """Print what was asked, what moved, and each slope; exit code 1 for a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--plots", type=Path, help="a PNG file of memory, files, threads and disk")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="churn-soak-") as home:
        faults = soaked(Path(home), 60 * asked.minutes, plots=asked.plots)
    for fault in faults[:5]:
        write(f"FAULT {fault}")
    write(f"{len(faults)} faults")
    sys.exit(1 if faults else 0)


def soaked(home: Path, seconds: float, *, plots: Path | None = None) -> list[str]:
    """The whole run, which Ctrl-C ends earlier; returns what was wrong."""
    served = [make_version(str(number), seed=number) for number in (1, 2, 3)]
    server = Server(loopback_port(), home / "var")
    store = LocalStore(server.var_dir / "store")
    publish(store, served[0])
    besides, done = beside(home), list[Future[None]]()
    watch = Watch(server, min(WARM_UP_SECONDS, seconds / 3))
    asked, turns = questions(served), itertools.cycle(served[1:] + served[:1])
    over, begun = threading.Event(), datetime.now(UTC)
    signal.signal(signal.SIGINT, lambda *_: over.set())
    try:
        start_apart(server)
        with (
            ThreadPoolExecutor(1) as others,
            Clients(server, [{}] * len(asked), questions=asked) as clients,
        ):
            actions: list[tuple[float, Callable[[], Any]]] = [
                (PROMOTE_SECONDS, lambda: publish(store, next(turns))),
                (KILL_SECONDS, lambda: [each.kill() for each in by_age(server)[1:]]),
                (BESIDE_SECONDS, lambda: done.append(others.submit(besides))),
                (SAMPLE_SECONDS, watch.look),
            ]
            promoted, killed, *_ = act_until(over, actions, seconds)
            interrupted = over.is_set()  # which reached what runs beside, too
    finally:
        server.stop()
    report_run(clients, f"{promoted} promotions, {killed} kills, {len(done)} days and nights")
    write(f"largest sum of the tree's memory {watch.largest_tree_mib:.0f} MiB")
    faults = clients.faults + logged_faults(store, clients, begun)
    if not interrupted:
        faults += [f"beside: {each.exception()!r}" for each in done if each.exception()]
    faults += [f"left in the spool: {path.name}" for path in server.spool.glob("*")]
    if plots:
        watch.draw(plots)
    return faults + watch.report()


def start_apart(server: Server) -> None:
    """Start the server so that Ctrl-C does not reach it: it inherits what is blocked."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    server.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def act_until(
    over: threading.Event, actions: list[tuple[float, Callable[[], Any]]], seconds: float
) -> list[int]:
    """Take each action once in so many seconds; returns how often each was taken."""
    begun, taken = time.monotonic(), [0] * len(actions)
    while not over.wait(0.2) and time.monotonic() < begun + seconds:
        for place, (every, action) in enumerate(actions):
            if time.monotonic() >= begun + every * (taken[place] + 1):
                action()
                taken[place] += 1
    return taken


def questions(served: list[Version]) -> list[Question]:
    """Single records, explanations, batches and bad input."""
    asked = records(RECORDS)
    own = {version[0].version: expected(version, asked) for version in served}
    why = {version[0].version: explained(version, asked) for version in served}
    found = []
    for place, record in enumerate(asked):
        whole = slice(place // BATCH_ROWS * BATCH_ROWS, (place // BATCH_ROWS + 1) * BATCH_ROWS)
        batch = body({"records": asked[whole]})
        found.append(Question("/predict", body(record), own=part(own, slice(place, place + 1))))
        if place % 3 == 0:
            found.append(Question("/explain", body(record), own=part(why, slice(place, place + 1))))
        if place % 6 == 0:
            found.append(Question("/predict_batch", batch, own=part(own, whole)))
    return found + [Question(*each) for each in BAD]


def explained(version: Version, rows: list[Any]) -> list[float]:
    """What a version's trees say of records, as /explain does."""
    manifest, files = version
    trees = NativeTrees(manifest, files[versions.TREES_FILE])
    return [trees.explain(model_input(manifest, [row])).probability for row in rows]


def part(own: dict[str, list[float]], rows: slice) -> dict[str, list[float]]:
    """Each version's answers to some of the records."""
    return {version: answers[rows] for version, answers in own.items()}


def beside(home: Path) -> Callable[[], None]:
    """What runs beside the API: a day of drift, and a night on the champion of the moment."""
    write_day(home / "day", DRIFT_ROWS, 20)
    bank = Bank(home / "var", load_params(Settings().params_file))
    bank.home.mkdir(exist_ok=True)
    with opened(bank.customers) as engine:
        load_made_up(engine, CUSTOMERS)

    def run() -> None:
        measured("whole", home / "day")
        scored(bank, workers=1)

    return run


def logged_faults(store: LocalStore, clients: Clients, begun: datetime) -> list[str]:
    """What the log lacks of acknowledged rows, has twice, or has of requests that nobody sent."""
    pairs = [
        pair
        for day in {begun.date(), datetime.now(UTC).date()}
        for batch in read_predictions(store, day, columns=["request_id", "row"])
        for pair in zip(*batch.to_pydict().values(), strict=True)
    ]
    logged = pd.DataFrame(pairs, columns=["request_id", "row"])
    rows = logged.drop_duplicates().groupby("request_id").size()
    wanted = pd.Series(clients.acknowledged_rows, dtype=int)
    lacking = (wanted - rows.reindex(wanted.index, fill_value=0)).clip(lower=0)
    unasked = set(rows.index) - set(wanted.index) - clients.cut_off_requests
    write(f"{len(logged):,} rows in the log, {wanted.sum():,} acknowledged")
    found = {
        "acknowledged rows are missing in the log": int(lacking.sum()),
        "rows are in the log twice": int(logged.duplicated().sum()),
        "requests are in the log that nobody sent": len(unasked),
    }
    return [f"{count} {told}" for told, count in found.items() if count]


def report_run(clients: Clients, moved: str) -> None:
    """What was asked and answered."""
    write(f"{len(clients.heard):,} answers, {moved}")
    write("  " + ", ".join(f"{kind}: {n:,}" for kind, n in sorted(Counter(clients.heard).items())))
    lost, slowest = len(clients.cut_off_requests), clients.slowest_seconds
    write(f"  {lost} cut off and asked again; the slowest answer took {slowest:.2f} s")


if __name__ == "__main__":
    main()
