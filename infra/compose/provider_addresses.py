"""Writes a provider's addresses into a directory, a file each, for Grafana: it does not ask itself.

python -m infra.compose.provider_addresses DIRECTORY
"""

import sys
from pathlib import Path

import httpx

from include.roles import discovery_url
from include.settings import load_settings
from infra.airflow.files import write_whole

ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
ANSWER_SECONDS = 20


class NoProvider(Exception):
    """What answers is no OpenID Connect provider, or nothing does."""


def addresses(url: str) -> dict[str, str]:
    """What the provider's discovery document says; NoProvider where it is none."""
    try:
        answer = httpx.get(url, timeout=ANSWER_SECONDS, follow_redirects=True).raise_for_status()
        found = answer.json()
        return {name: str(found[name]) for name in ENDPOINTS}
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise NoProvider(
            f"expected the discovery document of an OpenID Connect provider at {url}, found "
            f"{error!r}: see whether CHURN_OIDC_ISSUER is its issuer"
        ) from error


def main() -> int:
    """The command line; 1 where there is no such provider."""
    folder = Path(sys.argv[1])
    try:
        found = addresses(discovery_url(load_settings()))
    except NoProvider as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, address in found.items():
        write_whole(folder / name, address)
    return 0


if __name__ == "__main__":
    sys.exit(main())
