"""AWS managed keys: made on first use of `alias/aws/<service>`, looked at, never used or changed."""

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import support
from support import alias_arn, create, refused

PREDEFINED = ["dynamodb", "ebs", "elasticfilesystem", "es", "glue", "kinesisvideo", "rds",
              "redshift", "s3", "ssm", "xray"]  # fmt: skip
OTHERS = ["acm", "appflow", "backup", "cloud9", "codeartifact", "codecommit", "connect", "dax",
          "dms", "ecr", "eks", "elasticache", "fsx", "imagebuilder", "kafka", "kendra", "kinesis",
          "lambda", "lex", "lightsail", "mq", "secretsmanager", "ses", "sns", "sqs", "timestream",
          "translate", "workmail", "workspaces"]  # fmt: skip
DAY = 86400


def describe(kms, name):
    return kms.describe_key(KeyId=name)["KeyMetadata"]


def denied(account, action, arn, forbidden=False):
    why = (
        "with an explicit deny in a resource-based policy"
        if forbidden
        else f"because no resource-based policy allows the kms:{action} action"
    )
    return (
        f"User: {support.root_arn(account)} is not authorized to perform: kms:{action} on "
        f"resource: {arn} {why}"
    )


def test_metadata(kms, account):
    key = describe(kms, "alias/aws/s3")
    assert set(key) == {
        "AWSAccountId", "Arn", "CreationDate", "CurrentKeyMaterialId", "CustomerMasterKeySpec",
        "Description", "Enabled", "EncryptionAlgorithms", "KeyId", "KeyManager", "KeySpec",
        "KeyState", "KeyUsage", "MultiRegion", "Origin",
    }  # fmt: skip
    constant = {
        "AWSAccountId": account, "Enabled": True, "KeyManager": "AWS", "KeyState": "Enabled",
        "Origin": "AWS_KMS", "MultiRegion": False, "KeySpec": "SYMMETRIC_DEFAULT",
        "KeyUsage": "ENCRYPT_DECRYPT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "Description": "Default key that protects my S3 objects when no other key is defined",
    }  # fmt: skip
    assert constant.items() <= key.items()
    for name in (alias_arn(account, "alias/aws/s3"), key["KeyId"], key["Arn"], "alias/aws/s3"):
        assert describe(kms, name) == key


@pytest.mark.parametrize("service", PREDEFINED + OTHERS)
def test_every_service(kms, account, service):
    """Made, described, shown with a policy that names service and account, and refused to use."""
    key = describe(kms, f"alias/aws/{service}")
    assert key["KeyManager"] == "AWS"
    assert re.fullmatch(
        r"Default key that protects my .+ when no other key is defined", key["Description"]
    )
    shown = kms.get_key_policy(KeyId=key["KeyId"])["Policy"]
    assert shown.startswith('{\n  "Version" : "2012-10-17",\n  "Id" : "auto-')
    policy = json.loads(shown)
    conditions = json.dumps([s.get("Condition", {}) for s in policy["Statement"]])
    assert account in json.dumps(policy) and "{" not in json.dumps(policy["Id"])
    if service != "ses":
        host = {"ebs": "ec2", "dynamodb": "dynamodb.*"}.get(service, service)
        assert f'"{host}.' in conditions and "kms:ViaService" in conditions
    # No customer has a way around the service, save for those that the policy names.
    for method, action, parameters in (
        (kms.encrypt, "Encrypt", {"Plaintext": b"p"}),
        (kms.generate_data_key, "GenerateDataKey", {"KeySpec": "AES_256"}),
        (kms.put_key_policy, "PutKeyPolicy", {"Policy": shown}),
        (kms.schedule_key_deletion, "ScheduleKeyDeletion", {}),
    ):
        # The policy of Connect forbids what others leave out.
        forbidden = service == "connect" and action in ("Encrypt", "GenerateDataKey")
        refused(method, "AccessDeniedException", denied(account, action, key["Arn"], forbidden),
                KeyId=key["KeyId"], **parameters)  # fmt: skip
    assert describe(kms, f"alias/aws/{service}") == key


def test_the_policy_in_the_layout_of_aws(kms, account):
    key = describe(kms, "alias/aws/s3")
    answer = kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")
    assert answer["PolicyName"] == "default"
    assert answer["Policy"] == f"""{{
  "Version" : "2012-10-17",
  "Id" : "auto-s3-2",
  "Statement" : [ {{
    "Sid" : "Allow access through S3 for all principals in the account that are authorized to use S3",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "*"
    }},
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {{
      "StringEquals" : {{
        "kms:CallerAccount" : "{account}",
        "kms:ViaService" : "s3.{support.REGION}.amazonaws.com"
      }}
    }}
  }}, {{
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:aws:iam::{account}:root"
    }},
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*" ],
    "Resource" : "*"
  }} ]
}}"""


def test_use_is_first_use(kms, account):
    """Any operation that takes an alias makes the key; none may use it."""
    text = refused(kms.generate_data_key, "AccessDeniedException", None,
                   KeyId="alias/aws/ebs", KeySpec="AES_256")  # fmt: skip
    (entry,) = kms.list_keys()["Keys"]
    assert text == denied(account, "GenerateDataKey", entry["KeyArn"])
    assert describe(kms, "alias/aws/ebs")["Arn"] == entry["KeyArn"]
    refused(kms.get_public_key, "UnsupportedOperationException", None, KeyId="alias/aws/glue")
    assert len(kms.list_keys()["Keys"]) == 2


def test_nothing_is_made_of_what_is_refused_before(kms, account):
    for name in ("alias/aws/foo", "alias/aws/S3", "alias/aws/s3-2"):
        refused(kms.describe_key, "NotFoundException",
                f"Alias {alias_arn(account, name)} is not found.", KeyId=name)  # fmt: skip
    refused(kms.describe_key, "NotFoundException", "Invalid arn eu-west-1",
            KeyId=alias_arn(account, "alias/aws/s3", "eu-west-1"))  # fmt: skip
    stranger = support.new_account()
    refused(kms.describe_key, "AccessDeniedException",
            support.not_on_this_resource(account, "DescribeKey"),
            KeyId=alias_arn(stranger, "alias/aws/s3"))  # fmt: skip
    refused(kms.encrypt, "AccessDeniedException", support.not_on_this_resource(account, "Encrypt"),
            KeyId="alias/aws/s3", Plaintext=b"p", DryRun=True)  # fmt: skip
    refused(kms.get_key_rotation_status, "InvalidArnException", support.NO_ALIASES,
            KeyId="alias/aws/s3")  # fmt: skip
    assert kms.list_keys()["Keys"] == []


def test_lists(kms, account):
    listed = kms.list_aliases()
    assert listed["Aliases"] == [
        {"AliasName": f"alias/aws/{name}", "AliasArn": alias_arn(account, f"alias/aws/{name}")}
        for name in PREDEFINED
    ]
    s3, sqs = describe(kms, "alias/aws/s3"), describe(kms, "alias/aws/sqs")
    listed = {entry["AliasName"]: entry for entry in kms.list_aliases()["Aliases"]}
    assert list(listed) == sorted(f"alias/aws/{name}" for name in [*PREDEFINED, "sqs"])
    assert listed["alias/aws/s3"] == {
        "AliasName": "alias/aws/s3", "AliasArn": alias_arn(account, "alias/aws/s3"),
        "TargetKeyId": s3["KeyId"], "CreationDate": s3["CreationDate"],
        "LastUpdatedDate": s3["CreationDate"],
    }  # fmt: skip
    assert kms.list_aliases(KeyId=sqs["Arn"])["Aliases"] == [listed["alias/aws/sqs"]]
    keys = sorted([s3["KeyId"], sqs["KeyId"]])
    assert [entry["KeyId"] for entry in kms.list_keys()["Keys"]] == keys
    pages = kms.get_paginator("list_aliases").paginate(PaginationConfig={"PageSize": 5})
    assert [entry for page in pages for entry in page["Aliases"]] == list(listed.values())


def test_what_may_be_seen(kms):
    key = describe(kms, "alias/aws/rds")["KeyId"]
    assert kms.list_resource_tags(KeyId=key)["Tags"] == []
    assert kms.list_grants(KeyId=key)["Grants"] == []
    assert kms.list_key_policies(KeyId=key)["PolicyNames"] == ["default"]
    assert kms.list_key_rotations(KeyId=key)["Rotations"] == []
    status = kms.get_key_rotation_status(KeyId=key)
    assert status["KeyRotationEnabled"] is True and status["RotationPeriodInDays"] == 365


CHANGES = {
    "put_key_policy": {"Policy": '{"Statement": []}'},
    "tag_resource": {"Tags": [{"TagKey": "k", "TagValue": "v"}]},
    "untag_resource": {"TagKeys": ["k"]},
    "update_key_description": {"Description": "mine"},
    "enable_key_rotation": {},
    "disable_key_rotation": {},
    "rotate_key_on_demand": {},
    "disable_key": {},
    "enable_key": {},
    "schedule_key_deletion": {"PendingWindowInDays": 7},
    "cancel_key_deletion": {},
    "replicate_key": {"ReplicaRegion": "eu-west-1"},
    "update_primary_region": {"PrimaryRegion": "eu-west-1"},
    "import_key_material": {"ImportToken": b"t", "EncryptedKeyMaterial": b"m",
                            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"},
    "delete_imported_key_material": {},
    "revoke_grant": {"GrantId": "0" * 64},
}  # fmt: skip


@pytest.mark.parametrize("method", [*CHANGES, "create_grant", "create_alias", "update_alias"])
def test_nothing_may_be_changed(kms, account, method):
    key = describe(kms, "alias/aws/s3")
    target = {"KeyId": key["KeyId"]}
    more = CHANGES.get(method, {})
    if method == "create_grant":
        more = {"GranteePrincipal": support.root_arn(account), "Operations": ["Decrypt"]}
    if method in ("create_alias", "update_alias"):
        target = {"TargetKeyId": key["Arn"]}
        kms.create_alias(AliasName="alias/mine", TargetKeyId=create(kms)["KeyId"])
        more = {"AliasName": "alias/mine" if method == "update_alias" else "alias/new"}
    if method == "put_key_policy":
        more = {"Policy": kms.get_key_policy(KeyId=key["KeyId"])["Policy"]}
    action = "".join(word.capitalize() for word in method.split("_"))
    refused(getattr(kms, method), "AccessDeniedException", denied(account, action, key["Arn"]),
            **target, **more)  # fmt: skip
    assert describe(kms, "alias/aws/s3") == key


def test_reserved_names_stay_reserved(kms):
    own = create(kms)["KeyId"]
    describe(kms, "alias/aws/s3")
    for name in ("alias/aws/s3", "alias/aws/ssm", "alias/aws/none"):
        refused(kms.create_alias, "NotAuthorizedException", "", AliasName=name, TargetKeyId=own)
        refused(kms.update_alias, "NotAuthorizedException", "", AliasName=name, TargetKeyId=own)
        refused(kms.delete_alias, "NotAuthorizedException", "", AliasName=name)


def test_one_key_of_many_first_uses(kms):
    def use(number):
        if number % 2:
            return describe(kms, "alias/aws/kinesis")["Arn"]
        with pytest.raises(ClientError) as caught:
            kms.encrypt(KeyId="alias/aws/kinesis", Plaintext=b"p")
        return caught.value.response["Error"]["Message"].split("on resource: ")[1].split()[0]

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(use, range(32)))) == 1
    assert len(kms.list_keys()["Keys"]) == 1


def test_years_and_restarts(own_server, account):
    kms = own_server.client(account)
    before = describe(kms, "alias/aws/dynamodb")
    own_server.advance(365 * DAY + 60)
    own_server.restart()
    kms = own_server.client(account)
    after = describe(kms, "alias/aws/dynamodb")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"CurrentKeyMaterialId"}
    (rotation,) = kms.list_key_rotations(KeyId=before["KeyId"])["Rotations"]
    assert rotation["RotationType"] == "AUTOMATIC"
    assert rotation["KeyMaterialId"] == after["CurrentKeyMaterialId"]
    assert kms.get_key_rotation_status(KeyId=before["KeyId"])["KeyRotationEnabled"] is True


@pytest.mark.parametrize("region", ["eu-west-1", "cn-north-1", "us-gov-west-1"])
def test_other_regions(server, account, region):
    kms = server.client(account, region)
    key = describe(kms, "alias/aws/s3")
    partition = support.partition(region)
    assert key["Arn"].startswith(f"arn:{partition}:kms:{region}:{account}:key/")
    policy = json.loads(kms.get_key_policy(KeyId=key["KeyId"])["Policy"])
    principal = policy["Statement"][1]["Principal"]["AWS"]
    assert principal == f"arn:{partition}:iam::{account}:root"
    assert server.client(account).list_keys()["Keys"] == []


def test_by_the_aws_cli(server, account, tmp_path):
    beside = Path(sys.executable).parent / "aws"
    aws = str(beside) if beside.exists() else shutil.which("aws")
    assert aws, "no aws command: install requirements.txt"
    environment = support.child_environment(tmp_path, {
        "AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": support.REGION, "AWS_DEFAULT_OUTPUT": "json",
        "AWS_MAX_ATTEMPTS": "1",
    })  # fmt: skip

    def kms(*arguments):
        return subprocess.run(
            [aws, "--endpoint-url", server.url, "kms", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    done = kms("describe-key", "--key-id", "alias/aws/s3")
    assert done.returncode == 0, done.stderr
    key = json.loads(done.stdout)["KeyMetadata"]
    assert key["KeyManager"] == "AWS"
    listed = json.loads(kms("list-aliases").stdout)["Aliases"]
    assert [entry["AliasName"] for entry in listed if "TargetKeyId" in entry] == ["alias/aws/s3"]
    done = kms("get-key-policy", "--key-id", key["KeyId"], "--output", "text", "--query", "Policy")
    assert json.loads(done.stdout)["Id"] == "auto-s3-2"
    done = kms("encrypt", "--key-id", "alias/aws/s3", "--plaintext", "cA==")
    assert done.returncode != 0
    assert "AccessDeniedException" in done.stderr and "kms:Encrypt on resource" in done.stderr
    done = kms("schedule-key-deletion", "--key-id", key["KeyId"])
    assert "AccessDeniedException" in done.stderr, done.stderr
