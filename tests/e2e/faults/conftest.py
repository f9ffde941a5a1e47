"""What the worst day needs: the API's champions and servers, as its own tests have them."""

from tests.webapp.conftest import (
    _session_server,
    running,
    server,
    server_store,
    small_disk,
    version_1,
    version_2,
)

__all__ = [
    "_session_server",
    "running",
    "server",
    "server_store",
    "small_disk",
    "version_1",
    "version_2",
]
