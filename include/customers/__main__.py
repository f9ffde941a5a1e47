"""Fills the customer table of CHURN_DATABASE_URL.

python -m include.customers load customers.csv
python -m include.customers sample --rows 10000 --seed 1
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from include.customers.csv_file import read_csv_customers
from include.customers.database import open_engine, shown_url
from include.customers.loading import create_table, load_customers
from include.customers.table import published_contract
from include.errors import ChurnError
from include.settings import load_settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.customers",
        description="Fill the customer table of CHURN_DATABASE_URL.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    load = commands.add_parser("load", help="load or update customers from a CSV file")
    load.add_argument("csv", type=Path, help="the published file, or the bank's own in its columns")
    sample = commands.add_parser("sample", help="load made-up customers")
    sample.add_argument("--rows", type=int, default=10_000)
    sample.add_argument("--seed", type=int, default=1)
    sample.add_argument("--first-key", type=int, help="the first customer's number")
    return parser


def _customers(options: argparse.Namespace) -> pd.DataFrame:
    if options.command == "load":
        return read_csv_customers(options.csv, published_contract())
    from include.customers.sample import FIRST_KEY, sample_customers

    first = FIRST_KEY if options.first_key is None else options.first_key
    return sample_customers(options.rows, seed=options.seed, first_key=first)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 and one message when it cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        engine = open_engine(load_settings().resolved_database_url)
        try:
            customers = _customers(options)
            create_table(engine)
            summary = load_customers(engine, customers, now=datetime.now(UTC))
        finally:
            engine.dispose()
    except ChurnError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{shown_url(engine)}: {summary}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
