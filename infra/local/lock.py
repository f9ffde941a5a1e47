"""Regenerates constraints.txt: every package of every part, pinned once for all platforms."""

import logging
import os
import subprocess
import sys

from infra.local.install import CONSTRAINTS, PROJECT, pip_configuration, uv_environment

logger = logging.getLogger("lock")

HEADER = """\
# Made by `make lock`; never edit it by hand. It pins what every requirements.txt needs, on Python
# 3.11 to 3.13, with all that those packages need in turn: install it with --no-deps. mysqlclient is
# left out (infra/local/overrides.txt says why).
"""
SOURCES = [
    f"{room}requirements.txt"
    for room in (
        *("", "webapp/", "dashboard/", "research/", "tests/"),
        *("infra/airflow/", "infra/local/", "infra/mlflow/"),
    )
]
OLDEST_PYTHON = "3.11"


def main() -> int:
    """Resolve anew, staying with the present pins unless `--upgrade` is given."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    uv = PROJECT / ".venv" / "bin" / "uv"
    if not uv.exists():
        logger.error("%s is not there: run `make setup`, where pip can reach a package index", uv)
        return 1
    command = [str(uv), "pip", "compile", "--quiet", "--universal", "--no-header", "--no-annotate"]
    command += ["--python-version", OLDEST_PYTHON, "--override", "infra/local/overrides.txt"]
    done = subprocess.run(
        [*command, *sys.argv[1:], *SOURCES, "--output-file", str(CONSTRAINTS)],
        env=uv_environment(pip_configuration(), os.environ),
        cwd=PROJECT,
        check=False,
    )
    if done.returncode == 0:
        CONSTRAINTS.write_text(HEADER + CONSTRAINTS.read_text())
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
