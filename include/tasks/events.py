"""What a task's success says of the assets that it makes (`include/tasks/assets.py`).

Airflow emits an event for each outlet of a task that succeeds; it reads the outlets when the task
has ended. An AssetAlias would emit none by itself, but hides from the asset's page who makes it.
"""

from collections.abc import Mapping
from typing import Any

CHAMPION_ASSET = "champion"


def tell(context: Mapping[str, Any], **extra: Any) -> None:
    """Let the event of the task's one outlet carry these facts."""
    (asset,) = context["outlets"]
    context["outlet_events"][asset].extra = extra


def tell_if_moved(context: Mapping[str, Any], moved: Mapping[str, Any], *, verdict: str) -> None:
    """The champion's event; none where a task that may move the pointer did not."""
    if moved["moved"]:
        tell(context, version=moved["version"], verdict=verdict)
        return
    context["outlets"].clear()
