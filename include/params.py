"""params.yaml: how models are trained, judged, watched and used; each value checks itself."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from include.errors import ConfigurationError
from include.features import SplitRule
from include.settings import KEPT_DAYS_MAX, MINUTES_MAX, TRIALS_MAX, WORKERS_MAX
from include.target import Target
from include.yaml_file import read_yaml

AGE = "Age"  # by what customers are grouped: numbers are put into bands
Days: TypeAlias = Annotated[float, Field(ge=0, le=KEPT_DAYS_MAX)]


class _Rules(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False
    )


class BoostingParams(_Rules):
    """Hyperparameters of gradient boosting, under XGBoost's names."""

    n_estimators: int = Field(ge=1, le=20_000)
    learning_rate: float = Field(gt=0, le=1)
    max_depth: int = Field(ge=1, le=20)
    min_child_weight: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    colsample_bytree: float = Field(gt=0, le=1)
    reg_lambda: float = Field(ge=0)
    gamma: float = Field(ge=0)


class ForestParams(_Rules):
    """Hyperparameters of the random forest, under XGBoost's names."""

    n_estimators: int = Field(ge=1, le=20_000)
    max_depth: int = Field(ge=1, le=32)
    min_child_weight: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    colsample_bynode: float = Field(gt=0, le=1)
    reg_lambda: float = Field(ge=0)


Family: TypeAlias = Literal["xgboost", "random_forest"]
Resampling: TypeAlias = Literal["smote", "smotenc", "none"]
ClassWeight: TypeAlias = Literal["balanced", "none"]  # balanced: the rarer class weighs as much


class ModelParams(_Rules):
    """What is trained, and how."""

    family: Family
    columns: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)]
    resampling: Resampling
    class_weight: ClassWeight = "none"
    resampling_rows_max: int = Field(default=20_000, ge=0, description="training rows")
    threshold: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0, lt=2**31)
    threads: int = Field(ge=1, le=64)
    xgboost: BoostingParams
    random_forest: ForestParams

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Those of the configured family."""
        return dict(getattr(self, self.family))

    def balancing(self, training_rows: int) -> str:
        """What so many training rows are fitted with, and why, for people."""
        used = self.for_rows(training_rows)
        done = f"resampling {used.resampling}, class weight {used.class_weight}"
        if used is self:
            return f"{done}, as configured"
        return (
            f"{done}, because {training_rows:,} rows are more than the "
            f"{self.resampling_rows_max:,} of model.resampling_rows_max"
        )

    def for_rows(self, training_rows: int) -> Self:
        """What so many training rows are fitted with: of too many none is made up from neighbours.

        Their leavers weigh as much as their stayers instead.
        """
        if self.resampling == "none" or training_rows <= self.resampling_rows_max:
            return self
        return self.model_copy(update={"resampling": "none", "class_weight": "balanced"})


class Bounds(_Rules):
    """From where to where a hyperparameter is searched, evenly or by its logarithm."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low is below high, and above 0 where log is true")
        return self


class TuningRules(_Rules):
    """What the hyperparameter search tries, and for how long."""

    trials: int = Field(ge=1, le=TRIALS_MAX, description="of all workers together")
    minutes: float = Field(gt=0, le=MINUTES_MAX, description="after these no trial is begun")
    workers: int = Field(
        ge=1, le=WORKERS_MAX, description="mapped tasks; one repeats a study exactly"
    )
    folds: int = Field(ge=2, le=20, description="of the stratified cross-validation")
    repeats: int = Field(ge=1, le=20, description="fresh cross-validations that confirm the best")
    confidence: float = Field(gt=0.5, lt=1, description="of the interval on what the best adds")
    seed: int = Field(ge=0, lt=2**31)
    resampling: tuple[Resampling, ...] = Field(min_length=1)
    class_weight: tuple[ClassWeight, ...] = Field(min_length=1)
    families: dict[Family, dict[str, Bounds]] = Field(min_length=1)

    def for_rows(self, training_rows: int, *, rows_max: int) -> Self:
        """What a search offers on so many rows: of too many, what `ModelParams.for_rows` leaves."""
        if set(self.resampling) == {"none"} or training_rows <= rows_max:
            return self
        own = self.class_weight if "none" in self.resampling else ()
        weights = tuple(dict.fromkeys((*own, "balanced")))
        return self.model_copy(update={"resampling": ("none",), "class_weight": weights})


class ValidationRules(_Rules):
    """When a table with faults may still be trained on."""

    rejected_share_max: float = Field(ge=0, lt=1)
    rows_min: int = Field(ge=1)


class EarlyWarningRules(_Rules):
    """What the gate asks of a model that says who will leave, beside what it asks of any.

    With defaults, because the params.yaml of an earlier release has no such section.
    """

    lift_loss_max: float = Field(
        default=0.1, ge=0, lt=1, description="share of the top decile's lift that it may lose"
    )
    recall_loss_max: float = Field(
        default=0.05, ge=0, lt=1, description="of the list, in any span of days ahead"
    )
    span_leavers_min: int = Field(default=50, ge=1, description="spans with fewer are not judged")
    older_loss_max: float = Field(
        default=0.02, ge=0, lt=1, description="ROC-AUC, in the two months before"
    )
    single_feature_auc_max: float = Field(
        default=0.9, gt=0.5, le=1, description="above it a feature knows the future"
    )
    gain_share_min: float = Field(
        default=0.05, ge=0, le=1, description="of the trees' gain; a feature below matters little"
    )
    moved_max: float = Field(
        default=0.3, gt=0, le=1, description="distance of a month's values from the latest"
    )
    kept_share_max: float = Field(
        default=0.9, gt=0, le=1, description="of leavers whose value was their last one already"
    )
    kept_auc_max: float = Field(
        default=0.75, gt=0.5, le=1, description="which a feature of such values may reach alone"
    )


class FairnessRules(_Rules):
    """Which differences between groups a person must look at; an older params.yaml has none."""

    gap_max: float = Field(
        default=0.15, ge=0, le=1, description="between groups' shares of leavers who are selected"
    )
    ratio_min: float = Field(
        default=0.6, ge=0, le=1, description="of the least share selected to the largest"
    )
    gender: str = Field(default="Gender", description="the contract's column, whatever its name")
    age: str = Field(default="Customer_Age", description="likewise; numbers are put into bands")

    @property
    def columns(self) -> dict[str, str]:
        """Where to find what customers are grouped by."""
        return {"Gender": self.gender, AGE: self.age}


class GateRules(_Rules):
    """When a challenger replaces the champion, and when a person must look."""

    gain_min: float = Field(ge=0, le=1, description="ROC-AUC that a challenger must add")
    confidence: float = Field(gt=0.5, lt=1, description="of the paired interval on the gain")
    brier_loss_max: float = Field(ge=0, le=1, description="Brier score that it may lose")
    slice_loss_max: float = Field(ge=0, le=1, description="ROC-AUC that any slice may lose")
    slice_rows_min: int = Field(ge=2, description="smaller slices are not judged")
    slice_class_rows_min: int = Field(ge=1, description="nor those with fewer of either class")
    holdout_rows_min: int = Field(ge=2, description="fewer hold-out rows decide nothing")
    champion_auc_min: float = Field(ge=0, le=1, description="below it the data looks wrong")
    single_feature_auc_max: float = Field(gt=0.5, le=1, description="above it a feature leaks")
    early_warning: EarlyWarningRules = EarlyWarningRules()
    fairness: FairnessRules = FairnessRules()


class DayRule(_Rules):
    """When drifted features make a drifted day: so many, such a share, or any of those named."""

    count: int | None = Field(default=None, ge=1)
    share: float | None = Field(default=None, gt=0, le=1)
    any_of: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum((self.count is not None, self.share is not None, bool(self.any_of))) != 1:
            raise ValueError("give exactly one of count, share and any_of")
        return self

    @property
    def threshold(self) -> float:
        """The number that was reached: of features, or their share."""
        return self.share if self.share is not None else float(self.count or 1)


class PerformanceRules(_Rules):
    """When realised performance is judged, and whether a loss starts a training run.

    With defaults, because the params.yaml of an earlier release has no such section.
    """

    label_days: Days = Field(default=14, description="after outcome_days, for late labels")
    ripe_min: int = Field(default=500, ge=1, description="fewer ripe customers decide nothing")
    leavers_min: int = Field(
        default=50, ge=2, description="nor do fewer of them who left, or who stayed"
    )
    loss_min: float = Field(default=0.02, ge=0, lt=1, description="ROC-AUC below the promise")
    retrain: bool = False


class DriftRules(_Rules):
    """When customers changed, and when that starts a training run."""

    reference: Literal["all", "existing", "nearest"]
    rows_min: int = Field(ge=1, description="fewer logged customers decide nothing")
    false_discovery_rate: float = Field(gt=0, lt=1, description="of Benjamini-Hochberg")
    ks_floor: float = Field(ge=0, lt=1, description="D that a numeric feature must exceed")
    category_floor: float = Field(ge=0, lt=1, description="share of rows that changed category")
    rule: DayRule
    score_counts: bool = Field(description="whether a drifted score counts like a feature")
    newly_labelled_min: int = Field(ge=0, description="fewer new labels start no training")
    newly_left_min: int = Field(
        default=100, ge=0, description="nor do, of a horizon, fewer leavers in newly closed months"
    )
    cooldown_days: Days = Field(description="between two runs that drift started")
    outcome_days: Days = Field(description="until a customer who stayed is an outcome")
    outcome_weeks: int = Field(ge=1, le=5200, description="weeks of known outcomes that are shown")
    performance: PerformanceRules = PerformanceRules()
    reference_rows_max: int = Field(
        default=1_000_000, ge=1000, description="a sample of more customers is what drift tests use"
    )
    report_rows: int = Field(ge=100, description="rows behind the report's plots, on each side")
    part_mebibytes: float = Field(default=256, gt=0, description="of the log, for a mapped task")


class CampaignRules(_Rules):
    """How campaigns are judged, and what a call does to its customer's label.

    With defaults, because the params.yaml of an earlier release has no such section.
    """

    outcome_days: float = Field(default=90, gt=0, le=3650, description="a campaign's window")
    leaving_share: float = Field(
        default=0.2, gt=0, lt=1, description="of a list, in these days and without a call"
    )
    listed_customers: Literal["left_out", "used"] = "left_out"

    @property
    def leaves_out(self) -> bool:
        """Whether labels that a call may have brought about are neither learnt nor judged by."""
        return self.listed_customers == "left_out"


class Band(_Rules):
    """A name for the probabilities from `begins` up to the next band."""

    name: str = Field(pattern=r"^[a-z_]{1,16}$")
    begins: float = Field(ge=0, lt=1)


class ScoringRules(_Rules):
    """How the nightly run cuts up its work, and what it calls the answers."""

    range_rows: int = Field(ge=1, description="customers of one mapped task")
    ranges_max: int = Field(ge=1, description="mapped tasks; a range grows before there are more")
    chunk_rows: int = Field(ge=1, description="customers in memory at once")
    bands: tuple[Band, ...] = Field(min_length=1)

    @field_validator("bands")
    @classmethod
    def _cover_all(cls, bands: tuple[Band, ...]) -> tuple[Band, ...]:
        begins = [band.begins for band in bands]
        if begins[0] != 0 or begins != sorted(set(begins)):
            raise ValueError("the first band begins at 0, and each later one above the one before")
        if len({band.name for band in bands}) != len(bands):
            raise ValueError("each band has its own name")
        return bands


class HistoryRules(_Rules):
    """When there is history enough for early warning, and which of its rows count.

    With defaults, because the params.yaml of an earlier release has no such section.
    """

    months_min: int = Field(
        default=6, ge=3, description="closed months; fewer train on the state where target is auto"
    )
    months_max: int = Field(
        default=36, ge=3, description="the newest closed months that are used; memory grows by them"
    )
    leavers_min: int = Field(
        default=200, ge=20, description="in the windows of the months that teach"
    )
    loaded_days_max: Days = Field(
        default=10, description="a snapshot loaded later may know what came after it"
    )
    list_share: float = Field(
        default=0.1, gt=0, lt=1, description="of the customers, who can be called: the list"
    )
    quiet_months: float = Field(
        default=4, ge=0, description="inactive so long, a customer is quiet already: no new sign"
    )
    quiet_change: float = Field(
        default=0.5, ge=0, description="so is one of whose quarterly transactions so few are left"
    )


class Params(_Rules):
    """All of params.yaml."""

    target: Literal["auto", "state", "horizon"] = "auto"
    gap_days: int = Field(default=14, ge=0, le=365)
    horizon_days: int = Field(default=90, ge=1, le=730)
    history: HistoryRules = HistoryRules()

    model: ModelParams
    split: SplitRule
    validation: ValidationRules
    gate: GateRules
    drift: DriftRules
    scoring: ScoringRules
    campaigns: CampaignRules = CampaignRules()
    tuning: TuningRules | None = None
    promotion: Literal["auto", "manual"]

    @model_validator(mode="after")
    def _months_enough_may_be_used(self) -> Self:
        rules, months = self.history, self.horizon.last_day // 28 + 2
        if rules.months_max < max(rules.months_min, months):
            raise ValueError(
                f"history.months_max is {rules.months_max}: expected at least history.months_min, "
                f"{rules.months_min}, and {months}, or no window ends before the month that judges"
            )
        return self

    @model_validator(mode="after")
    def _search_what_can_be_trained(self) -> Self:
        for family, space in self.tuning.families.items() if self.tuning else ():
            current = getattr(self.model, family)
            if unknown := sorted(space.keys() - current.model_dump().keys()):
                raise ValueError(f"{family} has no hyperparameters {unknown}")
            for name, bounds in space.items():
                for value in (bounds.low, bounds.high):
                    type(current).model_validate(current.model_dump() | {name: value})
        return self

    @property
    def horizon(self) -> Target:
        """What a model of early warning predicts."""
        return Target(kind="horizon", gap_days=self.gap_days, horizon_days=self.horizon_days)

    def sha256(self) -> str:
        """The hash that says under which parameters a model was made."""
        values = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(values.encode()).hexdigest()


def load_params(path: Path) -> Params:
    """Read params.yaml; ConfigurationError names every value at fault."""
    try:
        return Params.model_validate(read_yaml(path))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, found {fault['input']!r}"
            for fault in error.errors()
        )
        raise ConfigurationError(f"cannot use {path}: {faults}") from error
