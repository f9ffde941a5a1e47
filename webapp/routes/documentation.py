"""The routes that document: /openapi.json, and /docs to read it without any outside host."""

import secrets
from typing import Any

import orjson
from flask import Blueprint, Response, render_template

from include.contract import Contract, load_contract
from webapp.prediction_service import PredictionService
from webapp.routes.openapi import JSON, document


def create_blueprint(service: PredictionService) -> Blueprint:
    """The routes, bound to one service."""
    routes = Blueprint("documentation", __name__, template_folder="templates")

    @routes.get("/openapi.json")
    def openapi() -> Response:
        """The OpenAPI document, as the champion that serves now wants it."""
        return Response(orjson.dumps(_document(service)), content_type=JSON)

    @routes.get("/docs")
    def docs() -> Response:
        """A page to read the document, and to try the routes."""
        nonce = secrets.token_urlsafe(16)
        found = _document(service)
        example = orjson.dumps(
            found["components"]["schemas"]["Record"]["example"], option=orjson.OPT_INDENT_2
        ).decode()
        page = Response(render_template("docs.html", api=found, nonce=nonce, example=example))
        page.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return page

    return routes


def _document(service: PredictionService) -> dict[str, Any]:
    champion = service.holder.champion
    contract: Contract = load_contract() if champion is None else champion.manifest.contract
    columns = contract.feature_names if champion is None else champion.manifest.columns
    return document(
        contract,
        columns,
        version=None if champion is None else champion.version,
        max_batch_rows=service.settings.max_batch_rows,
        with_keys=bool(service.settings.api_keys),
    )
