"""Quotas of resources and requests, and passing states, as they are set in the program."""

import re

import pytest

import interface
import support
from support import refused

THROTTLED = (
    "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."
)


@pytest.fixture
def configured(make_server, tmp_path):
    """A started server with a configuration file."""

    def start(text, environment=None):
        file = tmp_path / "keystead.toml"
        file.write_text(text)
        server = make_server(environment={"KEYSTEAD_CONFIG": str(file), **(environment or {})})
        return server.start()

    return start


def test_quotas_of_the_file(configured, account):
    server = configured(
        "[quotas]\nkeys = 2\naliases_per_key = 1\ngrants_per_key = 1\npolicy_bytes = 1000\n"
    )
    kms = server.client(account)
    key = support.create(kms)["KeyId"]
    support.create(kms)
    refused(kms.create_key, "LimitExceededException", re.compile("quota of 2"))
    support.create(server.client(account, "eu-west-1"))
    kms.create_alias(AliasName="alias/a", TargetKeyId=key)
    refused(kms.create_alias, "LimitExceededException", None, AliasName="alias/b", TargetKeyId=key)
    grant = {"KeyId": key, "GranteePrincipal": support.root_arn(account), "Operations": ["Decrypt"]}
    made = kms.create_grant(**grant)
    refused(kms.create_grant, "LimitExceededException", None, **grant)
    kms.revoke_grant(KeyId=key, GrantId=made["GrantId"])
    kms.create_grant(**grant)
    policy = kms.get_key_policy(KeyId=key)["Policy"]
    kms.put_key_policy(KeyId=key, Policy=policy.ljust(1000))
    refused(kms.put_key_policy, "LimitExceededException", None, KeyId=key,
            Policy=policy.ljust(1001))  # fmt: skip
    # A destroyed key makes room, also for a server that has counted anew.
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    server.restart()
    kms = server.client(account)
    refused(kms.create_key, "LimitExceededException")
    server.advance(8 * 86400)
    support.create(kms)
    refused(kms.create_key, "LimitExceededException")


def test_rates_of_the_file(configured, account):
    server = configured("[throttling]\nCreateKey = 0.01\nListKeys = 0.01\n")
    kms = server.client(account)
    key = support.create(kms)["KeyId"]
    refused(kms.create_key, "ThrottlingException", THROTTLED)
    kms.list_keys()
    refused(kms.list_keys, "ThrottlingException", THROTTLED)
    # Groups that are not named have no limit; other accounts and Regions have buckets of their own.
    for _ in range(20):
        kms.describe_key(KeyId=key)
    server.client().list_keys()
    server.client(account, "eu-west-1").list_keys()
    # The body is not looked at.
    answer = server.post("ListKeys", "{", account=account)
    assert (answer.status, answer.kind(), answer.message()) == (
        400, "ThrottlingException", THROTTLED,
    )  # fmt: skip
    # Time brings it back, and a clock that goes back does no harm.
    server.advance(100)
    kms.list_keys()
    server.advance(-1000)
    refused(kms.list_keys, "ThrottlingException", THROTTLED)
    server.advance(100)
    kms.list_keys()


def test_rates_of_aws(configured, account):
    server = configured('[throttling]\ndefault = "aws"\nGetParametersForImport = 0.001\n')
    kms = server.client(account)
    key = support.create(kms, Origin="EXTERNAL")["KeyId"]
    wrapping = {"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
                "WrappingKeySpec": "RSA_2048"}  # fmt: skip
    kms.get_parameters_for_import(**wrapping)
    refused(kms.get_parameters_for_import, "ThrottlingException", THROTTLED, **wrapping)
    server.advance(1000)
    kms.get_parameters_for_import(**wrapping)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[throttling]\nCreateKeys = 5\n", r":2: unknown group `CreateKeys`"),
        ("[throttling]\n\nListKeys = 0\n", r":3: .*ListKeys"),
        ('[throttling]\nListKeys = "fast"\n', r":2: .*ListKeys"),
        ("[quotas]\nkey = 5\n", r":2: unknown field `key`"),
        ("[quotas]\npolicy_bytes = 0\n", r"quotas\.policy_bytes must be from 1 to 131072"),
        ("settling_delay = 86401\n", r"settling-delay must be at most 86400 seconds"),
    ],
)
def test_settings_that_cannot_be(tmp_path, text, complaint):
    file = tmp_path / "keystead.toml"
    file.write_text(text)
    home = tmp_path / "home"
    home.mkdir()
    ended = support.run(
        [*interface.dev(home / "data"), "--config", str(file)], home, timeout=60
    )
    assert ended.returncode == 2
    assert re.search(complaint, ended.stderr), ended.stderr


def test_creating_and_updating(make_server, account):
    server = make_server(environment={"KEYSTEAD_SETTLING_DELAY": "600"}).start()
    east, west = server.client(account), server.client(account, "us-west-2")
    key = support.create(east, MultiRegion=True)["KeyId"]

    def state(kms):
        metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
        assert metadata["Enabled"] == (metadata["KeyState"] == "Enabled")
        return metadata["KeyState"]

    east.replicate_key(KeyId=key, ReplicaRegion="us-west-2")
    assert (state(east), state(west)) == ("Enabled", "Creating")
    arn = support.key_arn(account, key, "us-west-2")
    refused(west.encrypt, "KMSInvalidStateException", f"{arn} is creating.",
            KeyId=key, Plaintext=b"p")  # fmt: skip
    server.advance(601)
    assert state(west) == "Enabled"
    east.update_primary_region(KeyId=key, PrimaryRegion="us-west-2")
    assert (state(east), state(west)) == ("Updating", "Updating")
    west.encrypt(KeyId=key, Plaintext=b"p")
    refused(west.disable_key, "KMSInvalidStateException", f"{arn} is updating.", KeyId=key)
    server.advance(601)
    assert (state(east), state(west)) == ("Enabled", "Enabled")


def test_a_rotation_under_way(make_server, account):
    arguments = [*interface.dev(make_server().data), "--rotation-delay", "600"]
    server = make_server(arguments=arguments).start()
    kms = server.client(account)
    made = support.create(kms)
    key = made["KeyId"]
    kms.rotate_key_on_demand(KeyId=key)
    status = kms.get_key_rotation_status(KeyId=key)
    assert status["OnDemandRotationStartDate"] >= made["CreationDate"]
    refused(kms.rotate_key_on_demand, "ConflictException", None, KeyId=key)

    def current():
        return kms.describe_key(KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"]

    assert current() == made["CurrentKeyMaterialId"]
    server.advance(601)
    assert "OnDemandRotationStartDate" not in kms.get_key_rotation_status(KeyId=key)
    assert current() != made["CurrentKeyMaterialId"]
