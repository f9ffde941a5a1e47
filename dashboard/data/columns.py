"""Columns of parquet tables as numpy arrays.

pandas is imported here, when the process starts: Arrow imports it in the middle of an answer
otherwise, and Plotly's encoder fails in another thread that sees it half imported.
"""

from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Values = NDArray[Any]


def column_values(table: "pa.Table", name: str) -> Values:
    """A column's values: numbers as floats, NaN where there is none; texts as objects, or None."""
    import pyarrow.types as kinds

    column = table.column(name)
    if kinds.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values: Values = column.to_numpy()
    return values if values.dtype == object else values.astype(float)


def present(values: Values) -> Values:
    """The values that are there."""
    return values[~pd.isna(values)]
