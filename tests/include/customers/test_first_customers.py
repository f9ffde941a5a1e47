"""A table knows what its customers are, and a file's never come to lie beside others by mistake."""

import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from include.customers.__main__ import main
from include.customers.first_customers import (
    MADE_UP,
    loading_arguments,
    look_at_customers,
    source_of,
)
from include.customers.sample import sample_customers
from include.errors import DataError

PEOPLE = sample_customers(60, seed=1)
OTHERS = sample_customers(60, seed=2, first_key=708_082_083)


@pytest.fixture
def url(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database that the command line fills."""
    monkeypatch.setenv("CHURN_DATABASE_URL", database_url)
    return database_url


@pytest.fixture
def jan(tmp_path: Path) -> Path:
    """A file of 40 customers."""
    return written(tmp_path / "jan.csv", PEOPLE.head(40))


def written(path: Path, people: pd.DataFrame) -> Path:
    people.to_csv(path, index=False)
    return path


def load_alone(csv: Path) -> int:
    """Load as `make run` and the containers do."""
    return main(loading_arguments(csv))


def test_a_table_knows_its_file_and_takes_a_longer_one(url: str, jan: Path, tmp_path: Path) -> None:
    assert look_at_customers(url) == (0, None)
    assert load_alone(jan) == 0
    rows, known = look_at_customers(url)
    assert rows == 40 and known == source_of(jan) and known.name == "jan.csv"
    assert known.holds(written(tmp_path / "copy.csv", PEOPLE.head(40)))
    feb = written(tmp_path / "feb.csv", PEOPLE)
    assert not known.holds(feb) and load_alone(feb) == 0
    assert look_at_customers(url) == (60, source_of(feb))


def test_another_population_is_refused_and_says_how(
    url: str, jan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_alone(jan) == 0
    both = pd.concat([PEOPLE.head(39), OTHERS])  # one customer of 40 is not in it
    for name, people, absent in (("other.csv", OTHERS, 40), ("both.csv", both, 1)):
        assert load_alone(written(tmp_path / name, people)) == 1
        said = capsys.readouterr().err
        assert f"{absent} of the 40 customers in the table churners" in said
        assert "which were loaded from jan.csv (sha256 " in said and f"not in {name}" in said
        for way in ("REPLACE=1", "CHURN_VAR_DIR", "make clean-data", "ARGS=--volumes"):
            assert way in said
    assert look_at_customers(url) == (40, source_of(jan))


def test_made_up_customers_are_known_as_such(
    url: str, jan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "--rows", "40", "--seed", "1"]) == 0
    assert look_at_customers(url) == (40, MADE_UP)
    assert load_alone(jan) == 1  # though all of them are in it
    assert "holds 40 made-up customers. Nothing was loaded." in capsys.readouterr().err


def test_who_adds_by_hand_may_and_then_nobody_says_from_which_file(
    url: str, jan: Path, tmp_path: Path
) -> None:
    other = written(tmp_path / "other.csv", OTHERS)
    for file, found in ((jan, (40, source_of(jan))), (jan, (40, source_of(jan)))):
        assert main(["load", str(file)]) == 0
        assert look_at_customers(url) == found
    assert main(["load", str(other)]) == 0
    assert look_at_customers(url) == (100, None)


def test_a_bad_file_and_a_killed_first_load_leave_the_table_to_any_other(
    url: str, jan: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n")
    assert load_alone(bad) == 1
    assert look_at_customers(url) == (0, None)
    assert load_alone(jan) == 0
    assert look_at_customers(url) == (40, source_of(jan))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"cannot read {tmp_path}: Is a directory. Check its owner"):
        MADE_UP.holds(tmp_path)


def test_who_may_not_make_tables_loads_all_the_same(
    sqlite_url: str,
    jan: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CHURN_DATABASE_URL", sqlite_url)
    assert load_alone(jan) == 0
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as database:
        database.execute("DROP TABLE churners_source")
        moment = "'2026-01-01 00:00:00' AS loaded_at"
        database.execute(f"CREATE VIEW churners_source AS SELECT 1 AS name, 2 AS sha256, {moment}")
    database.close()
    assert load_alone(jan) == 0
    assert "warning: what was loaded is not noted" in capsys.readouterr().err
