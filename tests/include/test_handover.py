"""Keys under which tasks hand over."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.handover import Run, safe_key
from include.store.local import LocalStore


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


def test_a_table_written_in_parts_is_read_whole_or_in_other_parts(tmp_path: Path) -> None:
    run = Run("manual__1", LocalStore(tmp_path))
    whole = pd.DataFrame({"n": np.arange(10), "text": [f"t{i}" for i in range(10)]})
    key = run.write_batches("a_task", "a.parquet", (whole[i : i + 4] for i in range(0, 10, 4)))
    pd.testing.assert_frame_equal(run.read_frame(key), whole)
    parts = list(run.read_batches(key, columns=["text"], rows=3))
    assert [len(part) for part in parts] == [3, 3, 3, 1]
    assert pd.concat(parts)["text"].tolist() == whole["text"].tolist()
    chosen = list(run.read_batches(key, rows=4, where=("text", "t5")))
    assert [part["n"].tolist() for part in chosen] == [[], [5], []]


def test_a_table_without_a_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.parquet has no part"):
        Run("manual__1", LocalStore(tmp_path)).write_batches("a_task", "none.parquet", [])
