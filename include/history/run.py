"""One run of `churn_snapshot`: what its tasks share."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa


@dataclass(frozen=True)
class HistoryRun:
    """The customers' database, and when the run looks at it."""

    engine: sa.Engine
    now: datetime
