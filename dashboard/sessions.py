"""Who is signed in: a signed cookie names a mark that all workers see.

A session ends when somebody signs out, when what it began with is no longer accepted, and after
SESSION_SECONDS in any case. Who has a name signs out of all sessions under it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from flask import Flask, request, session
from flask.sessions import SecureCookieSessionInterface

from dashboard.kept_files import Marks
from dashboard.people import SHARED, Person
from include.settings import Settings

SESSION_SECONDS = 12 * 3600
ID, BEGUN_WITH, NAME, ROLE = "id", "by", "name", "role"


class TlsCookies(SecureCookieSessionInterface):
    """Cookies that keep to TLS where this request came so, or all requests are said to."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether the browser shall send the cookie over TLS alone."""
        return super().get_cookie_secure(app) or request.is_secure


class Sessions:
    """The sessions of a server's browsers."""

    def __init__(self, server: Flask, settings: Settings, accepted: Sequence[str]) -> None:
        self._key = settings.dashboard_cookie_key()
        self._accepted = [self._fingerprint(each) for each in accepted]
        self._marks = Marks(settings.var_dir / "sessions", SESSION_SECONDS)
        server.secret_key = self._key
        server.session_interface = TlsCookies()
        server.config.update(
            SESSION_COOKIE_NAME="churn_dashboard",
            SESSION_COOKIE_HTTPONLY=True,
            SESSION_COOKIE_SAMESITE="Lax",
            SESSION_COOKIE_SECURE=settings.dashboard_public_url.startswith("https://"),
            SESSION_REFRESH_EACH_REQUEST=False,  # or it would have no end
            PERMANENT_SESSION_LIFETIME=SESSION_SECONDS,
        )

    def is_open(self) -> bool:
        """Whether this browser is signed in, by something that is still accepted."""
        # One from before there were roles has none, and ends.
        begun = ROLE in session and session[BEGUN_WITH] in self._accepted
        return begun and session[ID] in self._marks

    def person(self) -> Person:
        """Who is signed in, while a session is open."""
        return Person(session[NAME], session[ROLE])

    def begin(self, given: str, person: Person = SHARED) -> bool:
        """Sign this browser in, if what is given is accepted; DiskError where that cannot be kept.

        Another session of the same browser ends, so that none is left behind without a cookie.
        """
        fingerprint = self._fingerprint(given)
        # A list, not a generator: all are compared whichever matches.
        if not any([hmac.compare_digest(fingerprint, each) for each in self._accepted]):
            return False
        if ID in session:
            self._marks.remove(session[ID])
        session.clear()
        token = f"{self._owner(person.name)}{secrets.token_hex(16)}"
        self._marks.add(token)
        session.permanent = True
        session.update({ID: token, BEGUN_WITH: fingerprint, NAME: person.name, ROLE: person.role})
        return True

    def end(self) -> None:
        """End this browser's session, whoever has a copy of its cookie, and the same person's."""
        if session.get(NAME):
            self._marks.remove_all(self._owner(session[NAME]))
        elif ID in session:
            self._marks.remove(session[ID])
        session.clear()

    def _owner(self, name: str) -> str:
        """What the marks of a person's sessions begin with; nothing for a shared password's."""
        return f"{self._fingerprint(name)[:32]}-" if name else ""

    def _fingerprint(self, secret: str) -> str:
        """What stands for a secret in a cookie, and tells nothing without the cookies' key."""
        data = secret.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()
