"""Where a service listens, who can reach it there, and by which names."""

import re
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import quote

_AUTHORITY = re.compile(
    r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+?)\.?(:[0-9]*)?", flags=re.ASCII | re.IGNORECASE
)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that host; a name says so only if it is localhost."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(_without_brackets(host)).is_loopback
    except ValueError:
        return False


def host_and_port(host: str, port: int) -> str:
    """`host:port`, with the brackets that an IPv6 address needs there (RFC 3986, 3.2.2)."""
    bare = _without_brackets(host)
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def bare_host(authority: str) -> str:
    """The host in `host[:port]`, in lower case, without brackets and dot at the end; or nothing."""
    found = _AUTHORITY.fullmatch(authority)
    return _without_brackets(found[1].lower()) if found else ""


@lru_cache(64)  # an address takes 6 µs to read
def is_own_name(authority: str, others: tuple[str, ...]) -> bool:
    """Whether a request's `host[:port]` names this machine's loopback, or is one of `others`.

    Who answers without asking for a key must look: a foreign page whose name leads to loopback
    (DNS rebinding) is of the same origin for the browser, and reads the answers. Nobody can own a
    name below localhost (RFC 6761, 6.3), and the port is of no matter: it may be forwarded.
    """
    host = bare_host(authority)
    return is_loopback(host) or host.endswith(".localhost") or host in others


def drift_report_page(dashboard: str, report_uri: str) -> str:
    """Where a browser finds the report of a URI such as s3://bucket/…/date=2026-01-31/…."""
    day = re.search(r"/date=(\d{4}-\d{2}-\d{2})/", report_uri)
    return f"{dashboard.rstrip('/')}/drift" + (f"?report={day[1]}" if day else "")


def required_action_page(airflow: str, *, dag_id: str, run_id: str, task_id: str) -> str:
    """Where a browser answers what a task asks a person."""
    run = quote(run_id, safe=":+")
    return f"{airflow.rstrip('/')}/dags/{dag_id}/runs/{run}/tasks/{task_id}/required_actions"


def _without_brackets(host: str) -> str:
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
