"""Hides this system's own secrets in Airflow's logs and rendered fields, as Airflow does its own.

Airflow masks what it fetches itself: connections, its own options. A task also has secrets in its
environment, and a library that fails may tell its URL.
https://airflow.apache.org/docs/apache-airflow/stable/security/secrets/mask-sensitive-values.html
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from pydantic import SecretStr

from include.settings import Settings, load_settings

# Up to the first @ and up to the last: one may be in a password, or behind it.
PASSWORDS = tuple(re.compile(rf"://[^:@/]*:({up_to})@") for up_to in (".+?", ".+"))


def mask_secrets() -> None:
    """Hide each secret of the settings in what this task says from now on."""
    from airflow.sdk.log import mask_secret

    for secret in sorted(set(secrets_of(load_settings()))):
        mask_secret(secret)


def secrets_of(settings: Settings) -> Iterator[str]:
    """Each secret that is set; of a URL its password, as it stands there and as it is meant."""
    for _, value in settings:
        for each in value if isinstance(value, tuple) else (value,):
            text = each.get_secret_value() if isinstance(each, SecretStr) else str(each)
            if any(found := [pattern.search(text) for pattern in PASSWORDS]):
                yield from {said for each in found if each for said in (each[1], unquote(each[1]))}
            elif isinstance(each, SecretStr) and text and "://" not in text:
                yield text
