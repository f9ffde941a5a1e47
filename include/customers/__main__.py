"""Fills the customer table of CHURN_DATABASE_URL, checks a CSV file, or writes sample customers.

python -m include.customers load customers.csv
python -m include.customers check customers.csv
python -m include.customers check customers.csv --scoring
python -m include.customers sample --rows 10000 --seed 1
python -m include.customers sample --rows 10000 --seed 1 --out customers.csv
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from include.customers.csv_file import SCORED_BYTES_MAX, read_csv, read_csv_customers
from include.customers.database import opened, shown_url
from include.customers.first_customers import (
    MADE_UP,
    ROWS_ONLY,
    Source,
    known_customers,
    record_source,
    refuse_mixing,
    source_of,
)
from include.customers.loading import create_table, load_customers
from include.customers.table import published_contract
from include.errors import ChurnError, ConfigurationError, DataError, FaultyFile
from include.params import load_params
from include.settings import load_settings

WHERE_VALUES_ARE = "What was found there: make check CSV=path"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 2 for arguments that cannot be, 1 and one message for what fails."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.command == "check":
            return _check(options.csv, scoring=options.scoring)
        if options.command == "load":
            customers = read_csv_customers(options.csv, published_contract())
            return _load(customers, source_of(options.csv), alone=options.alone)
        customers = _sample(parser, options)
        return _write(customers, options.out) if options.out else _load(customers, MADE_UP)
    except ChurnError as error:
        told = str(error)
        if isinstance(error, FaultyFile) and options.rows_only:
            told = f"{error.without_values}\n{WHERE_VALUES_ARE}"
        print(f"error: {told}", file=sys.stderr)  # noqa: T201
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.customers", description=__doc__.partition("\n")[0]
    )
    rows_only = argparse.ArgumentParser(add_help=False)
    rows_only.add_argument(
        ROWS_ONLY, action="store_true", help="name rows and columns at fault, no customer's values"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    load = commands.add_parser(
        "load", help="load or update customers from a CSV file", parents=[rows_only]
    )
    load.add_argument("csv", type=Path, help="the published file, or the bank's own in its columns")
    load.add_argument("--alone", action="store_true", help="refuse to load beside other customers")
    check = commands.add_parser(
        "check", help="say what is wrong with a CSV file; change nothing", parents=[rows_only]
    )
    check.add_argument("csv", type=Path, help="the file")
    check.add_argument("--scoring", action="store_true", help="it is to be scored, not loaded")
    sample = commands.add_parser("sample", help="load made-up customers, or write them with --out")
    add = sample.add_argument
    add("--rows", type=int, default=10_000, help="how many customers")
    add("--seed", type=int, default=1, help="the same seed gives the same customers")
    add("--out", help="the CSV file to write instead of loading; '-' is stdout")
    return parser


def _check(csv: Path, *, scoring: bool) -> int:
    """Say whether a file can be loaded or scored; DataError lists what is wrong with it."""
    read = read_csv(
        csv, published_contract(), scoring=scoring, keeps_rows=False, now=datetime.now(UTC)
    )
    read.refuse()
    if scoring and csv.stat().st_size > SCORED_BYTES_MAX:
        raise DataError(f"{csv} has more than {SCORED_BYTES_MAX:,} bytes: split it")
    unused = f" Columns that are not used: {', '.join(read.ignored)}." if read.ignored else ""
    done = "scored" if scoring else "loaded"
    print(f"{csv}: no fault, can be {done}. Customers: {read.customers:,}.{unused}")  # noqa: T201
    least = load_params(load_settings().params_file).validation.rows_min
    if not scoring and read.customers < least:
        told = f"warning: training needs {least:,} customers with a label (validation.rows_min)"
        print(told, file=sys.stderr)  # noqa: T201
    return 0


def _sample(parser: argparse.ArgumentParser, options: argparse.Namespace) -> pd.DataFrame:
    from include.customers.sample import sample_customers

    try:
        return sample_customers(options.rows, seed=options.seed)
    except ConfigurationError as error:
        parser.error(str(error))


def _write(customers: pd.DataFrame, out: str) -> int:
    """Write as published: whole numbers without a decimal point."""
    try:
        customers.to_csv(sys.stdout if out == "-" else out, index=False, float_format="%.10g")
    except BrokenPipeError:  # the reader, `head` perhaps, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # no error at the last flush
    except OSError as error:
        sys.stderr.write(f"cannot write {out}: {error}; choose another --out\n")
        return 1
    return 0


def _load(customers: pd.DataFrame, source: Source, *, alone: bool = False) -> int:
    now = datetime.now(UTC)
    with opened(load_settings().resolved_database_url) as engine:
        create_table(engine)
        if alone:
            refuse_mixing(engine, customers, source)
        rows, known = known_customers(engine)
        summary = load_customers(engine, customers, now=now)
        is_all = alone or rows == 0 or known == source
        _record(engine, source if is_all else None, now)
    print(f"{shown_url(engine)}: {summary}")  # noqa: T201
    return 0


def _record(engine: sa.Engine, source: Source | None, now: datetime) -> None:
    """A user who may not make tables has loaded all the same."""
    try:
        record_source(engine, source, now)
    except DataError as error:
        print(f"warning: what was loaded is not noted: {error}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
