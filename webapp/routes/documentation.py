"""The routes that document: /openapi.json, and Swagger UI at /docs, which asks no other host."""

import secrets
from importlib.resources import files

import orjson
from flask import Blueprint, Response, current_app, render_template, send_from_directory

from include.contract import load_contract
from webapp.json_body import JSON
from webapp.prediction_service import PredictionService
from webapp.routes.openapi import TITLE, document

SWAGGER_UI = str(files("flask_swagger_ui") / "dist")


def create_blueprint(service: PredictionService) -> Blueprint:
    """The routes, bound to one service."""
    routes = Blueprint("documentation", __name__, template_folder="templates")

    @routes.get("/openapi.json")
    def openapi() -> Response:
        """The OpenAPI document, as the champion that serves now wants it."""
        champion = service.holder.champion
        contract = load_contract() if champion is None else champion.manifest.contract
        found = document(
            current_app,
            contract,
            contract.feature_names if champion is None else champion.manifest.columns,
            champion=None if champion is None else champion.manifest,
            max_batch_rows=service.settings.max_batch_rows,
            with_keys=bool(service.settings.api_keys),
        )
        return Response(orjson.dumps(found), content_type=JSON)

    @routes.get("/docs")
    def docs() -> Response:
        """A page to read the document, and to try the routes."""
        nonce = secrets.token_urlsafe(16)
        page = Response(render_template("docs.html", title=TITLE, nonce=nonce))
        page.headers["Content-Security-Policy"] = (
            # Swagger UI sets styles on its elements, and draws its arrows from data: addresses.
            "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            f"script-src 'self' 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        )
        return page

    @routes.get("/docs/<path:name>")
    def swagger_ui(name: str) -> Response:
        """Swagger UI's own files."""
        return send_from_directory(SWAGGER_UI, name)

    return routes
