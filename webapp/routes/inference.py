"""The routes that answer: /predict, /predict_batch and /explain."""

from time import perf_counter
from typing import Any

import orjson
from flask import Blueprint, Response, request

from include.champion.native_trees import Explanation
from include.contract import CUSTOMER_ID_CHARACTERS, Fault
from include.settings import Settings
from include.values import describe
from webapp.answers import Contribution, Explained
from webapp.champion.served_champion import ServedChampion
from webapp.json_body import JSON, check_media, parse
from webapp.prediction_service import PredictionService, utc_now
from webapp.problems import (
    ENVIRON_REQUEST_ID,
    TooLarge,
    Unexplained,
    Unprocessable,
    Unreadable,
)
from webapp.records import Accepted
from webapp.routes.openapi import SOURCES

SOURCE_HEADER = "X-Churn-Source"
LARGE_BYTES = 2**20
SIGNS = (b",", b":", b"[", b"{")  # one at least for each value, key, array and object


def create_blueprint(service: PredictionService) -> Blueprint:
    """The routes, bound to one service."""
    routes = Blueprint("inference", __name__)
    most_rows = service.settings.max_batch_rows

    def answer(
        champion: ServedChampion, accepted: Accepted, *, source: str, started: float
    ) -> Response:
        request_id: str = request.environ[ENVIRON_REQUEST_ID]
        body = service.answer(
            champion, accepted, request_id=request_id, source=source, started=started
        )
        return Response(body, content_type=JSON)

    @routes.post("/predict")
    def predict() -> Response:
        """Answer for one record."""
        started = perf_counter()
        source, champion = _source(), service.champion()
        accepted = champion.reader.read(_body(champion, service.settings))
        return answer(champion, accepted, source=source, started=started)

    @routes.post("/predict_batch")
    def predict_batch() -> Response:
        """Answer for many records, in their order."""
        started = perf_counter()
        source, champion = _source(), service.champion()
        records = _records(_body(champion, service.settings), most=most_rows)
        accepted = champion.reader.read_all(records)
        return answer(champion, accepted, source=source, started=started)

    @routes.post("/explain")
    def explain() -> Response:
        """Say why one record is scored as it is; nothing is logged, for nothing is decided."""
        champion = service.champion()
        accepted = champion.reader.read(_body(champion, service.settings))
        explanation = champion.explain(accepted.matrix)
        if explanation is None:
            raise Unexplained
        explained = _explained(champion, accepted.records[0], explanation)
        if accepted.defaulted:
            explained["defaulted"] = accepted.defaulted
        return Response(orjson.dumps(explained), content_type=JSON)

    return routes


def _explained(
    champion: ServedChampion, record: dict[str, Any], explanation: Explanation
) -> Explained:
    ranked = sorted(explanation.contributions.items(), key=lambda item: -abs(item[1]))
    return Explained(
        probability=explanation.probability,
        prediction=1 if explanation.probability >= champion.manifest.threshold else 0,
        log_odds=explanation.log_odds,
        base_value=explanation.base_value,
        contributions=[
            Contribution(
                feature=name,
                value=record.get(name, explanation.values[name]),
                contribution=contribution,
                engineered=name in champion.manifest.engineered,
            )
            for name, contribution in ranked
        ],
        model_version=champion.version,
        timestamp=utc_now(),
        request_id=request.environ[ENVIRON_REQUEST_ID],
    )


def _source() -> str:
    source: str = request.environ.get("HTTP_X_CHURN_SOURCE", SOURCES[0])
    if source not in SOURCES:
        raise Unprocessable(
            [Fault(SOURCE_HEADER, "one of " + ", ".join(SOURCES), describe(source))]
        )
    return source


def _body(champion: ServedChampion, settings: Settings) -> Any:
    check_media(request)
    data = _bytes(settings.max_body_bytes)
    # Parsed, arrays and objects take 50 times their bytes: what can be no batch is refused before.
    # A customer's id may hold these signs, too.
    a_record = 3 * len(champion.reader.contract.columns) + CUSTOMER_ID_CHARACTERS
    most = settings.max_batch_rows * a_record
    if len(data) > LARGE_BYTES and sum(map(data.count, SIGNS)) > most:
        raise TooLarge(
            f"a batch holds at most {settings.max_batch_rows} records (CHURN_MAX_BATCH_ROWS), "
            "found more values than so many have"
        )
    return parse(data)


def _bytes(most: int) -> bytes:
    """The body, read directly, which is ten times faster; nothing of one that is too large."""
    length = request.environ.get("CONTENT_LENGTH", "")
    if length.isdecimal():
        wanted = int(length)
    else:  # in chunks, if the server knows where they end
        wanted = most + 1 if request.environ.get("wsgi.input_terminated") else 0
    data = _read(wanted) if wanted <= most or not length else None
    if data is None or len(data) > most:
        raise TooLarge(f"a body holds at most {most} bytes (CHURN_MAX_BODY_BYTES)")
    if length and len(data) < wanted:  # gunicorn hands on what came before it broke off
        raise Unreadable(EOFError())
    return data


def _read(size: int) -> bytes:
    try:
        data: bytes = request.environ["wsgi.input"].read(size)
    except Exception as error:  # each server has its own for a body that breaks off, or is none
        raise Unreadable(error) from error
    return data


def _records(body: Any, *, most: int) -> list[Any]:
    expected = f"an array of 1 to {most} records"
    if type(body) is not dict:
        raise Unprocessable(
            [Fault("body", "a JSON object with the member records", describe(body))]
        )
    records = body.get("records")
    faults = [
        Fault(name[:80], "no other member than records", "an unknown field")
        for name in body
        if name != "records"
    ]
    if type(records) is not list or not records:
        found = "an empty array" if records == [] else describe(records)
        faults.append(Fault("records", expected, found))
    if faults:
        raise Unprocessable(faults)
    if len(records) > most:  # type: ignore[arg-type]
        raise TooLarge(f"a batch holds at most {most} records (CHURN_MAX_BATCH_ROWS)")
    return records  # type: ignore[return-value]
