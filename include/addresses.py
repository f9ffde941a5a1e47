"""Where a service listens, and who can reach it there."""

from ipaddress import ip_address


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


def _without_brackets(host: str) -> str:
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
