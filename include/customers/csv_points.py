"""What the points in a column's numbers mean: decimals, or thousands as in 1.234.567."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from include.contract import Column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

THOUSAND = 1000
_DOUBTFUL = {"float": r"^[1-9]\d{0,2}\.\d{3}$", "integer": r"^[1-9]\d{0,2}\.000$"}
# Nobody writes thousands so: four digits in a row, a zero in front, decimals that are not three.
_DECIMAL = r"^-?(\d{4,}(\.\d*)?|0\d*\.\d*|\d*\.(\d{0,2}|\d{4,}))$|[eE]"
_GROUPED = r"^-?\d{1,3}(\.\d{3})+(\.\d{3}|,\d+)$"


class Points:
    """One column's numbers that can be read in two ways, until another number says which is right.

    In a column of integers, `4.000` in every row is how some databases print a 4; beside a number
    without a point it may be a spreadsheet's 4000.
    """

    def __init__(self, column: Column) -> None:
        self.column = column
        self._settled = column.type not in _DOUBTFUL or column.high < THOUSAND
        self._grouped = column.type == "float"
        self._doubtful: list[tuple[NDArray[np.int64], Any]] = []

    def add(self, rows: "NDArray[np.int64]", texts: Any) -> None:
        """Take a block's values, by their rows in the file."""
        if self._settled or not len(rows):
            return
        pointed = pc.match_substring(texts, ".")
        self._grouped |= not pc.all(pointed).as_py()
        if not pc.any(pointed).as_py():
            return
        if _any(texts, _DECIMAL):
            self._settled = True
            self._doubtful.clear()
            return
        self._grouped |= _any(texts, _GROUPED)
        doubtful = pc.match_substring_regex(texts, _DOUBTFUL[self.column.type])
        self._doubtful.append(
            (rows[doubtful.to_numpy(zero_copy_only=False)], texts.filter(doubtful))
        )

    def faults(self) -> Iterator[tuple[int, str, str]]:
        """The row, what was expected and what was found, of each number that stays doubtful."""
        if not self._grouped:
            return
        for rows, texts in self._doubtful:
            for row, text in zip(rows.tolist(), texts.to_pylist(), strict=True):
                if float(text) * THOUSAND <= self.column.high:
                    whole = text.replace(".", "")
                    expected = f"{whole}, or decimals that are not three, if it is not {whole}"
                    yield row, f"a number to be read in one way ({expected})", text


def _any(texts: "pa.Array", pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())
