"""Grants: what they may say, their tokens, who ends them, and how they are listed.

What a grant allows needs identities and is no part of this file: every caller here is the root of
an account.
"""

import datetime
import re

import pytest

import support
from support import DRY_RUN, create, refused

TOKEN = re.compile(r"[A-Za-z0-9_-]{20,8192}")
GRANT_ID = re.compile(r"[0-9a-f]{64}")
UNKNOWN = "0" * 64
NOT_A_PRINCIPAL = "ARN does not refer to a valid principal"
SYMMETRIC = ["Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
             "ReEncryptFrom", "ReEncryptTo", "CreateGrant", "RetireGrant", "DescribeKey",
             "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"]  # fmt: skip
ALWAYS = {"CreateGrant", "RetireGrant", "DescribeKey"}
EVERY = ["Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom",
         "ReEncryptTo", "Sign", "Verify", "GetPublicKey", "CreateGrant", "RetireGrant",
         "DescribeKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
         "GenerateMac", "VerifyMac", "DeriveSharedSecret"]  # fmt: skip


@pytest.fixture
def other(server):
    """A client of a second account, and its number."""
    account = support.new_account()
    return server.client(account), account


def user(account, name="alice", partition="aws"):
    return f"arn:{partition}:iam::{account}:user/{name}"


def grant(kms, key, account, **parameters):
    request = {"KeyId": key["KeyId"], "GranteePrincipal": user(account), "Operations": ["Decrypt"]}
    return support.body(kms.create_grant(**request | parameters))


def grants(kms, key, **parameters):
    return kms.list_grants(KeyId=key["KeyId"], **parameters)["Grants"]


# What a grant is.


def test_fields(kms, key, account):
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    made = grant(kms, key, account)
    assert set(made) == {"GrantId", "GrantToken"}
    assert GRANT_ID.fullmatch(made["GrantId"])
    assert TOKEN.fullmatch(made["GrantToken"])
    [entry] = grants(kms, key)
    created = entry.pop("CreationDate")
    assert before < created < before + datetime.timedelta(seconds=60)
    assert entry == {
        "KeyId": key["Arn"], "GrantId": made["GrantId"], "Name": "", "Operations": ["Decrypt"],
        "GranteePrincipal": user(account), "IssuingAccount": support.root_arn(account),
    }  # fmt: skip

    constraints = {
        "EncryptionContextEquals": {"a": "b", "A": "ü"},
        "EncryptionContextSubset": {"c": ""},
    }
    full = grant(kms, key, account, Name="a/name:_-9", RetiringPrincipal=user(account, "bob"),
                 Constraints=constraints, KeyId=key["Arn"])  # fmt: skip
    [entry] = grants(kms, key, GrantId=full["GrantId"])
    assert entry["Name"] == "a/name:_-9"
    assert entry["RetiringPrincipal"] == user(account, "bob")
    assert entry["Constraints"] == constraints


def test_operations_are_listed_in_the_order_of_the_model(kms, key, account):
    made = grant(kms, key, account, Operations=["Encrypt", "Decrypt", "Encrypt"])
    [entry] = grants(kms, key)
    assert entry["Operations"] == ["Decrypt", "Encrypt"]
    kms.revoke_grant(KeyId=key["KeyId"], GrantId=made["GrantId"])
    grant(kms, key, account, Operations=SYMMETRIC[::-1])
    [entry] = grants(kms, key)
    assert entry["Operations"] == SYMMETRIC


SENSE = {
    ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"): set(SYMMETRIC),
    ("RSA_2048", "ENCRYPT_DECRYPT"):
        {"Decrypt", "Encrypt", "ReEncryptFrom", "ReEncryptTo", "GetPublicKey"} | ALWAYS,
    ("ECC_NIST_P256", "SIGN_VERIFY"): {"Sign", "Verify", "GetPublicKey"} | ALWAYS,
    ("ECC_NIST_P256", "KEY_AGREEMENT"): {"DeriveSharedSecret", "GetPublicKey"} | ALWAYS,
    ("HMAC_256", "GENERATE_VERIFY_MAC"): {"GenerateMac", "VerifyMac"} | ALWAYS,
}  # fmt: skip


@pytest.mark.parametrize(("spec", "usage"), SENSE)
def test_operations_that_make_no_sense_for_the_key(kms, account, spec, usage):
    key = create(kms, KeySpec=spec, KeyUsage=usage)
    for operation in EVERY:
        operations = ["DescribeKey", operation]
        request = {
            "KeyId": key["KeyId"],
            "GranteePrincipal": user(account),
            "Operations": operations,
        }
        if operation in SENSE[spec, usage]:
            kms.create_grant(**request)
        else:
            refused(kms.create_grant, "ValidationException", None, **request)
            refused(kms.create_grant, "ValidationException", None, DryRun=True, **request)
    refused(kms.create_grant, "ValidationException", None, **request | {"Operations": []})
    assert len(grants(kms, key)) == len(SENSE[spec, usage])


def test_unknown_operations_are_the_models_affair(server, account, key):
    for operation in ("decrypt", "ReEncrypt", "DisableKey"):
        answer = server.post("CreateGrant", {"KeyId": key["KeyId"], "Operations": [operation],
                             "GranteePrincipal": user(account)}, account=account)  # fmt: skip
        assert answer.kind() == "ValidationException"
        assert answer.message().startswith("1 validation error detected: ")


def accepted_principals(account):
    return [
        support.root_arn(account), user(account), user(account, "path/to/alice"),
        f"arn:aws:iam::{account}:role/r", f"arn:aws:iam::{account}:role/service-role/r",
        f"arn:aws:sts::{account}:assumed-role/r/session", f"arn:aws:sts::{account}:federated-user/f",
    ]  # fmt: skip


def refused_principals(account):
    return [
        "lambda.amazonaws.com", f"arn:aws:iam::{account}:group/g", "o-a1b2c3d4e5", account,
        "AIDACKCEVSQ6C2EXAMPLE", "AROACKCEVSQ6C2EXAMPLE", "alice", "arn:aws:iam::12:user/a",
        f"arn:aws:iam::{account}:user/", f"arn:aws:iam::{account}:root/x",
        f"arn:aws:iam:us-east-1:{account}:user/a", f"arn:aws:s3:::{account}", "arn:aws:iam",
        f"arn:aws-cn:iam::{account}:root", f"arn:aws:iam::{account}:oidc-provider/p",
        f"arn:aws:kms:us-east-1:{account}:key/{support.ABSENT_KEY}",
    ]  # fmt: skip


def test_principals(kms, key, account, other):
    for principal in accepted_principals(account) + accepted_principals(other[1]):
        grant(kms, key, account, GranteePrincipal=principal, RetiringPrincipal=principal)
    count = len(grants(kms, key))
    assert count == 14
    for principal in refused_principals(account):
        for member in ("GranteePrincipal", "RetiringPrincipal"):
            request = {
                "KeyId": key["KeyId"],
                "Operations": ["Decrypt"],
                "GranteePrincipal": user(account),
            }
            refused(kms.create_grant, "InvalidArnException", NOT_A_PRINCIPAL,
                    **request | {member: principal})  # fmt: skip
    # Wildcards break the model's pattern already.
    for principal in ("*", f"arn:aws:iam::{account}:user/*"):
        refused(kms.create_grant, "ValidationException", None,
                **request | {"GranteePrincipal": principal})  # fmt: skip
    assert len(grants(kms, key)) == count


def test_principals_of_the_partition(server, account):
    kms = server.client(account, support.CHINA)
    key = create(kms)
    grant(kms, key, account, GranteePrincipal=user(account, partition="aws-cn"))
    [entry] = grants(kms, key)
    assert entry["IssuingAccount"] == f"arn:aws-cn:iam::{account}:root"
    refused(kms.create_grant, "InvalidArnException", NOT_A_PRINCIPAL, KeyId=key["KeyId"],
            Operations=["Decrypt"], GranteePrincipal=user(account))  # fmt: skip


@pytest.mark.parametrize("member", ["EncryptionContextEquals", "EncryptionContextSubset"])
def test_limits_of_constraints(kms, key, account, member):
    good = [{}, {"k": ""}, {f"k{n}": "v" for n in range(8)}, {"k": "v" * 384}, {"k": "ü" * 384}]
    for pairs in good:
        made = grant(kms, key, account, Constraints={member: pairs})
        [entry] = grants(kms, key, GrantId=made["GrantId"])
        assert entry["Constraints"] == {member: pairs}
    request = {"KeyId": key["KeyId"], "GranteePrincipal": user(account), "Operations": ["Decrypt"]}
    for pairs in ({f"k{n}": "v" for n in range(9)}, {"k": "v" * 385}, {"a": "b", "k": "ü" * 385}):
        for dry in (False, True):
            refused(kms.create_grant, "ValidationException", None,
                    Constraints={member: pairs}, DryRun=dry, **request)  # fmt: skip
    assert len(grants(kms, key)) == len(good)


@pytest.mark.parametrize(
    ("spec", "usage"), [pair for pair in SENSE if pair[0] != "SYMMETRIC_DEFAULT"]
)
def test_constraints_are_for_symmetric_keys(kms, account, spec, usage):
    key = create(kms, KeySpec=spec, KeyUsage=usage)
    for member in ("EncryptionContextEquals", "EncryptionContextSubset"):
        refused(kms.create_grant, "ValidationException", None, KeyId=key["KeyId"],
                GranteePrincipal=user(account), Operations=["DescribeKey"],
                Constraints={member: {"a": "b"}})  # fmt: skip
    assert grants(kms, key) == []


# Names and tokens.


def test_without_a_name_every_call_makes_a_grant(kms, key, account):
    made = [grant(kms, key, account) for _ in range(3)]
    assert len({each["GrantId"] for each in made}) == 3
    assert len({each["GrantToken"] for each in made}) == 3
    assert {entry["GrantId"] for entry in grants(kms, key)} == {each["GrantId"] for each in made}


def test_a_name_makes_a_repetition_the_same_grant(kms, key, account):
    same = {"Name": "n", "Operations": ["Encrypt", "Decrypt"], "RetiringPrincipal": user(account, "bob"),
            "Constraints": {"EncryptionContextSubset": {"a": "b", "c": "d"}}}  # fmt: skip
    first = grant(kms, key, account, **same)
    again = grant(kms, key, account, **same)
    assert again["GrantId"] == first["GrantId"]
    assert again["GrantToken"] != first["GrantToken"]
    reordered = same | {"Operations": ["Decrypt", "Encrypt"],
                        "Constraints": {"EncryptionContextSubset": {"c": "d", "a": "b"}}}  # fmt: skip
    assert grant(kms, key, account, **reordered)["GrantId"] == first["GrantId"]
    assert len(grants(kms, key)) == 1
    for change in ({"Name": "N"}, {"Operations": ["Decrypt"]}, {"GranteePrincipal": user(account, "x")},
                   {"RetiringPrincipal": user(account, "x")},
                   {"Constraints": {"EncryptionContextEquals": {"a": "b", "c": "d"}}},
                   {"Constraints": {"EncryptionContextSubset": {"a": "B", "c": "d"}}}):  # fmt: skip
        assert grant(kms, key, account, **same | change)["GrantId"] != first["GrantId"]
    assert len(grants(kms, key)) == 7
    # On another key it is another grant.
    elsewhere = create(kms)
    assert grant(kms, elsewhere, account, **same)["GrantId"] != first["GrantId"]
    # The tokens are interchangeable: the second ends what the first call made.
    kms.retire_grant(GrantToken=again["GrantToken"])
    assert first["GrantId"] not in {entry["GrantId"] for entry in grants(kms, key)}
    refused(kms.retire_grant, "InvalidGrantTokenException", None, GrantToken=first["GrantToken"])
    # A name whose grant is gone begins anew.
    assert grant(kms, key, account, **same)["GrantId"] != first["GrantId"]


def test_tokens_of_living_grants_are_accepted_and_others_not(kms, key, account):
    made = grant(kms, key, account)
    token = made["GrantToken"]
    flipped = "A" if token[0] != "A" else "B"
    for good in ([token], [token] * 10, []):
        assert kms.describe_key(KeyId=key["KeyId"], GrantTokens=good)["KeyMetadata"] == key
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p", GrantTokens=good)
    # It may be of another grant, even on another key: it then adds nothing.
    stranger = grant(kms, create(kms), account)["GrantToken"]
    kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p", GrantTokens=[token, stranger])
    bad = [
        flipped + token[1:],
        token[:-8],
        token + "AAAA",
        token + "=",
        token * 2,
        made["GrantId"],
        "x",
    ]
    for wrong in bad:
        for tokens in ([wrong], [token, wrong]):
            refused(kms.encrypt, "InvalidGrantTokenException", None,
                    KeyId=key["KeyId"], Plaintext=b"p", GrantTokens=tokens)  # fmt: skip
        refused(kms.retire_grant, "InvalidGrantTokenException", None, GrantToken=wrong)
    refused(kms.encrypt, "ValidationException", None,
            KeyId=key["KeyId"], Plaintext=b"p", GrantTokens=[token] * 11)  # fmt: skip
    kms.revoke_grant(KeyId=key["KeyId"], GrantId=made["GrantId"])
    refused(kms.encrypt, "InvalidGrantTokenException", None,
            KeyId=key["KeyId"], Plaintext=b"p", GrantTokens=[token])  # fmt: skip
    request = {"KeyId": key["KeyId"], "GranteePrincipal": user(account), "Operations": ["Decrypt"]}
    refused(kms.create_grant, "InvalidGrantTokenException", None, GrantTokens=[token], **request)


def test_grants_and_tokens_outlive_a_restart(own_server, account):
    kms = own_server.client(account)
    key = create(kms)
    made = grant(kms, key, account, Name="n", RetiringPrincipal=support.root_arn(account))
    before = grants(kms, key)
    own_server.restart()
    kms = own_server.client(account)
    assert grants(kms, key) == before
    kms.describe_key(KeyId=key["KeyId"], GrantTokens=[made["GrantToken"]])
    assert (
        grant(kms, key, account, Name="n", RetiringPrincipal=support.root_arn(account))["GrantId"]
        == made["GrantId"]
    )
    kms.retire_grant(GrantToken=made["GrantToken"])
    assert grants(kms, key) == []


# Retiring and revoking.


def test_the_issuing_account_retires_by_token_or_ids(kms, key, account, server):
    by_token, by_ids, by_arn = (grant(kms, key, account) for _ in range(3))
    answer = server.post("RetireGrant", {"GrantToken": by_token["GrantToken"]}, account=account)
    assert (answer.status, answer.body) == (200, b"")
    kms.retire_grant(KeyId=key["KeyId"], GrantId=by_ids["GrantId"])
    assert [entry["GrantId"] for entry in grants(kms, key)] == [by_arn["GrantId"]]
    kms.retire_grant(KeyId=key["Arn"], GrantId=by_arn["GrantId"])
    assert grants(kms, key) == []
    refused(kms.retire_grant, "InvalidGrantTokenException", None, GrantToken=by_token["GrantToken"])
    refused(
        kms.retire_grant, "NotFoundException", None, KeyId=key["KeyId"], GrantId=by_ids["GrantId"]
    )


def test_what_retire_grant_must_be_given(kms, key, account):
    made = grant(kms, key, account)
    for request in ({}, {"KeyId": key["KeyId"]}, {"GrantId": made["GrantId"]}):
        refused(kms.retire_grant, "ValidationException", None, **request)
    for malformed in (
        made["GrantId"][:-1],
        made["GrantId"].upper() + "0",
        "g" * 64,
        "a" * 65,
        "A" * 64,
    ):
        request = {"KeyId": key["KeyId"], "GrantId": malformed}
        refused(kms.retire_grant, "InvalidGrantIdException", None, **request)
        refused(kms.revoke_grant, "InvalidGrantIdException", None, **request)
        refused(kms.list_grants, "InvalidGrantIdException", None, **request)
    refused(kms.retire_grant, "NotFoundException", None, KeyId=key["KeyId"], GrantId=UNKNOWN)
    refused(kms.retire_grant, "NotFoundException", f"Key '{support.key_arn(account, support.ABSENT_KEY)}' does not exist",
            KeyId=support.ABSENT_KEY, GrantId=made["GrantId"])  # fmt: skip
    # The grant of another key is not a grant of this one.
    refused(
        kms.retire_grant,
        "NotFoundException",
        None,
        KeyId=create(kms)["KeyId"],
        GrantId=made["GrantId"],
    )
    assert len(grants(kms, key)) == 1


def test_who_of_another_account_may_retire(kms, key, account, other):
    stranger, number = other
    retirable = [
        grant(kms, key, account, RetiringPrincipal=support.root_arn(number)) for _ in range(2)
    ]
    stranger.retire_grant(GrantToken=retirable[0]["GrantToken"])
    stranger.retire_grant(KeyId=key["Arn"], GrantId=retirable[1]["GrantId"])
    assert grants(kms, key) == []
    as_grantee = grant(kms, key, account, GranteePrincipal=support.root_arn(number),
                       Operations=["Decrypt", "RetireGrant"])  # fmt: skip
    stranger.retire_grant(GrantToken=as_grantee["GrantToken"])
    assert grants(kms, key) == []

    closed = [
        grant(kms, key, account),
        grant(kms, key, account, GranteePrincipal=support.root_arn(number)),
        # A user is not the root of its account.
        grant(kms, key, account, RetiringPrincipal=user(number)),
        grant(kms, key, account, GranteePrincipal=user(number), Operations=["RetireGrant"]),
    ]
    for made in closed:
        refused(stranger.retire_grant, "AccessDeniedException", None, GrantToken=made["GrantToken"])
        refused(stranger.retire_grant, "AccessDeniedException", None,
                GrantToken=made["GrantToken"], DryRun=True)  # fmt: skip
        # Nor is it told whether key and grant exist.
        texts = {
            refused(stranger.retire_grant, "AccessDeniedException", None, KeyId=arn, GrantId=made["GrantId"])
            .replace(arn, "<arn>")
            for arn in (key["Arn"], support.key_arn(account, support.ABSENT_KEY))
        }  # fmt: skip
        refused(
            stranger.retire_grant, "AccessDeniedException", None, KeyId=key["Arn"], GrantId=UNKNOWN
        )
        assert len(texts) == 1
        refused(stranger.retire_grant, "NotFoundException",
                f"Key '{support.key_arn(number, key['KeyId'])}' does not exist",
                KeyId=key["KeyId"], GrantId=made["GrantId"])  # fmt: skip
    assert len(grants(kms, key)) == 4


def test_a_token_counts_in_its_region_alone(server, kms, key, account):
    made = grant(kms, key, account)
    elsewhere = server.client(account, "eu-west-1")
    refused(
        elsewhere.retire_grant, "InvalidGrantTokenException", None, GrantToken=made["GrantToken"]
    )
    refused(elsewhere.retire_grant, "NotFoundException", "Invalid arn us-east-1",
            KeyId=key["Arn"], GrantId=made["GrantId"])  # fmt: skip
    assert len(grants(kms, key)) == 1


def test_revoke_grant(server, kms, key, account, other):
    made, kept = grant(kms, key, account), grant(kms, key, account)
    refused(kms.revoke_grant, "NotFoundException", None, KeyId=key["KeyId"], GrantId=UNKNOWN)
    refused(
        kms.revoke_grant,
        "NotFoundException",
        None,
        KeyId=create(kms)["KeyId"],
        GrantId=made["GrantId"],
    )
    refused(kms.revoke_grant, "InvalidArnException", support.NO_ALIASES,
            KeyId="alias/a", GrantId=made["GrantId"])  # fmt: skip
    # Who may retire a grant may not therefore revoke it.
    retirable = grant(kms, key, account, RetiringPrincipal=support.root_arn(other[1]))
    refused(other[0].revoke_grant, "AccessDeniedException",
            support.not_on_this_resource(other[1], "RevokeGrant"),
            KeyId=key["Arn"], GrantId=retirable["GrantId"])  # fmt: skip
    assert len(grants(kms, key)) == 3
    answer = server.post(
        "RevokeGrant", {"KeyId": key["KeyId"], "GrantId": made["GrantId"]}, account=account
    )
    assert (answer.status, answer.body) == (200, b"")
    kms.revoke_grant(KeyId=key["Arn"], GrantId=retirable["GrantId"])
    assert [entry["GrantId"] for entry in grants(kms, key)] == [kept["GrantId"]]
    refused(
        kms.revoke_grant, "NotFoundException", None, KeyId=key["KeyId"], GrantId=made["GrantId"]
    )


def test_dry_runs_change_nothing(kms, key, account):
    made = grant(kms, key, account, Name="n")
    ids = {"KeyId": key["KeyId"], "GrantId": made["GrantId"]}
    request = {"KeyId": key["KeyId"], "GranteePrincipal": user(account), "Operations": ["Decrypt"]}
    for call, sent in ((kms.create_grant, request), (kms.create_grant, request | {"Name": "n"}),
                       (kms.retire_grant, ids), (kms.retire_grant, {"GrantToken": made["GrantToken"]}),
                       (kms.revoke_grant, ids)):  # fmt: skip
        refused(call, "DryRunOperationException", DRY_RUN, DryRun=True, **sent)
    unknown = ids | {"GrantId": UNKNOWN, "DryRun": True}
    refused(kms.retire_grant, "NotFoundException", None, **unknown)
    refused(kms.revoke_grant, "NotFoundException", None, **unknown)
    assert [entry["GrantId"] for entry in grants(kms, key)] == [made["GrantId"]]


def test_key_states(kms, account):
    key = create(kms)
    made = [grant(kms, key, account) for _ in range(4)]
    request = {"KeyId": key["KeyId"], "GranteePrincipal": user(account), "Operations": ["Decrypt"]}
    kms.disable_key(KeyId=key["KeyId"])
    refused(kms.create_grant, "DisabledException", f"{key['Arn']} is disabled.", **request)
    kms.revoke_grant(KeyId=key["KeyId"], GrantId=made[0]["GrantId"])
    kms.retire_grant(GrantToken=made[1]["GrantToken"])
    kms.schedule_key_deletion(KeyId=key["KeyId"])
    text = f"{key['Arn']} is pending deletion."
    refused(kms.create_grant, "KMSInvalidStateException", text, **request)
    assert len(grants(kms, key)) == 2
    kms.revoke_grant(KeyId=key["KeyId"], GrantId=made[2]["GrantId"])
    kms.retire_grant(GrantToken=made[3]["GrantToken"])
    assert grants(kms, key) == []
    external = create(kms, Origin="EXTERNAL")
    refused(kms.create_grant, "KMSInvalidStateException", f"{external['Arn']} is pending import.",
            **request | {"KeyId": external["KeyId"]})  # fmt: skip


def test_keys_of_other_accounts(key, other, account):
    stranger, number = other
    for operation, more in (
        ("CreateGrant", {"GranteePrincipal": user(account), "Operations": ["Decrypt"]}),
        ("ListGrants", {}), ("RevokeGrant", {"GrantId": UNKNOWN}),
    ):  # fmt: skip
        call = getattr(stranger, support.snake(operation))
        text = support.not_on_this_resource(number, operation)
        for arn in (key["Arn"], support.key_arn(account, support.ABSENT_KEY)):
            refused(call, "AccessDeniedException", text, KeyId=arn, **more)


# Lists.


def pages(call, **parameters):
    """All pages, each checked for its form."""
    marker = {}
    while True:
        page = support.body(call(**parameters, **marker))
        assert set(page) == {"Grants", "Truncated"} | (
            {"NextMarker"} if page["Truncated"] else set()
        )
        yield page["Grants"]
        if not page["Truncated"]:
            return
        marker = {"Marker": page["NextMarker"]}


def test_list_grants(kms, key, account):
    assert support.body(kms.list_grants(KeyId=key["KeyId"])) == {"Grants": [], "Truncated": False}
    made = [grant(kms, key, account, GranteePrincipal=user(account, "ab"[n % 2]))["GrantId"]
            for n in range(53)]  # fmt: skip
    grant(kms, create(kms), account)
    first = kms.list_grants(KeyId=key["KeyId"])
    assert (len(first["Grants"]), first["Truncated"]) == (50, True)
    for limit in (1, 7, 50, 53, 100):
        listed = list(pages(kms.list_grants, KeyId=key["KeyId"], Limit=limit))
        assert all(len(page) <= limit for page in listed)
        assert [entry["GrantId"] for page in listed for entry in page] == sorted(made)
    assert "GrantToken" not in {name for entry in first["Grants"] for name in entry}

    for name, expected in (("a", made[::2]), ("b", made[1::2]), ("c", [])):
        filtered = {"KeyId": key["KeyId"], "GranteePrincipal": user(account, name)}
        for limit in (3, 100):
            listed = [
                entry for page in pages(kms.list_grants, Limit=limit, **filtered) for entry in page
            ]
            assert [entry["GrantId"] for entry in listed] == sorted(expected)
        both = kms.list_grants(GrantId=made[0], **filtered)["Grants"]
        assert len(both) == (name == "a")
    assert [entry["GrantId"] for entry in grants(kms, key, GrantId=made[5])] == [made[5]]


def test_markers_and_limits_of_list_grants(server, kms, key, account):
    for _ in range(3):
        grant(kms, key, account)
    elsewhere = create(kms)
    marker = kms.list_grants(KeyId=key["KeyId"], Limit=1)["NextMarker"]
    wrong = [{"KeyId": elsewhere["KeyId"], "Marker": marker},
             {"KeyId": key["KeyId"], "Marker": marker, "GranteePrincipal": user(account)}]  # fmt: skip
    for bad in ("nonsense", marker[:-1], marker + "A"):
        wrong.append({"KeyId": key["KeyId"], "Marker": bad})
    for request in wrong:
        refused(kms.list_grants, "InvalidMarkerException",
                f"Could not deserialize marker '{request['Marker']}'", **request)  # fmt: skip
    refused(kms.list_keys, "InvalidMarkerException", None, Marker=marker)
    root = support.root_arn(account)
    refused(
        kms.list_retirable_grants,
        "InvalidMarkerException",
        None,
        RetiringPrincipal=root,
        Marker=marker,
    )
    for limit in (0, 101, 1001):
        for name in (key["KeyId"], support.ABSENT_KEY):
            answer = server.post("ListGrants", {"KeyId": name, "Limit": limit}, account=account)
            assert answer.kind() == "ValidationException", (limit, name, answer)
        answer = server.post(
            "ListRetirableGrants", {"RetiringPrincipal": root, "Limit": limit}, account=account
        )
        assert answer.kind() == "ValidationException"


def test_retirable_grants_on_keys_of_any_account(server, kms, account, other):
    retirer, number = other
    third = server.client(support.new_account())
    root = support.root_arn(number)
    expected = set()
    for client in (kms, third, retirer):
        for key in (create(client), create(client)):
            for _ in range(2):
                expected.add(grant(client, key, account, RetiringPrincipal=root)["GrantId"])
            # Not these: of another principal, of its user, of none.
            grant(client, key, number, RetiringPrincipal=support.root_arn(account))
            grant(client, key, number, RetiringPrincipal=user(number))
            grant(client, key, number)
    assert len(expected) == 12
    for limit in (1, 5, 100):
        listed = [entry for page in pages(retirer.list_retirable_grants, RetiringPrincipal=root, Limit=limit)
                  for entry in page]  # fmt: skip
        assert sorted(entry["GrantId"] for entry in listed) == sorted(expected)
    assert {entry["RetiringPrincipal"] for entry in listed} == {root}
    assert len({entry["KeyId"] for entry in listed}) == 6
    assert len({entry["IssuingAccount"] for entry in listed}) == 3
    # What is listed can be retired, and is then no longer listed.
    for entry in listed:
        retirer.retire_grant(KeyId=entry["KeyId"], GrantId=entry["GrantId"])
    assert retirer.list_retirable_grants(RetiringPrincipal=root)["Grants"] == []
    assert len(retirer.list_retirable_grants(RetiringPrincipal=user(number))["Grants"]) == 6
    # Grants of another Region are listed there.
    far = server.client(account, "eu-west-1")
    grant(far, create(far), account, RetiringPrincipal=root)
    assert retirer.list_retirable_grants(RetiringPrincipal=root)["Grants"] == []
    assert (
        len(
            server.client(number, "eu-west-1").list_retirable_grants(RetiringPrincipal=root)[
                "Grants"
            ]
        )
        == 1
    )


def test_retirable_grants_of_a_principal_with_a_similar_name(kms, key, account):
    grant(kms, key, account, RetiringPrincipal=user(account, "alice2"))
    assert kms.list_retirable_grants(RetiringPrincipal=user(account))["Grants"] == []


def test_retirable_grants_refused(kms, account, other):
    for principal in refused_principals(account):
        refused(kms.list_retirable_grants, "InvalidArnException", None, RetiringPrincipal=principal)
    for principal in (support.root_arn(other[1]), user(other[1])):
        refused(
            kms.list_retirable_grants, "AccessDeniedException", None, RetiringPrincipal=principal
        )


# The end of a key.


def test_a_deleted_key_takes_its_grants_along(own_server, account):
    kms = own_server.client(account)
    doomed, kept = create(kms), create(kms)
    root = support.root_arn(account)
    # More than one commit of the sweep deletes.
    made = [grant(kms, doomed, account, Name=f"n{n}", RetiringPrincipal=root) for n in range(90)]
    stays = grant(kms, kept, account, RetiringPrincipal=root)
    kms.schedule_key_deletion(KeyId=doomed["KeyId"], PendingWindowInDays=7)
    own_server.advance(7 * 86400 + 60)

    def gone():
        listed = kms.list_retirable_grants(RetiringPrincipal=root, Limit=100)["Grants"]
        assert [entry["GrantId"] for entry in listed] == [stays["GrantId"]]
        missing = f"Key '{doomed['Arn']}' does not exist"
        refused(kms.list_grants, "NotFoundException", missing, KeyId=doomed["KeyId"])
        refused(kms.retire_grant, "NotFoundException", missing,
                KeyId=doomed["KeyId"], GrantId=made[0]["GrantId"])  # fmt: skip
        for each in (made[0], made[-1]):
            refused(
                kms.retire_grant, "InvalidGrantTokenException", None, GrantToken=each["GrantToken"]
            )
        kms.describe_key(KeyId=kept["KeyId"], GrantTokens=[stays["GrantToken"]])

    gone()
    own_server.restart()
    kms = own_server.client(account)
    gone()


def test_a_grant_of_grants_alone(kms, account):
    request = {"KeyId": create(kms)["KeyId"], "GranteePrincipal": f"arn:aws:iam::{account}:user/a"}
    refused(kms.create_grant, "ValidationException",
            "Grants must not contain only the CreateGrant operation.",
            Operations=["CreateGrant"], **request)  # fmt: skip
    assert kms.list_grants(KeyId=request["KeyId"])["Grants"] == []
    kms.create_grant(Operations=["CreateGrant", "Encrypt"], **request)
