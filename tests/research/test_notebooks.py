"""The notebooks are reviewable text; CI executes them whole (`make research`)."""

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import jupytext
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from include.settings import PROJECT
from research import render

ROOM = PROJECT / "research"
DECLARED = [PROJECT / "requirements.txt", ROOM / "requirements.txt"]


@pytest.fixture(params=render.NOTEBOOKS)
def path(request: pytest.FixtureRequest) -> Path:
    return ROOM / f"{request.param}.py"


def test_a_notebook_is_its_text_and_nothing_else(path: Path) -> None:
    text = path.read_text()
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata["jupytext"] = {"notebook_metadata_filter": "-all"}
    assert jupytext.writes(notebook, fmt="py:percent") == text
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.cells[0].source.startswith("# ") and len(code) > 5
    assert not any(cell.outputs or cell.execution_count for cell in code)


def test_research_imports_only_the_core_and_declared_packages() -> None:
    declared = {
        canonicalize_name(Requirement(line).name)
        for path in DECLARED
        for line in bare(path.read_text())
    }
    known = packages_distributions()
    names = set().union(*map(imported, ROOM.glob("*.py")))
    outside = names - {"include", "research", *sys.stdlib_module_names}
    assert "jupytext" in outside
    assert [n for n in outside if not declared & set(map(canonicalize_name, known[n]))] == []


def bare(text: str) -> list[str]:
    """A file's requirements, without comments."""
    return [line for each in text.splitlines() if (line := each.partition("#")[0].strip())]


def imported(module: Path) -> set[str]:
    """The packages that a module imports, at its top or below."""
    nodes = list(ast.walk(ast.parse(module.read_text())))
    names = [alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names]
    names += [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def test_what_is_given_stands_behind_a_notebooks_own_parameters(path: Path) -> None:
    given = {"csv": "/customers.csv", "splits": 7, "days": 9}
    cells = render.read_notebook(path.stem, given).cells
    place = next(i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", []))
    namespace: dict[str, object] = {}
    exec(cells[place].source + "\n" + cells[place + 1].source, namespace)
    assert namespace["csv"] == "/customers.csv"
    own = "days" if path.stem == "drift_study" else "splits"
    assert namespace[own] == given[own] and len({"days", "splits"} & namespace.keys()) == 1


def test_a_file_with_faults_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    assert render.main(["--csv", str(tmp_path / "wrong.csv"), "--out", str(tmp_path)]) == 1
    assert "CLIENTNUM" in capsys.readouterr().out
