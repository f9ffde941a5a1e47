"""All stacks on moto, made once by `make aws-deploy` itself."""

import warnings

import boto3
import pytest
from moto.cloudformation.parsing import ResourceMap

from include.settings import PROJECT
from infra.aws import stacks
from tests.conftest import AWS_DUMMY
from tests.infra.aws.account import Account, client, read_account

SETTINGS = {
    "CHURN_STACK": "churn",
    "CHURN_AWS_REPOSITORY": "bank/churn",
    "CHURN_AWS_DOMAIN": "churn.example.com",
    "CHURN_AWS_OPERATOR_RANGE": "192.0.2.0/24",
    "CHURN_AWS_COMMIT": "0123456789abcdef",
}
# Moto's CloudFormation makes neither, nor a database with options of its own (and so none is asked
# for here): test_policies.py and test_templates.py judge their texts.
NOT_MODELLED = "Tried to parse AWS::(S3::BucketPolicy|IAM::OIDCProvider)"
AN_IMAGE = "ami-03cf127a"  # moto knows no image of Ubuntu's


@pytest.fixture(scope="session")
def account(s3_endpoint: str) -> Account:
    """Every stack, with operators' ports and without a database."""
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no git checkout, which `make aws-deploy` hands to the machine")
    certificate = client("acm", s3_endpoint).request_certificate(DomainName="*.churn.example.com")
    with pytest.MonkeyPatch.context() as patch:
        environment = {**AWS_DUMMY, **SETTINGS, "AWS_ENDPOINT_URL": s3_endpoint}
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("CHURN_AWS_CERTIFICATE", certificate["CertificateArn"])
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        patch.setattr(ResourceMap, "parse_ssm_parameter", lambda *_: AN_IMAGE)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=NOT_MODELLED)
            assert stacks.main(["deploy"]) == 0
            return read_account(s3_endpoint)
