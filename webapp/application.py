"""The application, put together."""

from flask import Flask

from include.settings import Settings, load_settings
from webapp import access, problems
from webapp.middleware import RequestMiddleware
from webapp.prediction_service import PredictionService
from webapp.routes import documentation, inference, status

SETTLE_SECONDS = 5.0


def build(settings: Settings | None, *, background: bool) -> Flask:
    """One application with its own service, blueprints and middleware."""
    settings = settings or load_settings()
    service = PredictionService(settings)
    app = Flask(__name__, static_folder=None)
    app.extensions["churn"] = service
    problems.register(app)
    access.register(app, settings)
    for routes in (status, inference, documentation):
        app.register_blueprint(routes.create_blueprint(service))
    app.wsgi_app = RequestMiddleware(  # type: ignore[method-assign]
        app, service.metrics, log_all=settings.access_log
    )
    if background:
        service.start()
        # A worker takes clients only when it can answer them, if that is a matter of moments.
        service.holder.wait_until_settled(SETTLE_SECONDS)
    return app
