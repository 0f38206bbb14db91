"""Key policies: the default, the layout, and what is refused."""

import json
import re

import pytest

import support
from support import create, refused

LOCKOUT = "The new key policy will not allow you to update the key policy in the future."
PRINCIPALS = "Policy contains a statement with one or more invalid principals."
ARN = "An ARN in the specified key policy is invalid."


def default_policy(partition, account):
    return (
        "{\n"
        '  "Version" : "2012-10-17",\n'
        '  "Id" : "key-default-1",\n'
        '  "Statement" : [ {\n'
        '    "Sid" : "Enable IAM User Permissions",\n'
        '    "Effect" : "Allow",\n'
        '    "Principal" : {\n'
        f'      "AWS" : "arn:{partition}:iam::{account}:root"\n'
        "    },\n"
        '    "Action" : "kms:*",\n'
        '    "Resource" : "*"\n'
        "  } ]\n"
        "}"
    )


def statement(principal, **more):
    return {"Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*"} | more


def document(*statements, **more):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | more)


@pytest.fixture
def root(account):
    return {"AWS": support.root_arn(account)}


@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1"])
def test_default_policy(server, account, region):
    kms = server.client(account, region)
    key = create(kms)
    for name in ({}, {"PolicyName": "default"}):
        answer = kms.get_key_policy(KeyId=key["KeyId"], **name)
        assert support.members(answer) == {"Policy", "PolicyName"}
        assert answer["PolicyName"] == "default"
        assert answer["Policy"] == default_policy(support.partition(region), account)


def test_layout_keeps_order_and_single_strings(kms, key, account, root):
    sent = (
        '{"Statement":[{"Resource":"*","Action":["kms:*","kms:PutKeyPolicy"],"Effect":"Allow",'
        f'"Principal":{{"AWS":"{root["AWS"]}"}}}},{{"Effect":"Deny","Principal":"*","Action":[],'
        '"Sid":"no \\"one\\"","Condition":{"Bool":{"aws:SecureTransport":false}}}],"Version":"2012-10-17"}'
    )
    assert support.body(kms.put_key_policy(KeyId=key["KeyId"], Policy=sent)) == {}
    got = kms.get_key_policy(KeyId=key["Arn"])["Policy"]
    assert got == (
        "{\n"
        '  "Statement" : [ {\n'
        '    "Resource" : "*",\n'
        '    "Action" : [ "kms:*", "kms:PutKeyPolicy" ],\n'
        '    "Effect" : "Allow",\n'
        '    "Principal" : {\n'
        f'      "AWS" : "{root["AWS"]}"\n'
        "    }\n"
        "  }, {\n"
        '    "Effect" : "Deny",\n'
        '    "Principal" : "*",\n'
        '    "Action" : [ ],\n'
        '    "Sid" : "no \\"one\\"",\n'
        '    "Condition" : {\n'
        '      "Bool" : {\n'
        '        "aws:SecureTransport" : false\n'
        "      }\n"
        "    }\n"
        "  } ],\n"
        '  "Version" : "2012-10-17"\n'
        "}"
    )
    kms.put_key_policy(KeyId=key["KeyId"], Policy=got)
    assert kms.get_key_policy(KeyId=key["KeyId"])["Policy"] == got


def test_policy_at_creation(kms, account, root):
    mine = document(statement(root, Sid="mine"))
    key = create(kms, Policy=mine)
    assert json.loads(kms.get_key_policy(KeyId=key["KeyId"])["Policy"]) == json.loads(mine)


def test_list_key_policies(kms, key):
    answer = kms.list_key_policies(KeyId=key["KeyId"])
    assert support.body(answer) == {"PolicyNames": ["default"], "Truncated": False}


def test_other_policy_names(kms, key, root):
    refused(kms.get_key_policy, "NotFoundException", "No such policy exists",
            KeyId=key["KeyId"], PolicyName="other")  # fmt: skip
    refused(kms.put_key_policy, "UnsupportedOperationException", None,
            KeyId=key["KeyId"], PolicyName="other", Policy=document(statement(root)))  # fmt: skip


def refusals(root):
    """Documents that are refused: name -> (document, code, exact text or None)."""
    malformed = "MalformedPolicyDocumentException"
    good = statement(root)
    return {
        "not json": ("nonsense", malformed, None),
        "an array": ("[]", malformed, None),
        "version": (document(good, Version="2013-10-17"), malformed, None),
        "unknown element": (document(good | {"Principals": "*"}), malformed, None),
        "unknown top element": (document(good, Owner="me"), malformed, None),
        "element in other case": (document(good | {"action": "kms:*"}), malformed, None),
        "effect": (document(good | {"Effect": "allow"}), malformed, None),
        "no statement": ('{"Version":"2012-10-17"}', malformed, None),
        "member twice": ('{"Version":"2012-10-17",' + document(good)[1:], malformed, None),
        "deep": ('{"Statement":' * 1000 + "1" + "}" * 1000, malformed, None),
        "operator": (document(good, good | {"Condition": {"Equals": {"a": "b"}}}), malformed, None),
        "no principal": (document(good, {"Effect": "Deny", "Action": "kms:*"}), malformed, None),
        "both forms": (document(good | {"NotAction": "kms:*"}), malformed, None),
        "unknown principal": (document(good, statement({"AWS": "nobody"})), malformed, PRINCIPALS),
        "short account": (document(good, statement({"AWS": "123"})), malformed, PRINCIPALS),
        "wildcard in arn": (
            document(good, statement({"AWS": "arn:aws:iam::111122223333:user/*"})),
            malformed, PRINCIPALS),
        "group": (document(good, statement({"AWS": "arn:aws:iam::111122223333:group/g"})),
                  "InvalidArnException", ARN),
        "lockout, other account": (document(statement({"AWS": "999999999999"})), malformed, LOCKOUT),
        "lockout, action": (document(statement(root, Action="kms:Get*")), malformed, LOCKOUT),
        "lockout, deny": (document(good, statement("*", Effect="Deny")), malformed, LOCKOUT),
        "lockout, no resource": (
            document({k: v for k, v in good.items() if k != "Resource"}), malformed, LOCKOUT),
        "too large": (document(good, Id="x" * 33_000), "LimitExceededException", None),
    }  # fmt: skip


@pytest.mark.parametrize("name", refusals({"AWS": "x"}))
def test_refused_documents(kms, key, account, root, name):
    text, code, message = refusals(root)[name]
    refused(kms.put_key_policy, code, message, KeyId=key["KeyId"], Policy=text)
    refused(kms.create_key, code, message, Policy=text)
    assert kms.get_key_policy(KeyId=key["KeyId"])["Policy"] == default_policy("aws", account)
    assert len(kms.list_keys()["Keys"]) == 1


@pytest.mark.parametrize("name", [n for n in refusals({"AWS": "x"}) if n.startswith("lockout")])
def test_lockout_check_can_be_bypassed(kms, key, root, name):
    text, _, _ = refusals(root)[name]
    bypass = {"Policy": text, "BypassPolicyLockoutSafetyCheck": True}
    kms.put_key_policy(KeyId=key["KeyId"], **bypass)
    other = create(kms, **bypass)
    # Now nobody can replace the policies, the root of their account included.
    for target in (key, other):
        refused(kms.put_key_policy, "AccessDeniedException",
                re.compile("(no|a) resource-based policy"),
                KeyId=target["KeyId"], Policy=document(statement(root)))  # fmt: skip


@pytest.mark.parametrize("name", ["not json", "no principal", "group", "unknown principal", "deep"])
def test_bypass_skips_nothing_else(kms, key, root, name):
    text, code, message = refusals(root)[name]
    refused(kms.put_key_policy, code, message,
            KeyId=key["KeyId"], Policy=text, BypassPolicyLockoutSafetyCheck=True)  # fmt: skip


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, "account", "root", "list"])
def test_accepted_principals(kms, key, account, principal):
    principal = {
        "account": {"AWS": account},
        "root": {"AWS": support.root_arn(account)},
        "list": {"AWS": [support.root_arn(account), "arn:aws:iam::999999999999:role/R"],
                 "Service": ["logs.us-east-1.amazonaws.com"]},
    }.get(principal if isinstance(principal, str) else "", principal)  # fmt: skip
    kms.put_key_policy(KeyId=key["KeyId"], Policy=document(statement(principal)))
    found = json.loads(kms.get_key_policy(KeyId=key["KeyId"])["Policy"])
    assert found["Statement"][0]["Principal"] == principal


@pytest.mark.parametrize("region, other", [("us-east-1", "aws-cn"), ("cn-north-1", "aws"),
                                           ("us-gov-west-1", "aws")])  # fmt: skip
@pytest.mark.parametrize("name", ["root", "user/Alice", "role/path/Admin"])
def test_principals_of_another_partition_do_not_exist(server, account, region, other, name):
    kms = server.client(account, region)
    own = statement({"AWS": support.root_arn(account, region)})
    foreign = statement({"AWS": ["444455556666", f"arn:{other}:iam::{account}:{name}"]})
    key = create(kms, Policy=document(own))
    for policy in (document(own, foreign), document(own, foreign | {"Effect": "Deny"})):
        refused(kms.create_key, "MalformedPolicyDocumentException", PRINCIPALS, Policy=policy)
        refused(kms.put_key_policy, "MalformedPolicyDocumentException", PRINCIPALS,
                KeyId=key["KeyId"], Policy=policy, BypassPolicyLockoutSafetyCheck=True)  # fmt: skip


def test_a_policy_of_32768_bytes(kms, key, root):
    bare = document(statement(root), Id="")
    kms.put_key_policy(
        KeyId=key["KeyId"], Policy=document(statement(root), Id="x" * (32_768 - len(bare)))
    )
    refused(kms.put_key_policy, "LimitExceededException", None, KeyId=key["KeyId"],
            Policy=document(statement(root), Id="x" * (32_769 - len(bare))))  # fmt: skip


def test_policy_survives_restart(own_server, account, root):
    kms = own_server.client(account)
    key = create(kms, Policy=document(statement(root, Sid="kept")))
    before = kms.get_key_policy(KeyId=key["KeyId"])["Policy"]
    own_server.restart()
    assert own_server.client(account).get_key_policy(KeyId=key["KeyId"])["Policy"] == before
