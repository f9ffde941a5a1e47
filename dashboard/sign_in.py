"""Who may look: a password or an API key, once for each browser; the API key itself stays here."""

import hashlib
import hmac
import time
from collections import deque
from urllib.parse import quote, urlsplit

from flask import Flask, Response, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

from include.addresses import is_loopback
from include.errors import ConfigurationError
from include.settings import Settings

OPEN_PATHS = frozenset({"/sign-in", "/health", "/assets/sign-in.css"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SIGNED_IN = "signed_in"
ATTEMPTS_MAX, ATTEMPTS_SECONDS = 10, 60.0
SESSION_SECONDS = 12 * 3600


def register(server: Flask, settings: Settings) -> None:
    """Ask everybody to sign in, where a password or a key is set; else answer this machine only."""
    server.secret_key = settings.dashboard_cookie_key()
    server.config.update(
        SESSION_COOKIE_NAME="churn_dashboard",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=SESSION_SECONDS,
    )
    secrets = accepted_secrets(settings)
    if secrets:
        _require_sign_in(server, secrets)
        return
    refuse_open_door(settings, settings.dashboard_host)
    _answer_loopback_names(server)


def accepted_secrets(settings: Settings) -> list[bytes]:
    """Digests of everything that signs somebody in."""
    given = [*settings.api_keys]
    if settings.dashboard_password is not None:
        given.append(settings.dashboard_password)
    return [_digest(each.get_secret_value()) for each in given if each.get_secret_value()]


def refuse_open_door(settings: Settings, address: str) -> None:
    """ConfigurationError for an address that others can reach while nobody is asked to sign in."""
    if not accepted_secrets(settings) and not is_loopback(address):
        raise ConfigurationError(
            f"the dashboard would listen on {address} without asking anybody to sign in: set "
            "CHURN_DASHBOARD_PASSWORD or CHURN_API_KEYS, or bind loopback with "
            "CHURN_DASHBOARD_HOST=127.0.0.1"
        )


def _answer_loopback_names(server: Flask) -> None:
    @server.before_request
    def _check_host() -> AnyResponse | None:
        """Without a sign-in a foreign page must not reach this one through a name of its own."""
        if urlsplit(f"//{request.host}").hostname in LOOPBACK_NAMES:
            return None
        return Response("This dashboard answers to localhost only.", 403)


def _require_sign_in(server: Flask, secrets: list[bytes]) -> None:
    failures: deque[float] = deque(maxlen=ATTEMPTS_MAX)

    @server.before_request
    def _check() -> AnyResponse | None:
        if request.path in OPEN_PATHS or session.get(SIGNED_IN):
            return None
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            return redirect("/sign-in?next=" + quote(request.full_path.rstrip("?")))
        return Response("sign in first", 401)

    @server.get("/sign-in")
    def sign_in_page() -> str:
        """The page that asks for the password."""
        return render_template("sign_in.html", fault="")

    @server.post("/sign-in")
    def sign_in() -> AnyResponse | tuple[str, int]:
        """Check what was typed; slowly, for whoever guesses."""
        if _too_many(failures):
            fault = "Too many wrong passwords: wait a minute."
            return render_template("sign_in.html", fault=fault), 429
        given = _digest(request.form.get("password", ""))
        if not any([hmac.compare_digest(given, each) for each in secrets]):
            failures.append(time.monotonic())
            return render_template("sign_in.html", fault="That password is not right."), 401
        session.permanent = True
        session[SIGNED_IN] = True
        return redirect(safe_path(request.args.get("next")))

    @server.post("/sign-out")
    def sign_out() -> AnyResponse:
        """Forget this browser."""
        session.clear()
        return redirect("/sign-in")


def safe_path(wanted: str | None) -> str:
    """A path of this site, whatever the link said."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return "/"
    return "/" if any(ord(character) < 32 for character in wanted) else wanted


def _too_many(failures: "deque[float]") -> bool:
    return len(failures) == ATTEMPTS_MAX and time.monotonic() - failures[0] < ATTEMPTS_SECONDS


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
