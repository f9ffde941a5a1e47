"""Each task has a page that says what it reads, writes, and what to do when it fails."""

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from include.settings import PROJECT, Settings
from include.tasks.pages import described, pages

LINES_MAX = 10


def constants(folder: Path) -> Iterator[str]:
    """Every text constant of the code."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_each_page_is_of_a_task() -> None:
    """That each task has one, whoever reads the DAG files finds out: `described` knows no other."""
    assert set(pages()) <= {*constants(PROJECT / "dags")}


@pytest.mark.parametrize("task_id", sorted(pages()))
def test_a_page_is_short_and_says_what_comes_of_a_failure(task_id: str) -> None:
    page = pages()[task_id]
    assert len(page.splitlines()) <= LINES_MAX
    assert re.findall(r"^- \*\*(\w+)\*\*", page, re.MULTILINE)[-1] == "Fails"
    assert re.search(r"\*\*(Writes|Starts)\*\*", page) and page.endswith(".")


def test_what_pages_name_is_there() -> None:
    code = "\n".join(constants(PROJECT / "include"))
    named = {name for page in pages().values() for name in re.findall(r"`([^`]+)`", page)}
    files = {
        name.rpartition("/")[2]
        for name in named
        if re.search(r"\.(json|parquet|onnx|html|ubj)$", name)
    }
    assert {"gate.json", "current.json", "drift.json", "summary.json"} <= files
    assert {name for name in files if "*" not in name and name not in code} == set()
    names = {name for name in named if re.fullmatch(r"[a-z]+_[a-z]+", name)}
    assert {name for name in names - pages().keys() if name not in code} == set()
    settings = {f"CHURN_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in named if name.startswith("CHURN_")} <= settings


def test_an_operator_gets_name_page_and_limit() -> None:
    found = described("promote_model", limit=timedelta(minutes=5))
    assert found["task_id"] == "promote_model" and "gate.json" in found["doc_md"]
    assert found["execution_timeout"] == timedelta(minutes=5)
    assert described("train_model")["execution_timeout"] == timedelta(hours=1)
