"""The application, put together."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard import browser_files, downloads, headers, origins, request_bodies, sign_in
from dashboard.browser_files import LeanDash
from dashboard.components import shell
from dashboard.data import uploads
from dashboard.data.sources import open_sources
from dashboard.pages import customer, customers, drift, model, performance, score, service
from include.build import present_build
from include.settings import Settings, load_settings

if TYPE_CHECKING:
    from flask import Flask

FOLDER = Path(__file__).parent
TITLE = "Churn"


def create_application(settings: Settings | None = None) -> LeanDash:
    """One application with its own sources, pages and sign-in."""
    settings = settings or load_settings()
    logging.getLogger("dashboard").setLevel(settings.log_level)
    sources = open_sources(settings)
    app = LeanDash(
        __name__,
        title=TITLE,
        update_title="",  # a title that flickers is read out again and again
        assets_folder=str(FOLDER / "assets"),
        assets_ignore="sign-in",
        serve_locally=True,
        use_async=False,  # or each answer would go through an event loop of its own
        suppress_callback_exceptions=True,  # each page brings its components along
    )
    app.index_string = app.index_string.replace("<html>", '<html lang="en">')
    server: Flask = app.server
    server.extensions["churn"] = sources
    server.template_folder = str(FOLDER / "templates")
    request_bodies.limit_size(server)
    origins.register(server, settings)
    sign_in.register(server, settings)
    request_bodies.refuse_odd_bodies(app)
    downloads.register(server, sources)
    uploads.register(server, settings.var_dir)
    pages = (customers, score, drift, service)  # with callbacks
    shell.register(
        app,
        {page.PATH: page.create_page for page in (*pages, model, performance, customer)},
        sources,
        present_build(settings.git_commit),
        signed_in=sign_in.is_asked_for(settings),
    )
    for page in pages:
        page.register(app, sources)
    headers.register(server, app.csp_hashes())
    browser_files.register(server)

    with server.test_request_context():
        app.index()  # Dash knows no script before, and another worker may send the page

    @server.get("/health")
    def health() -> dict[str, str]:
        """That the process lives."""
        return {"status": "OK"}

    return app
