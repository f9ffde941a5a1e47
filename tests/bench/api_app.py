"""The API with one more route that does nothing, so that the benchmark can say what bounds it."""

from flask import Flask, Response

from webapp import create_app


def create_bench_app() -> Flask:
    """The application and /noop, which passes through everything that /predict passes through."""
    app = create_app()

    @app.get("/noop")
    def noop() -> Response:
        return Response(b'{"status":"OK"}', content_type="application/json")

    return app
