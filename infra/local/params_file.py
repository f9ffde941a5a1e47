"""A tuned set written into params.yaml, whose comments and order stay as they are."""

import stat
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from include.training.tuned_set import TunedSet

MARK = "# by `make tune`: "
OWN = ("family", "resampling", "class_weight")
LONG_LINE = 1000  # comments are not wrapped


def with_set(text: str, best: TunedSet) -> str:
    """The file's text with the set in it, and a first line that says where it came from."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.preserve_quotes, yaml.width = True, LONG_LINE
    lines = [line for line in text.splitlines() if not line.strip().startswith(MARK)]
    document = yaml.load("\n".join(lines) + "\n")
    document["model"].update({name: getattr(best, name) for name in OWN})
    document["model"][best.family].update(best.hyperparameters)
    found = StringIO()
    yaml.dump(document, found)
    return f"{MARK}study {best.study}, {best.made_at:%Y-%m-%d}, {_gain(best)}\n{found.getvalue()}"


def write_set(path: Path, best: TunedSet) -> None:
    """Put a set into the file, by a rename; it stays as readable as it was."""
    path = path.resolve()
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(with_set(path.read_text("utf-8"), best), "utf-8")
    draft.chmod(stat.S_IMODE(path.stat().st_mode))
    draft.replace(path)


def _gain(best: TunedSet) -> str:
    low, high = best.gain_interval
    return f"ROC-AUC {best.roc_auc:.4f}, {low:+.4f} to {high:+.4f} above the set before"
