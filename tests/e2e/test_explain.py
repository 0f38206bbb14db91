"""`keystead explain` and its admin endpoint: what is explained is what is then decided."""

import json

import pytest

import interface
import support
from test_serve import ACCOUNT, Served, eventually, refusal

OTHER = "444455556666"
HIDDEN = "for-no-log-7f3a"

USERS = f"""
[accounts.{ACCOUNT}.users.reader.inline_policies]
Read = '{{"Version": "2012-10-17", "Statement": [{{"Sid": "Read", "Effect": "Allow", "Action": ["kms:Describe*", "kms:List*"], "Resource": "*"}}, {{"Sid": "NoGrants", "Effect": "Deny", "Action": "kms:ListGrants", "Resource": "*"}}]}}'

[accounts.{ACCOUNT}.users.sealer.inline_policies]
Seal = '{{"Version": "2012-10-17", "Statement": {{"Sid": "Stage", "Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*", "Condition": {{"StringEquals": {{"kms:EncryptionContext:stage": "test"}}}}}}}}'

[accounts.{ACCOUNT}.users.bounded]
permissions_boundary = "OnlyRead"
groups = ["Administrators"]

[accounts.{ACCOUNT}.policies.OnlyRead]
document = '{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "kms:DescribeKey", "Resource": "*"}}}}'

[accounts.{ACCOUNT}.users.grantee]

[accounts.{OTHER}]
"""


def user(name):
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def ask(server, principal, action, *rest):
    """Status and JSON of the command."""
    address = f"http://127.0.0.1:{server.admin_port}"
    done = support.run(interface.explain(address, principal, action, "--json", *rest), server.home)
    assert done.returncode in (0, 1), done.stderr
    answer = json.loads(done.stdout)
    assert answer["allowed"] == (done.returncode == 0)
    return answer


def agree(answer, call, parameters):
    """Asserts that a request fares as explained, and returns whether it was allowed."""
    told = refusal(call, **parameters)
    if answer["allowed"]:
        assert told is None, (answer, told)
    else:
        refused = answer["refusal"]
        assert told == (refused["exception"], refused.get("message", "")), answer
    return answer["allowed"]


@pytest.fixture
def served(tmp_path):
    served = Served(tmp_path / "served", [interface.PLAIN_HTTP])
    with served.identities.open("a") as file:
        file.write(USERS)
    served.start()
    yield served
    served.stop()
    assert "panicked" not in served.output()
    assert HIDDEN not in served.output()


def test_explained_is_decided(served):
    """Users with every kind of document, each request asked about and then made."""
    administrator = served.kms(served.administrator())
    key = administrator.create_key()["KeyMetadata"]["Arn"]
    clients = {name: served.kms(served.new_access_key(name))
               for name in ("reader", "sealer", "bounded", "grantee")}  # fmt: skip

    def known(client):
        return "Unrecognized" not in (refusal(client.list_keys) or ("",))[0]

    for client in clients.values():
        eventually(lambda client=client: known(client), "an access key is not known")
    granted = administrator.create_grant(
        KeyId=key, GranteePrincipal=user("grantee"), Operations=["Encrypt", "GenerateDataKey"],
        Constraints={"EncryptionContextSubset": {"stage": "test"}},
    )  # fmt: skip
    clients["administrator"] = administrator
    context = {"EncryptionContext": {"stage": "test", "hidden": HIDDEN}}
    wrong = {"EncryptionContext": {"stage": HIDDEN}}

    def flags(parameters):
        pairs = parameters.get("EncryptionContext", {}).items()
        return [part for name, value in pairs for part in ("--context", f"{name}={value}")]

    on_key = {"KeyId": key}
    encrypt = on_key | {"Plaintext": b"p"}
    data_key = on_key | {"KeySpec": "AES_256"}
    requests = {
        "DescribeKey": [on_key], "ListGrants": [on_key], "GetKeyPolicy": [on_key],
        "Encrypt": [encrypt, encrypt | context, encrypt | wrong],
        "GenerateDataKey": [data_key, data_key | context], "ListKeys": [{}],
    }  # fmt: skip
    methods = {"DescribeKey": "describe_key", "ListGrants": "list_grants", "Encrypt": "encrypt",
               "GetKeyPolicy": "get_key_policy", "GenerateDataKey": "generate_data_key",
               "ListKeys": "list_keys"}  # fmt: skip
    count = {True: 0, False: 0}
    for name, client in clients.items():
        for operation, variants in requests.items():
            for parameters in variants:
                place = ["--key", key] if parameters else ["--region", support.REGION]
                answer = ask(served, user(name), f"kms:{operation}", *place, *flags(parameters))
                count[agree(answer, getattr(client, methods[operation]), parameters)] += 1
                assert HIDDEN not in json.dumps(answer)
    assert count == {True: 15, False: 30}

    answer = ask(served, user("reader"), "kms:ListGrants", "--key", key)
    assert answer["why"] == {
        "by": "statement", "layer": "identity policy", "document": "user/reader/Read",
        "statement": 1, "sid": "NoGrants", "effect": "Deny",
    }  # fmt: skip
    answer = ask(served, user("grantee"), "Encrypt", "--key", key, "--context", "stage=test")
    assert answer["why"] == {"by": "grant", "id": granted["GrantId"]}


def test_roots_and_other_accounts(server):
    """`dev`: roots alone, by key policies and grants, with conditions and across accounts."""
    owner, other = support.new_account(), support.new_account()
    kms, foreign = server.client(owner), server.client(other)
    root = f"arn:aws:iam::{owner}:root"
    statements = [
        {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"},
        {"Sid": "Other", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{other}:root"},
         "Action": ["kms:Encrypt", "kms:GetKeyPolicy"], "Resource": "*",
         "Condition": {"StringEquals": {"kms:EncryptionContext:stage": "test"}}},
        {"Sid": "Never", "Effect": "Deny", "Principal": "*", "Action": "kms:DisableKey",
         "Resource": "*"},
    ]  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    key = kms.create_key(Policy=policy)["KeyMetadata"]["Arn"]
    encrypt, context = {"KeyId": key, "Plaintext": b"p"}, {"EncryptionContext": {"stage": "test"}}
    absent = key.rsplit("/", 1)[0] + "/" + support.ABSENT_KEY
    cases = [
        (owner, "DescribeKey", kms.describe_key, {"KeyId": key}, []),
        (owner, "DisableKey", kms.disable_key, {"KeyId": key}, []),
        (other, "Encrypt", foreign.encrypt, encrypt, []),
        (other, "Encrypt", foreign.encrypt, encrypt | context, ["--context", "stage=test"]),
        (other, "DescribeKey", foreign.describe_key, {"KeyId": key}, []),
        (other, "GetKeyPolicy", foreign.get_key_policy, {"KeyId": key}, []),
        (other, "DescribeKey", foreign.describe_key, {"KeyId": absent}, []),
    ]  # fmt: skip
    decisions = [
        agree(ask(server, who, action, "--key", parameters["KeyId"], *rest), call, parameters)
        for who, action, call, parameters, rest in cases
    ]
    assert decisions == [True, False, False, True, False, False, False]
    support.refused(kms.describe_key, "NotFoundException", KeyId=absent)
    answer = ask(server, owner, "DescribeKey", "--key", absent)
    assert (answer["why"], answer["refusal"]["exception"]) == (
        {"by": "request"}, "NotFoundException",
    )  # fmt: skip


def test_text_and_status(server):
    account = support.new_account()
    kms = server.client(account)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    address = f"http://127.0.0.1:{server.admin_port}"

    def run(principal, action, *rest):
        return support.run(interface.explain(address, principal, action, *rest), server.home)

    done = run(account, "kms:Decrypt", "--key", key)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"ALLOWED  arn:aws:iam::{account}:root  kms:Decrypt\n")
    assert "allowed by statement 0 (Enable IAM User Permissions) of key policy" in done.stdout
    done = run(support.new_account(), "kms:Decrypt", "--key", key)
    assert done.returncode == 1
    assert done.stdout.startswith("DENIED")
    assert "caller gets  AccessDeniedException: User: " in done.stdout
    for principal, action, rest, text in [
        (user("alice"), "kms:Decrypt", ["--key", key], "is no account and no root of one"),
        (account, "kms:Nothing", ["--key", key], "is no action of KMS"),
        (account, "kms:Decrypt", [], "needs a key"),
        (account, "kms:Decrypt", ["--key", key, "--context", HIDDEN], "NAME=VALUE"),
        (account, "kms:Decrypt", ["--nothing"], "--nothing"),
    ]:
        done = run(principal, action, *rest)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert text in done.stderr and done.stderr.count("\n") == 1, done.stderr
    done = support.run(interface.explain("http://127.0.0.1:1", account, "Decrypt"), server.home)
    assert done.returncode == 2
    assert "no answer from the admin listener" in done.stderr


def test_the_endpoint_is_bounded(server):
    def post(body, headers=None, method="POST"):
        return server.http(method, interface.EXPLAIN, body, headers, admin=True)

    question = {"principal": "111122223333", "action": "ListKeys", "region": support.REGION}
    good = post(json.dumps(question))
    assert (good.status, good.json()["allowed"]) == (200, True)
    assert post(None, method="GET").status == 405
    assert post(json.dumps(question), {"Origin": "http://localhost"}).status == 403
    assert post("x" * (128 * 1024 + 1)).status == 413
    assert post(json.dumps(question | {"conditions": {"a": "b" * 100_000}})).status == 200
    for faulty in ["", "{}", "[]", json.dumps(question | {"unknown": 1}), "[" * 100_000]:
        assert post(faulty).status == 400, faulty[:40]
