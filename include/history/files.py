"""Files of snapshots and exits, CSV or parquet: their columns, and a reader that names each fault.

A parquet file is read as the CSV file that it would make, so that both keep one contract.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contract import Column, Contract
from include.customers.csv_file import CsvFile, Rows, Taker, read_csv
from include.customers.csv_header import Layout, read_columns
from include.customers.table import published_contract
from include.errors import DataError
from include.history.tables import AS_OF, KNOWN_AT, LEFT_ON, LOADED_AT, VOLUNTARY

ENDINGS = (".csv", ".parquet")
BATCH_ROWS = 2**14
YES, NO = ("true", "True", "TRUE", "1"), ("false", "False", "FALSE", "0")


@cache
def snapshot_contract() -> Contract:
    """What a file of snapshots may hold; `loaded_at` may be absent."""
    published = published_contract()
    return _contract(
        published.key,
        Column(name=AS_OF, type="date", meaning="The day that the features are of"),
        *published.features,
        Column(
            name=LOADED_AT,
            role="labelled_at",
            type="timestamp",
            required=False,
            meaning="When the bank had them as they are here (UTC)",
        ),
    )


@cache
def exit_contract() -> Contract:
    """What a file of exits may hold; `voluntary` may be absent."""
    wish = Column(
        name=VOLUNTARY,
        role="labelled_at",
        type="category",
        categories=(*YES, *NO),
        required=False,
        meaning="Whether it was the customer's own wish; empty where nobody knows",
    )
    left_on = Column(name=LEFT_ON, type="date", meaning="The day on which the customer left")
    known_at = Column(name=KNOWN_AT, type="timestamp", meaning="When the bank knew (UTC)")
    return _contract(published_contract().key, left_on, known_at, wish)


def history_files(path: Path) -> list[Path]:
    """The file itself, or those of a directory and of what lies below it, by name."""
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if each.suffix.lower() in ENDINGS)
        if found:
            return found
    elif path.exists():
        return [path]
    kinds = " or ".join(ENDINGS)
    raise DataError(f"expected a file, or a directory of {kinds} files, found none at {path}")


def read_file(path: Path, contract: Contract, taker: Taker) -> CsvFile:
    """Let the taker have a file's rows block by block; DataError where it is no such file."""
    if path.suffix.lower() != ".parquet":
        return read_csv(path, contract, keeps_rows=False, taker=taker)
    try:
        with pq.ParquetFile(path) as file:
            layout = Layout(",", file.schema_arrow.names, 0)
            columns = read_columns(
                layout.header, contract, str(path), scoring=False, listed_in=taker.listed_in
            )
            rows = Rows(layout, columns, contract, taker=taker)
            for batch in file.iter_batches(BATCH_ROWS):
                rows.add(_as_text(batch))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as parquet: {str(error)[:200]}") from error
    return rows.end(str(path))


def _contract(*columns: Column) -> Contract:
    """Not validated: it has no target, and `labelled_at` is the role of what may be absent."""
    published = published_contract()
    return Contract.model_construct(
        version=published.version, attrited_share=published.attrited_share, columns=columns
    )


def _as_text(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    return pa.record_batch(list(_texts(batch)), names=[str(n) for n in range(batch.num_columns)])


def _texts(batch: "pa.RecordBatch") -> Iterator[Any]:
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        try:
            yield pc.fill_null(values.cast(pa.string()), "")
        except pa.ArrowNotImplementedError as error:
            raise DataError(
                f"the parquet column {name} is a {values.type}: expected numbers, texts or dates"
            ) from error
