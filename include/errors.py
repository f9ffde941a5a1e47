"""Everything that the system raises on purpose, in one small tree.

    ChurnError
    ├── ConfigurationError      settings, params.yaml or schema.yaml that cannot work
    ├── StoreError              the object store
    │   ├── ObjectNotFound      no object under that key
    │   ├── ObjectExists        a write-once key that already holds something else
    │   ├── ObjectChanged       a compare-and-swap that somebody else won
    │   ├── StoreForbidden      the store is there, but not for these credentials
    │   └── StoreUnavailable    no answer, or none in time
    ├── DataError               customers that cannot be used: the message names columns, rows
    │   ├── FaultyFile          a file of customers: with its values, and without them
    │   └── DatabaseUnavailable no answer from the customer database, or none in time
    ├── DocumentError           a JSON object in the store that is not what its key says
    ├── ChampionError           a version that is not whole, not ours to load, or answers wrongly
    ├── RegistryError           MLflow did not answer, or its registry contradicts the pointer
    ├── CommandFailed           another program's command ended with an error
    └── NeedsPerson             a person must approve, and has not

A message says what was expected, what was found, and what to do. It never says a URL's password.
"""

import re

URL = re.compile(r"\b[A-Za-z][\w+.-]*://[^\s'\"]+")
SECRET_OPTION = re.compile(
    r"([?&][\w.-]*(?:pass|pwd|secret|token|key|sig|cred)[\w.-]*=)[^&]*", re.I
)


def without_secrets(text: str) -> str:
    """A text with *** for the passwords and keys of the URLs in it."""
    return URL.sub(lambda found: without_password(found[0]), text)


def without_password(url: str) -> str:
    """A URL, whole or broken, with *** for its password and for options that hold secrets.

    A password ends at the last @: one that holds an @ itself is no URL, and is not shown either.
    """
    found = re.match(r"(\w[\w+.-]*://)?+(.*?)[:@].*@", url, re.DOTALL)
    if found:
        url = f"{found[1] or ''}{found[2]}:***@{url[found.end() :]}"
    return SECRET_OPTION.sub(r"\1***", url)


class ChurnError(Exception):
    """Base of everything that the system raises on purpose."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class ConfigurationError(ChurnError):
    """A setting or a configuration file cannot work."""


class StoreError(ChurnError):
    """The object store did not do what it was asked."""


class ObjectNotFound(StoreError):
    """There is no object under that key."""


class ObjectExists(StoreError):
    """A write-once key already holds something else."""


class ObjectChanged(StoreError):
    """A compare-and-swap found another object than the one it was to replace."""


class StoreForbidden(StoreError):
    """The store refuses these credentials."""


class StoreUnavailable(StoreError):
    """The store did not answer, or not in time."""


class DataError(ChurnError):
    """Customers that cannot be used."""


class FaultyFile(DataError):
    """A file of customers that cannot be used; `without_values` tells it to what is kept."""

    def __init__(self, message: str, without_values: str) -> None:
        super().__init__(message)
        self.without_values = without_secrets(without_values)


class DatabaseUnavailable(DataError):
    """The customer database did not answer, or was busy for too long."""


class DocumentError(ChurnError):
    """A JSON object in the store is not a document of the kind that its key names."""


class ChampionError(ChurnError):
    """A model version that is not whole, not loadable, or answers wrongly."""


class RegistryError(ChurnError):
    """The model registry did not answer, or contradicts the pointer."""


class CommandFailed(ChurnError):
    """A command of another program ended with an error."""


class NeedsPerson(ChurnError):
    """A person must approve this decision, and nobody has."""
