"""A task's store on S3: what stands in the way has one message and fails the task at once."""

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.settings import Settings
from include.tasks import connections
from include.tasks.errors import reported
from tests.s3_answers import Answer, answering


@pytest.fixture(autouse=True)
def connection(aws_settings: pytest.MonkeyPatch) -> None:
    """Airflow's connection to AWS, which says nothing."""
    aws_settings.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    aws_settings.setenv("CHURN_STORE_URI", "s3://bucket")


def test_settings_that_cannot_work_fail_the_task_at_once(aws_settings: pytest.MonkeyPatch) -> None:
    aws_settings.setenv("AWS_PROFILE", "team")
    with pytest.raises(AirflowFailException, match="AWS_PROFILE must name a profile"), reported():
        connections.task_store(Settings()).read("key")


def test_a_refusal_fails_the_task_at_once(aws_settings: pytest.MonkeyPatch) -> None:
    with answering(Answer(400, "ExpiredToken")) as server:
        aws_settings.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(AirflowFailException, match="get new credentials"), reported():
            connections.task_store(Settings()).read("key")
