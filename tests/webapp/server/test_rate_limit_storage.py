"""The table of counts that all workers share."""

from pathlib import Path

from webapp.server.rate_limit_storage import PROBES, SlotStorage


def test_a_full_table_forgets_the_oldest_window(tmp_path: Path) -> None:
    storage = SlotStorage(f"slots://{tmp_path / 'slots'}")
    for number in range(5_000):
        storage.incr(f"key {number}", 60)
    assert storage.incr("key 4999", 60) == 2 and PROBES > 1
    storage.clear("key 4999")
    assert storage.get("key 4999") == 0
    storage.reset()
    assert storage.incr("key 4998", 0) == 1
    assert storage.incr("key 4998", 60) == 1, "the window of no seconds is over"
