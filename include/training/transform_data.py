"""Task `transform_data`: each customer's side of the split, and training rows made ready."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from include.features import SplitRule
from include.history.clock import OLDER
from include.params import ClassWeight, Resampling
from include.training import fit
from include.training.fit import SIDES, SPLIT, Rows
from include.training.run import TrainingRun, content_hashes
from include.training.validate_data import Validated

logger = logging.getLogger(__name__)

LABEL = "label"


@dataclass(frozen=True)
class Transformed:
    """What `transform_data` hands on; a side's rows are counted before resampling."""

    customers: str  # the valid ones, each with its side of the split
    training: str
    calibration: str
    scaler: str
    split: SplitRule
    training_rows: int
    calibration_rows: int
    holdout_rows: int
    training_attrited_share: float
    resampling: Resampling  # what was done, whatever params.yaml asks for
    class_weight: ClassWeight  # what the fit is to use
    older_rows: int = 0  # hold-out customers in months before the hold-out's
    copied_rows: int = 0  # of the hold-out, that a training row equals but for the customer


def transform_data(run: TrainingRun, validated: Validated) -> Transformed:
    """Split, engineer, scale by the training rows, and balance the training rows alone."""
    customers, scaler, rows, leavers, copied = _split(run, validated)
    model = run.params.model.for_rows(rows["training"])
    if model != run.params.model:
        logger.info(
            "%s training rows are more than model.resampling_rows_max (%s): none is resampled by "
            "%s, which would take too long; leavers weigh as much as stayers instead",
            *(rows["training"], model.resampling_rows_max, run.params.model.resampling),
        )
    places = fit.categorical_places(run.contract, run.columns)
    training = fit.balance(_scaled(run, customers, "training", scaler), model, categorical=places)
    vectors = {"mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist()}
    return Transformed(
        customers=customers,
        training=_write_rows(run, "training.parquet", training),
        calibration=_write_rows(
            run, "calibration.parquet", _scaled(run, customers, "calibration", scaler)
        ),
        scaler=run.write_json("transform_data", "scaler.json", vectors),
        split=run.params.split,
        training_rows=rows["training"],
        calibration_rows=rows["calibration"],
        holdout_rows=rows["holdout"],
        older_rows=rows[OLDER],
        copied_rows=copied,
        training_attrited_share=leavers["training"] / rows["training"],
        resampling=model.resampling,
        class_weight=model.class_weight,
    )


def _split(
    run: TrainingRun, validated: Validated
) -> tuple[str, StandardScaler, Counter[str], Counter[str], int]:
    """Keep everybody with his side; the training's scaler, each side's rows, leavers, the copies.

    The scaler's mean and variance are merged batch by batch: in one batch they are those of a fit
    of the whole, in several they may differ from it in the last digits.
    """
    scaler, rows, leavers = StandardScaler(), Counter[str](), Counter[str]()
    records: dict[str, list[bytes]] = {"training": [], "holdout": []}
    with run.table("transform_data", "customers.parquet") as customers:
        for batch in run.read_batches(validated.customers):
            frame = batch  # of history, with the side that each row has by its month as well
            if SPLIT not in batch:
                frame = fit.with_split(batch, run.contract, run.params.split)
            customers.write(frame)
            for side, part in frame.groupby(SPLIT):
                rows[str(side)] += len(part)
                leavers[str(side)] += int(run.contract.labels(part).sum())
                if side in records:
                    features = fit.raw_features(part, run.contract, run.columns)
                    records[str(side)].append(content_hashes(pd.DataFrame(features)))
                if side == "training":
                    scaler.partial_fit(features)
    for side in SIDES:
        fit.need_both_classes(side, rows=rows[side], leavers=leavers[side])
    known, judging = (np.frombuffer(b"".join(parts), np.uint64) for parts in records.values())
    return customers.key, scaler, rows, leavers, int(pd.Series(judging).isin(known).sum())


def _scaled(run: TrainingRun, customers: str, side: str, scaler: StandardScaler) -> Iterator[Rows]:
    """One side's scaled features and labels, batch by batch."""
    names = [*run.columns, run.contract.target.name, SPLIT]
    for batch in run.read_batches(customers, columns=names, where=(SPLIT, side)):
        if len(batch):
            features = scaler.transform(fit.raw_features(batch, run.contract, run.columns))
            yield Rows(features, run.contract.labels(batch))


def _write_rows(run: TrainingRun, name: str, parts: Iterable[Rows]) -> str:
    """As float32, which is what the trees make of any number."""
    return run.write_batches(
        "transform_data",
        name,
        (
            pd.DataFrame(
                rows.features.astype(np.float32),
                columns=[f"f{place}" for place in range(rows.features.shape[1])],
            ).assign(**{LABEL: rows.labels})
            for rows in parts
        ),
    )
