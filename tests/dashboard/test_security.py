"""What a page or a file must never become, whoever adds the next one."""

import re
from pathlib import Path

import pytest
from flask import Flask

import dashboard
from dashboard import create_server
from include.settings import Settings

FOLDER = Path(dashboard.__file__).parent
SOURCES = [path for ending in ("py", "js", "html") for path in FOLDER.rglob(f"*.{ending}")]
FILES = {
    *("/campaign.csv", "/crm/v<int:version>.csv"),
    *("/score/template.csv", "/score/result/<token>.csv"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A dashboard that nobody uses."""
    made = create_server(Settings(var_dir=tmp_path_factory.mktemp("security")))
    made.extensions["churn"].close()
    return made


def who_says(pattern: str) -> set[str]:
    """The dashboard's own files in which the pattern stands."""
    wanted = re.compile(pattern, re.IGNORECASE)
    return {str(path.relative_to(FOLDER)) for path in SOURCES if wanted.search(path.read_text())}


def test_nothing_is_shown_but_as_words() -> None:
    markup = r"dangerously|allow_html|(inner|outer|adjacent)HTML|document\.write|\|\s*safe"
    assert len(SOURCES) > 50 and who_says(markup) == set()


def test_files_are_written_in_one_place_where_formulas_end() -> None:
    assert who_says(r"csv\.writer|DictWriter|to_csv") == {"data/spreadsheet.py"}


def test_every_file_to_download_is_known(server: Flask) -> None:
    rules = {rule.rule for rule in server.url_map.iter_rules()}
    assert {rule for rule in rules if rule.endswith("csv")} == FILES


@pytest.mark.parametrize("path", ["/", "/_dash-layout", "/score/template.csv", "/nowhere"])
def test_every_answer_lets_the_browser_run_our_own_scripts_alone(path: str, server: Flask) -> None:
    headers = server.test_client().get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert re.fullmatch(r"'self'( 'sha256-[\w+/]+=*')+", policy["script-src"])
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'self'"
    assert policy["object-src"] == policy["base-uri"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
