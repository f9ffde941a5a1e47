"""The table says of each part that serves and each dependency how it fails, or why it cannot."""

from itertools import product

from tests.e2e.faults.matrix import CANNOT_BE, MATRIX


def test_every_pair_is_tried_or_has_its_reason() -> None:
    components = {component for component, _ in MATRIX}
    dependencies = {dependency for _, dependency in [*MATRIX, *CANNOT_BE]}
    assert sorted([*MATRIX, *CANNOT_BE]) == sorted(product(components, dependencies))
    assert all([*MATRIX.values(), *CANNOT_BE.values()])
