"""What a provider's sign-in adds: the way there and back, and what a proxy asks for other pages.

Caddy asks `/auth/check/<role>` before it lets anybody to MLflow or Prometheus, which know no users
(infra/compose/sso.caddy). Those sites lead `/sign-in` and `/auth/` here, so each has a cookie that
no other is sent, and only paths of one's own site are ever redirected to.
"""

from collections.abc import Callable
from urllib.parse import quote

from flask import Flask, Response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from dashboard.origins import SAFE_METHODS, is_foreign
from dashboard.people import NotAllowed
from dashboard.provider import Provider, ProviderDown, SignInFailed
from dashboard.sessions import Sessions
from include.roles import ROLES, Role

OPEN_PATHS = frozenset(
    {"/auth/begin", "/auth/callback", "/auth/leave"} | {f"/auth/check/{role}" for role in ROLES}
)
NEXT = "next"
STATUS = {SignInFailed: 401, NotAllowed: 403, ProviderDown: 503}


def register(server: Flask, provider: Provider, sessions: Sessions) -> None:
    """Add the routes."""

    @server.get("/sign-in")
    def sign_in_page() -> str:
        """The page that leads to the provider; nobody is sent there unasked."""
        begin = url_for("begin_sign_in", next=safe_path(request.args.get(NEXT)))
        return _page(begin)

    @server.get("/auth/begin")
    def begin_sign_in() -> AnyResponse:
        """To the provider, and back to the path that was asked for."""
        answer = provider.ask(url_for("finish_sign_in", _external=True))
        session[NEXT] = safe_path(request.args.get(NEXT))
        return answer

    @server.get("/auth/callback")
    def finish_sign_in() -> AnyResponse:
        """Back from the provider."""
        wanted = safe_path(session.get(NEXT))
        sessions.begin(provider.fingerprint, provider.person())
        return redirect(wanted)

    @server.get("/auth/leave")
    def sign_out_there() -> AnyResponse:
        """Out of the provider's session, too, for a machine that others use."""
        return provider.leave(url_for("sign_in_page", _external=True)) or redirect("/sign-in")

    for kind, status in STATUS.items():
        server.register_error_handler(kind, _refusal(status))
    _register_check(server, sessions)


def _register_check(server: Flask, sessions: Sessions) -> None:
    @server.get("/auth/check/<any(viewer, operator, admin):role>")
    def check(role: Role) -> AnyResponse:
        """Whether whoever asks a proxy has that role: 200 with the person, or what to answer."""
        method = request.headers.get("X-Forwarded-Method", "GET")
        if method not in SAFE_METHODS and is_foreign():
            return Response("another site's page asked for this", 403)
        if not sessions.is_open():
            return sign_in_first(method, request.headers.get("X-Forwarded-Uri", "/"))
        person = sessions.person()
        if not person.may_act_as(role):
            return Response(f"the role {person.role} may not do this: it takes {role}", 403)
        # Headers are ASCII, names are not.
        names = {"Remote-User": quote(person.name, safe="@ "), "Remote-Role": person.role}
        return Response("", 200, headers=names)


def sign_in_first(method: str, path: str) -> AnyResponse:
    """To the sign-in and back again for somebody who looks at pages; a plain 401 for programs."""
    if method == "GET" and "text/html" in request.headers.get("Accept", ""):
        return redirect("/sign-in?next=" + quote(path))
    return Response("sign in first", 401)


def safe_path(wanted: str | None) -> str:
    """A path of this site, whatever the link said."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return "/"
    return "/" if any(ord(character) < 32 for character in wanted) else wanted


def _page(begin: str, fault: str = "") -> str:
    return render_template("sign_in.html", begin=begin, fault=fault)


def _refusal(status: int) -> Callable[[Exception], tuple[str, int]]:
    def refuse(error: Exception) -> tuple[str, int]:
        return _page(url_for("begin_sign_in"), str(error)), status

    return refuse
