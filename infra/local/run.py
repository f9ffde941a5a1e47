"""`make run`: the whole system on this machine, without containers, until Ctrl-C.

It starts MLflow, Airflow and the API on loopback, loads the sample customers where there are none,
trains a first champion through Airflow where there is none, and keeps everything running.
"""

import argparse
import fcntl
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import load_dotenv

from include.errors import ChurnError
from include.settings import PROJECT, load_settings
from infra.airflow.client import AirflowError
from infra.local.running import log_to_terminal
from infra.local.services import Layout, layout
from infra.local.stack import Interrupted, Stack, StackError
from infra.local.startup import StartUp

logger = logging.getLogger("run")


def main() -> int:
    """The command line; 0 when it was stopped, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.run", description=__doc__)
    parser.add_argument("--csv", type=Path, help="load these customers instead of made-up ones")
    arguments = parser.parse_args()
    log_to_terminal()
    load_dotenv(PROJECT / ".env")
    try:
        settings = load_settings()
        places = layout(settings)
        with alone(places), Stack(places) as stack:
            return StartUp(settings, places, stack, csv=arguments.csv).run()
    except Interrupted:
        return 0
    except (ChurnError, StackError, AirflowError) as error:
        logger.error("make run: %s", error)
        return 1


@contextmanager
def alone(places: Layout) -> Iterator[None]:
    """Hold the directory's lock, which the system frees however this process ends."""
    places.record.parent.mkdir(parents=True, exist_ok=True)
    with (places.record.parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StackError(
                f"another `make run` uses {places.var}; {places.stack_file} says where it is. "
                "Stop it, or give this one its own CHURN_VAR_DIR and ports"
            ) from error
        yield


if __name__ == "__main__":
    sys.exit(main())
