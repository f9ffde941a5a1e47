"""An AWS account of moto's with all stacks in it, and what its policies allow.

Moto's own check of IAM policies takes a condition that does not hold for a denial, and is off by
default; its matching of actions and resources is used here, and the conditions are judged here.
Not modelled: permission boundaries, organisations' policies, session policies, NotAction with
resources, and S3's answer to a missing object for who may not list (403 in the place of 404).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import boto3
import yaml
from moto.iam.access_control import IAMPolicyStatement, PermissionResult

from include.store import S3Store
from tests.conftest import AWS_DUMMY, s3_client_of

ACTION_OF = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
}
OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": str.__eq__,
    "StringLike": lambda found, wanted: fnmatchcase(found, wanted),
    "Bool": str.__eq__,
    "NumericLessThan": lambda found, wanted: float(found) < float(wanted),
}


class Refused(Exception):
    """The role may not do this."""


@dataclass(frozen=True)
class Role:
    """A role as IAM has it: the statements of its policies, and of who may take it on."""

    arn: str
    statements: list[dict[str, Any]]
    trust: list[dict[str, Any]]


@dataclass(frozen=True)
class Account:
    """All stacks of an account, what they tell, and the roles among them by their logical ids."""

    endpoint: str
    outputs: Mapping[str, Mapping[str, str]]
    roles: Mapping[str, Role]

    def store_of(self, role: str) -> S3Store:
        """The bucket of data.yaml as a role may use it: Refused for any other call."""
        bucket, statements = self.outputs["data"]["StoreName"], self.roles[role].statements

        def check(params: dict[str, Any], model: Any, **_: Any) -> None:
            path = f"/{params['Key']}" if "Key" in params else ""
            resource = f"arn:aws:s3:::{params['Bucket']}{path}"
            context = {"s3:prefix": params["Prefix"]} if "Prefix" in params else {}
            action = ACTION_OF.get(model.name, model.name)
            if not allowed(statements, action, resource, context):
                raise Refused(f"{role}: {action} on {resource} {context}")

        client = s3_client_of(self.endpoint)
        client.meta.events.register("before-parameter-build.s3", check)
        return S3Store(client, bucket)


def client(service: str, endpoint: str) -> Any:
    """A client of any service, as somebody who may do everything."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=AWS_DUMMY["AWS_DEFAULT_REGION"],
        aws_access_key_id=AWS_DUMMY["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=AWS_DUMMY["AWS_SECRET_ACCESS_KEY"],
    )


def read_account(endpoint: str) -> Account:
    """What the stacks made."""
    cloud, iam = client("cloudformation", endpoint), client("iam", endpoint)
    outputs = {
        each["StackName"].removeprefix("churn-"): {
            told["OutputKey"]: told["OutputValue"] for told in each["Outputs"]
        }
        for each in cloud.describe_stacks()["Stacks"]
    }
    resources = cloud.list_stack_resources(StackName="churn-access")["StackResourceSummaries"]
    roles = {
        each["LogicalResourceId"]: _read_role(iam, each["PhysicalResourceId"])
        for each in resources
        if each["ResourceType"] == "AWS::IAM::Role"
    }
    return Account(endpoint, outputs, roles)


def _read_role(iam: Any, name: str) -> Role:
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    policies = [
        _document(iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"])
        for each in names
    ]
    role = iam.get_role(RoleName=name)["Role"]
    return Role(
        role["Arn"],
        [each for policy in policies for each in policy["Statement"]],
        role["AssumeRolePolicyDocument"]["Statement"],
    )


def _document(found: Any) -> Any:
    """A policy as AWS has it; moto's CloudFormation answers with Python's text of it."""
    return yaml.safe_load(found) if isinstance(found, str) else found


def allowed(
    statements: list[dict[str, Any]],
    action: str,
    resource: str = "*",
    context: Mapping[str, str] | None = None,
) -> bool:
    """Whether a statement allows it and none denies it."""
    effects = {
        each["Effect"]
        for each in statements
        if _concerns(each, action, resource) and _holds(each.get("Condition", {}), context or {})
    }
    return effects == {"Allow"}


def _concerns(statement: dict[str, Any], action: str, resource: str) -> bool:
    plain = {name: statement[name] for name in ("Action", "Resource") if name in statement}
    judged = IAMPolicyStatement({**plain, "Effect": "Allow"})
    return judged.is_action_permitted(action, resource) is PermissionResult.PERMITTED


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Each key of each operator, by any of its values; a key that the request lacks never holds."""
    return all(
        key in context and any(OPERATORS[name](context[key], value) for value in _listed(wanted))
        for name, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _listed(values: Any) -> list[str]:
    return list(map(str, values)) if isinstance(values, list) else [str(values)]
