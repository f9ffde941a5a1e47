"""One run of `churn_drift` over one day: the connections and the configuration of its tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from include.contract import Contract
from include.handover import Run
from include.params import CampaignRules, DriftRules

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class DriftRun(Run):
    """The connections and the configuration of one run over one day.

    The same day gives the same findings under the same keys, however often it is run.
    """

    day: date
    contract: Contract
    rules: DriftRules
    id_key: Callable[[], bytes]  # under which the log knows its customers; one task asks for it
    open_engine: "Callable[[], Engine]"  # a quiet day needs no database
    training_runs_in_flight: Callable[[str], int]  # but for the one of that id
    now: datetime
    campaigns: CampaignRules = CampaignRules()
    approval_page: Callable[[], str | None] = lambda: None  # where one of those waits for a person
