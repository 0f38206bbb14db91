"""Multi-Region keys: what related keys share, what is their own, who is primary, deletion."""

import os

import pytest

import support
from test_import import FOR_EVER, NEW, put

EAST, WEST, EUROPE = "us-east-1", "us-west-2", "eu-west-1"
DAY = 86400


@pytest.fixture
def clients(server, account):
    return {region: server.client(account, region) for region in (EAST, WEST, EUROPE)}


def primary(kms, **parameters):
    metadata = support.create(kms, MultiRegion=True, **parameters)
    assert metadata["MultiRegionConfiguration"] == {
        "MultiRegionKeyType": "PRIMARY",
        "PrimaryKey": {"Arn": metadata["Arn"], "Region": EAST},
        "ReplicaKeys": [],
    }
    return metadata


def described(kms, key):
    return kms.describe_key(KeyId=key)["KeyMetadata"]


def test_a_replica_opens_what_its_primary_sealed(clients, account):
    east, west = clients[EAST], clients[WEST]
    made = primary(east, Description="of the primary", Tags=[{"TagKey": "a", "TagValue": "b"}])
    key = made["KeyId"]
    sealed = east.encrypt(KeyId=key, Plaintext=b"p", EncryptionContext={"a": "b"})
    answer = east.replicate_key(KeyId=key, ReplicaRegion=WEST)
    metadata = answer["ReplicaKeyMetadata"]
    assert support.members(answer) == {"ReplicaKeyMetadata", "ReplicaPolicy"}
    assert (metadata["KeyState"], metadata["Enabled"]) == ("Creating", False)
    assert "CurrentKeyMaterialId" not in metadata
    assert metadata["Arn"] == support.key_arn(account, key, WEST)
    replica = described(west, key)
    assert replica["KeyState"] == "Enabled" and replica["Description"] == ""
    assert west.list_resource_tags(KeyId=key)["Tags"] == []
    assert replica["CurrentKeyMaterialId"] == made["CurrentKeyMaterialId"]
    both = described(east, key)["MultiRegionConfiguration"]
    assert both["ReplicaKeys"] == [{"Arn": metadata["Arn"], "Region": WEST}]
    assert {**both, "MultiRegionKeyType": "REPLICA"} == replica["MultiRegionConfiguration"]
    opened = west.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext={"a": "b"})
    assert (opened["Plaintext"], opened["KeyId"]) == (b"p", metadata["Arn"])
    back = west.encrypt(KeyId=key, Plaintext=b"q")["CiphertextBlob"]
    assert east.decrypt(CiphertextBlob=back)["KeyId"] == made["Arn"]
    # Where there is no related key, there is no key.
    support.refused(
        clients[EUROPE].decrypt, "AccessDeniedException", None, CiphertextBlob=back
    )


def test_states_policies_and_aliases_are_each_keys_own(clients):
    east, west = clients[EAST], clients[WEST]
    key = primary(east)["KeyId"]
    east.replicate_key(KeyId=key, ReplicaRegion=WEST)
    east.create_alias(AliasName="alias/mine", TargetKeyId=key)
    assert west.list_aliases(KeyId=key)["Aliases"] == []
    east.disable_key(KeyId=key)
    assert described(west, key)["KeyState"] == "Enabled"
    west.encrypt(KeyId=key, Plaintext=b"p")
    support.refused(east.encrypt, "DisabledException", None, KeyId=key, Plaintext=b"p")


def test_what_cannot_be_replicated(clients, account):
    east, west = clients[EAST], clients[WEST]
    key = primary(east)["KeyId"]
    east.replicate_key(KeyId=key, ReplicaRegion=WEST)
    for region in (WEST, EAST):
        support.refused(
            east.replicate_key, "AlreadyExistsException", None, KeyId=key, ReplicaRegion=region
        )
    not_primary = f"{support.key_arn(account, key, WEST)} is not a multi-region primary key."
    support.refused(
        west.replicate_key, "UnsupportedOperationException", not_primary,
        KeyId=key, ReplicaRegion=WEST,
    )  # fmt: skip
    single = support.create(east)
    support.refused(
        east.replicate_key, "UnsupportedOperationException",
        f"{single['Arn']} is not a multi-region primary key.",
        KeyId=single["KeyId"], ReplicaRegion=WEST,
    )  # fmt: skip
    support.refused(
        east.replicate_key, "UnsupportedOperationException", None,
        KeyId=key, ReplicaRegion="cn-north-1",
    )  # fmt: skip
    support.refused(
        west.enable_key_rotation, "UnsupportedOperationException", not_primary, KeyId=key
    )


@pytest.mark.parametrize(
    "spec, usage", [("ECC_NIST_P256", "SIGN_VERIFY"), ("HMAC_256", "GENERATE_VERIFY_MAC")]
)
def test_other_kinds_are_interchangeable(clients, spec, usage):
    east, west = clients[EAST], clients[WEST]
    key = primary(east, KeySpec=spec, KeyUsage=usage)["KeyId"]
    east.replicate_key(KeyId=key, ReplicaRegion=WEST)
    if usage == "SIGN_VERIFY":
        assert east.get_public_key(KeyId=key)["PublicKey"] == west.get_public_key(KeyId=key)["PublicKey"]
        signed = {"KeyId": key, "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
        signature = east.sign(**signed)["Signature"]
        assert west.verify(**signed, Signature=signature)["SignatureValid"]
    else:
        mac = {"KeyId": key, "Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}
        assert west.verify_mac(**mac, Mac=east.generate_mac(**mac)["Mac"])["MacValid"]


def test_rotation_follows_the_primary_wherever_it_is(own_server, account):
    east, west = (own_server.client(account, region) for region in (EAST, WEST))
    key = primary(east)["KeyId"]
    east.replicate_key(KeyId=key, ReplicaRegion=WEST)
    east.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    assert west.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    old = west.encrypt(KeyId=key, Plaintext=b"old")["CiphertextBlob"]
    own_server.advance(90 * DAY + 1)
    new = described(east, key)["CurrentKeyMaterialId"]
    assert described(west, key)["CurrentKeyMaterialId"] == new
    east.update_primary_region(KeyId=key, PrimaryRegion=WEST)
    assert described(west, key)["MultiRegionConfiguration"]["MultiRegionKeyType"] == "PRIMARY"
    assert described(east, key)["MultiRegionConfiguration"]["MultiRegionKeyType"] == "REPLICA"
    own_server.restart()
    own_server.advance(90 * DAY + 1)
    east, west = (own_server.client(account, region) for region in (EAST, WEST))
    # The clock went back with the restart, so that the second rotation is not due yet.
    own_server.advance(90 * DAY + 1)
    assert described(west, key)["CurrentKeyMaterialId"] != new
    assert len(west.list_key_rotations(KeyId=key)["Rotations"]) == 2
    assert east.decrypt(CiphertextBlob=old)["Plaintext"] == b"old"


def test_primary_regions_that_cannot_be(clients, account):
    east, west = clients[EAST], clients[WEST]
    key = primary(east)["KeyId"]
    support.refused(
        east.update_primary_region, "NotFoundException",
        f"Key '{support.key_arn(account, key, WEST)}' does not exist",
        KeyId=key, PrimaryRegion=WEST,
    )  # fmt: skip
    east.replicate_key(KeyId=key, ReplicaRegion=WEST)
    support.refused(
        west.update_primary_region, "UnsupportedOperationException", None,
        KeyId=key, PrimaryRegion=EAST,
    )  # fmt: skip
    west.disable_key(KeyId=key)
    support.refused(
        east.update_primary_region, "DisabledException",
        f"{support.key_arn(account, key, WEST)} is disabled.", KeyId=key, PrimaryRegion=WEST,
    )  # fmt: skip


def test_a_primary_waits_for_its_replicas(own_server, account):
    east, west = (own_server.client(account, region) for region in (EAST, WEST))
    key = primary(east)["KeyId"]
    east.replicate_key(KeyId=key, ReplicaRegion=WEST)
    sealed = east.encrypt(KeyId=key, Plaintext=b"p")["CiphertextBlob"]
    answer = east.schedule_key_deletion(KeyId=key, PendingWindowInDays=10)
    assert answer["KeyState"] == "PendingReplicaDeletion" and "DeletionDate" not in answer
    assert described(east, key)["PendingDeletionWindowInDays"] == 10
    support.refused(
        east.encrypt, "KMSInvalidStateException",
        f"{support.key_arn(account, key)} is pending replica deletion.",
        KeyId=key, Plaintext=b"p",
    )  # fmt: skip
    west.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    own_server.advance(7 * DAY + 1)
    support.refused(west.describe_key, "NotFoundException", None, KeyId=key)
    waits = described(east, key)
    assert waits["KeyState"] == "PendingDeletion"
    assert waits["MultiRegionConfiguration"]["ReplicaKeys"] == []
    # The material outlives the replica.
    east.cancel_key_deletion(KeyId=key)
    east.enable_key(KeyId=key)
    assert east.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"
    east.replicate_key(KeyId=key, ReplicaRegion=WEST)
    assert west.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"


def test_imported_material_is_imported_in_each_region(clients):
    east, west = clients[EAST], clients[WEST]
    key = support.create(east, MultiRegion=True, Origin="EXTERNAL")["KeyId"]
    first, second = os.urandom(32), os.urandom(32)
    put(east, key, first)
    east.replicate_key(KeyId=key, ReplicaRegion=WEST)
    assert described(west, key)["KeyState"] == "PendingImport"
    sealed = east.encrypt(KeyId=key, Plaintext=b"p")["CiphertextBlob"]
    put(west, key, first)
    assert west.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"
    west.delete_imported_key_material(KeyId=key)
    assert described(west, key)["KeyState"] == "PendingImport"
    assert east.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"
    put(west, key, first)

    def states(kms):
        listed = kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
        return [each["KeyMaterialState"] for each in listed["Rotations"]]

    put(east, key, second, **NEW)
    assert states(east) == ["CURRENT", "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"]
    support.refused(east.rotate_key_on_demand, "KMSInvalidStateException", None, KeyId=key)
    put(west, key, second, **FOR_EVER)
    assert states(east) == ["CURRENT", "PENDING_ROTATION"]
    east.rotate_key_on_demand(KeyId=key)
    assert states(west) == ["NON_CURRENT", "CURRENT"]
    anew = west.encrypt(KeyId=key, Plaintext=b"q")["CiphertextBlob"]
    assert east.decrypt(CiphertextBlob=anew)["Plaintext"] == b"q"
    assert west.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"
