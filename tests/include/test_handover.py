"""Keys under which tasks hand over."""

import pytest

from include.handover import safe_key


@pytest.mark.parametrize(
    ("run_id", "key"),
    [
        ("manual-1", "manual-1"),
        ("manual__2026-01-01T00:00:00+00:00", "manual__2026-01-01T00:00:00+00:00"),
        ("../../etc", "-..-etc-"),
        ("", "run-"),
    ],
)
def test_run_ids_become_one_safe_part_of_a_key(run_id: str, key: str) -> None:
    found = safe_key(run_id)
    assert found.startswith(key) and "/" not in found and found.strip(".") == found


def test_run_ids_that_look_alike_stay_apart() -> None:
    assert safe_key("a/b") != safe_key("a b")
