"""What the browser fetches as a file or a frame: lists, templates, results, drift reports."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain
from urllib.parse import quote

from flask import Flask, Response, abort, request

from dashboard.data import crm_file, drift_days, uploads
from dashboard.data.campaign import campaign_csv
from dashboard.data.list_view import ListView
from dashboard.data.sources import Sources
from dashboard.data.uploads import UploadGone
from dashboard.headers import REPORT_POLICY
from include.errors import ChurnError

CSV = "text/csv; charset=utf-8"


def register(server: Flask, sources: Sources) -> None:
    """Add the routes."""

    @server.errorhandler(ChurnError)
    def unreadable(error: ChurnError) -> Response:
        """Why there is no file now, in words."""
        return Response(str(error), 503, content_type="text/plain; charset=utf-8")

    _register_lists(server, sources)

    @server.get("/score/template.csv")
    def template_file() -> Response:
        """An empty table of the contract with one made-up row."""
        return _attachment(uploads.template(sources.serving_contract()), "customers.csv")

    @server.get("/score/result/<token>.csv")
    def result_file(token: str) -> Response:
        """The scored rows of an upload."""
        try:
            found = uploads.read_result(sources.settings.var_dir, token)
        except UploadGone:
            abort(404, "this result is gone: results are kept for a day")
        return _attachment(found, "scored-customers.csv")

    @server.get("/drift/report/<day>")
    def report_page(day: str) -> Response:
        """A day's Evidently report, shut in: it may run its own scripts and reach nothing."""
        found = drift_days.read_report(sources.store, day)
        if found is None:
            abort(404, "there is no report of this day")
        answer = Response(found, content_type="text/html; charset=utf-8")
        answer.headers["Content-Security-Policy"] = REPORT_POLICY
        return answer


def _register_lists(server: Flask, sources: Sources) -> None:
    @server.get("/campaign.csv")
    def campaign_file() -> Response:
        """The campaign of a view, or the list of a started one."""
        night = sources.nights.latest()
        if night is None:
            abort(404, "nobody was scored yet")
        calls = sources.calls(ListView.from_values(request.args))
        name = request.args.get("campaign")
        rows = calls.started_rows(name) if name else calls.campaign_rows()
        data = campaign_csv(rows, sources.targets.shown(night.model_version))
        return _attachment(data, f"call-list-{datetime.now(UTC):%Y-%m-%d}.csv")

    @server.get("/crm/v<int:version>.csv")
    def crm(version: int) -> Response:
        """The customers of a view for another system, as docs/crm.md promises; a stream."""
        columns = crm_file.VERSIONS.get(version)
        if columns is None:
            abort(404, f"there is no version {version} of this file: docs/crm.md says which are")
        if sources.nights.latest() is None:
            abort(404, "nobody was scored yet")
        view = ListView.from_values(request.args)
        parts = sources.calls(view).everybody(rows=crm_file.ROWS)
        lines = crm_file.crm_lines(parts, columns, sources.targets.read)
        begun = [next(lines), next(lines)]  # what cannot be read at all is an answer of its own
        name = f"customers-v{version}-{datetime.now(UTC):%Y-%m-%d}.csv"
        return _attachment(chain(begun, lines), name)


def _attachment(data: bytes | Iterable[bytes], name: str) -> Response:
    answer = Response(data, content_type=CSV)
    answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
    return answer
