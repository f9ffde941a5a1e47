"""What the scheduler imports once, so that no task has to."""

import ast
import re
from importlib.util import find_spec

from include.settings import PROJECT

SOURCE = PROJECT / "infra" / "airflow" / "preload" / "airflow_local_settings.py"


def preloaded() -> set[str]:
    """The list, read without importing what it names."""
    (modules,) = [
        node.value
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES"
    ]
    return set(ast.literal_eval(modules))


def test_every_name_on_the_list_is_a_module() -> None:
    assert [name for name in preloaded() if find_spec(name) is None] == []


def test_every_task_is_on_the_list() -> None:
    """A task's file defines a function of its own name, which takes the run; upkeep can wait."""
    tasks = {
        f"include.{path.parent.name}.{path.stem}"
        for path in (PROJECT / "include").glob("*/*.py")
        if path.parent.name != "upkeep"
        and re.search(rf"^def {path.stem}\(\s*run: ", path.read_text(), re.MULTILINE)
    }
    assert len(tasks) == 18 and tasks <= preloaded()
