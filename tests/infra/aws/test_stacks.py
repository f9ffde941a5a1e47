"""`make aws-deploy` and `aws-destroy`: in order, repeatable, and clear when it cannot be."""

from collections import defaultdict
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from infra.aws import stacks
from infra.aws.stacks import STACKS, Account, StackError, template

EVENT = {
    "LogicalResourceId": "Store",
    "ResourceStatus": "CREATE_FAILED",
    "ResourceStatusReason": "the name is taken",
}


class Cloud:
    """CloudFormation as these tests need it: what is there, and what it is asked to do."""

    def __init__(self, **statuses: str) -> None:
        self.statuses = {f"churn-{part}": status for part, status in statuses.items()}
        self.asked: list[str] = []

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        if StackName not in self.statuses:
            raise error_of("DescribeStacks", f"Stack with id {StackName} does not exist")
        return {"Stacks": [{"StackStatus": self.statuses[StackName]}]}

    def describe_stack_events(self, *, StackName: str) -> dict[str, Any]:
        return {"StackEvents": [EVENT, EVENT]}

    def get_template_summary(self, *, TemplateBody: str) -> dict[str, Any]:
        part = next(each for each in STACKS if template(each) == TemplateBody)
        needed = {"access": ["Repository"], "service": ["Domain", "Certificate"]}.get(part, [])
        named = [{"ParameterKey": "Prefix", "DefaultValue": "churn"}]
        return {"Parameters": named + [{"ParameterKey": each} for each in needed]}

    def update_stack(self, *, StackName: str, **_: Any) -> None:
        self.asked.append(f"update {StackName}")
        raise error_of("UpdateStack", "No updates are to be performed.")

    def delete_stack(self, *, StackName: str) -> None:
        self.asked.append(f"delete {StackName}")
        del self.statuses[StackName]


def error_of(operation: str, message: str) -> ClientError:
    """What botocore raises for an answer of CloudFormation's."""
    return ClientError({"Error": {"Code": "ValidationError", "Message": message}}, operation)


@pytest.fixture
def account_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an account with these stacks."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    def make(settings: dict[str, str] | None = None, **statuses: str) -> Account:
        account = Account("churn", settings or {})
        account.cloud = Cloud(**statuses)
        monkeypatch.setattr(account, "wait", lambda *_: None)
        monkeypatch.setattr(account, "unprotect", lambda *_: None)
        return account

    return make


def test_a_parameters_variable_is_its_name_in_words() -> None:
    assert stacks.setting("OperatorRange") == "CHURN_AWS_OPERATOR_RANGE"
    assert stacks.setting("VolumeGib") == "CHURN_AWS_VOLUME_GIB"


def test_everything_that_lacks_is_named_before_anything_is_made(account_of: Any) -> None:
    with pytest.raises(StackError, match=r"CHURN_AWS_REPOSITORY(.|\n)*CHURN_AWS_CERTIFICATE"):
        stacks.deploy(account_of(), STACKS)
    assert account_of().parameters(("network", "data")) is not None


def test_a_variable_that_no_template_knows_is_refused(account_of: Any) -> None:
    with pytest.raises(StackError, match="no template has a parameter for CHURN_AWS_DOMIAN"):
        account_of({"CHURN_AWS_DOMIAN": "example.com"}).parameters(("network",))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("ROLLBACK_COMPLETE", "delete-stack --stack-name churn-data`, then deploy again"),
        ("ROLLBACK_COMPLETE", "Store: the name is taken$"),
        ("DELETE_FAILED", "could not be deleted"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name churn-data"),
        ("UPDATE_IN_PROGRESS", "try again later"),
    ],
)
def test_a_stack_that_cannot_be_changed_says_what_to_do(
    account_of: Any, status: str, told: str
) -> None:
    with pytest.raises(StackError, match=told):
        account_of(data=status).usable("data")


def test_a_second_deployment_changes_nothing(
    account_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    stacks.deploy(account_of(network="CREATE_COMPLETE"), ("network",))
    assert "churn-network: unchanged" in capsys.readouterr().out


@pytest.mark.parametrize(("there", "handed"), [({}, ["bucket"]), ({"service": "X_COMPLETE"}, [])])
def test_the_project_is_handed_over_until_there_is_a_machine(
    account_of: Any, monkeypatch: pytest.MonkeyPatch, there: dict[str, str], handed: list[str]
) -> None:
    account, found = account_of(data="CREATE_COMPLETE", **there), list[str]()
    monkeypatch.setattr(account, "outputs", lambda _: defaultdict(str, StoreName="bucket"))
    monkeypatch.setattr(stacks, "hand_over_project", found.append)
    stacks.deploy(account, ("data",))
    assert found == handed


def test_data_is_kept_unless_it_is_named(
    account_of: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account = account_of(**dict.fromkeys(STACKS, "CREATE_COMPLETE"))
    stacks.destroy(account, None)
    assert account.cloud.asked == ["delete churn-service", "delete churn-access"]
    assert "churn-data: kept" in capsys.readouterr().out
    with pytest.raises(StackError, match="expected --data churn"):
        stacks.destroy(account, "other")
    monkeypatch.setattr(account, "outputs", lambda _: {})
    stacks.destroy(account, "churn")
    assert account.cloud.asked[2:] == ["delete churn-data", "delete churn-network"]


def test_without_credentials_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise NoCredentialsError

    monkeypatch.setattr(stacks, "read_settings", refuse)
    assert stacks.main(["plan"]) == 1
    assert "no credentials for AWS: expected `aws sso login`" in capsys.readouterr().err
