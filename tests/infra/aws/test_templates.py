"""What the stacks made is what was promised, as far as moto makes it; else the template's text."""

import base64
import subprocess
from typing import Any

from cfnlint.decode.cfn_yaml import loads

from include.settings import PROJECT
from infra.aws.stacks import PROJECT_KEY, STACKS, template
from tests.conftest import AWS_DUMMY
from tests.infra.aws.account import Account, client

IMAGES = {"churn-airflow", "churn-dashboard", "churn-mlflow", "churn-webapp"}
TEMPLATES = {part: loads(template(part)) for part in STACKS}
OPERATORS_PORTS = {8080, 5000, 9090, 3000}


def resources(part: str, kind: str) -> list[dict[str, Any]]:
    """The properties of a template's resources of a kind."""
    found = TEMPLATES[part]["Resources"].values()
    return [each["Properties"] for each in found if each["Type"] == f"AWS::{kind}"]


def test_the_templates_hide_nothing_from_cfn_lint() -> None:
    texts = [template(part) for part in STACKS] + [(PROJECT / ".cfnlintrc").read_text()]
    assert not any("ignore_checks" in text or "cfn-lint" in text for text in texts)


def test_the_bucket_is_versioned_encrypted_and_closed() -> None:
    [bucket] = resources("data", "S3::Bucket")
    assert bucket["VersioningConfiguration"]["Status"] == "Enabled"
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    closed = bucket["PublicAccessBlockConfiguration"]
    assert len(closed) == 4 and all(closed.values())


def test_the_bucket_forgets_logs_and_runs_and_never_a_champion_or_the_project() -> None:
    [bucket] = resources("data", "S3::Bucket")
    rules = bucket["LifecycleConfiguration"]["Rules"]
    expiring = {each["Prefix"] for each in rules if "ExpirationInDays" in each}
    assert expiring == {"runs/", "airflow-logs/", "predictions/", "scores/", "deploy/commits/"}
    assert not any(PROJECT_KEY.startswith(prefix) for prefix in expiring)
    kinds = ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
    assert all(any(kind in each for each in rules) for kind in kinds)


def test_each_image_has_a_repository_that_scans_and_keeps_tags(account: Account) -> None:
    ecr = client("ecr", account.endpoint)
    found = ecr.describe_repositories()["repositories"]
    assert {each["repositoryName"] for each in found} == IMAGES
    assert all(each["imageTagMutability"] == "IMMUTABLE" for each in found)
    told = resources("data", "ECR::Repository")
    assert all(each["ImageScanningConfiguration"]["ScanOnPush"] is True for each in told)
    assert all(each["LifecyclePolicy"]["LifecyclePolicyText"] for each in told)
    compose = (PROJECT / "docker-compose.yaml").read_text()
    assert {name for name in IMAGES if f"{name}:${{CHURN_TAG" in compose} == IMAGES


def test_volumes_are_encrypted_and_outlive_the_machine() -> None:
    [volume] = resources("data", "EC2::Volume")
    assert volume["Encrypted"] is True
    assert TEMPLATES["data"]["Resources"]["Volume"]["DeletionPolicy"] == "Snapshot"
    [machine] = resources("service", "EC2::LaunchTemplate")
    [mapping] = machine["LaunchTemplateData"]["BlockDeviceMappings"]
    assert mapping["Ebs"]["Encrypted"] is True


def test_the_database_is_private_encrypted_and_over_tls() -> None:
    [database] = resources("data", "RDS::DBInstance")
    assert database["StorageEncrypted"] is True and database["PubliclyAccessible"] is False
    assert database["ManageMasterUserPassword"] is True and "MasterUserPassword" not in database
    [options] = resources("data", "RDS::DBParameterGroup")
    assert options["Parameters"]["require_secure_transport"] == "1"


def test_the_metadata_service_answers_the_machine_alone(account: Account) -> None:
    [found] = client("ec2", account.endpoint).describe_launch_template_versions(
        LaunchTemplateName=_launch_template(account), Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    options = found["LaunchTemplateData"]["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    script = base64.b64decode(found["LaunchTemplateData"]["UserData"]).decode()
    assert script.startswith("#!/bin/bash\n") and "${" not in script
    assert account.roles["WebRole"].arn in script and "infra/aws/host/install.sh" in script
    assert script.rstrip().endswith("done")  # it is tried until it is done
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)
    assert "KeyName" not in found["LaunchTemplateData"]  # nobody signs in by SSH


def test_who_may_come_in(account: Account) -> None:
    groups = client("ec2", account.endpoint).describe_security_groups()["SecurityGroups"]
    of = {each["Description"].split(" - ")[0]: each for each in groups}
    balancer, machine = of["The load balancer"], of["The machine"]
    open_to = {
        each["FromPort"]: [each["CidrIp"] for each in each["IpRanges"]]
        for each in balancer["IpPermissions"]
    }
    assert open_to.keys() == {80, 443} | OPERATORS_PORTS
    assert all(open_to[port] == ["192.0.2.0/24"] for port in OPERATORS_PORTS)
    [entry] = machine["IpPermissions"]
    assert (entry["FromPort"], entry["ToPort"], entry["IpRanges"]) == (80, 80, [])
    assert [each["GroupId"] for each in entry["UserIdGroupPairs"]] == [balancer["GroupId"]]


def test_the_load_balancer_forwards_to_caddy_alone_and_over_tls(account: Account) -> None:
    elb = client("elbv2", account.endpoint)
    [balancer] = [
        each
        for each in elb.describe_load_balancers()["LoadBalancers"]
        if each["DNSName"] == account.outputs["service"]["Balancer"]
    ]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    by_port = {each["Port"]: each for each in listeners}
    assert by_port.keys() == {80, 443} | OPERATORS_PORTS
    assert by_port.pop(80)["DefaultActions"][0]["Type"] == "redirect"
    for port, listener in by_port.items():
        assert listener["Protocol"] == "HTTPS" and listener["Certificates"], port
        assert listener["DefaultActions"][0]["Type"] == "fixed-response"
    assert [
        each["Port"] for each in resources("service", "ElasticLoadBalancingV2::TargetGroup")
    ] == [80]


def test_the_machine_is_found_by_its_tag(account: Account) -> None:
    [group] = client("autoscaling", account.endpoint).describe_auto_scaling_groups()[
        "AutoScalingGroups"
    ]
    tags = {each["Key"]: (each["Value"], each["PropagateAtLaunch"]) for each in group["Tags"]}
    assert tags["churn:service"] == ("churn", True) and group["DesiredCapacity"] == 1


def test_the_project_lies_where_the_machine_fetches_it(account: Account) -> None:
    bucket = account.outputs["data"]["StoreName"]
    found = client("s3", account.endpoint).get_object(Bucket=bucket, Key="deploy/project.tar.gz")
    listed = subprocess.run(
        ("tar", "-tz"), input=found["Body"].read(), capture_output=True, check=True
    ).stdout.decode()
    assert {"docker-compose.yaml", "infra/compose/environment.py"} <= set(listed.splitlines())
    assert AWS_DUMMY["AWS_DEFAULT_REGION"] in bucket


def _launch_template(account: Account) -> str:
    found = client("ec2", account.endpoint).describe_launch_templates()["LaunchTemplates"]
    return str(found[0]["LaunchTemplateName"])
