"""SECURITY.md names nothing that is not there: no file, no test, no variable."""

import re

import pytest

from include.settings import PROJECT, Settings

PAGE = (PROJECT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:tests|\.github)/[\w./-]+(?:::\w+)?)`", PAGE)))
OF_ELSEWHERE = {"AWS_OPERATOR_RANGE"}  # infra/aws reads it


@pytest.mark.parametrize("named", NAMED)
def test_what_shows_it_is_there(named: str) -> None:
    path, _, function = named.partition("::")
    assert not function or f"\ndef {function}(" in (PROJECT / path).read_text()
    assert (PROJECT / path).is_file()


def test_each_threat_is_shown_by_something() -> None:
    threats = PAGE.partition("## Threats")[2].partition("\n## ")[0]
    rows = [line for line in threats.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20 and all("`" in row.split(" | ")[-1] for row in rows)


def test_its_variables_are_the_settings() -> None:
    named = set(re.findall(r"CHURN_(\w+)", PAGE))
    assert named - OF_ELSEWHERE <= {name.upper() for name in Settings.model_fields}
