"""Who may ask, and how often: API keys, the names that requests call, and the rate limit."""

import hashlib
import hmac
import math
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request
from pydantic import SecretStr
from werkzeug.exceptions import BadRequest

from include.addresses import is_loopback, is_own_name
from include.errors import ConfigurationError
from include.settings import Settings
from webapp.problems import Misdirected, TooManyRequests, Unauthorized, answer_problem

STORAGES = ("memory", "redis", "rediss")
STORAGE_SECONDS = 0.5  # to wait for Redis: an answer waits with it
OPEN_PATHS = frozenset({"/health", "/ready", "/metrics"})


def register(app: Flask, settings: Settings) -> None:
    """Check each request's key or the host it calls, and count it against the rate limit."""
    refuse_open_door(settings, settings.api_host)
    if settings.api_keys:
        _require_key(app, settings.api_keys)
    else:
        _require_own_name(app, settings.allowed_hosts)
    if settings.rate_limit:
        _limit(app, settings)


def refuse_open_door(settings: Settings, address: str) -> None:
    """ConfigurationError for an address that others can reach while no key is asked for."""
    if not settings.api_keys and not is_loopback(address):
        raise ConfigurationError(
            f"CHURN_API_KEYS is empty and the API would listen on {address}: set keys "
            "(comma-separated), or bind loopback with CHURN_API_HOST=127.0.0.1"
        )


def presented_key(incoming: Request) -> str:
    """The key that a request carries, empty when it carries none."""
    scheme, _, token = incoming.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return incoming.headers.get("X-API-Key", "")


def _require_key(app: Flask, keys: Sequence[SecretStr]) -> None:
    # Digests have one length, so that comparing tells nothing about a key's length either.
    accepted = [_digest(key.get_secret_value()) for key in keys]

    @app.before_request
    def _check() -> None:
        if request.path in OPEN_PATHS:
            return
        given = _digest(presented_key(request))
        # A list, not a generator: all keys are compared whichever matches.
        if not any([hmac.compare_digest(given, key) for key in accepted]):
            raise Unauthorized(
                "this route wants an API key: Authorization: Bearer <key>, or X-API-Key: <key>",
                WWW_Authenticate="Bearer",
            )


def _require_own_name(app: Flask, others: tuple[str, ...]) -> None:
    """Refuse what calls another host; probes, too, for they come from this machine by its name."""

    @app.before_request
    def _check() -> None:
        environ = request.environ
        host = environ.get("HTTP_HOST")
        if not host:
            raise BadRequest("the request names no host: expected Host: localhost or 127.0.0.1")
        called = [host]
        target = environ.get("RAW_URI", "/")
        if not target.startswith(("/", "*")):  # it names a host itself, as for a proxy
            called.append((target.partition("://")[2] or target).split("/")[0])
        for each in called:
            if not is_own_name(each, others):
                raise Misdirected(called)


def _limit(app: Flask, settings: Settings) -> None:
    """Count each key's requests, or each address's where no keys are asked for."""
    # Only where a limit is set: importing it takes longer than answering a hundred requests.
    from flask_limiter import Limiter, RateLimitExceeded
    from limits import parse_many

    try:
        parse_many(settings.rate_limit)
    except ValueError as error:
        raise ConfigurationError(
            f"CHURN_RATE_LIMIT must look like 600/minute, found {settings.rate_limit!r}"
        ) from error
    storage = _storage(settings.rate_limit_storage.get_secret_value())
    limiter = Limiter(
        # A key that nobody checks could be another one in each request.
        _key if settings.api_keys else _address,
        app=app,
        application_limits=[settings.rate_limit],
        strategy="fixed-window",
        # Without Redis each worker counts alone for a while: no answer is refused for its sake.
        in_memory_fallback_enabled=True,
        **storage,
    )
    limiter.request_filter(lambda: request.path in OPEN_PATHS)

    @app.errorhandler(RateLimitExceeded)
    def _refuse(error: RateLimitExceeded) -> Response:
        window = limiter.current_limit
        wait = max(1, math.ceil(window.reset_at - time.time())) if window else 60
        detail = f"more than {error.description}: try again in {wait} s"
        return answer_problem(TooManyRequests(detail, Retry_After=str(wait)))


def _storage(uri: str) -> dict[str, Any]:
    """Where the counts are kept; a password in the address stays out of the error."""
    scheme = urlsplit(uri).scheme
    if scheme not in STORAGES:
        raise ConfigurationError(
            "CHURN_RATE_LIMIT_STORAGE must be memory:// or redis://host:port/number (rediss:// "
            f"with TLS), found the scheme {scheme!r}"
        )
    if scheme == "memory":
        return {"storage_uri": uri}
    waits = {"socket_timeout": STORAGE_SECONDS, "socket_connect_timeout": STORAGE_SECONDS}
    return {"storage_uri": uri, "storage_options": waits}


def _key() -> str:
    return _digest(presented_key(request)).hex()


def _address() -> str:
    return request.remote_addr or "unknown"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
