"""A wall clock that is wrong by as many seconds as a file says, in every process that finds this."""

import datetime
import os
import time
from pathlib import Path
from typing import Any

FILE = Path(os.environ["TEST_CLOCK_SKEW_FILE"])
right_time, right_datetime = time.time, datetime.datetime


def _skew() -> float:
    return float(FILE.read_text() or 0)


class _Kind(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, right_datetime)


class SkewedDatetime(right_datetime, metaclass=_Kind):
    """datetime, of which `now` is wrong."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        """The time by the wrong clock."""
        return right_datetime.now(tz) + datetime.timedelta(seconds=_skew())


time.time = lambda: right_time() + _skew()
datetime.datetime = SkewedDatetime  # type: ignore[misc]
