"""What the gate decided on a candidate: `gate.json`, for the promotion and for people."""

from typing import Any, Literal, TypeAlias

from pydantic import AwareDatetime, Field

from include.champion.early_warning import EarlyWarning, Hindsight
from include.champion.fairness import Fairness
from include.documents import Document
from include.target import STATE, Target

GATE_FILE = "gate.json"

Outcome: TypeAlias = Literal["accepted", "rejected", "needs_person"]


class SliceVerdict(Document):
    """What a slice's customers would gain or lose; judged only where it is large enough."""

    name: str
    rows: int
    judged: bool
    challenger_auc: float | None
    champion_auc: float | None


class Decision(Document):
    """`gate.json`: the decision with every number that it rests on."""

    outcome: Outcome
    reasons: tuple[str, ...]
    decided_at: AwareDatetime
    challenger: str = Field(description="the candidate's version in the registry")
    champion: str | None = Field(description="the version in production, if any")
    champion_age_days: float | None = Field(
        default=None, description="by how much its customers are older: what that costs is `gain`"
    )
    target: Target = STATE
    holdout_rows: int
    holdout_attrited_share: float
    strongest_feature: str | None = None
    strongest_feature_auc: float | None = None
    challenger_metrics: dict[str, float] = Field(default_factory=dict)
    champion_metrics: dict[str, float] | None = None
    gain: float | None = Field(default=None, description="in ROC-AUC, challenger minus champion")
    gain_interval: tuple[float, float] | None = None
    slices: tuple[SliceVerdict, ...] = ()
    fairness: tuple[Fairness, ...] = Field(
        default=(), description="the challenger's, on everybody who was held out"
    )
    naive_gain: float | None = Field(
        default=None, description="in ROC-AUC over the naive rule, of a horizon alone"
    )
    naive_gain_interval: tuple[float, float] | None = None
    early_warning: EarlyWarning | None = Field(default=None, description="on the rows that judge")
    hindsight: tuple[Hindsight, ...] = ()
    rules: dict[str, Any] = Field(description="params.yaml's `gate`, as it was then")
