"""`make mwaa`: what Amazon MWAA reads, below dist/mwaa: dags/, plugins.zip and requirements.txt.

MWAA mounts no repository root, so `include` travels in the plugins archive. Airflow imports every
module that it finds among the plugins; `.airflowignore` keeps it from importing `include` that way.
"""

import shutil
import sys
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
IGNORED = "include/\n"


def build(target: Path) -> None:
    """Write the layout into an empty or missing directory."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(PROJECT / "dags", target / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    with zipfile.ZipFile(target / "plugins.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((PROJECT / "plugins").glob("*.py")):
            archive.write(path, path.name)
        for path in sorted((PROJECT / "include").rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(PROJECT))
        archive.writestr(".airflowignore", IGNORED)
    lines = (PROJECT / "requirements.txt").read_text("utf-8")
    constraint = '--constraint "/usr/local/airflow/dags/constraints.txt"\n'
    (target / "requirements.txt").write_text(constraint + lines, "utf-8")
    shutil.copy(PROJECT / "constraints.txt", target / "dags" / "constraints.txt")


if __name__ == "__main__":
    build(PROJECT / "dist" / "mwaa")
    sys.stdout.write("dist/mwaa is ready: upload dags/, plugins.zip and requirements.txt\n")
