"""The command that fills the customer table."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.customers.__main__ import main
from include.customers.first_customers import ROWS_ONLY
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


def test_output_that_is_kept_names_rows_and_no_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `make run` and the first start of the containers ask for it."""
    path = tmp_path / "customers.csv"
    path.write_text(csv_text(customer(730449838080), customer(730449838141, Gender="of 73044")))
    assert main(["check", str(path)]) == main(["load", str(path), ROWS_ONLY]) == 1
    at_a_terminal, kept = capsys.readouterr().err.split("error: ")[1:]
    assert "row 3: Gender: expected one of F, M, found 'of 73044'" in at_a_terminal
    assert "row 3: Gender: expected one of F, M\nWhat was found there: make check" in kept
    path.write_text(csv_text(customer(730449838080)).partition("\n")[2])
    assert main(["check", str(path)]) == main(["load", str(path), ROWS_ONLY]) == 1
    at_a_terminal, kept = capsys.readouterr().err.split("error: ")[1:]
    assert "73044983808" in at_a_terminal and "73044983808" not in kept
    assert "begins with something else: expected a header of the columns CLIENTNUM" in kept
