"""Where a file's text may come from, and how a refusal in its middle ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.contract import load_contract
from include.customers.csv_file import read_csv
from include.errors import DataError
from tests.include.records import csv_text, customer

CONTRACT = load_contract()
THREE = csv_text(customer(1), customer(2), customer(3))
LINES = THREE.splitlines()


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"cannot read {tmp_path}: Is a directory"):
        read_csv(tmp_path, CONTRACT)


def test_customers_may_come_through_a_pipe() -> None:
    out, into = os.pipe()
    os.write(into, THREE.encode())
    os.close(into)
    assert read_csv(Path(f"/dev/fd/{out}"), CONTRACT).customers == 3
    os.close(out)


def test_a_refusal_half_way_ends_the_process(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text(LINES[0] + "\n" + LINES[1] + "x" * 60_000_000)
    command = [sys.executable, "-m", "include.customers", "check", str(path)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and b"a row of more than" in done.stderr
