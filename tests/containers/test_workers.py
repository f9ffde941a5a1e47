"""Training on Celery workers, with the override."""

import pytest

from infra.compose.command import PROJECT, Compose
from tests.containers.stack import CELERY, RunningStack

WORKERS = 2

pytestmark = pytest.mark.timeout(1800)


def test_workers_train(stack: RunningStack) -> None:
    name = stack.container("webapp")["Config"]["Labels"]["com.docker.compose.project"]
    files = ["-f", str(PROJECT / "docker-compose.yaml"), "-f", str(CELERY)]
    compose = Compose([*files, "--project-name", name], env_file=stack.env_file)
    services = [*stack.services, "redis"]
    compose.run("up", "-d", "--no-build", "--scale", f"airflow-worker={WORKERS}", *services)
    workers = RunningStack(compose, stack.env_file, stack.began, services)
    workers.wait()
    hosts = {
        each["Config"]["Hostname"]
        for each in compose.containers()
        if each["Config"]["Labels"]["com.docker.compose.service"] == "airflow-worker"
    }
    assert len(hosts) == WORKERS
    run = workers.run_dag("churn_training", {"trigger_reason": "on workers"})
    assert run.state == "success"
    ran_on = workers.hosts("churn_training", run.run_id)
    assert ran_on and ran_on <= hosts
