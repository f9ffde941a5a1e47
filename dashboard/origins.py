"""What changes something is asked for by this site's own pages, whatever cookie comes along.

SameSite keeps a cookie from other sites, not from another name or port of the same one, such as
MLflow's; and where nobody signs in there is no cookie to keep. Browsers say where a request comes
from in Sec-Fetch-Site, older ones in Origin; programs say neither, and carry no one's cookie.
https://www.w3.org/TR/fetch-metadata/
"""

from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.exceptions import Forbidden

from include.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN = frozenset({"same-origin", "none"})  # none: an address that somebody typed


def register(server: Flask, settings: Settings) -> None:
    """Refuse what another site's page asks to change."""
    public = _place(settings.dashboard_public_url)

    @server.before_request
    def _check_origin() -> None:
        if request.method not in SAFE_METHODS and is_foreign(public):
            raise Forbidden(
                "another site's page asked for this, and only the dashboard's own may: open it by "
                "its own address. Behind a proxy, keep the Host header or set "
                "CHURN_DASHBOARD_PUBLIC_URL"
            )


def is_foreign(public: str = "") -> bool:
    """Whether the present request comes from a page of neither this host nor the public one."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in OWN
    origin = request.headers.get("Origin")
    return origin is not None and _place(origin) not in {_place(request.host_url), public} - {""}


def _place(url: str) -> str:
    """Name and port as browsers write them in an origin: in lower case, without the usual port."""
    parts = urlsplit(url)
    return parts.netloc.lower().removesuffix({"https": ":443", "http": ":80"}.get(parts.scheme, ""))
