"""What the scheduler imports once, so that no task has to."""

import subprocess
import sys

import pytest

from include.settings import PROJECT

FOLDER = PROJECT / "infra" / "airflow" / "preload"
IMPORT = """
import sys, threading
import airflow_local_settings as preload
wanted = {*preload._names()}
print(len(wanted), wanted <= set(sys.modules), threading.active_count())
"""


@pytest.mark.slow
def test_everything_on_the_list_is_imported_and_starts_no_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT],
        env={"PYTHONPATH": f"{FOLDER}:{PROJECT}", "PATH": "", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    count, imported, threads = done.stdout.splitlines()[-1].split()
    assert (int(count) > 40, imported, threads) == (True, "True", "1"), done.stderr
    assert "cannot preload" not in done.stderr
