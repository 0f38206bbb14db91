"""Rotation of key material: by schedule, as the clock is moved, and on demand."""

import datetime

import pytest

import support
from support import create, refused

DAY = datetime.timedelta(days=1)
LIMIT_TEXT = (
    "The on-demand rotations limit has been reached for the given keyId. No more on-demand "
    "rotations can be performed for this key: "
)
OTHER_KINDS = [
    ("RSA_2048", "ENCRYPT_DECRYPT"), ("ECC_NIST_P256", "SIGN_VERIFY"), ("ML_DSA_44", "SIGN_VERIFY"),
    ("ECC_NIST_P384", "KEY_AGREEMENT"), ("HMAC_256", "GENERATE_VERIFY_MAC"),
]  # fmt: skip
UNSUPPORTED = b'{"__type":"UnsupportedOperationException"}'


def status(kms, key):
    return support.body(kms.get_key_rotation_status(KeyId=key["KeyId"]))


def rotations(kms, key, **parameters):
    answer = support.body(kms.list_key_rotations(KeyId=key["KeyId"], **parameters))
    assert answer.pop("Truncated") is False
    assert set(answer) == {"Rotations"}
    return answer["Rotations"]


def material(kms, key):
    return kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["CurrentKeyMaterialId"]


def off(key):
    return {"KeyId": key["Arn"], "KeyRotationEnabled": False}


def now():
    return datetime.datetime.now(datetime.UTC)


# Settings.


def test_enable_and_disable(server, kms, key, account):
    assert status(kms, key) == off(key)
    kms.disable_key_rotation(KeyId=key["KeyId"])
    before = now()
    answer = server.post("EnableKeyRotation", {"KeyId": key["KeyId"]}, account=account)
    assert (answer.status, answer.body) == (200, b"")
    got = status(kms, key)
    due = got.pop("NextRotationDate")
    assert got == off(key) | {"KeyRotationEnabled": True, "RotationPeriodInDays": 365}
    assert abs(due - before - 365 * DAY) < datetime.timedelta(seconds=30)
    # The same once more changes nothing.
    kms.enable_key_rotation(KeyId=key["Arn"], RotationPeriodInDays=365)
    assert status(kms, key) == got | {"NextRotationDate": due}
    answer = server.post("DisableKeyRotation", {"KeyId": key["KeyId"]}, account=account)
    assert (answer.status, answer.body) == (200, b"")
    kms.disable_key_rotation(KeyId=key["KeyId"])
    assert status(kms, key) == off(key)
    assert rotations(kms, key) == []
    assert material(kms, key) == key["CurrentKeyMaterialId"]


def test_periods(server, kms, key, account):
    for period in (90, 91, 2560, 365, 90):
        before = now()
        kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=period)
        got = status(kms, key)
        assert got["RotationPeriodInDays"] == period
        assert abs(got["NextRotationDate"] - before - period * DAY) < datetime.timedelta(seconds=30)
    for period, bound in ((89, "greater than or equal to 90"), (0, "greater than or equal to 90"),
                          (-1, "greater than or equal to 90"), (2561, "less than or equal to 2560")):  # fmt: skip
        request = {"KeyId": key["KeyId"], "RotationPeriodInDays": period}
        answer = server.post("EnableKeyRotation", request, account=account)
        assert (answer.status, answer.json()) == (400, {
            "__type": "ValidationException",
            "message": f"1 validation error detected: Value '{period}' at 'rotationPeriodInDays' failed "
                       f"to satisfy constraint: Member must have value {bound}",
        })  # fmt: skip
    assert status(kms, key) == got


ACTIONS = ["EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"]


@pytest.mark.parametrize("operation", [*ACTIONS, "GetKeyRotationStatus", "ListKeyRotations"])
def test_identifiers(kms, account, operation):
    call = getattr(kms, support.snake(operation))
    kms.create_alias(AliasName="alias/a", TargetKeyId=create(kms)["KeyId"])
    refused(call, "InvalidArnException", support.NO_ALIASES, KeyId="alias/a")
    missing = f"Key '{support.key_arn(account, support.ABSENT_KEY)}' does not exist"
    refused(call, "NotFoundException", missing, KeyId=support.ABSENT_KEY)
    refused(call, "AccessDeniedException", support.not_on_this_resource(account, operation),
            KeyId=support.key_arn("999999999999", support.ABSENT_KEY))  # fmt: skip


@pytest.mark.parametrize(("spec", "usage"), OTHER_KINDS)
def test_other_kinds_of_keys(server, kms, account, spec, usage):
    key = create(kms, KeySpec=spec, KeyUsage=usage)
    for operation in ["EnableKeyRotation", "RotateKeyOnDemand", "ListKeyRotations"]:
        answer = server.post(operation, {"KeyId": key["KeyId"]}, account=account)
        assert (answer.status, answer.body) == (400, UNSUPPORTED), operation
    # There is no rotation to end.
    kms.disable_key_rotation(KeyId=key["KeyId"])
    assert status(kms, key) == off(key)
    # State is told before kind.
    kms.disable_key(KeyId=key["KeyId"])
    for operation in ACTIONS:
        call = getattr(kms, support.snake(operation))
        refused(call, "DisabledException", f"{key['Arn']} is disabled.", KeyId=key["KeyId"])
    assert status(kms, key) == off(key)


def test_imported_keys(kms):
    key = create(kms, Origin="EXTERNAL")
    text = f"{key['Arn']} origin is EXTERNAL which is not valid for this operation."
    refused(kms.enable_key_rotation, "UnsupportedOperationException", text, KeyId=key["KeyId"])
    refused(kms.disable_key_rotation, "UnsupportedOperationException", text, KeyId=key["KeyId"])
    pending = f"{key['Arn']} is pending import."
    refused(kms.rotate_key_on_demand, "KMSInvalidStateException", pending, KeyId=key["KeyId"])
    assert status(kms, key) == off(key)
    assert rotations(kms, key) == []


def test_states(kms, key):
    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=100)
    enabled = status(kms, key)
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    kms.disable_key(KeyId=key["KeyId"])
    text = f"{key['Arn']} is disabled."
    for operation in ACTIONS:
        refused(
            getattr(kms, support.snake(operation)), "DisabledException", text, KeyId=key["KeyId"]
        )
    assert status(kms, key) == enabled
    assert len(rotations(kms, key)) == 1
    kms.schedule_key_deletion(KeyId=key["KeyId"])
    text = f"{key['Arn']} is pending deletion."
    for operation in ACTIONS:
        refused(
            getattr(kms, support.snake(operation)),
            "KMSInvalidStateException",
            text,
            KeyId=key["KeyId"],
        )
    # It says no while it waits; the setting is there again when it is spared.
    assert status(kms, key) == off(key)
    assert len(rotations(kms, key)) == 1
    kms.cancel_key_deletion(KeyId=key["KeyId"])
    assert status(kms, key) == enabled


def test_a_multi_region_primary_rotates(kms):
    key = create(kms, MultiRegion=True)
    kms.enable_key_rotation(KeyId=key["KeyId"])
    assert status(kms, key)["KeyRotationEnabled"] is True
    assert kms.rotate_key_on_demand(KeyId=key["KeyId"])["KeyId"] == key["Arn"]
    assert material(kms, key) != key["CurrentKeyMaterialId"]


# On demand.


def test_rotation_on_demand(kms, key):
    kms.enable_key_rotation(KeyId=key["KeyId"])
    schedule = status(kms, key)
    context = {"EncryptionContext": {"a": "b"}}
    materials, blobs = [key["CurrentKeyMaterialId"]], []
    for n in range(3):
        blobs.append(
            kms.encrypt(KeyId=key["KeyId"], Plaintext=b"%d" % n, **context)["CiphertextBlob"]
        )
        assert support.body(kms.rotate_key_on_demand(KeyId=key["KeyId"])) == {"KeyId": key["Arn"]}
        metadata = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        materials.append(metadata["CurrentKeyMaterialId"])
        assert metadata == key | {"CurrentKeyMaterialId": materials[-1]}
    assert len(set(materials)) == 4
    for n, blob in enumerate(blobs):
        opened = kms.decrypt(CiphertextBlob=blob, **context)
        assert (opened["Plaintext"], opened["KeyMaterialId"]) == (b"%d" % n, materials[n])
    made = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256")
    assert made["KeyMaterialId"] == materials[-1]
    again = kms.re_encrypt(CiphertextBlob=blobs[0], SourceEncryptionContext={"a": "b"},
                           DestinationKeyId=key["KeyId"])  # fmt: skip
    assert again["SourceKeyMaterialId"] == materials[0]
    assert again["DestinationKeyMaterialId"] == materials[-1]
    # The schedule stays, and no rotation is under way.
    assert status(kms, key) == schedule
    kms.disable_key_rotation(KeyId=key["KeyId"])
    assert status(kms, key) == off(key)


def test_the_list_of_rotations(server, kms, key, account):
    before = now() - datetime.timedelta(seconds=1)
    assert rotations(kms, key) == []
    first = {"KeyId": key["KeyId"], "KeyMaterialId": key["CurrentKeyMaterialId"]}
    assert rotations(kms, key, IncludeKeyMaterial="ALL_KEY_MATERIAL") == [
        first | {"KeyMaterialState": "CURRENT"}
    ]
    materials = []
    for _ in range(3):
        kms.rotate_key_on_demand(KeyId=key["KeyId"])
        materials.append(material(kms, key))
    done = rotations(kms, key)
    dates = [entry.pop("RotationDate") for entry in done]
    assert all(before < date < now() for date in dates)
    assert dates == sorted(dates)
    assert done == [
        {"KeyId": key["KeyId"], "KeyMaterialId": each, "RotationType": "ON_DEMAND",
         "KeyMaterialState": "CURRENT" if each == materials[-1] else "NON_CURRENT"}
        for each in materials
    ]  # fmt: skip
    assert rotations(kms, key, IncludeKeyMaterial="ROTATIONS_ONLY") == rotations(kms, key)
    every = rotations(kms, key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    assert every == [first | {"KeyMaterialState": "NON_CURRENT"}, *rotations(kms, key)]

    for limit in (1, 2, 3, 1000):
        listed, marker = [], {}
        while True:
            page = kms.list_key_rotations(KeyId=key["KeyId"], Limit=limit,
                                          IncludeKeyMaterial="ALL_KEY_MATERIAL", **marker)  # fmt: skip
            assert 0 < len(page["Rotations"]) <= limit
            assert ("NextMarker" in page) is page["Truncated"]
            listed += page["Rotations"]
            if not page["Truncated"]:
                break
            marker = {"Marker": page["NextMarker"]}
        assert listed == every
    marker = kms.list_key_rotations(KeyId=key["KeyId"], Limit=1)["NextMarker"]
    other = create(kms)["KeyId"]
    refused(kms.list_key_rotations, "InvalidMarkerException",
            f"Could not deserialize marker '{marker}'", KeyId=other, Marker=marker)  # fmt: skip
    refused(kms.list_key_rotations, "InvalidMarkerException",
            "Could not deserialize marker 'x'", KeyId=other, Marker="x")  # fmt: skip
    for wrong in ({"Limit": 0}, {"Limit": 1001}, {"IncludeKeyMaterial": "ALL"}):
        answer = server.post("ListKeyRotations", {"KeyId": other} | wrong, account=account)
        assert answer.kind() == "ValidationException", answer


def test_twenty_five_rotations_on_demand_and_no_more(kms, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p")["CiphertextBlob"]
    for _ in range(25):
        kms.rotate_key_on_demand(KeyId=key["KeyId"])
    last = material(kms, key)
    for _ in range(2):
        refused(
            kms.rotate_key_on_demand,
            "LimitExceededException",
            LIMIT_TEXT + key["Arn"],
            KeyId=key["KeyId"],
        )
    assert material(kms, key) == last
    done = rotations(kms, key)
    assert len({entry["KeyMaterialId"] for entry in done}) == 25
    assert [entry["KeyMaterialState"] for entry in done].count("CURRENT") == 1
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"p"
    # The schedule has no such limit, and another key its own count.
    kms.enable_key_rotation(KeyId=key["KeyId"])
    kms.rotate_key_on_demand(KeyId=create(kms)["KeyId"])


# By the clock.


def test_the_clock_rotates(own_server, account):
    kms = own_server.client(account)
    key, resting = create(kms), create(kms)
    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=90)
    due = status(kms, key)["NextRotationDate"]
    blobs = [kms.encrypt(KeyId=key["KeyId"], Plaintext=b"0")["CiphertextBlob"]]
    own_server.advance(90 * 86400 - 3600)
    assert material(kms, key) == key["CurrentKeyMaterialId"]
    assert rotations(kms, key) == []
    own_server.advance(3600 + 60)
    assert material(kms, key) != key["CurrentKeyMaterialId"]
    blobs.append(kms.encrypt(KeyId=key["KeyId"], Plaintext=b"1")["CiphertextBlob"])
    [entry] = rotations(kms, key)
    assert entry == {
        "KeyId": key["KeyId"], "KeyMaterialId": material(kms, key), "KeyMaterialState": "CURRENT",
        "RotationType": "AUTOMATIC", "RotationDate": due,
    }  # fmt: skip
    assert status(kms, key)["NextRotationDate"] == due + 90 * DAY
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == key | {
        "CurrentKeyMaterialId": entry["KeyMaterialId"]
    }
    # One rotation on demand between two of the schedule moves neither.
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    own_server.advance(90 * 86400)
    kinds = [(entry["RotationType"], entry["RotationDate"]) for entry in rotations(kms, key)]
    assert [kind for kind, _ in kinds] == ["AUTOMATIC", "ON_DEMAND", "AUTOMATIC"]
    assert kinds[2][1] == due + 90 * DAY
    blobs.append(kms.encrypt(KeyId=key["KeyId"], Plaintext=b"2")["CiphertextBlob"])
    before = rotations(kms, key, IncludeKeyMaterial="ALL_KEY_MATERIAL"), status(kms, key)

    own_server.restart()
    kms = own_server.client(account)
    assert (rotations(kms, key, IncludeKeyMaterial="ALL_KEY_MATERIAL"), status(kms, key)) == before
    opened = [kms.decrypt(CiphertextBlob=blob) for blob in blobs]
    assert [each["Plaintext"] for each in opened] == [b"0", b"1", b"2"]
    assert len({each["KeyMaterialId"] for each in opened}) == 3
    assert material(kms, resting) == resting["CurrentKeyMaterialId"]
    # The schedule goes on where it was: the clock is the machine's again.
    own_server.advance(180 * 86400 + 60)
    assert len(rotations(kms, key)) == 3
    own_server.advance(90 * 86400)
    assert len(rotations(kms, key)) == 4


def test_a_leap_makes_up_for_every_rotation_missed(own_server, account):
    kms = own_server.client(account)
    key = create(kms)
    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=90)
    due = status(kms, key)["NextRotationDate"]
    own_server.advance(5 * 90 * 86400 + 60)
    dates = [entry["RotationDate"] for entry in rotations(kms, key)]
    assert dates == [due + n * 90 * DAY for n in range(5)]
    assert status(kms, key)["NextRotationDate"] == due + 450 * DAY


def test_disabled_rotation_and_changed_periods_are_heeded(own_server, account):
    kms = own_server.client(account)
    never, later, sooner = create(kms), create(kms), create(kms)
    for key in (never, later):
        kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=90)
    kms.enable_key_rotation(KeyId=sooner["KeyId"], RotationPeriodInDays=2560)
    kms.disable_key_rotation(KeyId=never["KeyId"])
    kms.enable_key_rotation(KeyId=later["KeyId"], RotationPeriodInDays=200)
    kms.enable_key_rotation(KeyId=sooner["KeyId"], RotationPeriodInDays=100)
    own_server.advance(100 * 86400 + 60)
    assert [len(rotations(kms, key)) for key in (never, later, sooner)] == [0, 0, 1]
    own_server.advance(100 * 86400)
    assert [len(rotations(kms, key)) for key in (never, later, sooner)] == [0, 1, 2]


def test_a_disabled_key_rotates_when_it_is_enabled(own_server, account):
    kms = own_server.client(account)
    key, spared = create(kms), create(kms)
    for each in (key, spared):
        kms.enable_key_rotation(KeyId=each["KeyId"], RotationPeriodInDays=90)
    kms.disable_key(KeyId=key["KeyId"])
    kms.schedule_key_deletion(KeyId=spared["KeyId"], PendingWindowInDays=30)
    own_server.advance(20 * 86400)
    kms.cancel_key_deletion(KeyId=spared["KeyId"])
    own_server.advance(80 * 86400)
    own_server.advance(200 * 86400)
    assert rotations(kms, key) == rotations(kms, spared) == []
    for each in (key, spared):
        kms.enable_key(KeyId=each["KeyId"])
        assert material(kms, each) != each["CurrentKeyMaterialId"]
        [entry] = rotations(kms, each)
        assert entry["RotationType"] == "AUTOMATIC"
        following = status(kms, each)["NextRotationDate"]
        assert abs(following - now() - 390 * DAY) < datetime.timedelta(minutes=2)
    own_server.advance(90 * 86400 + 60)
    assert len(rotations(kms, key)) == len(rotations(kms, spared)) == 2


def test_on_demand_waits_for_a_rotation_that_is_near(own_server, account):
    kms = own_server.client(account)
    key = create(kms)
    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=90)
    own_server.advance(90 * 86400 - 25 * 60)
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    own_server.advance(10 * 60)
    refused(kms.rotate_key_on_demand, "ConflictException", None, KeyId=key["KeyId"])
    own_server.advance(20 * 60)
    assert [entry["RotationType"] for entry in rotations(kms, key)] == ["ON_DEMAND", "AUTOMATIC"]
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
