"""Where rows lie in a day's log, and how they are read again from there."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from include.errors import DataError
from include.predictions.objects import read_objects
from include.store import ObjectInfo, Store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

OBJECT, PLACE = "log_object", "log_place"  # an object's key, and a row's place in it from 0


def located(key: str, batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    """An object's batches, in their order, with two more columns that say where each row lies."""
    import pyarrow as pa

    begins = 0
    for batch in batches:
        rows = batch.num_rows
        whole = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([key]))
        places = pa.array(np.arange(begins, begins + rows, dtype=np.uint32))
        yield batch.append_column(OBJECT, whole).append_column(PLACE, places)
        begins += rows


def read_places(
    store: Store, objects: Iterable[ObjectInfo], places: "pd.DataFrame", *, columns: Sequence[str]
) -> "Iterator[pa.RecordBatch]":
    """These columns of the rows at `places` (OBJECT, PLACE), object by object, each in its order.

    Other objects are not read. DataError when one is gone.
    """
    import pyarrow as pa

    wanted = {
        str(key): np.sort(own.to_numpy())
        for key, own in places.groupby(OBJECT, observed=True)[PLACE]
    }
    named = (each for each in objects if each.key in wanted)
    found = read_objects(store, named, columns=columns, arrange=lambda b: b.select(list(columns)))
    for key, decoded in found:
        rows = pa.Table.from_batches(decoded.result()).take(pa.array(wanted.pop(key)))
        yield rows.unify_dictionaries().combine_chunks().to_batches()[0]
    if wanted:
        raise DataError(
            f"{min(wanted)} and {len(wanted) - 1} more objects were in {store.uri} when their rows "
            "were counted, and are gone: clear this run from its first task"
        )
