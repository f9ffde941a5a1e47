"""Fills the history of CHURN_DATABASE_URL: customers month by month, and who left when.

python -m include.history load --snapshots months/ --exits exits.csv
python -m include.history sample --customers 10000 --months 24 --seed 20
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from include.customers.database import open_engine, shown_url
from include.errors import ChurnError
from include.settings import load_settings


def main(arguments: Sequence[str] | None = None) -> int:
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
        return _load(options.snapshots, options.exits) if options.command == "load" else 1
    except ChurnError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1


def _load(snapshots: Path | None, exits: Path | None) -> int:
    from include.history.load_history import load_history

    engine = open_engine(load_settings().resolved_database_url)
    try:
        done = load_history(engine, snapshots=snapshots, exits=exits, now=datetime.now(UTC))
    finally:
        engine.dispose()
    print(f"{shown_url(engine)}\n{done}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
