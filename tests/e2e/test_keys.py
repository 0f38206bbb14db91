"""Keys: creation, metadata, states, deletion, tags, identifiers, worlds."""

import datetime
import re

import pytest

import support
from support import ABSENT_KEY, ABSENT_MULTI_REGION_KEY, create, key_arn, refused

HEX64 = re.compile(r"[0-9a-f]{64}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MULTI_REGION_ID = re.compile(r"mrk-[0-9a-f]{32}")
PLAIN_MEMBERS = {
    "AWSAccountId", "Arn", "CreationDate", "CustomerMasterKeySpec", "Description", "Enabled",
    "KeyId", "KeyManager", "KeySpec", "KeyState", "KeyUsage", "MultiRegion", "Origin",
    "EncryptionAlgorithms",
}  # fmt: skip

ANYONE = '{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}'

# Operations that take KeyId as key id or key ARN alone, with a request that works otherwise.
BY_ID_OR_ARN = {
    "CancelKeyDeletion": {},
    "DisableKey": {},
    "EnableKey": {},
    "GetKeyPolicy": {},
    "ListKeyPolicies": {},
    "ListResourceTags": {},
    "PutKeyPolicy": {"Policy": ANYONE},
    "ScheduleKeyDeletion": {},
    "TagResource": {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
    "UntagResource": {"TagKeys": ["a"]},
    "UpdateKeyDescription": {"Description": "d"},
}
# Operations that take all four forms.
BY_ANY_NAME = {
    "DescribeKey": {},
    "Encrypt": {"Plaintext": b"p"},
    "GenerateDataKey": {"KeySpec": "AES_256"},
    "GenerateDataKeyWithoutPlaintext": {"KeySpec": "AES_256"},
    "GenerateDataKeyPair": {"KeyPairSpec": "ECC_NIST_P256"},
    "GenerateDataKeyPairWithoutPlaintext": {"KeyPairSpec": "ECC_NIST_P256"},
}
EVERY = BY_ID_OR_ARN | BY_ANY_NAME


def call(kms, operation, key, **extra):
    return getattr(kms, support.snake(operation)), {"KeyId": key} | EVERY[operation] | extra


def state(kms, key):
    return kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]


# CreateKey and DescribeKey.


def test_a_plain_key_has_exactly_these_members(kms, account):
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=2)
    key = create(kms)
    after = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    assert set(key) == PLAIN_MEMBERS | {"CurrentKeyMaterialId"}
    assert UUID.fullmatch(key["KeyId"])
    assert HEX64.fullmatch(key["CurrentKeyMaterialId"])
    assert before <= key["CreationDate"] <= after
    expected = {
        "AWSAccountId": account, "Arn": key_arn(account, key["KeyId"]), "Description": "",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT", "KeySpec": "SYMMETRIC_DEFAULT",
        "Enabled": True, "KeyManager": "CUSTOMER", "KeyState": "Enabled",
        "KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": False, "Origin": "AWS_KMS",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
    }  # fmt: skip
    assert {name: key[name] for name in expected} == expected
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == key


def test_a_key_with_everything_given(kms):
    key = create(
        kms, KeySpec="SYMMETRIC_DEFAULT", KeyUsage="ENCRYPT_DECRYPT", Origin="AWS_KMS",
        Description="für alles", MultiRegion=False, Tags=[{"TagKey": "k", "TagValue": ""}],
    )  # fmt: skip
    assert key["Description"] == "für alles"
    assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"] == [{"TagKey": "k", "TagValue": ""}]
    assert create(kms, CustomerMasterKeySpec="SYMMETRIC_DEFAULT")["KeySpec"] == "SYMMETRIC_DEFAULT"


def test_an_external_key_waits_for_its_material(kms):
    key = create(kms, Origin="EXTERNAL")
    assert set(key) == PLAIN_MEMBERS
    assert (key["KeyState"], key["Enabled"], key["Origin"]) == ("PendingImport", False, "EXTERNAL")


def test_a_multi_region_key(kms, account):
    key = create(kms, MultiRegion=True)
    assert MULTI_REGION_ID.fullmatch(key["KeyId"])
    assert set(key) == PLAIN_MEMBERS | {"CurrentKeyMaterialId", "MultiRegionConfiguration"}
    assert key["MultiRegion"] is True
    assert key["MultiRegionConfiguration"] == {
        "MultiRegionKeyType": "PRIMARY",
        "PrimaryKey": {"Arn": key_arn(account, key["KeyId"]), "Region": support.REGION},
        "ReplicaKeys": [],
    }
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["KeyId"] == key["Arn"]


CREATE_ERRORS = {
    "usage missing": ({"KeySpec": "RSA_2048"}, "ValidationException",
        "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."),
    "usage unfit": ({"KeySpec": "RSA_2048", "KeyUsage": "KEY_AGREEMENT"}, "ValidationException",
        "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048"),
    "usage unfit, symmetric": ({"KeyUsage": "SIGN_VERIFY"}, "ValidationException",
        "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT"),
    "both spec members": (
        {"KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT"},
        "ValidationException",
        "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
        "CustomerMasterKeySpec is deprecated."),
    "reserved tag": ({"Tags": [{"TagKey": "AWS:x", "TagValue": "v"}]}, "TagException",
        "Tags beginning with aws: are reserved"),
    "tag twice": ({"Tags": [{"TagKey": "x", "TagValue": "v"}] * 2}, "TagException",
        "Duplicate tag keys"),
    "51 tags": ({"Tags": [{"TagKey": f"k{n}", "TagValue": "v"} for n in range(51)]},
        "TagException", "Too many tags"),
    "cloudhsm without store": ({"Origin": "AWS_CLOUDHSM"}, None, None),
    "store of unknown id": ({"CustomKeyStoreId": "cks-1234567890abcdef0"}, None, None),
    "external store without key": ({"Origin": "EXTERNAL_KEY_STORE"}, None, None),
    "xks key without store": ({"XksKeyId": "x"}, None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CREATE_ERRORS)
def test_create_errors(server, account, kms, name):
    request, code, message = CREATE_ERRORS[name]
    answer = server.post("CreateKey", request, account=account)
    assert answer.status == 400
    if code:
        assert answer.json() == {"__type": code, "message": message}
    assert kms.list_keys()["Keys"] == [], "a refused CreateKey left a key"


def test_fifty_tags_are_accepted(kms):
    tags = [{"TagKey": f"k{n:02}", "TagValue": "v"} for n in range(50)]
    key = create(kms, Tags=tags)
    assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"] == tags
    kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "k00", "TagValue": "new"}])
    with pytest.raises(kms.exceptions.ClientError) as caught:
        kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "k50", "TagValue": "v"}])
    assert caught.value.response["Error"]["Code"] in ("TagException", "LimitExceededException")
    assert len(kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]) == 50


# Identifiers.


@pytest.mark.parametrize("operation", EVERY)
def test_unknown_and_malformed_ids(kms, account, operation):
    absent = {
        ABSENT_KEY: f"Key '{key_arn(account, ABSENT_KEY)}' does not exist",
        ABSENT_MULTI_REGION_KEY: (
            f"Key '{key_arn(account, ABSENT_MULTI_REGION_KEY)}' does not exist"
        ),
        key_arn(account, ABSENT_KEY): f"Key '{key_arn(account, ABSENT_KEY)}' does not exist",
        "134f2428cec14b25a1ae9048164dba47": "Invalid keyId '134f2428cec14b25a1ae9048164dba47'",
        "mrk-fake-key-id": "Invalid keyId 'mrk-fake-key-id'",
        "nonsense": "Invalid keyId 'nonsense'",
        key_arn(account, "nonsense"): "Invalid keyId nonsense",
        key_arn(account, "nonsense", "eu-west-1"): "Invalid arn eu-west-1",
        ABSENT_KEY.upper(): f"Key '{key_arn(account, ABSENT_KEY.upper())}' does not exist",
        key_arn(account, ABSENT_KEY.upper()): (
            f"Key '{key_arn(account, ABSENT_KEY.upper())}' does not exist"
        ),
        key_arn(account, ABSENT_KEY, "eu-west-1"): "Invalid arn eu-west-1",
    }
    for name, message in absent.items():
        method, request = call(kms, operation, name)
        refused(method, "NotFoundException", message, **request)


@pytest.mark.parametrize("operation", EVERY)
def test_malformed_arns(kms, account, operation):
    for name in (
        f"arn:aws:s3:us-east-1:{account}:key/{ABSENT_KEY}",
        "arn:aws:kms",
        f"arn:aws:kms:us-east-1:{account}:thing/{ABSENT_KEY}",
        f"arn:aws-cn:kms:us-east-1:{account}:key/{ABSENT_KEY}",
    ):
        method, request = call(kms, operation, name)
        with pytest.raises(kms.exceptions.ClientError) as caught:
            method(**request)
        assert caught.value.response["Error"]["Code"] in (
            "InvalidArnException",
            "NotFoundException",
        )


@pytest.mark.parametrize("operation", EVERY)
def test_keys_of_other_accounts_do_not_show(server, account, operation):
    """An existing and an absent key of another account answer alike."""
    owner = support.new_account()
    theirs = create(server.client(owner))
    answers = []
    for arn in (theirs["Arn"], key_arn(owner, ABSENT_KEY)):
        request = {"KeyId": arn} | EVERY[operation]
        if "Plaintext" in request:
            request["Plaintext"] = support.b64(request["Plaintext"])
        answer = server.post(operation, request, account=account)
        assert answer.status == 400
        assert answer.json() == {
            "__type": "AccessDeniedException",
            "Message": support.not_on_this_resource(account, operation),
        }
        answers.append(answer.body)
    assert answers[0] == answers[1]
    assert state(server.client(owner), theirs) == "Enabled"


@pytest.mark.parametrize("operation", BY_ANY_NAME)
def test_all_four_names(kms, account, key, operation):
    kms.create_alias(AliasName="alias/Four/names_1-", TargetKeyId=key["KeyId"])
    arn = support.alias_arn(account, "alias/Four/names_1-")
    for name in (key["KeyId"], key["Arn"], "alias/Four/names_1-", arn):
        method, request = call(kms, operation, name)
        answer = method(**request)
        shown = answer["KeyMetadata"]["Arn"] if operation == "DescribeKey" else answer["KeyId"]
        assert shown == key["Arn"]


@pytest.mark.parametrize("operation", BY_ANY_NAME)
def test_unknown_aliases(kms, account, operation):
    arn = support.alias_arn(account, "alias/none")
    for name in ("alias/none", arn):
        method, request = call(kms, operation, name)
        refused(method, "NotFoundException", f"Alias {arn} is not found.", **request)


@pytest.mark.parametrize("operation", BY_ID_OR_ARN)
def test_aliases_are_no_key_ids(kms, key, operation):
    kms.create_alias(AliasName="alias/a", TargetKeyId=key["KeyId"])
    method, request = call(kms, operation, "alias/a")
    refused(method, "InvalidArnException", support.NO_ALIASES, **request)
    method, request = call(kms, operation, support.alias_arn(key["AWSAccountId"], "alias/a"))
    refused(method, "InvalidArnException", support.NO_ALIASES, **request)
    assert state(kms, key) == "Enabled"


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-3", "cn-north-1", "cn-northwest-1",
                                    "us-gov-east-1", "us-gov-west-1"])  # fmt: skip
def test_partition_follows_the_region(server, account, region):
    kms = server.client(account, region)
    key = create(kms)
    partition = support.partition(region)
    assert key["Arn"] == f"arn:{partition}:kms:{region}:{account}:key/{key['KeyId']}"
    kms.create_alias(AliasName="alias/a", TargetKeyId=key["KeyId"])
    for entry in kms.list_aliases()["Aliases"]:
        assert entry["AliasArn"].startswith(f"arn:{partition}:kms:{region}:{account}:alias/")
    policy = kms.get_key_policy(KeyId=key["KeyId"])["Policy"]
    assert f'"arn:{partition}:iam::{account}:root"' in policy
    missing = f"Key 'arn:{partition}:kms:{region}:{account}:key/{ABSENT_KEY}' does not exist"
    refused(kms.describe_key, "NotFoundException", missing, KeyId=ABSENT_KEY)


def test_worlds_are_apart(server, account):
    """Each account and Region has its own keys and aliases."""
    here, there = server.client(account), server.client(account, "eu-west-1")
    other = server.client(support.new_account())
    mine = create(here)
    here.create_alias(AliasName="alias/a", TargetKeyId=mine["KeyId"])
    for kms, region in ((there, "eu-west-1"), (other, support.REGION)):
        assert kms.list_keys()["Keys"] == []
        assert support.own_aliases(kms) == []
        refused(kms.describe_key, "NotFoundException", None, KeyId=mine["KeyId"])
        refused(kms.describe_key, "NotFoundException", None, KeyId="alias/a")
        theirs = create(kms)
        kms.create_alias(AliasName="alias/a", TargetKeyId=theirs["KeyId"])
        assert kms.describe_key(KeyId="alias/a")["KeyMetadata"]["Arn"] == theirs["Arn"]
        assert region in theirs["Arn"]
    assert here.describe_key(KeyId="alias/a")["KeyMetadata"]["Arn"] == mine["Arn"]


def test_any_other_access_key_is_account_zero(server):
    key = create(server.client("AKIDEXAMPLE", "ap-south-1"))
    assert key["AWSAccountId"] == "000000000000"


# States.


def test_disable_and_enable(kms, key):
    for _ in range(2):
        assert support.body(kms.disable_key(KeyId=key["KeyId"])) == {}
        found = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        assert (found["KeyState"], found["Enabled"]) == ("Disabled", False)
    for operation in set(BY_ANY_NAME) - {"DescribeKey"}:
        method, request = call(kms, operation, key["KeyId"])
        refused(method, "DisabledException", f"{key['Arn']} is disabled.", **request)
    for _ in range(2):
        assert support.body(kms.enable_key(KeyId=key["Arn"])) == {}
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == key


# Rows of the key-state table (behaviour.md 2.3) for the operations of this release: what each
# answers on a key Disabled, PendingDeletion and PendingImport.
STATE_TABLE = {
    "CancelKeyDeletion": ("N", None, "N"),
    "DisableKey": (None, "P", "I"),
    "EnableKey": (None, "P", "I"),
    "DescribeKey": (None, None, None),
    "Encrypt": ("D", "P", "I"),
    "GenerateDataKey": ("D", "P", "I"),
    "GenerateDataKeyPair": ("D", "P", "I"),
    "GenerateDataKeyPairWithoutPlaintext": ("D", "P", "I"),
    "GenerateDataKeyWithoutPlaintext": ("D", "P", "I"),
    "GetKeyPolicy": (None, None, None),
    "ListKeyPolicies": (None, None, None),
    "ListResourceTags": (None, None, None),
    "PutKeyPolicy": (None, None, None),
    "ScheduleKeyDeletion": (None, "P", None),
    "TagResource": (None, "P", None),
    "UntagResource": (None, "P", None),
    "UpdateKeyDescription": (None, "P", None),
}
STATE_ERRORS = {
    "D": ("DisabledException", "{} is disabled."),
    "P": ("KMSInvalidStateException", "{} is pending deletion."),
    "N": ("KMSInvalidStateException", "{} is not pending deletion."),
    "I": ("KMSInvalidStateException", "{} is pending import."),
}


@pytest.mark.parametrize(
    "column", [0, 1, 2], ids=["disabled", "pending-deletion", "pending-import"]
)
@pytest.mark.parametrize("operation", STATE_TABLE)
def test_state_table(kms, operation, column):
    key = create(kms, Origin="EXTERNAL" if column == 2 else "AWS_KMS")
    if column == 0:
        kms.disable_key(KeyId=key["KeyId"])
    elif column == 1:
        kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    method, request = call(kms, operation, key["KeyId"])
    if operation == "PutKeyPolicy":
        request["Policy"] = kms.get_key_policy(KeyId=key["KeyId"])["Policy"]
    before = state(kms, key)
    expected = STATE_TABLE[operation][column]
    if expected is None:
        method(**request)
    else:
        code, text = STATE_ERRORS[expected]
        refused(method, code, text.format(key["Arn"]), **request)
        assert state(kms, key) == before


def test_decrypt_and_reencrypt_follow_the_state(kms):
    keys = [create(kms) for _ in range(2)]
    blob = kms.encrypt(KeyId=keys[0]["KeyId"], Plaintext=b"p")["CiphertextBlob"]
    target = keys[1]["KeyId"]

    def both(code, text):
        refused(kms.decrypt, code, text, CiphertextBlob=blob)
        refused(kms.re_encrypt, code, text, CiphertextBlob=blob, DestinationKeyId=target)

    kms.disable_key(KeyId=keys[0]["KeyId"])
    both("DisabledException", f"{keys[0]['Arn']} is disabled.")
    kms.schedule_key_deletion(KeyId=keys[0]["KeyId"])
    both("KMSInvalidStateException", f"{keys[0]['Arn']} is pending deletion.")
    kms.cancel_key_deletion(KeyId=keys[0]["KeyId"])
    kms.enable_key(KeyId=keys[0]["KeyId"])
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"p"
    kms.disable_key(KeyId=target)
    refused(kms.re_encrypt, "DisabledException", f"{keys[1]['Arn']} is disabled.",
            CiphertextBlob=blob, DestinationKeyId=target)  # fmt: skip
    external = create(kms, Origin="EXTERNAL")
    refused(kms.re_encrypt, "KMSInvalidStateException", f"{external['Arn']} is pending import.",
            CiphertextBlob=blob, DestinationKeyId=external["KeyId"])  # fmt: skip


def test_update_description(kms, key):
    for text in ("first", "x" * 8192, "ünï", ""):
        assert support.body(kms.update_key_description(KeyId=key["KeyId"], Description=text)) == {}
        assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Description"] == text


# Deletion.


def test_schedule_and_cancel(kms, key):
    answer = kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert support.members(answer) == {"KeyId", "DeletionDate", "KeyState", "PendingWindowInDays"}
    assert answer["KeyId"] == key["Arn"]
    assert (answer["KeyState"], answer["PendingWindowInDays"]) == ("PendingDeletion", 7)
    found = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
    assert set(found) == set(key) | {"DeletionDate"}
    assert found["DeletionDate"] == answer["DeletionDate"]
    week = datetime.timedelta(days=7)
    distance = answer["DeletionDate"] - key["CreationDate"] - week
    assert datetime.timedelta(0) <= distance < datetime.timedelta(days=1)
    refused(kms.schedule_key_deletion, "KMSInvalidStateException",
            f"{key['Arn']} is pending deletion.", KeyId=key["KeyId"])  # fmt: skip
    assert support.body(kms.cancel_key_deletion(KeyId=key["KeyId"])) == {"KeyId": key["Arn"]}
    found = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
    assert set(found) == set(key)
    assert found["KeyState"] == "Disabled"
    refused(kms.cancel_key_deletion, "KMSInvalidStateException",
            f"{key['Arn']} is not pending deletion.", KeyId=key["KeyId"])  # fmt: skip
    assert kms.schedule_key_deletion(KeyId=key["KeyId"])["PendingWindowInDays"] == 30


def test_window_is_7_to_30_days(kms, key):
    for days in (1, 6, 31, 365):
        refused(kms.schedule_key_deletion, "ValidationException",
                "PendingWindowInDays must be between 7 and 30",
                KeyId=key["KeyId"], PendingWindowInDays=days)  # fmt: skip
    assert state(kms, key) == "Enabled"


def test_a_key_is_gone_when_its_day_has_come(own_server, account):
    kms = own_server.client(account)
    doomed, kept = create(kms), create(kms)
    kms.create_alias(AliasName="alias/doomed", TargetKeyId=doomed["KeyId"])
    kms.create_alias(AliasName="alias/kept", TargetKeyId=kept["KeyId"])
    blob = kms.encrypt(KeyId=doomed["KeyId"], Plaintext=b"p")["CiphertextBlob"]
    kms.schedule_key_deletion(KeyId=doomed["KeyId"], PendingWindowInDays=30)
    own_server.advance(30 * 86400 - 3600)
    assert state(kms, doomed) == "PendingDeletion"
    assert len(support.own_aliases(kms)) == 2
    own_server.advance(3600 + 60)

    def gone():
        missing = f"Key '{doomed['Arn']}' does not exist"
        refused(kms.describe_key, "NotFoundException", missing, KeyId=doomed["KeyId"])
        refused(kms.cancel_key_deletion, "NotFoundException", missing, KeyId=doomed["KeyId"])
        refused(kms.describe_key, "NotFoundException",
                f"Alias {support.alias_arn(account, 'alias/doomed')} is not found.",
                KeyId="alias/doomed")  # fmt: skip
        refused(kms.decrypt, "AccessDeniedException", support.not_on_this_ciphertext(account),
                CiphertextBlob=blob)  # fmt: skip
        assert [entry["AliasName"] for entry in support.own_aliases(kms)] == ["alias/kept"]
        assert [entry["KeyId"] for entry in kms.list_keys()["Keys"]] == [kept["KeyId"]]

    gone()
    kms.create_alias(AliasName="alias/doomed", TargetKeyId=kept["KeyId"])
    kms.delete_alias(AliasName="alias/doomed")
    assert state(kms, kept) == "Enabled"
    # The clock is the machine's again, the past is not undone for what was destroyed.
    own_server.restart()
    kms = own_server.client(account)
    with pytest.raises(kms.exceptions.ClientError):
        kms.decrypt(CiphertextBlob=blob)


def test_cancelled_deletion_stays_cancelled(own_server, account):
    kms = own_server.client(account)
    key = create(kms)
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p")["CiphertextBlob"]
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    kms.cancel_key_deletion(KeyId=key["KeyId"])
    own_server.advance(60 * 86400)
    kms.enable_key(KeyId=key["KeyId"])
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"p"


# Tags.


def test_tags(kms, key):
    listed = kms.list_resource_tags(KeyId=key["KeyId"])
    assert support.body(listed) == {"Tags": [], "Truncated": False}
    tags = [{"TagKey": name, "TagValue": f"v {name}"} for name in ("b", "A", "a", "z", "ä")]
    assert support.body(kms.tag_resource(KeyId=key["KeyId"], Tags=tags)) == {}
    expected = sorted(tags, key=lambda tag: tag["TagKey"])
    assert kms.list_resource_tags(KeyId=key["Arn"])["Tags"] == expected
    kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "a", "TagValue": "new"}])
    found = {tag["TagKey"]: tag["TagValue"] for tag in
             kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]}  # fmt: skip
    assert found == {tag["TagKey"]: tag["TagValue"] for tag in tags} | {"a": "new"}
    assert support.body(kms.untag_resource(KeyId=key["KeyId"], TagKeys=["a", "absent"])) == {}
    assert len(kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]) == 4


def test_tag_errors(kms, key):
    for name in ("aws:x", "AWS:x", "aWs:"):
        refused(kms.tag_resource, "TagException", "Tags beginning with aws: are reserved",
                KeyId=key["KeyId"], Tags=[{"TagKey": name, "TagValue": ""}])  # fmt: skip
    refused(kms.tag_resource, "TagException", "Duplicate tag keys",
            KeyId=key["KeyId"], Tags=[{"TagKey": "x", "TagValue": v} for v in "ab"])  # fmt: skip
    refused(
        kms.tag_resource, "ValidationException",
        f"1 validation error detected: Value '{'v' * 257}' at 'tags.1.member.tagValue' failed to "
        "satisfy constraint: Member must have length less than or equal to 256",
        KeyId=key["KeyId"], Tags=[{"TagKey": "k", "TagValue": "v" * 257}],
    )  # fmt: skip
    assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"] == []


# Concurrency.


def test_concurrent_tagging_loses_nothing(kms, key):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: kms.tag_resource(
            KeyId=key["KeyId"], Tags=[{"TagKey": f"t{n:02}", "TagValue": str(n)}]), range(40)))  # fmt: skip
    assert len(kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]) == 40


def test_key_ids_are_ascii(server, account):
    pattern = r"Member must satisfy regular expression pattern: ^\p{ASCII}+$"
    answer = server.post("DescribeKey", {"KeyId": "キー"}, account=account)
    assert answer.kind() == "ValidationException"
    assert answer.message() == (
        f"1 validation error detected: Value 'キー' at 'keyId' failed to satisfy constraint: {pattern}"
    )
    answer = server.post("GetPublicKey", {"KeyId": ""}, account=account)
    assert answer.message() == (
        "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must "
        "have length greater than or equal to 1; Value '' at 'keyId' failed to satisfy constraint: "
        + pattern
    )
