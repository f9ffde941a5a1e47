"""Derive the sample generator's statistics from the published "Credit Card Customers" data.

    python -m research.fit_sample BankChurners.csv

Each class is split into segments by k-means on what customers do most differently (transactions,
their amount, the balance). A segment keeps each numeric column's cumulative shares at the few
points that straight lines between them need, each category's frequency, and the latent
correlations. Ties (many zeros, categories) weaken the correlations that a sample shows, so the
latent ones are corrected until a sample shows those of the data. No row is kept, and no segment is
smaller than 150 customers.
"""

import argparse
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.cluster import KMeans

from include.contract import Contract, load_contract
from include.customers.sample import (
    BALANCE_SHARE,
    DECIMALS,
    LARGEST_BALANCE,
    SHIFTABLE,
    STATISTICS_FILE,
    Customers,
    Floats,
    Segment,
    Statistics,
    Table,
)

SEGMENTS = {False: 4, True: 3}
FEWEST_CUSTOMERS = 150
LARGEST_ERROR = 0.006  # of a table's cumulative share between its points,
LARGEST_ERROR_CUSTOMERS = 2.5  # or this many customers' worth where a segment is small
FEW_VALUES = 12  # a column with no more keeps the share of each
CORRECTIONS = 8
CORRECTION_ROWS = 20_000
SMALLEST_EIGENVALUE = 0.01
SEED = 0

logger = logging.getLogger(__name__)


def fit(frame: pd.DataFrame, contract: Contract) -> Statistics:
    """The statistics of labelled customers in the published columns."""
    attrited = (frame[contract.target.name] == contract.target.positive).to_numpy()
    return Statistics(
        attrited_share=round(float(attrited.mean()), 4),
        standard_deviations={name: round(float(frame[name].std()), 4) for name in SHIFTABLE},
        segments=tuple(
            segment
            for left in (False, True)
            for segment in _fit_class(frame[attrited == left], contract, attrited=left)
        ),
    )


def _fit_class(frame: pd.DataFrame, contract: Contract, *, attrited: bool) -> Iterator[Segment]:
    labels = KMeans(SEGMENTS[attrited], n_init=10, random_state=SEED).fit_predict(_behaviour(frame))
    for label in range(SEGMENTS[attrited]):
        part = frame[labels == label]
        if len(part) < FEWEST_CUSTOMERS:
            raise ValueError(f"a segment of {len(part)} customers is too small: fit fewer segments")
        logger.info("attrited %s: segment of %d customers", attrited, len(part))
        yield _fit_segment(part, contract, attrited=attrited, share=len(part) / len(frame))


def _behaviour(frame: pd.DataFrame) -> Floats:
    """Rows × 3, standardised; the balance counts for less."""
    columns = np.column_stack(
        [np.log(frame["Total_Trans_Amt"]), frame["Total_Trans_Ct"], frame["Total_Revolving_Bal"]]
    )
    scores: Floats = (columns - columns.mean(axis=0)) / columns.std(axis=0) * [1.0, 1.0, 0.6]
    return scores


def _fit_segment(
    part: pd.DataFrame, contract: Contract, *, attrited: bool, share: float
) -> Segment:
    numeric = _numeric(part)
    ordinals, frequencies = _categories(part, contract)
    segment = Segment(
        attrited=attrited,
        share=round(share, 4),
        numeric={
            name: fit_table(values, decimals=DECIMALS.get(name, 0))
            for name, values in numeric.items()
        },
        categories=frequencies,
        correlations=_rows(np.eye(len(numeric | ordinals)), [*numeric, *ordinals]),
    )
    return _correlated(segment, _score_correlations(numeric | ordinals), contract)


def _numeric(part: pd.DataFrame) -> Customers:
    """The columns to fit, the balance as a share of what it could be."""
    columns = {name: part[name].to_numpy(np.float64) for name in SHIFTABLE}
    columns["Credit_Limit"] = np.floor(columns["Credit_Limit"])
    share = columns["Total_Revolving_Bal"] / np.minimum(part["Credit_Limit"], LARGEST_BALANCE)
    places = {"Total_Revolving_Bal": (BALANCE_SHARE, np.round(share, DECIMALS[BALANCE_SHARE]))}
    return dict(places.get(name, (name, values)) for name, values in columns.items())


def _categories(
    part: pd.DataFrame, contract: Contract
) -> tuple[Customers, dict[str, dict[str, float]]]:
    """Each category column's ordinals, and its frequencies."""
    ordinals: Customers = {}
    frequencies = {}
    for column in contract.features:
        if column.categories:
            ordinals[column.name] = contract.matrix(part, [column.name])[:, 0]
            shares = part[column.name].value_counts(normalize=True)
            frequencies[column.name] = {
                c: round(float(shares.get(c, 0)), 4) for c in column.categories
            }
    return ordinals, frequencies


def fit_table(values: Floats, *, decimals: int) -> Table:
    """The cumulative shares of values on a grid of 10^-decimals, at as few points as will do."""
    levels, counts = np.unique(np.round(values, decimals), return_counts=True)
    shares = np.cumsum(counts) / len(values)
    # A level's share holds until one step before the next: lines between these corners are exact.
    corners = np.concatenate([levels, levels - 10.0**-decimals]).round(decimals)
    at_most, first = np.unique(corners, return_index=True)
    share = np.concatenate([shares, [0.0], shares[:-1]])[first]
    error = max(LARGEST_ERROR, LARGEST_ERROR_CUSTOMERS / len(values))
    kept = _needed(at_most, share, error=0.0 if len(levels) <= FEW_VALUES else error)
    return Table(at_most=tuple(at_most[kept].tolist()), share=tuple(share[kept].round(4).tolist()))


def _needed(x: Floats, y: Floats, *, error: float) -> NDArray[np.int64]:
    """The points that lines need to stay within `error` of y (Ramer, Douglas and Peucker)."""
    kept = {0, len(x) - 1}
    stretches = [(0, len(x) - 1)]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        inner = slice(first + 1, last)
        errors = np.abs(np.interp(x[inner], x[[first, last]], y[[first, last]]) - y[inner])
        worst = first + 1 + int(errors.argmax())
        if errors.max() > error:
            kept.add(worst)
            stretches += [(first, worst), (worst, last)]
    return np.array(sorted(kept))


def _correlated(segment: Segment, wanted: Floats, contract: Contract) -> Segment:
    """The segment with latent correlations under which its customers show the wanted ones."""
    rng = np.random.default_rng(SEED)
    latent = _possible(wanted)
    segment = _with_correlations(segment, latent)
    for _ in range(CORRECTIONS):
        shown = _score_correlations(segment.draw(CORRECTION_ROWS, contract=contract, rng=rng))
        latent = _possible(np.clip(latent + wanted - shown, -0.99, 0.99))
        segment = _with_correlations(segment, latent)
    return segment


def _with_correlations(segment: Segment, latent: Floats) -> Segment:
    rows = _rows(latent, segment.correlations)
    return Segment.model_validate(segment.model_dump() | {"correlations": rows})


def _score_correlations(columns: Customers) -> Floats:
    """Correlations of the columns' normal scores; a column with one value has none."""
    scores = np.column_stack([ndtri((rankdata(v) - 0.5) / len(v)) for v in columns.values()])
    scores -= scores.mean(axis=0)
    lengths = np.linalg.norm(scores, axis=0)
    scores /= np.where(lengths > 0, lengths, 1.0)
    correlations: Floats = scores.T @ scores
    return correlations


def _possible(correlations: Floats) -> Floats:
    """The nearest-looking matrix that is one of correlations: eigenvalues raised, diagonal 1."""
    eigenvalues, vectors = np.linalg.eigh(correlations)
    raised = (vectors * np.maximum(eigenvalues, SMALLEST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(raised))
    possible: Floats = raised / scale / scale[:, None]
    return possible


def _rows(correlations: Floats, names: Iterable[str]) -> dict[str, tuple[float, ...]]:
    return {
        name: tuple(correlations[place, :place].round(3).tolist())
        for place, name in enumerate(names)
    }


def as_json(statistics: Statistics) -> str:
    """JSON with one line for each column of a segment, so that a change shows where it is."""
    parts = statistics.model_dump()
    segments = [_segment_json(segment) for segment in parts.pop("segments")]
    head = "".join(f'  "{name}": {json.dumps(_short(value))},\n' for name, value in parts.items())
    return "{\n" + head + '  "segments": [\n' + ",\n".join(segments) + "\n  ]\n}\n"


def _segment_json(segment: dict[str, Any]) -> str:
    fields = ",\n".join(f'      "{name}": {_field_json(value)}' for name, value in segment.items())
    return "    {\n" + fields + "\n    }"


def _field_json(value: Any) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    lines = (f'        "{name}": {json.dumps(_short(entry))}' for name, entry in value.items())
    return "{\n" + ",\n".join(lines) + "\n      }"


def _short(value: Any) -> Any:
    """Whole numbers without a decimal point."""
    if isinstance(value, dict):
        return {name: _short(entry) for name, entry in value.items()}
    if isinstance(value, tuple):
        return [_short(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Derive the sample generator's statistics.")
    parser.add_argument("csv", type=Path, help='the "Credit Card Customers" file as downloaded')
    parser.add_argument("--out", type=Path, default=STATISTICS_FILE)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    statistics = fit(pd.read_csv(options.csv), load_contract())
    options.out.write_text(as_json(statistics), "utf-8")


if __name__ == "__main__":
    main()
