"""What earlier nights said of tonight's customers, and how far each one's risk rose since.

Scores are compared within one model version: where another version is in production since, nothing
is said of its customers, for their risk may have changed by the model alone.
"""

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include.customers.ranges import KeyRange
from include.errors import ObjectNotFound
from include.scoring.summary import readable_summary
from include.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Span: TypeAlias = Literal["night", "week"]

# Of whole nights so many days before, from … to, the latest one counts.
SPANS: dict[Span, tuple[int, int]] = {"night": (1, 31), "week": (7, 13)}
RISES = {span: f"rise_{span}" for span in SPANS}  # the columns of `churn_scores`
DECIMALS = 4  # a hundredth of a percentage point


@dataclass(frozen=True)
class EarlierNight:
    """A night that tonight's scores are compared with, if one version gave both."""

    span: Span
    date: date
    model_version: str


@dataclass(frozen=True)
class EarlierScores:
    """What a night said of some customers, a number each, in the order of the customers' own."""

    customers: "NDArray[np.int64]"
    values: "NDArray[np.float64]"

    def of(self, customers: "NDArray[np.int64]") -> "NDArray[np.float64]":
        """What it said of these; NaN where it said nothing."""
        if not len(self.customers):
            return np.full(len(customers), np.nan)
        places = np.searchsorted(self.customers, customers).clip(max=len(self.customers) - 1)
        return np.where(self.customers[places] == customers, self.values[places], np.nan)


NOBODY = EarlierScores(np.empty(0, np.int64), np.empty(0))


def earlier_nights(store: Store, day: date) -> tuple[EarlierNight, ...]:
    """The last whole night before a day, and the last one a week before: those that there are."""
    found = []
    for span, (nearest, farthest) in SPANS.items():
        days = (day - timedelta(days=back) for back in range(nearest, farthest + 1))
        summaries = (readable_summary(store, each) for each in days)
        summary = next((each for each in summaries if each is not None), None)
        if summary is not None:
            found.append(EarlierNight(span, summary.date, summary.model_version))
    return tuple(found)


def comparable_scores(
    store: Store, nights: Sequence[EarlierNight], keys: KeyRange, *, model_version: str
) -> dict[Span, EarlierScores]:
    """What those of the nights that this version scored said of a range's customers."""
    return {
        night.span: read_scores(store, night, keys)
        for night in nights
        if night.model_version == model_version
    }


def read_scores(store: Store, night: EarlierNight, keys: KeyRange) -> EarlierScores:
    """What a night said of a range's customers; of nobody where its files are gone by now."""
    summary = readable_summary(store, night.date)
    if summary is None or summary.model_version != night.model_version:
        logger.warning("the scores of %s are gone: nothing is compared with them", night.date)
        return NOBODY
    names = ["customer", "probability"]
    parts = summary.parts_with(keys)
    try:
        files = [io.BytesIO(store.read(part).data) for part in parts]
        table = pa.concat_tables(pq.read_table(file, columns=names) for file in files)
    except (ObjectNotFound, pa.ArrowInvalid) as error:  # a comparison must not spoil tonight's
        logger.warning("%s: nothing is compared with the scores of %s", error, night.date)
        return NOBODY
    customers, probabilities = (table[name].to_numpy() for name in names)
    order = np.argsort(customers, kind="stable")  # who came late is in a part of its own
    return EarlierScores(customers[order], probabilities[order])


def with_rises(scores: pa.Table, earlier: Mapping[Span, EarlierScores]) -> pa.Table:
    """Scores with `rise_night` and `rise_week`: P(churn) less what it was then, or null."""
    customers, probabilities = (scores[n].to_numpy() for n in ("customer", "probability"))
    for span, name in RISES.items():
        rises = np.round(probabilities - earlier.get(span, NOBODY).of(customers), DECIMALS) + 0.0
        scores = scores.append_column(name, pa.array(rises, mask=np.isnan(rises)))
    return scores
