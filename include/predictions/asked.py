"""Whom a day's log is about: of each customer one row counts, and of the same anonymous row one.

A probe, a load test or a client that is stuck asks the same thing thousands of times and names
nobody. Two people hardly ever agree in every column of the contract: equal rows are one customer.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.predictions.log import SeenHashes, combined, hashes

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

CUSTOMER = "customer"  # the source that counts; `test`, `bulk` and `what-if` do not
CUSTOMER_KEY = "customer_key"
KEYS = ("model_version", "source", CUSTOMER_KEY)
NULL = np.float64(np.nan).view(np.uint64)  # what stands for no value, in columns of any type


@dataclass(frozen=True)
class Counted:
    """For each row whose it is, whether it is that customer's first, and whether they are known."""

    identities: "NDArray[np.uint64]"  # of rows that are kept; another version's customer is another
    first: "NDArray[np.bool_]"
    known: "NDArray[np.bool_]"


class AskedCustomers:
    """Remembers 8 bytes for each customer of a day and version, and for each anonymous content.

    `columns` are the contract's; rows have the hashes of customer keys in place of these.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._seen = SeenHashes()

    def count(self, version: str, rows: "pa.RecordBatch", kept: "NDArray[np.bool_]") -> Counted:
        """Which rows are the first, among those that are `kept`; the others count for nobody."""
        keys = rows.column(CUSTOMER_KEY)
        known = keys.is_valid().to_numpy(zero_copy_only=False)
        identities = keys.fill_null(0).to_numpy()
        unknown = kept & ~known
        if unknown.any():
            identities = identities.copy()
            identities[unknown] = content_hashes(rows.select(self._columns).filter(unknown))
        identities = salted(identities, version)
        first = np.zeros(len(kept), dtype=bool)
        first[kept] = self._seen.first_of(identities[kept])
        return Counted(identities, first, known)


def content_hashes(rows: "pa.RecordBatch") -> "NDArray[np.uint64]":
    """A 64-bit hash of all values of each row: of numbers as numbers, whatever their type."""
    mixed = np.zeros(rows.num_rows, dtype=np.uint64)
    for values in rows.columns:
        mixed = combined(mixed, _words(values))
    return mixed


def rows_by_version(batch: "pa.RecordBatch") -> "Iterator[tuple[str, NDArray[np.intp]]]":
    """Each version that answered customers, and their rows; no version is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    asked = pc.equal(batch.column("source").cast(pa.string()), CUSTOMER).fill_null(False)
    versions = batch.column("model_version").cast(pa.string()).fill_null("")
    for version in pc.unique(versions.filter(asked)).to_pylist():
        own = pc.and_(asked, pc.equal(versions, version))
        yield version, np.flatnonzero(own.to_numpy(zero_copy_only=False))


def salted(customers: "NDArray[np.uint64]", version: str) -> "NDArray[np.uint64]":
    """Hashes that tell one version's customers from another's."""
    return np.asarray(customers ^ np.uint64(zlib.crc32(version.encode()) << 16))


def _words(values: "pa.Array") -> "NDArray[np.uint64]":
    """One word for each value; texts that repeat are hashed once."""
    import pyarrow as pa

    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        numbers = values.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
        return np.asarray(numbers + 0.0).view(np.uint64)  # -0 and 0 are one number
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    texts = encoded.dictionary
    known = np.append(hashes(texts, np.zeros(len(texts), dtype=np.uint64)), NULL)
    return np.asarray(known[encoded.indices.fill_null(len(texts)).to_numpy()])
