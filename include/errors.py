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
    │   └── DatabaseUnavailable no answer from the customer database, or none in time
    ├── DocumentError           a JSON object in the store that is not what its key says
    ├── ChampionError           a version that is not whole, not ours to load, or answers wrongly
    ├── RegistryError           MLflow did not answer, or its registry contradicts the pointer
    └── NeedsPerson             the gate will not decide alone

A message says what was expected, what was found, and what to do.
"""


class ChurnError(Exception):
    """Base of everything that the system raises on purpose."""


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


class DatabaseUnavailable(DataError):
    """The customer database did not answer, or was busy for too long."""


class DocumentError(ChurnError):
    """A JSON object in the store is not a document of the kind that its key names."""


class ChampionError(ChurnError):
    """A model version that is not whole, not loadable, or answers wrongly."""


class RegistryError(ChurnError):
    """The model registry did not answer, or contradicts the pointer."""


class NeedsPerson(ChurnError):
    """The data or the configuration looks wrong enough that a person must decide."""
