"""A tuned set in params.yaml: every value taken over, every comment kept, and said where from."""

import os
import re
from pathlib import Path

from include.params import load_params
from include.settings import Settings
from infra.local.params_file import MARK, with_set, write_set
from tests.include.tuning.test_publish_best import best

FILE = Settings().params_file
TUNED = best(hyperparameters=load_params(FILE).model.random_forest.model_dump() | {"max_depth": 9})


def test_the_set_is_written_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(FILE.read_text())
    path.chmod(0o644)
    before_it = os.umask(0o077)  # as every command of a stack has it
    write_set(path, TUNED)
    os.umask(before_it)
    assert path.stat().st_mode & 0o777 == 0o644  # images copy it
    before, after = load_params(FILE), load_params(path)
    assert after.model == TUNED.applied_to(before.model)
    assert after.model_copy(update={"model": before.model}) == before
    comments = re.compile("#.*")
    assert comments.findall(FILE.read_text()) == [
        each for each in comments.findall(path.read_text()) if not each.startswith(MARK)
    ]
    assert (
        f"{MARK}study s, 2026-01-02, ROC-AUC 0.9900, +0.0010 to +0.0190 above" in path.read_text()
    )


def test_a_later_set_takes_the_place_of_an_earlier_one() -> None:
    once = with_set(FILE.read_text(), TUNED)
    assert with_set(once, TUNED) == once and once.count(MARK) == 1


def test_a_file_in_another_style_takes_it_too() -> None:
    text = FILE.read_text().replace("  family: xgboost", "  family:\n    xgboost")
    assert with_set(text, TUNED) == with_set(FILE.read_text(), TUNED)
