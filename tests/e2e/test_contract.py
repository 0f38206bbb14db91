"""The service model of botocore as a contract: constraints, members of answers, error codes.

That every operation is built is found by calling; what is checked of them is counted from the model.
"""

import base64
import json
import re

import pytest
from botocore.loaders import Loader

import support
from support import ABSENT_KEY, b64, create
from test_import import wrap

MODEL = Loader().load_service_model("kms", "service-2")
SHAPES, OPERATIONS = MODEL["shapes"], MODEL["operations"]

# Constraints that the service tells of but the model lacks (reported of it in 2026).
SHAPES["KeyIdType"] |= {"pattern": r"^\p{ASCII}+$"}


# The deprecated enumeration lacks specs that the service answers with (recorded in 2025 and 2026).
for _shape in ("KeyMetadata", "GetPublicKeyResponse"):
    SHAPES[_shape]["members"]["CustomerMasterKeySpec"]["shape"] = "KeySpec"


def compiled(shape):
    """The pattern of a shape for Python, which has no classes of that spelling."""
    pattern = shape.get("pattern", ".*").replace(r"\p{ASCII}", r"[\x00-\x7f]")
    return re.compile(pattern, re.ASCII)


# Codes that any operation may answer though no model lists them (behaviour.md 5.4 and its head).
COMMON = {
    "ValidationException", "AccessDeniedException", "ThrottlingException", "NotAuthorizedException",
    "SerializationException", "UnknownOperationException", "IncompleteSignatureException",
    "MissingAuthenticationTokenException", "RequestEntityTooLargeException",
}  # fmt: skip

# Codes that behaviour.md gives for a situation in every operation though some models lack them: a
# malformed ARN (1.3), and a grant token nobody issued (4.3; DescribeKey takes tokens).
EVERYWHERE = {"InvalidArnException", "InvalidGrantTokenException"}

# Sample values for patterns and references that a generator cannot guess.
SAMPLES = {
    "KeyIdType": ABSENT_KEY,
    "AliasNameType": "alias/contract",
    "PolicyNameType": "default",
    "PolicyType": "{}",
    "RegionType": "us-east-1",
    "XksProxyAuthenticationAccessKeyIdType": "A" * 20,
}

# What acts on a custom key store cannot succeed: there is none.
NEVER = {f"{verb}CustomKeyStore" for verb in ("Connect", "Create", "Delete", "Disconnect", "Update")}

# Members of answers that nothing in this release can make due, and why.
NOT_DUE = {
    "CiphertextForRecipient": "attestation",
    "NextMarker:ListKeyPolicies": "there is one policy",
    "KeyMetadata.ValidTo": "shown in test_import.py",
    "KeyMetadata.ExpirationModel": "shown in test_import.py",
    "KeyMetadata.CustomKeyStoreId": "custom key stores",
    "KeyMetadata.CloudHsmClusterId": "custom key stores",
    "KeyMetadata.XksKeyConfiguration": "custom key stores",
    "OnDemandRotationStartDate": "a rotation on demand is done when it is answered",
    "RotationsListEntry.ExpirationModel": "shown in test_import.py",
    "RotationsListEntry.ValidTo": "shown in test_import.py",
    "RotationsListEntry.ImportState": "shown in test_import.py",
    "RotationsListEntry.KeyMaterialDescription": "shown in test_import.py",
    "KeyMetadata.PendingDeletionWindowInDays": "shown in test_multi_region.py",
    "MultiRegionConfiguration.ReplicaKeys[]": "shown in test_multi_region.py",
    "KeyMetadata.DeletionDate:ReplicateKey": "a new replica is not scheduled for deletion",
    "KeyMetadata.CurrentKeyMaterialId:ReplicateKey": "a replica in the making does not tell it",
    "NextMarker:DescribeCustomKeyStores": "there are no custom key stores",
    "KeyMetadata.DeletionDate:CreateKey": "a new key is not scheduled for deletion",
}


@pytest.fixture(scope="module")
def built(server):
    """The operations that are built: the rest refuse by name."""
    account = support.new_account()
    found = []
    for operation in OPERATIONS:
        # A valid request, since the refusal may come before or after the model's constraints.
        request = valid(OPERATIONS[operation]["input"]["shape"])
        answer = server.post(operation, request, account=account)
        code = None if answer.status == 200 else answer.kind()
        assert code != "UnknownOperationException", operation
        refused = code == "UnsupportedOperationException" and operation in (answer.message() or "")
        if not refused:
            found.append(operation)
    # Fewer would let this file pass by checking nothing.
    assert set(SCENARIO) <= set(found), set(SCENARIO) - set(found)
    return found


# Constraints.


def valid(shape_name):
    """A value which breaks no constraint of the shape."""
    shape = SHAPES[shape_name]
    match shape["type"]:
        case "string":
            if shape_name in SAMPLES:
                return SAMPLES[shape_name]
            if "enum" in shape:
                return shape["enum"][0]
            return "a" * max(shape.get("min", 1), 1)
        case "blob":
            return b64(b"x" * max(shape.get("min", 1), 1))
        case "integer" | "long":
            return max(shape.get("min", 1), 1)
        case "boolean":
            return False
        case "timestamp":
            return 1.0e9
        case "list":
            return [valid(shape["member"]["shape"])] * max(shape.get("min", 0), 1)
        case "map":
            return {"a": "b"}
        case "structure":
            return {
                name: valid(shape["members"][name]["shape"]) for name in shape.get("required", [])
            }
    raise AssertionError(shape)


def unmatched(shape):
    """A string of admitted length that does not match the pattern of the shape."""
    pattern = compiled(shape)
    for text in ("!", " ", "\u0100", "\x00"):
        text *= max(shape.get("min", 1), 1)
        if not pattern.fullmatch(text):
            return text
    raise AssertionError(f"no text breaks {shape['pattern']}")


def violations(shape_name, path):
    """(value, path in the message, text of the constraint, form) for each constraint of a shape.

    `form` is how the value is shown: `echo`, `hidden`, `null` or `list`; `twice` is `echo` where a
    second constraint is broken too.
    """
    shape = SHAPES[shape_name]
    kind = shape["type"]
    hidden = "hidden" if kind == "blob" or shape.get("sensitive") else "echo"
    low, high = shape.get("min"), shape.get("max")

    fill = SAMPLES.get(shape_name, "a")[0] if shape.get("sensitive") else "a"

    def of_length(n):
        return b64(b"x" * n) if kind == "blob" else fill * n

    if kind in ("string", "blob"):
        # A text of the wrong length may break the pattern as well: two violations in one message.
        pattern = compiled(shape)
        for length, words in ((low and low - 1, "greater"), (high and high + 1, "less")):
            if length is None or words == "greater" and not low:
                continue
            text = f"Member must have length {words} than or equal to {low if words == 'greater' else high}"
            form = hidden if pattern.fullmatch(fill * length) else "twice"
            yield of_length(length), path, text, form
        if "pattern" in shape:
            text = "Member must satisfy regular expression pattern: " + shape["pattern"]
            yield unmatched(shape), path, text, hidden
        if "enum" in shape:
            yield "NO_SUCH_VALUE", path, "Member must satisfy enum value set: [", hidden
    elif kind in ("integer", "long"):
        if low is not None:
            yield low - 1, path, f"Member must have value greater than or equal to {low}", hidden
        if high is not None:
            yield high + 1, path, f"Member must have value less than or equal to {high}", hidden
    elif kind == "list":
        member = shape["member"]["shape"]
        if low:
            yield (
                [valid(member)] * (low - 1),
                path,
                f"Member must have length greater than or equal to {low}",
                "list",
            )
        if high is not None:
            yield (
                [valid(member)] * (high + 1),
                path,
                f"Member must have length less than or equal to {high}",
                "list",
            )
        if SHAPES[member]["type"] == "structure":
            for value, where, text, form in violations(member, f"{path}.1.member"):
                yield [value], where, text, form
        else:
            for value, _, text, _ in violations(member, path):
                yield [value], path, f"Member must satisfy constraint: [{text}", "list"
    elif kind == "map":
        for part in ("key", "value"):
            assert not {"min", "max", "pattern", "enum"} & set(SHAPES[shape[part]["shape"]]), (
                f"{shape_name} has constraints that this test does not break"
            )
    elif kind == "structure":
        prefix = path + "." if path else ""
        whole = valid(shape_name)
        for name in shape.get("required", []):
            lacking = {k: v for k, v in whole.items() if k != name}
            where = prefix + name[0].lower() + name[1:]
            secret = SHAPES[shape["members"][name]["shape"]].get("sensitive")
            form = "hidden" if secret else "null"
            yield lacking, where, "Member must not be null", form
            yield lacking | {name: None}, where, "Member must not be null", form
        for name, member in shape["members"].items():
            inner = violations(member["shape"], prefix + name[0].lower() + name[1:])
            for value, where, text, form in inner:
                yield whole | {name: value}, where, text, form


def broken(request, answer, path, text, form):
    """What is wrong with the answer to a request that breaks one constraint, or None."""
    if answer.status != 400 or answer.kind() != "ValidationException":
        return f"answered {answer}"
    message = answer.message() or ""
    head = {"twice": "2 validation errors detected: Value "}.get(
        form, "1 validation error detected: Value "
    )
    if not message.startswith(head):
        return f"another number of violations: {message[:300]}"
    if f" at '{path}' failed to satisfy constraint: " not in message:
        return f"path {path} missing: {message[:300]}"
    # Of a simple list all constraints of its member are told, in one bracket and no stated order.
    bracket = "Member must satisfy constraint: ["
    if text.startswith(bracket) and bracket in message:
        text = text.removeprefix(bracket)
    if text not in message:
        return f"text missing: {text!r} in {message[-300:]}"
    shown = message.removeprefix(head)
    expected = {"hidden": "at '", "null": "null at '", "list": "'[", "echo": "'", "twice": "'"}[
        form
    ]
    if not shown.startswith(expected):
        return f"value shown otherwise than {form}: {message[:200]}"
    if "enum value set" in text and "enum value set: [" in message:
        listed = set(message.split("enum value set: [", 1)[1].rstrip("]").split(", "))
        known = [set(shape["enum"]) for shape in SHAPES.values() if "enum" in shape]
        if not any(known_set - {"SM2"} <= listed <= known_set for known_set in known):
            return f"no enum of the model: {sorted(listed)}"
    return None


def test_every_constraint_of_every_member(server, built):
    account = support.new_account()
    failures, passed, total, everything = [], 0, 0, 0
    for operation in OPERATIONS:
        shape = OPERATIONS[operation]["input"]["shape"]
        for request, path, text, form in violations(shape, ""):
            everything += 1
            if operation not in built:
                continue
            total += 1
            fault = broken(
                request, server.post(operation, request, account=account), path, text, form
            )
            if fault is None:
                passed += 1
            else:
                failures.append(f"{operation} {path} ({text[:60]}): {fault}")
    print(f"\nconstraints {passed}/{total} of built operations; {everything} in the whole model")
    assert total > 100
    assert not failures, "\n".join(failures)


def test_the_baseline_of_each_operation_is_valid(server, built):
    """Otherwise a violation could be reported for the wrong reason."""
    account = support.new_account()
    for operation in built:
        request = valid(OPERATIONS[operation]["input"]["shape"])
        answer = server.post(operation, request, account=account)
        message = "" if answer.status == 200 else answer.message() or ""
        if "CiphertextBlob" in SHAPES[OPERATIONS[operation]["input"]["shape"]]["members"]:
            # Required but for one kind of dry run, which the model does not say.
            missing = "Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not"
            assert "validation error" not in message or missing in message
            continue
        assert "validation error" not in message, (operation, request, answer)


# Answers.


def faults_of_value(value, shape_name, path, produced):
    """Walks a JSON value along its shape; yields what does not fit, notes what is produced."""
    shape = SHAPES[shape_name]
    match shape["type"]:
        case "structure":
            if not isinstance(value, dict):
                yield f"{path}: not an object"
                return
            for name, inner in value.items():
                if name not in shape["members"]:
                    yield f"{path}.{name}: unknown to the model"
                    continue
                if inner is None:
                    yield f"{path}.{name}: null instead of absent"
                    continue
                produced.add(f"{shape_name}.{name}")
                yield from faults_of_value(
                    inner, shape["members"][name]["shape"], f"{path}.{name}", produced
                )
        case "list":
            if not isinstance(value, list):
                yield f"{path}: not a list"
                return
            for index, inner in enumerate(value):
                yield from faults_of_value(
                    inner, shape["member"]["shape"], f"{path}[{index}]", produced
                )
        case "blob":
            try:
                base64.b64decode(value, validate=True)
            except (ValueError, TypeError):
                yield f"{path}: no base64"
        case "string":
            if not isinstance(value, str):
                yield f"{path}: not a string"
            elif "enum" in shape and value not in shape["enum"]:
                yield f"{path}: {value} is not in the enum"
        case "timestamp":
            if not isinstance(value, float | int) or isinstance(value, bool):
                yield f"{path}: no number"
        case "integer" | "long":
            if type(value) is not int:
                yield f"{path}: no integer"
        case "boolean":
            if not isinstance(value, bool):
                yield f"{path}: no boolean"


def expected_members(shape_name, seen=None):
    """Every member of an output shape and of the structures within."""
    seen = seen if seen is not None else set()
    shape = SHAPES[shape_name]
    if shape["type"] == "list":
        yield from expected_members(shape["member"]["shape"], seen)
    if shape["type"] != "structure" or shape_name in seen:
        return
    seen.add(shape_name)
    for name, member in shape["members"].items():
        yield f"{shape_name}.{name}"
        yield from expected_members(member["shape"], seen)


def is_due(operation, output, member):
    owner, name = member.split(".")
    names = {name, f"{name}:{operation}", member, f"{member}:{operation}"}
    if owner == output:
        return not names & set(NOT_DUE)
    without = owner.startswith("Xks") or owner == "CustomKeyStoresListEntry"
    return not {member, f"{member}:{operation}"} & set(NOT_DUE) and not without


def scenario_requests(kms, account):
    """For each operation of this release, requests that succeed; in an order that works."""
    keys = [create(kms) for _ in range(3)]
    key, doomed, other = (key["KeyId"] for key in keys)
    blob = b64(kms.encrypt(KeyId=key, Plaintext=b"p")["CiphertextBlob"])
    policy = json.dumps({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}})  # fmt: skip
    wrapped = {"KeyId": key}
    tags = [{"TagKey": f"k{n}", "TagValue": "v"} for n in range(3)]
    kinds = [{"KeySpec": spec, "KeyUsage": usage} for spec, usage in (
        ("ECC_NIST_P256", "SIGN_VERIFY"), ("ECC_NIST_P256", "KEY_AGREEMENT"),
        ("RSA_2048", "ENCRYPT_DECRYPT"), ("HMAC_256", "GENERATE_VERIFY_MAC"))]  # fmt: skip
    signer, agreer, sealer, mac = (create(kms, **kind)["KeyId"] for kind in kinds)
    message = {"Message": b64(b"m")}
    sign = message | {"KeyId": signer, "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = b64(kms.sign(**sign | {"Message": b"m"})["Signature"])
    maced = message | {"KeyId": mac, "MacAlgorithm": "HMAC_SHA_256"}
    code = b64(kms.generate_mac(**maced | {"Message": b"m"})["Mac"])
    peer = b64(kms.get_public_key(KeyId=agreer)["PublicKey"])
    root = support.root_arn(account)
    granted = wrapped | {"GranteePrincipal": root, "Operations": ["Decrypt"]}
    constrained = granted | {"RetiringPrincipal": root, "Constraints": {
        "EncryptionContextEquals": {"a": "b"}, "EncryptionContextSubset": {"a": "b"}}}  # fmt: skip
    token = kms.create_grant(**granted)["GrantToken"]
    revoked = kms.create_grant(**constrained)["GrantId"]
    kms.create_grant(**constrained)
    foreign = create(kms, Origin="EXTERNAL")["KeyId"]
    parameters = {"KeyId": foreign, "WrappingAlgorithm": "RSAES_OAEP_SHA_1",
                  "WrappingKeySpec": "RSA_2048"}  # fmt: skip
    given = kms.get_parameters_for_import(**parameters)
    imported = {"KeyId": foreign, "ImportToken": b64(given["ImportToken"]),
                "EncryptedKeyMaterial": b64(wrap(given["PublicKey"], "RSAES_OAEP_SHA_1", b"m" * 32)),
                "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}  # fmt: skip
    related = [create(kms, MultiRegion=True, **kind)["KeyId"] for kind in ({}, *kinds)]
    replicate = [{"KeyId": each, "ReplicaRegion": "eu-west-1", "Tags": tags} for each in related]
    return {
        "CreateKey": [{}, {"MultiRegion": True}, {"Origin": "EXTERNAL"}, *kinds],
        "CreateAlias": [{"AliasName": f"alias/{n}", "TargetKeyId": key} for n in "ab"],
        "UpdateAlias": [{"AliasName": "alias/a", "TargetKeyId": other}],
        "ListAliases": [{}, {"Limit": 1}, {"KeyId": other}],
        "ListKeys": [{}, {"Limit": 1}],
        "TagResource": [wrapped | {"Tags": tags}],
        "ListResourceTags": [wrapped, wrapped | {"Limit": 1}],
        "UntagResource": [wrapped | {"TagKeys": ["k0"]}],
        "UpdateKeyDescription": [wrapped | {"Description": "d"}],
        "PutKeyPolicy": [wrapped | {"Policy": policy}],
        "GetKeyPolicy": [wrapped],
        "ListKeyPolicies": [wrapped],
        "Encrypt": [wrapped | {"Plaintext": "cA=="}],
        "Decrypt": [{"CiphertextBlob": blob}],
        "ReEncrypt": [{"CiphertextBlob": blob, "DestinationKeyId": other}],
        "GenerateDataKey": [wrapped | {"KeySpec": "AES_256"}],
        "GenerateDataKeyWithoutPlaintext": [wrapped | {"NumberOfBytes": 5}],
        "GenerateDataKeyPair": [wrapped | {"KeyPairSpec": "ECC_NIST_P256"}],
        "GenerateDataKeyPairWithoutPlaintext": [wrapped | {"KeyPairSpec": "ECC_NIST_P256"}],
        "GenerateRandom": [{"NumberOfBytes": 8}],
        "GetKeyLastUsage": [wrapped],
        "Sign": [sign],
        "Verify": [sign | {"Signature": signature}],
        "GetPublicKey": [{"KeyId": each} for each in (signer, agreer, sealer)],
        "GenerateMac": [maced],
        "VerifyMac": [maced | {"Mac": code}],
        "DeriveSharedSecret": [
            {"KeyId": agreer, "KeyAgreementAlgorithm": "ECDH", "PublicKey": peer},
        ],
        "CreateGrant": [granted, constrained],
        "ListGrants": [wrapped, wrapped | {"Limit": 1}],
        "ListRetirableGrants": [
            {"RetiringPrincipal": root}, {"RetiringPrincipal": root, "Limit": 1},
        ],
        "RetireGrant": [{"GrantToken": token}],
        "RevokeGrant": [wrapped | {"GrantId": revoked}],
        "EnableKeyRotation": [wrapped],
        "GetKeyRotationStatus": [wrapped],
        "RotateKeyOnDemand": [wrapped, wrapped],
        "ListKeyRotations": [wrapped, wrapped | {"Limit": 1}],
        "DisableKeyRotation": [wrapped],
        "GetParametersForImport": [parameters],
        "ImportKeyMaterial": [imported],
        "DeleteImportedKeyMaterial": [{"KeyId": foreign}],
        "ReplicateKey": replicate,
        "UpdatePrimaryRegion": [{"KeyId": related[0], "PrimaryRegion": "eu-west-1"}],
        "DescribeCustomKeyStores": [{}],
        "DisableKey": [wrapped],
        "EnableKey": [wrapped],
        "ScheduleKeyDeletion": [{"KeyId": doomed, "PendingWindowInDays": 7}],
        "DescribeKey": [
            wrapped, {"KeyId": doomed}, {"KeyId": create(kms, MultiRegion=True)["KeyId"]},
            *({"KeyId": each} for each in (signer, agreer, mac)),
        ],
        "CancelKeyDeletion": [{"KeyId": doomed}],
        "DeleteAlias": [{"AliasName": "alias/b"}],
    }  # fmt: skip


SCENARIO = [
    "CreateKey", "CreateAlias", "UpdateAlias", "ListAliases", "ListKeys", "TagResource",
    "ListResourceTags", "UntagResource", "UpdateKeyDescription", "PutKeyPolicy", "GetKeyPolicy",
    "ListKeyPolicies", "Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
    "GenerateRandom", "GetKeyLastUsage", "Sign", "Verify", "GetPublicKey", "GenerateMac", "VerifyMac",
    "DeriveSharedSecret", "CreateGrant", "ListGrants", "ListRetirableGrants", "RetireGrant",
    "RevokeGrant", "EnableKeyRotation", "GetKeyRotationStatus", "RotateKeyOnDemand",
    "ListKeyRotations", "DisableKeyRotation", "GetParametersForImport", "ImportKeyMaterial",
    "DeleteImportedKeyMaterial", "ReplicateKey", "UpdatePrimaryRegion", "DescribeCustomKeyStores",
    "DisableKey", "EnableKey", "ScheduleKeyDeletion",
    "DescribeKey", "CancelKeyDeletion", "DeleteAlias",
]  # fmt: skip


def test_every_member_of_every_answer(server, built):
    account = support.new_account()
    requests = scenario_requests(server.client(account), account)
    assert list(requests) == SCENARIO
    missing = set(built) - set(requests) - NEVER
    assert not missing, f"operations without a request here: {missing}"
    faults, passed, total = [], 0, 0
    for operation in requests:
        produced = set()
        output = OPERATIONS[operation].get("output", {}).get("shape")
        for request in requests[operation]:
            answer = server.post(operation, request, account=account)
            assert answer.status == 200, (operation, request, answer)
            if output is None:
                assert answer.body == b"", operation
                continue
            faults += faults_of_value(answer.json(), output, operation, produced)
        for member in expected_members(output) if output else ():
            if is_due(operation, output, member):
                total += 1
                passed += member in produced
                if member not in produced:
                    faults.append(f"{operation}: {member} was never produced")
    print(f"\nresponse members {passed}/{total}")
    assert total > 60
    assert not faults, "\n".join(faults)


# Error codes.


def provocations(kms, account):
    """Requests that many operations refuse, each for a reason of its own."""
    disabled, doomed, external = create(kms), create(kms), create(kms, Origin="EXTERNAL")
    kms.disable_key(KeyId=disabled["KeyId"])
    kms.schedule_key_deletion(KeyId=doomed["KeyId"])
    names = [ABSENT_KEY, "nonsense", "alias/none", "arn:aws:kms", disabled["KeyId"], doomed["Arn"],
             external["KeyId"], support.key_arn("999999999999", ABSENT_KEY),
             support.key_arn(account, ABSENT_KEY, "eu-west-1")]  # fmt: skip
    for name in names:
        yield {"KeyId": name, "TargetKeyId": name, "SourceKeyId": name, "DestinationKeyId": name}
    yield {"KeyId": disabled["KeyId"], "GrantTokens": ["unknown"]}
    yield {"Marker": "nonsense"}
    yield {"Tags": [{"TagKey": "aws:x", "TagValue": ""}]}
    yield {"Policy": "nonsense"}
    yield {"AliasName": "alias/aws/x"}
    yield {"AliasName": "nonsense"}
    yield {"CiphertextBlob": b64(b"nonsense" * 20)}
    yield {"PendingWindowInDays": 3}
    yield {"KeyPairSpec": "SM2"}
    principal = {"GrantId": "0" * 64, "GranteePrincipal": support.root_arn(account)}
    fitting = {"SigningAlgorithm": "ECDSA_SHA_256", "MacAlgorithm": "HMAC_SHA_256"}
    for more in ({}, {"DryRun": True}, fitting, fitting | {"MessageType": "DIGEST"}, principal):
        for spec, usage in (("ECC_NIST_P256", "SIGN_VERIFY"), ("ECC_NIST_P256", "KEY_AGREEMENT"),
                            ("HMAC_256", "GENERATE_VERIFY_MAC"),
                            ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")):  # fmt: skip
            name = create(kms, KeySpec=spec, KeyUsage=usage)["KeyId"]
            yield {"KeyId": name, "SourceKeyId": name, "DestinationKeyId": name} | more
    yield {"GranteePrincipal": "nonsense", "RetiringPrincipal": "nonsense"}
    yield {"RetiringPrincipal": "arn:aws:iam::999999999999:root"}
    yield {"GrantToken": "nonsense"}


def test_error_codes_are_modelled(server, built):
    account = support.new_account()
    kms = server.client(account)
    faults, seen = [], set()
    # Last what takes a key out of use.
    operations = sorted(built, key=lambda name: name in ("DisableKey", "ScheduleKeyDeletion"))
    for provocation in provocations(kms, account):
        for operation in operations:
            shape = SHAPES[OPERATIONS[operation]["input"]["shape"]]
            sent = valid(OPERATIONS[operation]["input"]["shape"])
            sent |= {k: v for k, v in provocation.items() if k in shape["members"]}
            answer = server.post(operation, sent, account=account)
            if answer.status == 200:
                continue
            assert answer.status == 400, (operation, sent, answer)
            modelled = {error["shape"] for error in OPERATIONS[operation].get("errors", [])}
            seen.add(answer.kind())
            if answer.kind() not in modelled | COMMON | EVERYWHERE:
                faults.append(f"{operation} {sent}: {answer}")
    assert {
        "NotFoundException", "KMSInvalidStateException", "AccessDeniedException",
        "InvalidKeyUsageException", "KMSInvalidSignatureException", "KMSInvalidMacException",
        "DryRunOperationException", "InvalidGrantIdException", "InvalidArnException",
    } <= seen  # fmt: skip
    assert not faults, "\n".join(faults)


def test_every_operation_is_built(built):
    print(f"\noperations {len(built)}/{len(OPERATIONS)}")
    assert built == list(OPERATIONS)
