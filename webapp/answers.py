"""What the routes answer, as types: the code builds them, and /openapi.json describes them."""

from typing import (
    Annotated,
    Literal,
    NotRequired,  # pydantic wants this one before Python 3.12
)

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from webapp.problems import FAULTS_LISTED

Probability = Annotated[float, Field(ge=0, le=1)]
Label = Literal[0, 1]
Names = Annotated[
    list[str],
    Field(description="Columns that some record left out, counted as their default; if any"),
]
exact = with_config(ConfigDict(extra="forbid"))


class Stamp(TypedDict):
    """What every answer of the model carries."""

    model_version: str
    timestamp: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    request_id: str


@exact
class Answer(Stamp):
    """One entry for each record, in their order."""

    predictions: list[Label]
    probabilities: list[Probability]
    num_samples: Annotated[int, Field(ge=1)]
    defaulted: NotRequired[Names]


@exact
class Contribution(TypedDict):
    """What one feature adds to the score."""

    feature: str
    value: float | str
    contribution: Annotated[float, Field(description="Log-odds that it adds")]
    engineered: Annotated[bool, Field(description="Computed from other columns")]


@exact
class Explained(Stamp):
    """Why a record is scored as it is: the base value and all contributions add up to log_odds."""

    probability: Probability
    prediction: Label
    log_odds: Annotated[float, Field(description="Of the probability")]
    base_value: Annotated[float, Field(description="Log-odds before any feature")]
    contributions: Annotated[list[Contribution], Field(description="Largest first")]
    defaulted: NotRequired[Names]


class Index(TypedDict):
    """Name, the build that runs, and links."""

    name: str
    version: str
    commit: Annotated[str, Field(description="Of the code; unknown where nothing tells it")]
    links: dict[str, str]


@exact
class Health(TypedDict):
    """That the process lives."""

    status: Annotated[
        Literal["OK", "draining"], Field(description="draining: about to stop, ask another one")
    ]
    model_loaded: bool
    model_version: str | None


@exact
class Ready(TypedDict):
    """That there is a model to answer with."""

    status: Literal["ready"]
    model_version: str


class FieldFault(TypedDict, total=False):
    """One value that breaks the contract; `row` is its record's place in a batch, from 0."""

    field: str
    expected: str
    found: str
    row: int


class ProblemDocument(TypedDict, total=False):
    """Why there is no answer (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None
    errors: Annotated[list[FieldFault], Field(max_length=FAULTS_LISTED)]
