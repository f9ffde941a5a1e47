"""The API's start on a store that refuses: one message in its log, and it goes on looking."""

from pathlib import Path

import pytest

from tests.s3_answers import Answer, answering
from webapp.champion.holder import ChampionHolder
from webapp.champion.last_good import LastGood
from webapp.store_timeouts import open_store_with_short_timeouts

pytestmark = pytest.mark.slow


def start(directory: Path) -> ChampionHolder:
    """A worker's holder after its first looks."""
    holder = ChampionHolder(
        lambda: open_store_with_short_timeouts("s3://bucket"),
        LastGood(directory),
        poll_seconds=60,
        record=lambda *_: None,
    )
    for _ in range(3):
        holder.poll()
    return holder


def test_settings_that_cannot_work_are_told_once(
    aws_settings: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    aws_settings.setenv("AWS_PROFILE", "team")
    start(tmp_path)
    (record,) = [each for each in caplog.records if each.levelname != "INFO"]
    assert "champion pointer, nothing is served yet: " in record.getMessage()
    assert "AWS_PROFILE must" in record.getMessage() and not record.exc_info


def test_another_trouble_of_the_same_kind_is_told_too(
    aws_settings: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(Answer(400, "ExpiredToken"), Answer(403, "RequestTimeTooSkewed")) as server:
        aws_settings.setenv("AWS_ENDPOINT_URL", server.url)
        start(tmp_path)
    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(told) == 2 and "ExpiredToken" in told[0] and "clock" in told[1]
