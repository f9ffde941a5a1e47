"""Who may look: whom a provider signs in, or a password, or an API key where neither is set.

Without any of them this machine alone is answered.
"""

from collections.abc import Sequence

from flask import Flask, Response, redirect, render_template, request
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as AnyResponse

from dashboard import people, single_sign_on
from dashboard.guesses import BrowserCookie, Guesses, TooManyGuesses
from dashboard.kept_files import DiskError
from dashboard.people import SHARED
from dashboard.provider import Provider
from dashboard.sessions import Sessions
from include.addresses import is_loopback, is_own_name
from include.errors import ConfigurationError
from include.settings import Settings

OPEN_PATHS = frozenset({"/sign-in", "/health", "/assets/sign-in.css"})


def register(server: Flask, settings: Settings) -> None:
    """Ask everybody to sign in, where a password or a key is set; else answer this machine only."""
    if settings.dashboard_proxies:
        trusted = settings.dashboard_proxies
        server.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            server.wsgi_app, x_for=trusted, x_proto=trusted
        )
    if settings.oidc_issuer:
        provider = Provider(server, settings)
        sessions = _require_sign_in(
            server, settings, [provider.fingerprint], open_paths=single_sign_on.OPEN_PATHS
        )
        single_sign_on.register(server, provider, sessions)
        return
    if accepted_secrets(settings):
        sessions = _require_sign_in(server, settings, accepted_secrets(settings))
        _register_page(server, settings, sessions)
        return
    refuse_open_door(settings, settings.dashboard_host)
    _answer_own_names(server, settings)


def is_asked_for(settings: Settings) -> bool:
    """Whether anybody must sign in."""
    return bool(settings.oidc_issuer or accepted_secrets(settings))


def accepted_secrets(settings: Settings) -> list[str]:
    """What signs somebody in: the password; the API keys, which are programs', only without one."""
    password = settings.dashboard_password
    if password is not None and password.get_secret_value():
        return [password.get_secret_value()]
    return [key.get_secret_value() for key in settings.api_keys if key.get_secret_value()]


def refuse_open_door(settings: Settings, address: str) -> None:
    """ConfigurationError for an address that others can reach while nobody is asked to sign in."""
    if not is_asked_for(settings) and not is_loopback(address):
        raise ConfigurationError(
            f"the dashboard would listen on {address} without asking anybody to sign in: set "
            "CHURN_DASHBOARD_PASSWORD, CHURN_OIDC_ISSUER or CHURN_API_KEYS, or bind loopback with "
            "CHURN_DASHBOARD_HOST=127.0.0.1"
        )


def _answer_own_names(server: Flask, settings: Settings) -> None:
    @server.before_request
    def _check_host() -> AnyResponse | None:
        """Without a sign-in a foreign page must not reach this one through a name of its own."""
        if is_own_name(request.headers.get("Host", ""), settings.allowed_hosts):
            people.come(SHARED)
            return None
        return Response(
            "Without a sign-in this dashboard answers to localhost only: ask for it by that name, "
            "or list this one in CHURN_ALLOWED_HOSTS.",
            421,
            content_type="text/plain; charset=utf-8",
        )


def _require_sign_in(
    server: Flask,
    settings: Settings,
    accepted: Sequence[str],
    *,
    open_paths: frozenset[str] = frozenset(),
) -> Sessions:
    sessions = Sessions(server, settings, accepted)
    open_paths |= OPEN_PATHS

    @server.before_request
    def _check() -> AnyResponse | None:
        if request.path in open_paths:
            return None
        if sessions.is_open():
            people.come(sessions.person())
            return None
        return single_sign_on.sign_in_first(request.method, request.full_path.rstrip("?"))

    @server.post("/sign-out")
    def sign_out() -> AnyResponse:
        """End the session."""
        sessions.end()
        return redirect("/sign-in")

    return sessions


def _register_page(server: Flask, settings: Settings, sessions: Sessions) -> None:
    guesses = Guesses(settings.var_dir)
    known = BrowserCookie(settings.dashboard_cookie_key())
    wanted = "password" if settings.dashboard_password else "API key"

    def page(fault: str, status: int) -> tuple[str, int]:
        return render_template("sign_in.html", wanted=wanted, fault=fault), status

    @server.get("/sign-in")
    def sign_in_page() -> tuple[str, int]:
        """The page that asks for the password."""
        return page("", 200)

    @server.post("/sign-in")
    def sign_in() -> AnyResponse | tuple[str, int]:
        """Check what was typed; slowly, for whoever guesses."""
        browser = known.read()
        try:
            guesses.check(browser)
            if not sessions.begin(request.form.get("password", "")):
                guesses.count(browser)
                return page(f"That {wanted} is not right.", 401)
        except TooManyGuesses as error:
            return page(str(error), 429)
        except DiskError as error:
            return page(str(error), 503)
        answer = redirect(single_sign_on.safe_path(request.args.get("next")))
        known.give(answer, secure=server.session_interface.get_cookie_secure(server))
        return answer
