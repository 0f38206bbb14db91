"""Encryption, data keys and random bytes: members, sizes, contexts, dry runs, tokens."""

import pytest

import support
from support import DRY_RUN, INCORRECT_KEY, b64, create, refused

CONTEXT = {"app": "shop", "stage": "prod"}


@pytest.fixture
def blob(kms, key):
    return kms.encrypt(KeyId=key["KeyId"], Plaintext=b"plain", EncryptionContext=CONTEXT)[
        "CiphertextBlob"
    ]


def test_encrypt_and_decrypt_have_exactly_these_members(kms, key):
    sent = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"plain")
    assert support.members(sent) == {"CiphertextBlob", "KeyId", "EncryptionAlgorithm"}
    assert (sent["KeyId"], sent["EncryptionAlgorithm"]) == (key["Arn"], "SYMMETRIC_DEFAULT")
    got = kms.decrypt(CiphertextBlob=sent["CiphertextBlob"])
    assert support.body(got) == {
        "Plaintext": b"plain", "KeyId": key["Arn"], "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "KeyMaterialId": key["CurrentKeyMaterialId"],
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 15, 16, 17, 255, 256, 4095, 4096])
def test_sizes_of_plaintext(kms, key, size):
    plain = bytes(n % 251 for n in range(size))
    sent = kms.encrypt(KeyId=key["KeyId"], Plaintext=plain, EncryptionContext=CONTEXT)
    got = kms.decrypt(
        CiphertextBlob=sent["CiphertextBlob"], EncryptionContext=CONTEXT, KeyId=key["Arn"],
        EncryptionAlgorithm="SYMMETRIC_DEFAULT",
    )  # fmt: skip
    assert got["Plaintext"] == plain


def test_equal_plaintexts_have_different_ciphertexts(kms, key):
    blobs = [
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"same")["CiphertextBlob"] for _ in range(50)
    ]
    assert len(set(blobs)) == 50
    tails = {blob[-20:] for blob in blobs}
    assert len(tails) == 50


CONTEXTS = {
    "none": None,
    "empty value": {"a": ""},
    "blank": {" ": " "},
    "unicode": {"schlüssel": "Ωμέγα", "鍵": "🔑", "e\u0301": "\u00e9"},
    "reserved look": {"aws:s3:arn": "arn:aws:s3:::bucket", "aws:ebs:id": "vol-1"},
    "control characters": {"a\n\t": "\x00\x1f\x7f"},
    "many": {f"key {n}": f"value {n}" for n in range(100)},
    "long": {"k" * 1000: "v" * 5000},
    "differ by case": {"Key": "1", "key": "2", "KEY": "3"},
    "looks like framing": {"a": "b\x00\x00\x00\x01c", "\x00\x00\x00\x01": "\x00"},
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_contexts(kms, key, name):
    context = CONTEXTS[name]
    given = {} if context is None else {"EncryptionContext": context}
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p", **given)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, **given)["Plaintext"] == b"p"
    for other in CONTEXTS.values():
        if other != context:
            wrong = {} if other is None else {"EncryptionContext": other}
            refused(kms.decrypt, "InvalidCiphertextException", "", CiphertextBlob=blob, **wrong)
    assert len(blob) <= support.aws_blob_length(1), "a context is no part of the blob"


def test_a_context_of_more_than_8192_characters(kms, key):
    refused(kms.encrypt, "ValidationException", None, KeyId=key["KeyId"], Plaintext=b"p",
            EncryptionContext={"k": "v" * 9000})  # fmt: skip


def test_duplicate_and_null_pairs(server, account, key):
    sent = f'{{"KeyId":"{key["KeyId"]}","Plaintext":"cA==","EncryptionContext":%s}}'
    for context in ('{"a":"b","a":"b"}', '{"a":"b","a":"c"}', '{"a":"b","\\u0061":"c"}'):
        answer = server.post("Encrypt", sent % context, account=account)
        assert answer.status == 400, context
        assert answer.kind() in ("SerializationException", "ValidationException")
    answer = server.post("Encrypt", sent % '{"a":null}', account=account)
    assert answer.status == 400
    assert server.post("Encrypt", sent % '{"a":"b"}', account=account).status == 200


# Data keys.


@pytest.mark.parametrize(
    ("size", "length"),
    [({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 1}, 1),
     ({"NumberOfBytes": 64}, 64), ({"NumberOfBytes": 1024}, 1024)],
)  # fmt: skip
def test_data_keys(kms, key, size, length):
    made = kms.generate_data_key(KeyId=key["KeyId"], EncryptionContext=CONTEXT, **size)
    assert support.members(made) == {"CiphertextBlob", "Plaintext", "KeyId", "KeyMaterialId"}
    assert (made["KeyId"], made["KeyMaterialId"]) == (key["Arn"], key["CurrentKeyMaterialId"])
    assert len(made["Plaintext"]) == length
    got = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert got["Plaintext"] == made["Plaintext"]

    sealed = kms.generate_data_key_without_plaintext(
        KeyId=key["KeyId"], EncryptionContext=CONTEXT, **size
    )
    assert support.members(sealed) == {"CiphertextBlob", "KeyId", "KeyMaterialId"}
    got = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert len(got["Plaintext"]) == length
    assert length < 16 or got["Plaintext"] != made["Plaintext"]


@pytest.mark.parametrize("method", ["generate_data_key", "generate_data_key_without_plaintext"])
def test_size_of_a_data_key_is_given_once(kms, key, method):
    text = "Please specify either number of bytes or key spec."
    for size in ({}, {"KeySpec": "AES_256", "NumberOfBytes": 32}):
        refused(getattr(kms, method), "ValidationException", text, KeyId=key["KeyId"], **size)


def test_data_keys_are_distinct(kms, key):
    made = [kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_128") for _ in range(100)]
    assert len({pair["Plaintext"] for pair in made}) == 100
    assert len({pair["CiphertextBlob"] for pair in made}) == 100


def test_random(server, account, kms):
    for size in (1, 32, 1024):
        answer = kms.generate_random(NumberOfBytes=size)
        assert support.members(answer) == {"Plaintext"}
        assert len(answer["Plaintext"]) == size
    drawn = {kms.generate_random(NumberOfBytes=16)["Plaintext"] for _ in range(100)}
    assert len(drawn) == 100
    ones = sum(
        bin(byte).count("1") for byte in kms.generate_random(NumberOfBytes=1024)["Plaintext"]
    )
    assert abs(ones - 4096) < 6 * 45, "far from even: mean 4096, deviation 45"
    refused(kms.generate_random, "ValidationException", "NumberOfBytes is required.")
    for sent in (b"", "{}", '{"NumberOfBytes":null}'):
        answer = server.post("GenerateRandom", sent, account=account)
        assert answer.json() == {
            "__type": "ValidationException", "message": "NumberOfBytes is required.",
        }  # fmt: skip
    refused(
        kms.generate_random, "ValidationException",
        "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy "
        "constraint: Member must have value less than or equal to 1024",
        NumberOfBytes=1025,
    )  # fmt: skip
    with pytest.raises(kms.exceptions.ClientError):
        kms.generate_random(NumberOfBytes=8, CustomKeyStoreId="cks-1234567890abcdef0")


# Decrypt and ReEncrypt.


def test_decrypt_with_each_name(kms, account, key, blob):
    kms.create_alias(AliasName="alias/d", TargetKeyId=key["KeyId"])
    for name in (key["KeyId"], key["Arn"], "alias/d", support.alias_arn(account, "alias/d")):
        got = kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT, KeyId=name)
        assert got["KeyId"] == key["Arn"]


def test_decrypt_names_a_wrong_key(kms, account, blob):
    other = create(kms)
    refused(kms.decrypt, "IncorrectKeyException", INCORRECT_KEY,
            CiphertextBlob=blob, EncryptionContext=CONTEXT, KeyId=other["KeyId"])  # fmt: skip
    missing = f"Key '{support.key_arn(account, support.ABSENT_KEY)}' does not exist"
    refused(kms.decrypt, "NotFoundException", missing,
            CiphertextBlob=blob, EncryptionContext=CONTEXT, KeyId=support.ABSENT_KEY)  # fmt: skip
    refused(kms.re_encrypt, "IncorrectKeyException", INCORRECT_KEY, CiphertextBlob=blob,
            SourceEncryptionContext=CONTEXT, SourceKeyId=other["KeyId"],
            DestinationKeyId=other["KeyId"])  # fmt: skip


def test_decrypt_needs_a_ciphertext(server, account, key):
    for operation, request in (
        ("Decrypt", {}),
        ("Decrypt", {"KeyId": key["KeyId"]}),
        ("ReEncrypt", {"DestinationKeyId": key["KeyId"]}),
    ):
        answer = server.post(operation, request, account=account)
        assert (answer.status, answer.kind()) == (400, "ValidationException")


def test_another_algorithm_for_a_symmetric_key(kms, key, blob):
    for algorithm in ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"):
        refused(kms.encrypt, "InvalidKeyUsageException", None,
                KeyId=key["KeyId"], Plaintext=b"p", EncryptionAlgorithm=algorithm)  # fmt: skip
        with pytest.raises(kms.exceptions.ClientError):
            kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT, KeyId=key["KeyId"],
                        EncryptionAlgorithm=algorithm)  # fmt: skip


def test_reencrypt(kms, key, blob):
    other = create(kms)
    answer = kms.re_encrypt(
        CiphertextBlob=blob, SourceEncryptionContext=CONTEXT, SourceKeyId=key["KeyId"],
        DestinationKeyId=other["KeyId"], DestinationEncryptionContext={"new": "context"},
    )  # fmt: skip
    assert support.members(answer) == {
        "CiphertextBlob", "SourceKeyId", "KeyId", "SourceEncryptionAlgorithm",
        "DestinationEncryptionAlgorithm", "SourceKeyMaterialId", "DestinationKeyMaterialId",
    }  # fmt: skip
    assert (answer["SourceKeyId"], answer["KeyId"]) == (key["Arn"], other["Arn"])
    assert answer["SourceEncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert answer["DestinationEncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert answer["SourceKeyMaterialId"] == key["CurrentKeyMaterialId"]
    assert answer["DestinationKeyMaterialId"] == other["CurrentKeyMaterialId"]
    moved = answer["CiphertextBlob"]
    got = kms.decrypt(CiphertextBlob=moved, EncryptionContext={"new": "context"})
    assert (got["Plaintext"], got["KeyId"]) == (b"plain", other["Arn"])
    refused(kms.decrypt, "InvalidCiphertextException", "", CiphertextBlob=moved,
            EncryptionContext=CONTEXT)  # fmt: skip


def test_reencrypt_does_not_carry_the_context_over(kms, key, blob):
    answer = kms.re_encrypt(
        CiphertextBlob=blob, SourceEncryptionContext=CONTEXT, DestinationKeyId=key["KeyId"]
    )
    assert answer["CiphertextBlob"] != blob
    assert kms.decrypt(CiphertextBlob=answer["CiphertextBlob"])["Plaintext"] == b"plain"
    refused(kms.re_encrypt, "InvalidCiphertextException", "",
            CiphertextBlob=blob, DestinationKeyId=key["KeyId"])  # fmt: skip


@pytest.mark.parametrize("member, action", [("SourceKeyId", "ReEncryptFrom"),
                                            ("DestinationKeyId", "ReEncryptTo")])  # fmt: skip
@pytest.mark.parametrize("kind", ["key", "alias"])
def test_reencrypt_names_the_permission_that_lacks(kms, account, key, blob, member, action, kind):
    """ReEncrypt is no permission: it takes one on the source and another on the destination."""
    owner = support.new_account()
    foreign = (support.key_arn(owner, support.ABSENT_KEY) if kind == "key"
               else support.alias_arn(owner, "alias/a"))  # fmt: skip
    request = {"SourceKeyId": key["KeyId"], "DestinationKeyId": key["KeyId"], member: foreign}
    refused(kms.re_encrypt, "AccessDeniedException", support.not_on_this_resource(account, action),
            CiphertextBlob=blob, SourceEncryptionContext=CONTEXT, **request)  # fmt: skip


# DryRun and GrantTokens, on each operation that has them.


def requests(key, blob):
    wrapped = {"KeyId": key["KeyId"], "EncryptionContext": CONTEXT}
    return {
        "Encrypt": wrapped | {"Plaintext": b"p"},
        "Decrypt": {"CiphertextBlob": blob, "EncryptionContext": CONTEXT},
        "ReEncrypt": {
            "CiphertextBlob": blob, "SourceEncryptionContext": CONTEXT,
            "DestinationKeyId": key["KeyId"],
        },
        "GenerateDataKey": wrapped | {"KeySpec": "AES_256"},
        "GenerateDataKeyWithoutPlaintext": wrapped | {"NumberOfBytes": 9},
        "GenerateDataKeyPair": wrapped | {"KeyPairSpec": "ECC_NIST_P256"},
        "GenerateDataKeyPairWithoutPlaintext": wrapped | {"KeyPairSpec": "ECC_NIST_P256"},
    }  # fmt: skip


OPERATIONS = list(requests({"KeyId": ""}, b""))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_dry_run(kms, key, blob, operation):
    method, request = getattr(kms, support.snake(operation)), requests(key, blob)[operation]
    method(**request)
    method(**request, DryRun=False)
    refused(method, "DryRunOperationException", DRY_RUN, **request, DryRun=True)
    named = "DestinationKeyId" if operation == "ReEncrypt" else "KeyId"
    missing = {named: support.ABSENT_KEY, "DryRun": True}
    refused(method, "NotFoundException", None, **request | missing)
    kms.disable_key(KeyId=key["KeyId"])
    disabled = f"{key['Arn']} is disabled."
    refused(method, "DisabledException", disabled, **request, DryRun=True)


@pytest.mark.parametrize("operation", [*OPERATIONS, "DescribeKey"])
def test_unknown_grant_tokens(kms, key, blob, operation):
    request = (requests(key, blob) | {"DescribeKey": {"KeyId": key["KeyId"]}})[operation]
    method = getattr(kms, support.snake(operation))
    method(**request, GrantTokens=[])
    for tokens in (["unknown"], ["AQpAM2RhZTk1MGMyNTk2ZmZmMzEyYWVhOWViN2I1MWM4"] * 2, ["x" * 8192]):
        refused(method, "InvalidGrantTokenException", None, **request, GrantTokens=tokens)


def test_dry_run_modifiers_ignore_ciphertext(server, account, key, blob):
    modified = {"DryRun": True, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}
    answer = server.post("Decrypt", {"KeyId": key["KeyId"]} | modified, account=account)
    assert answer.kind() == "DryRunOperationException"
    assert server.post("Decrypt", modified, account=account).kind() == "ValidationException"
    answer = server.post(
        "Decrypt",
        {"CiphertextBlob": b64(blob), "KeyId": key["KeyId"],
         "DryRunModifiers": ["IGNORE_CIPHERTEXT"]},
        account=account,
    )  # fmt: skip
    assert answer.kind() == "ValidationException"


# Multi-Region keys and restarts.


def test_everything_still_decrypts_after_restart(own_server, account):
    kms = own_server.client(account)
    keys = [create(kms, MultiRegion=flag) for flag in (False, True)]
    made = [
        kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", EncryptionContext=CONTEXT)
        for key in keys
        for _ in range(3)
    ]
    for _ in range(2):
        own_server.restart()
        kms = own_server.client(account)
        for pair in made:
            got = kms.decrypt(CiphertextBlob=pair["CiphertextBlob"], EncryptionContext=CONTEXT)
            assert got["Plaintext"] == pair["Plaintext"]
            assert got["KeyMaterialId"] == pair["KeyMaterialId"]
