"""One run of `churn_snapshot`: what its tasks share."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa


@dataclass(frozen=True)
class HistoryRun:
    """The customers' database, and when the run looks at it."""

    engine: sa.Engine
    now: datetime

    @property
    def quiet_engine(self) -> sa.Engine:
        """Without MySQL's locks on rows that INSERT … SELECT reads: the bank goes on writing."""
        if self.engine.dialect.name == "sqlite":
            return self.engine
        return self.engine.execution_options(isolation_level="READ COMMITTED")
