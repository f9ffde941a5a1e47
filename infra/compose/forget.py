"""`make forget-in-containers`: one customer erased from the running stack; which backups are left.

python3 -m infra.compose.forget CUSTOMER --asked-by "data protection, case 17" [--backups DIRECTORY]

The number goes in by standard input: docker keeps the words of each command that it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from include.erasure.asked import add_arguments
from infra.compose.backup import MANIFEST, key_mark
from infra.compose.command import PROJECT, Compose, ComposeError, say

FORMER = "CHURN_FORMER_ID_KEYS"  # of one job's environment, and of no service's
JOB = tuple(
    f"run --rm -T --no-deps -e {FORMER} airflow-scheduler python -m include.erasure -".split()
)


def main() -> int:
    """The command line; 1 when the customer was not erased everywhere."""
    parser = argparse.ArgumentParser(prog="make forget-in-containers", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--asked-by", required=True, help="who wants it; it is kept, so no names")
    parser.add_argument("--backups", type=Path, default=PROJECT / "backups")
    options = parser.parse_args()
    try:
        former = Compose().setting(FORMER)  # the .env file's, which reaches no job by itself
        forget(Compose(settings={FORMER: former}), **vars(options))
    except (ComposeError, OSError) as error:
        sys.stderr.write(f"make forget-in-containers: {error}\n")
        return 1
    return 0


def forget(
    compose: Compose,
    customer: str,
    *,
    asked_by: str,
    backups: Path,
    log_only: bool = False,
) -> None:
    """Erase, and say what is left in backups; ComposeError where something was in the way."""
    how = ["--log-only"] if log_only else []
    with tempfile.TemporaryFile() as source:  # without a name
        source.write(f"{customer}\n".encode())
        source.seek(0)
        told = compose.run(*JOB, *how, "--asked-by", asked_by, source=source)
    say(told.decode().rstrip())
    say("Backups:")
    keys = [compose.setting("CHURN_ID_KEY"), *compose.setting(FORMER).split(",")]
    for line in backups_left(backups, {key_mark(key.strip()) for key in keys}):
        say(f"  {line}")


def backups_left(directory: Path, marks: Collection[str]) -> list[str]:
    """The backups of the stack with these keys, and until when they hold who was in it."""
    found, others = [], 0
    for path in sorted(directory.glob(f"*/{MANIFEST}")):
        try:
            manifest = json.loads(path.read_text())
            mine, made_at = manifest.get("id_key_sha256") in marks, manifest["made_at"]
        except (ValueError, KeyError, AttributeError):
            mine, made_at = True, "an unknown time, for its manifest is damaged,"
        if mine:
            found.append(
                f"{path.parent} of {made_at} holds the customer, if there was one by then, until "
                "you delete it; after a restore, forget the customer again"
            )
        others += not mine
    if others:
        found.append(
            f"{others} in {directory} are of other stacks, or of this one under a CHURN_ID_KEY "
            "that CHURN_FORMER_ID_KEYS does not have"
        )
    return found or [f"none is in {directory}: look where else you keep some"]
