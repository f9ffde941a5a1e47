"""Each role may do what the code does, on the resources that the stacks made, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode.cfn_yaml import loads

from dashboard.data import champions, drift_days
from include.champion import versions
from include.champion.history import HISTORY_PREFIX, HistoryReader, record_move
from include.champion.registry import Registry
from include.customers.sample import sample_customers
from include.drift.findings import PREFIX, REPORT_PAGE
from include.drift.weeks import WEEKS_PREFIX, Week
from include.errors import ObjectNotFound
from include.handover import RUNS_PREFIX
from include.params import load_params
from include.scoring.run import clear_day, part_key
from include.settings import PROJECT, Settings
from include.store import S3Store
from include.training.tuned_set import BEST_KEY
from include.upkeep.delete_predictions import delete_predictions
from include.upkeep.delete_reports import delete_reports
from include.upkeep.delete_runs import delete_runs
from include.upkeep.delete_scores import delete_scores
from infra.compose import objects, store_init
from tests.include import bank_days
from tests.include.banks import bank_of, training_run
from tests.include.conftest import (
    STRONG,
    changed,
    clear_production,
    evaluate,
    lineage_of,
    promote_judged,
)
from tests.include.drift.conftest import detect
from tests.include.upkeep.conftest import upkeep_run
from tests.infra.aws.account import Account, Refused, allowed, client
from tests.webapp.champions import make_version, publish, records
from webapp import create_app, prediction_service
from webapp.prediction_log.shipper import Shipper

ROLES = ("WebRole", "DashboardRole", "AirflowRole", "MlflowRole", "KeeperRole")
ARN = "arn:aws:{}:us-east-1:123456789012:"
SHELL = "arn:aws:ssm:us-east-1::document/AWS-RunShellScript"
GITHUB = "token.actions.githubusercontent.com"
GATE_KEY = f"{RUNS_PREFIX}/run/evaluate_model/gate.json"


def empty(account: Account) -> None:
    """Remove what tests before have left, but not the project that the machine fetches."""
    keeper = account.store_of("KeeperRole")
    for each in list(keeper.list("")):
        if not each.key.startswith("deploy/"):
            keeper.delete(each.key)


@pytest.fixture
def everything(account: Account) -> S3Store:
    """The bucket as its owner sees it: a champion, a run, a prediction."""
    store = S3Store(client("s3", account.endpoint), account.outputs["data"]["StoreName"])
    for key in (versions.POINTER_KEY, GATE_KEY, "predictions/date=2026-01-01/a.parquet"):
        store.write(key, b"{}")
    return store


def test_the_api_serves_and_logs_by_its_role(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = account.store_of("WebRole")
    monkeypatch.setattr(prediction_service, "open_store_with_short_timeouts", lambda _: store)
    airflow = account.store_of("AirflowRole")
    empty(account)
    settings = Settings(var_dir=tmp_path, log_flush_rows=1, champion_poll_seconds=60)
    app = create_app(settings, background=False)
    holder = app.extensions["churn"].holder
    holder.poll()
    assert holder.champion is None  # and the role may ask
    publish(airflow, make_version("1", trees=3, rows=300))
    holder.poll()
    answered = app.test_client().post("/predict", json=records(1)[0])
    assert answered.get_json()["model_version"] == "1"
    app.extensions["churn"].spool.tick()
    assert Shipper(settings.resolved_spool_dir, lambda: store, lambda _: None).ship() == 1
    assert len(list(airflow.list("predictions/"))) == 1


def test_airflow_and_the_dashboard_work_by_their_roles(account: Account) -> None:
    airflow, dashboard = account.store_of("AirflowRole"), account.store_of("DashboardRole")
    empty(account)
    assert champions.read_champion(dashboard) is None and versions.read_pointer(airflow) is None
    bank_days.publish(airflow, people=bank_days.people(300))
    bank_days.log(account.store_of("WebRole"), bank_days.existing(250, 6))
    detect(bank_days.drift_run(store=airflow))
    airflow.write(GATE_KEY, b"{}")
    airflow.write(BEST_KEY, b"{}")
    airflow.write(part_key(bank_days.DAY, "0"), b"")
    clear_day(airflow, bank_days.DAY)
    [day] = drift_days.read_days(dashboard)
    champion = champions.read_champion(dashboard)
    assert champion and champions.ReferenceReader(dashboard).summary(champion.manifest)
    record_move(airflow, champion.pointer, who="anna")
    [move] = HistoryReader(dashboard).latest(1, pointer=None).moves
    assert move.who == "anna"
    logged = drift_days.read_logged(dashboard, day.date, "Credit_Limit", manifest=champion.manifest)
    assert logged is not None and len(champions.read_versions(dashboard)) == 1
    assert champions.read_gates(dashboard) == []  # read, and found to be no decision
    assert drift_days.read_report(dashboard, day.date.isoformat()) is None


def test_upkeep_deletes_by_its_role_what_the_bucket_cannot(
    account: Account, everything: S3Store, tmp_path: Path
) -> None:
    report = f"{PREFIX}/date=2020-01-01/{REPORT_PAGE}"
    everything.write(report, b"old")
    run = upkeep_run(account.store_of("AirflowRole"), tmp_path, store_expires=True)
    for task in (delete_runs, delete_predictions, delete_scores):
        assert task(run).objects == 0  # and it was not refused
    assert delete_reports(run).objects == 1
    assert report not in {info.key for info in everything.list("")}


def test_airflow_forgets_whom_a_settled_week_was_about(account: Account) -> None:
    store, key = account.store_of("AirflowRole"), Week.of(bank_days.DAY).key
    store.write(key, b"")
    store.delete(key)
    assert list(store.list(WEEKS_PREFIX)) == []


@pytest.mark.slow
def test_airflow_trains_and_promotes_by_its_role(
    account: Account, sqlite_url: str, mlflow_server: str
) -> None:
    store, registry = account.store_of("AirflowRole"), Registry(mlflow_server)
    empty(account)
    clear_production(registry)
    engine = bank_of(sqlite_url, sample_customers(1500, seed=4))
    params = changed(load_params(Settings().params_file), STRONG)
    run = training_run("by its role", params, store=store, engine=engine, registry=registry)
    lineage = lineage_of(run)
    assert promote_judged(run, lineage, evaluate(run, lineage)).version == "1"
    assert len(champions.read_gates(account.store_of("DashboardRole"))) == 1
    engine.dispose()


def test_a_start_tries_the_store_and_an_operator_backs_it_up(
    account: Account, everything: S3Store, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    keeper = account.store_of("KeeperRole")
    store_init.make_bucket(keeper)
    store_init.check_conditions(keeper)
    objects.pack(keeper)
    assert b"champion/current.json" in capsysbinary.readouterr().out
    keeper.delete(versions.POINTER_KEY)
    assert list(everything.list(versions.POINTER_KEY)) == []


@pytest.mark.parametrize(
    ("role", "action", "key"),
    [
        ("WebRole", "read", GATE_KEY),
        ("WebRole", "read", "predictions/date=2026-01-01/a.parquet"),
        ("WebRole", "read", "deploy/project.tar.gz"),
        ("WebRole", "read", "mlflow/1/model.onnx"),
        ("WebRole", "write", versions.POINTER_KEY),
        ("WebRole", "write", "runs/run/ingest_data/customers.parquet"),
        ("WebRole", "delete", "predictions/date=2026-01-01/a.parquet"),
        ("WebRole", "delete", versions.POINTER_KEY),
        ("DashboardRole", "read", "runs/run/ingest_data/customers.parquet"),
        ("DashboardRole", "read", "scores/date=2026-01-01/part-0.parquet"),
        ("DashboardRole", "write", versions.POINTER_KEY),
        ("DashboardRole", "write", f"{HISTORY_PREFIX}/a.json"),
        ("DashboardRole", "delete", GATE_KEY),
        ("AirflowRole", "write", "predictions/date=2026-01-01/a.parquet"),
        ("AirflowRole", "delete", versions.POINTER_KEY),
        ("AirflowRole", "delete", "predictions/date=2026-01-01/a.parquet"),
        ("AirflowRole", "delete", "runs/run/ingest_data/customers.parquet"),
        ("AirflowRole", "delete", "monitoring/date=2026-01-01/drift.json"),
        ("AirflowRole", "delete", f"{HISTORY_PREFIX}/a.json"),
        ("AirflowRole", "write", "deploy/project.tar.gz"),
        ("MlflowRole", "read", versions.POINTER_KEY),
        ("MlflowRole", "delete", "predictions/date=2026-01-01/a.parquet"),
    ],
)
def test_a_role_may_not(account: Account, role: str, action: str, key: str) -> None:
    store = account.store_of(role)
    uses = {
        "read": store.read,
        "delete": store.delete,
        "write": lambda key: store.write(key, b""),
    }
    with pytest.raises(Refused, match=role):
        uses[action](key)


def test_the_api_may_list_nothing_but_its_pointer(account: Account, everything: S3Store) -> None:
    store = account.store_of("WebRole")
    assert [each.key for each in store.list(versions.POINTER_KEY)] == [versions.POINTER_KEY]
    for prefix in ("", "champion/", "predictions/", "runs/"):
        with pytest.raises(Refused):
            list(store.list(prefix))


@pytest.mark.parametrize("role", ROLES)
def test_no_part_reaches_another_bucket_or_another_service(account: Account, role: str) -> None:
    with pytest.raises(Refused):
        S3Store(account.store_of(role).client, "churn-of-somebody-else").read("champion/a")
    told = account.roles[role].statements
    assert all(each["Action"] and "s3:*" not in each["Action"] for each in told)
    for action in (
        "iam:PassRole",
        "sts:AssumeRole",
        "ecr:PutImage",
        "secretsmanager:GetSecretValue",
    ):
        assert not allowed(told, action, "arn:aws:iam::123456789012:role/any")
    [trusted] = account.roles[role].trust
    assert trusted["Principal"]["AWS"] == account.roles["HostRole"].arn


def test_mlflow_keeps_artefacts(account: Account) -> None:
    store = account.store_of("MlflowRole")
    store.write("mlflow/1/artifacts/model.onnx", b"onnx")
    assert [each.size for each in store.list("mlflow/1/")] == [4]
    store.delete("mlflow/1/artifacts/model.onnx")
    with pytest.raises(ObjectNotFound):
        store.read("mlflow/1/artifacts/model.onnx")


def test_the_machine_takes_on_the_roles_of_its_parts_alone(account: Account) -> None:
    told = account.roles["HostRole"].statements
    for role in ROLES:
        assert allowed(told, "sts:AssumeRole", account.roles[role].arn)
    for role in ("PushRole", "DeploymentRole"):
        assert not allowed(told, "sts:AssumeRole", account.outputs["access"][role])
    bucket = f"arn:aws:s3:::{account.outputs['data']['StoreName']}"
    for key in ("deploy/project.tar.gz", "deploy/commits/a.tar.gz", "deploy/customers.csv"):
        assert allowed(told, "s3:GetObject", f"{bucket}/{key}")
    assert not allowed(told, "s3:GetObject", f"{bucket}/champion/current.json")
    volume = ARN.format("ec2") + "volume/"
    assert allowed(told, "ec2:AttachVolume", volume + account.outputs["data"]["VolumeId"])
    assert not allowed(told, "ec2:AttachVolume", f"{volume}vol-of-somebody-else")


@pytest.mark.parametrize(
    ("action", "resource", "tag", "who"),
    [
        ("ecr:PutImage", ARN.format("ecr") + "repository/churn-webapp", "", "PushRole"),
        ("ecr:PutImage", ARN.format("ecr") + "repository/other", "", None),
        ("ecr:BatchDeleteImage", ARN.format("ecr") + "repository/churn-webapp", "", None),
        ("ssm:SendCommand", ARN.format("ec2") + "instance/i-1", "churn", "DeploymentRole"),
        ("ssm:SendCommand", ARN.format("ec2") + "instance/i-1", "other", None),
        ("ssm:SendCommand", ARN.format("ec2") + "instance/i-1", "", None),
        ("ssm:SendCommand", SHELL, "", "DeploymentRole"),
        ("ssm:SendCommand", SHELL.replace("Shell", "Remote"), "", None),
        ("ssm:StartSession", ARN.format("ec2") + "instance/i-1", "churn", None),
        ("s3:GetObject", "arn:aws:s3:::churn-123456789012-us-east-1/champion/a", "", None),
        ("s3:PutObject", "arn:aws:s3:::churn-123456789012-us-east-1/champion/a", "", None),
        (
            "s3:PutObject",
            "arn:aws:s3:::churn-123456789012-us-east-1/deploy/commits/a",
            "",
            "DeploymentRole",
        ),
        (
            "s3:PutObject",
            "arn:aws:s3:::churn-123456789012-us-east-1/deploy/project.tar.gz",
            "",
            "DeploymentRole",
        ),
        ("s3:PutObject", "arn:aws:s3:::churn-123456789012-us-east-1/deploy/a", "", None),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/any", "", None),
        ("cloudformation:UpdateStack", ARN.format("cloudformation") + "stack/a", "", None),
    ],
)
def test_one_role_pushes_and_another_deploys(
    account: Account, action: str, resource: str, tag: str, who: str | None
) -> None:
    context = {"ssm:resourceTag/churn:service": tag} if tag else {}
    for role in ("PushRole", "DeploymentRole"):
        told = account.roles[role].statements
        assert allowed(told, action, resource, context) is (role == who)


@pytest.mark.parametrize(
    ("subject", "audience", "who"),
    [
        ("repo:bank/churn:ref:refs/heads/main", "sts.amazonaws.com", "PushRole"),
        ("repo:bank/churn:ref:refs/tags/v1.2.0", "sts.amazonaws.com", "PushRole"),
        ("repo:bank/churn:environment:production", "sts.amazonaws.com", "DeploymentRole"),
        ("repo:bank/churn:environment:production", "somebody.else", None),
        ("repo:bank/churn:ref:refs/heads/main", "somebody.else", None),
        ("repo:bank/churn:ref:refs/heads/feature", "sts.amazonaws.com", None),
        ("repo:bank/churn:pull_request", "sts.amazonaws.com", None),
        ("repo:bank/churn:environment:staging", "sts.amazonaws.com", None),
        ("repo:bank/churn-fork:ref:refs/heads/main", "sts.amazonaws.com", None),
        ("repo:other/churn:environment:production", "sts.amazonaws.com", None),
    ],
)
def test_who_is_let_into_the_environment_alone_takes_on_the_deployment_role(
    account: Account, subject: str, audience: str, who: str | None
) -> None:
    context = {f"{GITHUB}:sub": subject, f"{GITHUB}:aud": audience}
    for role in ("PushRole", "DeploymentRole"):
        [trusted] = account.roles[role].trust
        told = [{**trusted, "Resource": "*"}]
        may = allowed(told, "sts:AssumeRoleWithWebIdentity", context=context)
        assert may is (role == who)


@pytest.mark.parametrize(
    ("context", "may"),
    [
        ({"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}, True),
        ({"aws:SecureTransport": "true", "s3:TlsVersion": "1.1"}, False),
        ({"aws:SecureTransport": "false"}, False),
    ],
)
def test_the_bucket_is_asked_over_tls_alone(context: dict[str, str], may: bool) -> None:
    template = _template("data")
    policy = template["Resources"]["StorePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    told = [{**each, "Resource": "*"} for each in policy]
    anything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    assert allowed([*told, anything], "s3:GetObject", "arn:aws:s3:::churn/a", context) is may


def test_no_policy_allows_all_of_a_service_and_wide_ones_say_why() -> None:
    text = (PROJECT / "infra" / "aws" / "access.yaml").read_text()
    assert "ManagedPolicyArns" not in text and "AccessKey" not in text and ':*"' not in text
    wide = [line for line in text.splitlines() if line.strip().startswith('Resource: "*"')]
    assert wide and all("#" in line for line in wide)


def _template(part: str) -> Any:
    return loads((PROJECT / "infra" / "aws" / f"{part}.yaml").read_text())
