"""The store for those who ask again within seconds: the champion holder and the shipper."""

from include.store import Store, open_store

CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 10
ATTEMPTS = 2


def open_store_with_short_timeouts(uri: str) -> Store:
    """The store, with time-outs for somebody who has better to do than to wait."""
    return open_store(
        uri,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        attempts=ATTEMPTS,
    )
