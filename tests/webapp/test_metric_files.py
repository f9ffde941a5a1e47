"""Counts of several processes: the killed ones', damaged files, a full disk."""

import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.webapp.conftest import PROJECT, samples
from webapp.metric_files import FILE_BYTES

pytestmark = pytest.mark.slow

COUNT = """
import os, signal, sys
from pathlib import Path
from webapp.metrics import METHODS, Metrics
metrics = Metrics()
metrics.answered(rows=5, positives=1, seconds=0.003)
metrics.usage.measure([os.getpid()])
"""
TELL = "sys.stdout.write(metrics.exposition(pending_rows=0, spool_dir=Path('.')).decode())"
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
BESIDE = f"import subprocess; subprocess.run([sys.executable, '-c', {COUNT + TELL!r}])"
FILL = """
for method in (*METHODS, "other"):
    for status in (200, 400, 401, 404, 405, 413, 415, 422, 429, 500, 501, 503):
        for route in range(13):
            metrics.requested(method, f"/long_predict_{route}", status, 0.01)
"""
SPILL = """
try:
    with open(os.environ["PROMETHEUS_MULTIPROC_DIR"] + "/spilled", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
except OSError:
    pass
"""


def run(folder: Path, code: str) -> "subprocess.CompletedProcess[str]":
    """A process of its own that counts an answer with five records, and what it says then."""
    return subprocess.run(
        [sys.executable, "-c", COUNT + code],
        cwd=PROJECT,
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def told(folder: Path) -> dict[str, float]:
    """What the next process tells of all."""
    done = run(folder, TELL)
    assert done.returncode == 0, done.stderr
    return samples(done.stdout)


def test_who_follows_a_killed_process_counts_on_in_its_files(tmp_path: Path) -> None:
    first = told(tmp_path)
    for _ in range(2):
        assert run(tmp_path, DIE).returncode == -signal.SIGKILL
    found = told(tmp_path)
    assert found["prediction_requests_total"] == 20
    assert found["prediction_request_latency_seconds_count"] == 4
    assert found["process_cpu_seconds_total"] > 2 * first["process_cpu_seconds_total"]
    assert {path.stem.rpartition("_")[2] for path in tmp_path.glob("*.db")} == {"0"}


def test_the_living_share_no_file_and_the_dead_have_no_memory(tmp_path: Path) -> None:
    beside = samples(run(tmp_path, BESIDE).stdout)
    after = told(tmp_path)
    assert (beside["prediction_requests_total"], after["prediction_requests_total"]) == (10, 15)
    memory = "process_resident_memory_bytes"
    assert after[memory] == pytest.approx(beside[memory] / 2, rel=0.3)


def test_damaged_files_are_left_out_and_then_replaced(tmp_path: Path) -> None:
    torn = [struct.pack("ii", 4096, 0), struct.pack("iii", 64, 0, 999), b"no numbers" * 99]
    for place, content in enumerate([b"", b"\x01", *torn]):
        for kind in ("counter", "histogram", "gauge_livemin", "unknown"):
            (tmp_path / f"{kind}_{place}.db").write_bytes(content)
    found = told(tmp_path)
    assert found["prediction_requests_total"] == 5
    assert found["prediction_request_latency_seconds_count"] == 1


def test_files_never_grow_and_have_all_their_pages(tmp_path: Path) -> None:
    assert run(tmp_path, FILL).returncode == 0
    for path in tmp_path.iterdir():
        assert path.stat().st_size == FILE_BYTES <= path.stat().st_blocks * 512, path


@pytest.mark.parametrize(
    ("small_disk", "told_once"), [("size=600k", 1), ("size=2m", 0)], indirect=["small_disk"]
)
def test_a_process_survives_a_disk_that_is_full_at_its_start_or_later(
    small_disk: Path, told_once: int
) -> None:
    done = run(small_disk, "Metrics()" + SPILL + FILL + TELL)
    assert done.returncode == 0, done.stderr
    assert samples(done.stdout)["prediction_requests_total"] == 5
    assert done.stderr.count("counts in memory") == told_once
