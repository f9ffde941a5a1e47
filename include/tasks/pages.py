"""What Airflow is told of a task beside its work: its page, from `pages.md`, and its time limit."""

import re
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from include.tasks.limits import task_limit

PAGES = Path(__file__).with_name("pages.md")


def described(task_id: str, *, limit: timedelta | None = None) -> dict[str, Any]:
    """An operator's arguments: name, page and limit, by default that of a task that grows."""
    return {
        "task_id": task_id,
        "doc_md": pages()[task_id],
        "execution_timeout": limit or task_limit(),
    }


@cache
def pages() -> dict[str, str]:
    """Each task's page by the task's name."""
    _, *parts = re.split(r"^## (\w+)\n", PAGES.read_text("utf-8"), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
