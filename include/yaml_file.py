"""A configuration file in YAML, in which a key that stands twice is a fault.

YAML's own reader lets the last one win: who writes `promotion: manual` above a `promotion: auto`
would be promoted unasked.
"""

from pathlib import Path
from typing import Any

import yaml

from include.errors import ConfigurationError


class _EachKeyOnce(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                told = f"expected each key once, found {key.value} again"
                raise yaml.MarkedYAMLError(problem=told, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """What a file says; ConfigurationError where it cannot be read, or says something twice."""
    try:
        return yaml.load(path.read_text("utf-8"), Loader=_EachKeyOnce)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
