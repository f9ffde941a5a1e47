"""A tuned set written into params.yaml, whose comments and order stay as they are."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from include.params import Params
from include.training.tuned_set import TunedSet

ENTRY = re.compile(r"(?P<indent> *)(?P<name>\w+):(?P<gap> *)(?P<value>[^#]*?)(?P<rest> *(#.*)?)$")
MARK = "# by `make tune`: "


def with_set(text: str, best: TunedSet) -> str:
    """The file's text with the set in it; ValueError when it is written in a way unknown here."""
    found = "\n".join(_lines(text, best)) + "\n"
    wanted = Params.model_validate(yaml.safe_load(text))
    wanted = wanted.model_copy(update={"model": best.applied_to(wanted.model)})
    try:
        if Params.model_validate(yaml.safe_load(found)) == wanted:
            return found
    except ValidationError:
        pass
    raise ValueError("its section `model` does not have one value a line: take it over by hand")


def write_set(path: Path, best: TunedSet) -> None:
    """Put a set into the file, by a rename; it stays as readable as it was."""
    path = path.resolve()
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(with_set(path.read_text("utf-8"), best), "utf-8")
    draft.chmod(stat.S_IMODE(path.stat().st_mode))
    draft.replace(path)


def _lines(text: str, best: TunedSet) -> Iterator[str]:
    own = ("family", "resampling", "class_weight")
    values = {("model", name): getattr(best, name) for name in own}
    values |= {("model", best.family, name): value for name, value in best.hyperparameters.items()}
    place: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith(MARK):
            continue
        if found := ENTRY.match(line):
            place = [*place[: len(found["indent"]) // 2], found["name"]]
            if place == ["model", best.family]:
                yield f"  {MARK}study {best.study}, {best.made_at:%Y-%m-%d}, {_gain(best)}"
            if tuple(place) in values:
                line = f"{found['indent']}{found['name']}: {values[tuple(place)]}{found['rest']}"
        yield line


def _gain(best: TunedSet) -> str:
    low, high = best.gain_interval
    return f"ROC-AUC {best.roc_auc:.4f}, {low:+.4f} to {high:+.4f} above the set before"
