"""How often somebody may type a wrong password before waiting, without locking anybody else out.

A browser that has signed in before is counted by a cookie of its own, everybody else by address
and, since a guesser may have many addresses, also together. So neither a stranger nor a neighbour
behind the same address stands in the way of people who use the dashboard.
https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
"""

import hashlib
import secrets
from ipaddress import ip_address, ip_network
from pathlib import Path

from flask import request
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.wrappers import Response

from dashboard.kept_files import Marks

WINDOW_SECONDS = 60
BROWSER_MAX = 10  # wrong passwords of one known browser, or of one address
STRANGERS_MAX = 100  # of all addresses together
KNOWN_SECONDS = 365 * 24 * 3600
COOKIE = "churn_browser"


class TooManyGuesses(Exception):
    """Whoever this is must wait; the message says for what."""


class Guesses:
    """Wrong passwords of the last minute, counted by all workers together."""

    def __init__(self, var_dir: Path) -> None:
        self._marks = Marks(var_dir / "wrong_passwords", WINDOW_SECONDS)

    def check(self, browser: str | None) -> None:
        """TooManyGuesses where this request has to wait."""
        if self._marks.count(_prefix(browser)) >= BROWSER_MAX:
            source = "browser" if browser else "address"
            raise TooManyGuesses(f"Too many wrong passwords from this {source}: wait a minute.")
        if browser is None and self._marks.count("address-") >= STRANGERS_MAX:
            raise TooManyGuesses(
                "Too many wrong passwords from everywhere: for now only a browser that has signed "
                "in before may try. Wait a minute."
            )

    def count(self, browser: str | None) -> None:
        """Note one more."""
        self._marks.add(f"{_prefix(browser)}{secrets.token_hex(8)}")


class BrowserCookie:
    """Tells a browser that has signed in before from a stranger's; it opens nothing."""

    def __init__(self, key: bytes) -> None:
        self._serializer = URLSafeSerializer(key, salt="known-browser")

    def read(self) -> str | None:
        """The name of the browser that asks; None for a stranger's."""
        try:
            return str(self._serializer.loads(request.cookies.get(COOKIE, "")))
        except BadSignature:
            return None

    def give(self, answer: Response, *, secure: bool) -> None:
        """Know this browser from now on."""
        answer.set_cookie(
            COOKIE,
            str(self._serializer.dumps(self.read() or secrets.token_hex(16))),
            max_age=KNOWN_SECONDS,
            path="/sign-in",
            secure=secure,
            httponly=True,
            samesite="Lax",
        )


def _prefix(browser: str | None) -> str:
    """What the names of one browser's marks, or of one address's, begin with."""
    kind, name = ("browser", browser) if browser else ("address", _network(request.remote_addr))
    return f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:32]}-"


def _network(address: str | None) -> str:
    """An address, or the network that one customer of a provider has in IPv6."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "unknown"
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
