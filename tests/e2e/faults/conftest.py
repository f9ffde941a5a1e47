"""What the worst day needs: the API's servers and a small bank, as their own tests have them."""

from tests.include.conftest import (
    champion,
    contract,
    engine,
    first_runs,
    make_run,
    params,
    people,
    registry,
    weak_champion,
)
from tests.webapp.conftest import (
    _session_server,
    running,
    server,
    server_store,
    version_1,
    version_2,
)

__all__ = [
    "_session_server",
    "champion",
    "contract",
    "engine",
    "first_runs",
    "make_run",
    "params",
    "people",
    "registry",
    "running",
    "server",
    "server_store",
    "version_1",
    "version_2",
    "weak_champion",
]
