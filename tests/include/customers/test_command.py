"""The command that fills the customer table."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.customers.__main__ import main
from tests.include.records import csv_text, customer


def test_the_command_loads_a_file_or_samples_or_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHURN_DATABASE_URL", f"sqlite:///{tmp_path / 'new' / 'churn.db'}")
    path = tmp_path / "customers.csv"
    path.write_text(csv_text(customer(1), customer(2)))
    command = [sys.executable, "-m", "include.customers", "load", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 customers: 2 new, 0 changed" in done.stdout
    assert main(["sample", "--rows", "50", "--seed", "3"]) == 0
    assert "50 new" in capsys.readouterr().out
    path.write_text(csv_text(customer(Gender="X")))
    assert main(["load", str(path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
