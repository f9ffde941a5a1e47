"""Files of months and exits, as banks write them: loaded whole, or not at all."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from include.customers.sample import sample_customers
from include.errors import DataError
from include.history.load_history import Loaded, load_history
from include.history.tables import exits_table, snapshots_table

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MONTHS = ("2026-01-31", "2026-02-28", "2026-03-31")
ROWS = 40

Load = Callable[..., Loaded]


@pytest.fixture
def load(engine: sa.Engine, tmp_path: Path) -> Load:
    """Loads frames as files of one kind, in a directory."""

    def load(
        snapshots: pd.DataFrame | None = None,
        exits: pd.DataFrame | None = None,
        *,
        kind: str = "csv",
    ) -> Loaded:
        paths = {
            name: None if frame is None else written(frame, tmp_path / name / f"part.{kind}")
            for name, frame in (("snapshots", snapshots), ("exits", exits))
        }
        return load_history(engine, **paths, now=NOW)

    return load


def written(frame: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path.parent


def months(**columns: Any) -> pd.DataFrame:
    people = sample_customers(ROWS, seed=1).drop(columns="Attrition_Flag")
    return pd.concat([people.assign(as_of=day, **columns) for day in MONTHS], ignore_index=True)


def exits(**columns: Any) -> pd.DataFrame:
    keys = months()["CLIENTNUM"][:2]
    return pd.DataFrame(
        {"CLIENTNUM": keys, "left_on": ["2026-02-10", "2026-04-02"], "known_at": KNOWN} | columns
    )


KNOWN = ["2026-02-12 08:00:00", "2026-04-02T23:00:00-02:00"]


def stored(engine: sa.Engine, table: sa.Table) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(table).order_by(*table.primary_key)))


def faults(load: Load, *frames: pd.DataFrame | None, **how: str) -> str:
    with pytest.raises(DataError) as told:
        load(*frames, **how)
    return str(told.value)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_months_and_exits_are_loaded_once(load: Load, engine: sa.Engine, kind: str) -> None:
    shuffled = months(loaded_at="2026-04-01 03:00:00").sample(frac=1, random_state=1)
    done = load(shuffled, exits(voluntary=[True, None]), kind=kind)
    assert done.months == dict.fromkeys(map(date.fromisoformat, MONTHS), ROWS)
    assert (done.exits_new, done.assumed) == (2, 0)
    assert done.after_exit == {date(2026, 2, 28): 1, date(2026, 3, 31): 1}
    expected = months().sort_values(["as_of", "CLIENTNUM"]).drop(columns="as_of")
    found = stored(engine, snapshots_table())
    assert [row[1:-1] for row in found] == list(expected.itertuples(index=False, name=None))
    assert [tuple(row)[1:] for row in stored(engine, exits_table())] == [
        (date(2026, 2, 10), datetime(2026, 2, 12, 8), True),
        (date(2026, 4, 2), datetime(2026, 4, 3, 1), None),
    ]
    again = load(shuffled, exits(voluntary=[True, None]), kind=kind)
    assert (again.months, again.snapshots_same) == ({}, len(shuffled))
    assert (again.exits_new, again.exits_corrected, again.exits_same) == (0, 0, 2)
    assert stored(engine, snapshots_table()) == found


def test_parquet_has_types_of_its_own(engine: sa.Engine, tmp_path: Path) -> None:
    frame = months()
    days = pd.to_datetime(frame["as_of"])
    typed = pa.Table.from_pandas(
        frame.assign(as_of=days.dt.date, loaded_at=days), preserve_index=False
    )
    gender = typed.column("Gender").dictionary_encode()
    place = typed.schema.get_field_index("Gender")
    pq.write_table(typed.set_column(place, "Gender", gender), tmp_path / "months.parquet")
    done = load_history(engine, snapshots=tmp_path / "months.parquet", exits=None, now=NOW)
    assert sum(done.months.values()) == len(frame) and done.assumed == 0


def test_an_index_that_pandas_wrote_is_named(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "months.parquet"
    months()[5:9].sample(frac=1, random_state=1).to_parquet(path)
    with pytest.raises(DataError, match="an index that a program wrote .* '__index_level_0__'"):
        load_history(engine, snapshots=path, exits=None, now=NOW)


def test_rows_that_do_not_say_when_they_were_loaded_are_of_their_day(
    load: Load, engine: sa.Engine
) -> None:
    done = load(months())
    assert done.assumed == ROWS * len(MONTHS)
    assert "120 rows do not say when they were loaded (loaded_at)" in str(done)
    found = stored(engine, snapshots_table())
    assert all(row.loaded_at == datetime.combine(row.as_of, datetime.min.time()) for row in found)


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"as_of": "31.01.2026"},
        "row 5: as_of: expected a day such as 2026-01-31, found '31.01.2026'",
    ),
    ({"as_of": "2026-01-31 14:00"}, "row 5: as_of: expected a day such as 2026-01-31, found"),
    ({"as_of": "2026-06-02"}, "row 5: as_of: expected none after 2026-06-01 12:00 UTC, found"),
    ({"loaded_at": "2026-01-30"}, "row 5: loaded_at: expected a moment from as_of to now (UTC)"),
    ({"loaded_at": "2026-06-02"}, "row 5: loaded_at: expected a moment from as_of to now (UTC)"),
    ({"Gender": "X"}, "row 5: Gender: expected one of F, M, found 'X'"),
    ({"CLIENTNUM": None}, "row 5: CLIENTNUM: expected an integer"),
    ({"Customer_Age": "old"}, "row 5: Customer_Age: expected an integer from"),
]


@pytest.mark.parametrize(("values", "fault"), WRONG)
def test_what_is_wrong_is_named_by_row_and_nothing_is_changed(
    load: Load, engine: sa.Engine, values: dict[str, Any], fault: str
) -> None:
    frame = months(loaded_at="2026-04-01 03:00:00").astype(object)
    frame.loc[3, list(values)] = list(values.values())
    assert fault in faults(load, frame)
    assert stored(engine, snapshots_table()) == []


def test_a_fault_in_the_last_file_takes_back_the_first(load: Load, engine: sa.Engine) -> None:
    wrong = exits(left_on=["2026-02-10", "2026-12-24"])
    assert "row 3: left_on: expected none after 2026-06-01 12:00 UTC, found '2026-12-24'" in faults(
        load, months(), wrong
    )
    assert stored(engine, snapshots_table()) == [] == stored(engine, exits_table())


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_other_values_for_a_stored_row_are_refused(
    load: Load, engine: sa.Engine, kind: str
) -> None:
    load(months())
    before = stored(engine, snapshots_table())
    changed = months()
    changed.loc[[2, 50], "Customer_Age"] = 77
    keys = changed["CLIENTNUM"]
    first = 1 if kind == "parquet" else 2
    told = faults(load, changed, kind=kind)
    assert f"row {first + 2}: CLIENTNUM: expected the values of 2026-01-31 that" in told
    assert f"row {first + 50}: CLIENTNUM: expected the values of 2026-02-28 that" in told
    assert f"found others of customer {keys[50]}" in told and "Faults: 2" in told
    assert stored(engine, snapshots_table()) == before


def test_a_row_that_stands_in_a_file_twice_counts_once_unless_it_differs(load: Load) -> None:
    twice = pd.concat([months(), months()[:1]])
    assert load(twice).snapshots_same == 1
    other = pd.concat([months(), months()[:1].assign(Customer_Age=77)])
    assert f"row {len(other) + 1}: CLIENTNUM: expected the values of 2026-01-31" in faults(
        load, other
    )


def test_an_exit_is_corrected_and_a_customer_leaves_once(load: Load, engine: sa.Engine) -> None:
    load(None, exits())
    assert load(None, exits(left_on=["2026-02-09", "2026-04-02"])).exits_corrected == 1
    assert stored(engine, exits_table())[0].left_on == date(2026, 2, 9)
    twice = pd.concat([exits(), exits()[:1]])
    assert "row 4: CLIENTNUM: expected each key once" in faults(load, None, twice)


def test_columns_are_named_where_they_are_not_right(load: Load) -> None:
    told = faults(load, months().drop(columns=["as_of", "Gender"]).assign(Attrition_Flag="x"))
    assert "does not have the columns that docs/history.md lists" in told
    assert "missing: as_of, Gender" in told and "unknown: 'Attrition_Flag'" in told
    assert "missing: known_at" in faults(load, None, exits().drop(columns="known_at"))


def test_what_is_no_file_of_history_is_refused(engine: sa.Engine, tmp_path: Path) -> None:
    torn, nested = tmp_path / "torn.parquet", tmp_path / "nested.parquet"
    torn.write_bytes(b"PAR1 and no more")
    months()[:2].assign(as_of=[["a"], ["b"]]).to_parquet(nested)
    for path, told in (
        (
            tmp_path / "absent",
            "expected a file, or a directory of .csv or .parquet files, found none",
        ),
        (torn, "cannot be read as parquet"),
        (nested, "the parquet column as_of is a list"),
    ):
        with pytest.raises(DataError, match=told):
            load_history(engine, snapshots=path, exits=None, now=NOW)
