"""The machine's Caddy, which may be older than the one in production."""

import subprocess
from pathlib import Path


def bodies_snippet(version: str) -> str:
    """The part of the Caddyfile that holds bodies back, in words that this version knows."""
    number = version.split()[0].removeprefix("v").partition("-")[0]
    old = tuple(map(int, number.split("."))) < (2, 6, 4)
    return "bodies-wait-in-old-caddy" if old else "bodies-wait-here"


def environment(path: str, home: Path, port: int) -> dict[str, str]:
    """What the Caddyfile asks for, with sites of `localhost:port` and without TLS."""
    version = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
    return {
        "HOME": str(home),
        "CHURN_CADDY_SCHEME": "http://",
        "CHURN_DOMAIN": f"localhost:{port}",
        "CHURN_TLS_EMAIL": "nobody@localhost",
        "CHURN_CADDY_BODIES": bodies_snippet(version),
    }
