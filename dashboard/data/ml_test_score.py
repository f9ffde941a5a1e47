"""The ML Test Score of Breck et al. (2017): the project's own marks, from a table in its files."""

from functools import cache
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

import include

SCORE_FILE = Path(include.__file__).parent / "config" / "ml_test_score.yaml"
Seven = Annotated[tuple["Test", ...], Field(min_length=7, max_length=7)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Test(_Frozen):
    """One of the 28: what it asks, how it is met, and what proves or documents that."""

    __test__ = False  # pytest would take it for one of its own

    asks: str
    met: str
    proof: str | None = None
    fault: str | None = Field(default=None, description="the test in which the check goes red")
    plants: str | None = Field(default=None, description="by what fault")
    document: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        automated = {self.proof is None, self.fault is None, self.plants is None}
        if len(automated) > 1 or (self.proof and self.document):
            raise ValueError("give proof, fault and plants, or document, or none of them")
        return self

    @property
    def points(self) -> float:
        """1 automated, 0.5 by hand or in part and documented, else 0."""
        if self.proof:
            return 1.0
        return 0.5 if self.document else 0.0


class MlTestScore(_Frozen):
    """All 28, by section."""

    data: Seven
    model: Seven
    infrastructure: Seven
    monitoring: Seven

    @property
    def sections(self) -> dict[str, tuple[Test, ...]]:
        """The tests of each section, in the paper's order."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    @property
    def points(self) -> dict[str, float]:
        """The sum of each section, 7 at most."""
        return {name: sum(t.points for t in tests) for name, tests in self.sections.items()}

    @property
    def score(self) -> float:
        """The least of the four sums."""
        return min(self.points.values())


@cache
def read_ml_test_score() -> MlTestScore:
    """The table, which is part of the release."""
    return MlTestScore.model_validate(yaml.safe_load(SCORE_FILE.read_text("utf-8")))


def score_text(found: MlTestScore) -> str:
    """The score and the four sums in a sentence."""
    sums = ", ".join(f"{name} {points:g}" for name, points in found.points.items())
    return f"ML Test Score {found.score:g} of 7, the least of {sums}"
