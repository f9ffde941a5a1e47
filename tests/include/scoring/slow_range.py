"""A range slow enough to be killed, for a process that imports nothing but what it needs."""

import time
from dataclasses import replace
from typing import Any

from include.customers.database import open_engine
from include.scoring import table as score_table
from include.scoring.plan_ranges import Portion
from include.scoring.run import ScoringRun
from include.scoring.score_range import score_range


def score_slowly(url: str, night: ScoringRun, portion: Portion) -> None:
    """Score a range with a pause after each chunk; the night comes without its engine."""
    quick = score_table.write_scores

    def slow(*arguments: Any) -> None:
        quick(*arguments)
        time.sleep(60)

    score_table.write_scores = slow
    score_range(replace(night, engine=open_engine(url)), portion)
