"""A loaded champion answers the same, however it is asked."""

import numpy as np
import pytest

from include.champion import versions
from tests.webapp.champions import make_version, records
from webapp.champion.served_champion import load


@pytest.mark.parametrize("family", ["xgboost", "random_forest"])
def test_a_record_has_the_same_bits_alone_and_in_a_batch(family: str) -> None:
    manifest, files = make_version("7", family=family)
    pointer = versions.pointer_to(manifest, "0" * 64)
    champion = load(pointer, manifest, files)
    matrix = champion.reader.read_all(records(1000)).matrix
    alone = np.concatenate([champion.score(matrix[row : row + 1]) for row in range(len(matrix))])
    for rows in (1000, 333, 32):
        batches = [champion.score(matrix[at : at + rows]) for at in range(0, len(matrix), rows)]
        assert np.concatenate(batches).tobytes() == alone.tobytes()
