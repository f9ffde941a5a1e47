"""The command that fills the history."""

from pathlib import Path
from unittest.mock import DEFAULT, MagicMock

import pytest

from include.customers.first_customers import MADE_UP, look_at_customers
from include.history import made_up
from include.history.__main__ import main
from include.history.days import months_kept
from include.history.loading import write_snapshot

EXITS = "CLIENTNUM,left_on,known_at\n"


@pytest.fixture
def url(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CHURN_DATABASE_URL", sqlite_url)
    return sqlite_url


def test_it_loads_files_or_says_what_is_wrong(
    url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "exits.csv"
    path.write_text(f"{EXITS}7,2026-01-05,2026-01-06\n")
    assert main(["load", "--exits", str(path)]) == 0
    assert "exits: 1 new, 0 corrected, 0 as they were" in capsys.readouterr().out
    path.write_text(f"{EXITS}7,yesterday,2026-01-06\n")
    assert main(["load", "--exits", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ") and "row 2: left_on: expected a day such as" in told
    monkeypatch.setenv("CHURN_DATABASE_URL", "oracle://bank/churn")
    assert main(["load", "--exits", str(path)]) == 1
    assert capsys.readouterr().err.startswith("error: CHURN_DATABASE_URL must be")


def test_made_up_months_fill_only_what_is_empty(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = ["sample", "--customers", "60", "--months", "3"]
    assert main(sample) == 0
    assert months_kept(url) == 3 and look_at_customers(url)[1] == MADE_UP
    assert "customers, made up, 20" in capsys.readouterr().out
    assert main(sample) == 1
    assert "customers, or history: expected neither" in capsys.readouterr().err


def test_months_that_were_interrupted_are_known_as_made_up_and_not_taken_for_whole(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that `make run HISTORY=24 REPLACE=1` may put whole ones in their place."""
    interrupted = MagicMock(wraps=write_snapshot, side_effect=[DEFAULT, DEFAULT, KeyboardInterrupt])
    monkeypatch.setattr(made_up, "write_snapshot", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(["sample", "--customers", "500", "--months", "3"])
    rows, known = look_at_customers(url)
    assert months_kept(url) == 2 and rows > 500 and known == MADE_UP


def test_a_load_of_nothing_names_what_is_wanted(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["load"])
    assert "--snapshots (SNAPSHOTS=path)" in capsys.readouterr().err
