"""The routes that tell how the service is: /, /health, /ready, /model, /metrics."""

import orjson
from flask import Blueprint, Response

from include.build import present_build
from webapp.answers import Health, Index, Ready
from webapp.json_body import JSON
from webapp.prediction_service import PredictionService
from webapp.problems import Draining

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
NAME = "churn"
LINKED = (
    *("predict", "predict_batch", "explain", "health", "ready", "model"),
    *("metrics", "openapi.json", "docs"),
)


def create_blueprint(service: PredictionService) -> Blueprint:
    """The routes, bound to one service."""
    routes = Blueprint("status", __name__)
    build, drain_file = present_build(service.settings.git_commit), service.settings.drain_file

    def drains() -> bool:
        return drain_file is not None and drain_file.exists()

    @routes.get("/")
    def index() -> Response:
        """Name, which build runs, and where to go from here."""
        links = {name: f"/{name}" for name in LINKED}
        return _json(Index(name=NAME, version=build.version, commit=build.commit, links=links))

    @routes.get("/health")
    def health() -> Response:
        """That the process lives."""
        champion = service.holder.champion
        return _json(
            Health(
                status="draining" if drains() else "OK",
                model_loaded=champion is not None,
                model_version=None if champion is None else champion.version,
            )
        )

    @routes.get("/ready")
    def ready() -> Response:
        """That there is a champion to answer with, and that new requests may come."""
        if drains():
            raise Draining
        return _json(Ready(status="ready", model_version=service.champion().version))

    @routes.get("/model")
    def model() -> Response:
        """The champion's manifest; its `target` tells what a probability says."""
        return Response(service.champion().description, content_type=JSON)

    @routes.get("/metrics")
    def metrics() -> Response:
        """All workers' metrics."""
        exposition = service.metrics.exposition(
            pending_rows=service.spool.pending_rows(),
            spool_dir=service.settings.resolved_spool_dir,
        )
        return Response(exposition, content_type=EXPOSITION)

    return routes


def _json(document: object) -> Response:
    return Response(orjson.dumps(document), content_type=JSON)
