"""Fills the history of CHURN_DATABASE_URL: customers month by month, and who left when.

python -m include.history load --snapshots months/ --exits exits.csv
python -m include.history sample --customers 10000 --months 24 --seed 20
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from include.customers.database import opened, shown_url
from include.customers.first_customers import MADE_UP, known_customers, record_source
from include.errors import ChurnError, DataError
from include.history.days import is_there, snapshot_days
from include.settings import Settings, load_settings


def main(arguments: Sequence[str] | None = None, settings: Settings | None = None) -> int:
    """Run one command; 2 for arguments that cannot be, 1 and one message for what fails."""
    parser = argparse.ArgumentParser(
        prog="python -m include.history", description=__doc__.partition("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    load = commands.add_parser("load", help="add months and exits from files")
    load.add_argument("--snapshots", type=Path, help="a CSV or parquet file, or a directory")
    load.add_argument("--exits", type=Path, help="the same, of who left when")
    sample = commands.add_parser("sample", help="fill empty tables with made-up months")
    sample.add_argument("--customers", type=int, default=10_000, help="in the first month")
    sample.add_argument("--months", type=int, default=24, help="how many, up to today")
    sample.add_argument("--seed", type=int, default=20, help="the same seed, the same customers")
    options = parser.parse_args(arguments)
    if options.command == "load" and not (options.snapshots or options.exits):
        parser.error("name files: --snapshots (SNAPSHOTS=path), --exits (EXITS=path), or both")
    try:
        with opened((settings or load_settings()).resolved_database_url) as engine:
            if options.command == "load":
                _load(engine, options.snapshots, options.exits)
            else:
                _sample(engine, options.customers, options.months, seed=options.seed)
    except ChurnError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _load(engine: sa.Engine, snapshots: Path | None, exits: Path | None) -> None:
    from include.history.load_history import load_history

    rows, known = known_customers(engine)
    if known == MADE_UP:
        raise DataError(
            f"{shown_url(engine)} holds {rows:,} made-up customers, and a bank's months would mix "
            "with them; nothing was loaded. Load your customers first (make run CSV=path "
            "REPLACE=1), or name another database"
        )
    done = load_history(engine, snapshots=snapshots, exits=exits, now=datetime.now(UTC))
    print(f"{shown_url(engine)}\n{done}")  # noqa: T201


def _sample(engine: sa.Engine, customers: int, months: int, *, seed: int) -> None:
    """Fill what is empty: made-up customers beside others would be taken for them."""
    from include.history.made_up import load_made_up

    rows, _ = known_customers(engine)
    if rows or (is_there(engine) and snapshot_days(engine)):
        raise DataError(
            f"{shown_url(engine)} holds {rows:,} customers, or history: expected neither, for "
            "made-up ones would mix with them; nothing was loaded. Name another database"
        )
    now = datetime.now(UTC)
    record_source(engine, MADE_UP, now)  # first, so that REPLACE=1 may delete what a kill leaves
    load_made_up(engine, customers, months, seed=seed, last=now.date() - timedelta(days=1))
    days, rows = snapshot_days(engine), known_customers(engine)[0]
    print(f"{shown_url(engine)}: {rows:,} customers, made up, {days[0]} to {days[-1]}")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
