"""What the routes share: the champion, the prediction log, the metrics, the background work."""

import logging
import os
import secrets
import threading
import time
from datetime import UTC, datetime
from time import perf_counter

import orjson

from include.predictions.log import customer_key, key_mark
from include.settings import Settings
from webapp.answers import Answer, Label
from webapp.champion.holder import ChampionHolder
from webapp.champion.last_good import LastGood
from webapp.champion.served_champion import ServedChampion
from webapp.metrics import Metrics
from webapp.prediction_log.shipper_process import ShipperProcess
from webapp.prediction_log.spool import SYNC_SECONDS, Spool
from webapp.problems import NoChampion
from webapp.records import Accepted
from webapp.store_timeouts import open_store_with_short_timeouts

logger = logging.getLogger(__name__)


class PredictionService:
    """One worker's share of the service."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.holder = ChampionHolder(
            lambda: open_store_with_short_timeouts(settings.resolved_store_uri),
            LastGood(settings.resolved_champion_dir),
            poll_seconds=settings.champion_poll_seconds,
            record=self.metrics.reloaded,
        )
        self._id_key = settings.customer_id_key()
        self.spool = Spool(
            settings.resolved_spool_dir,
            key_mark=key_mark(self._id_key),
            max_bytes=settings.spool_max_bytes,
            seal_rows=settings.log_flush_rows,
            seal_seconds=settings.log_flush_seconds,
            lost=self.metrics.lost,
        )
        self.shipper = ShipperProcess(settings.resolved_spool_dir)

    def start(self) -> None:
        """Start watching the pointer and keeping the spool, here and in a server's forks of it."""
        os.register_at_fork(after_in_child=self._start_threads)
        self._start_threads()

    def _start_threads(self) -> None:
        self.holder.start()
        threading.Thread(target=self._keep_spool, name="spool", daemon=True).start()

    def champion(self) -> ServedChampion:
        """The champion that answers now; NoChampion when there is none."""
        champion = self.holder.champion
        if champion is None:
            raise NoChampion
        return champion

    def answer(
        self,
        champion: ServedChampion,
        accepted: Accepted,
        *,
        request_id: str,
        source: str,
        started: float,
    ) -> bytes:
        """Score accepted records, log them, and give the reply's body."""
        probabilities = champion.score(accepted.matrix).tolist()
        threshold = champion.manifest.threshold
        predictions: list[Label] = [1 if p >= threshold else 0 for p in probabilities]
        timestamp = utc_now()
        seconds = perf_counter() - started
        rows = len(probabilities)
        line = (
            rows,
            secrets.token_hex(16),
            request_id,
            timestamp,
            champion.version,
            source,
            seconds,
            [i if i is None else customer_key(i, self._id_key) for i in accepted.customer_ids],
            probabilities,
            predictions,
            accepted.records,
        )
        # Before the reply: an answer that the client has is an answer that the log has.
        self.spool.append(orjson.dumps(line) + b"\n", rows=rows, columns=champion.log_columns)
        self.metrics.answered(
            rows=rows, positives=sum(predictions), seconds=perf_counter() - started
        )
        answer = Answer(
            predictions=predictions,
            probabilities=probabilities,
            model_version=champion.version,
            timestamp=timestamp,
            num_samples=rows,
            request_id=request_id,
        )
        if accepted.defaulted:
            answer["defaulted"] = accepted.defaulted
        return orjson.dumps(answer)

    def _keep_spool(self) -> None:
        while True:
            time.sleep(SYNC_SECONDS)
            for step in (self.spool.tick, self.shipper.ensure, self._measure):
                try:
                    step()
                except OSError as error:
                    self.spool.log_rarely("the prediction spool could not be kept", error)
                except Exception:  # without this thread nothing would reach the store any more
                    logger.exception("keeping the prediction spool failed")

    def _measure(self) -> None:
        self.metrics.usage.measure({os.getpid(), self.shipper.process_id or os.getpid()})


def utc_now() -> str:
    """The time in ISO 8601, as every answer carries it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
