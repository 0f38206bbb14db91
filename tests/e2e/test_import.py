"""Imported key material: wrapping, what an import does to a key, expiry, deletion, rotation."""

import datetime
import os

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

import support

FOR_EVER = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
NEW = {"ImportType": "NEW_KEY_MATERIAL", **FOR_EVER}
DAY = 86400


def external(kms, **parameters):
    metadata = support.create(kms, Origin="EXTERNAL", **parameters)
    assert (metadata["KeyState"], metadata["Enabled"]) == ("PendingImport", False)
    assert "CurrentKeyMaterialId" not in metadata and "ExpirationModel" not in metadata
    return metadata


def wrap(spki, algorithm, material):
    public = serialization.load_der_public_key(spki)
    digest = hashes.SHA256() if algorithm.endswith("256") else hashes.SHA1()
    oaep = padding.OAEP(padding.MGF1(digest), digest, None)
    if algorithm.startswith("RSAES"):
        return public.encrypt(material, oaep)
    ephemeral = os.urandom(32)
    return public.encrypt(ephemeral, oaep) + aes_key_wrap_with_padding(ephemeral, material)


def parameters(kms, key, material, algorithm="RSAES_OAEP_SHA_256", spec="RSA_2048"):
    given = kms.get_parameters_for_import(
        KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=spec
    )
    wrapped = wrap(given["PublicKey"], algorithm, material)
    return {"KeyId": key, "ImportToken": given["ImportToken"], "EncryptedKeyMaterial": wrapped}


def put(kms, key, material, algorithm="RSAES_OAEP_SHA_256", spec="RSA_2048", **rest):
    given = parameters(kms, key, material, algorithm, spec)
    return kms.import_key_material(**given, **(rest or FOR_EVER))


def pkcs8(private):
    return private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def spki(private):
    return private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def states(kms, key):
    listed = kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    return [(each["KeyMaterialState"], each["ImportState"]) for each in listed["Rotations"]]


@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_3072", "RSA_4096"])
@pytest.mark.parametrize(
    "algorithm",
    [
        "RSAES_OAEP_SHA_1",
        "RSAES_OAEP_SHA_256",
    ],
)
def test_symmetric_material_by_every_wrapping(kms, algorithm, spec):
    if algorithm != "RSAES_OAEP_SHA_256" and spec == "RSA_4096":
        pytest.skip("a 4096 bit wrapping key for each hash would take long; the sizes are covered")
    key = external(kms)["KeyId"]
    done = put(kms, key, os.urandom(32), algorithm, spec)
    assert done["KeyId"] == kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert metadata["KeyState"] == "Enabled"
    assert metadata["ExpirationModel"] == "KEY_MATERIAL_DOES_NOT_EXPIRE"
    assert metadata["CurrentKeyMaterialId"] == done["KeyMaterialId"]
    sealed = kms.encrypt(KeyId=key, Plaintext=b"p")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["KeyMaterialId"] == done["KeyMaterialId"]


@pytest.mark.parametrize(
    "spec, usage, algorithm, make",
    [
        ("RSA_2048", "SIGN_VERIFY", "RSA_AES_KEY_WRAP_SHA_256",
         lambda: rsa.generate_private_key(65537, 2048)),
        ("RSA_3072", "ENCRYPT_DECRYPT", "RSA_AES_KEY_WRAP_SHA_1",
         lambda: rsa.generate_private_key(65537, 3072)),
        ("ECC_NIST_P256", "SIGN_VERIFY", "RSAES_OAEP_SHA_1",
         lambda: ec.generate_private_key(ec.SECP256R1())),
        ("ECC_NIST_P384", "KEY_AGREEMENT", "RSAES_OAEP_SHA_1",
         lambda: ec.generate_private_key(ec.SECP384R1())),
        ("ECC_SECG_P256K1", "SIGN_VERIFY", "RSAES_OAEP_SHA_256",
         lambda: ec.generate_private_key(ec.SECP256K1())),
        ("ECC_NIST_P521", "SIGN_VERIFY", "RSA_AES_KEY_WRAP_SHA_256",
         lambda: ec.generate_private_key(ec.SECP521R1())),
    ],
)  # fmt: skip
def test_private_keys_give_back_their_public_half(kms, spec, usage, algorithm, make):
    key = external(kms, KeySpec=spec, KeyUsage=usage)["KeyId"]
    private = make()
    done = put(kms, key, pkcs8(private), algorithm)
    assert "KeyMaterialId" not in done
    assert kms.get_public_key(KeyId=key)["PublicKey"] == spki(private)
    assert "CurrentKeyMaterialId" not in kms.describe_key(KeyId=key)["KeyMetadata"]


@pytest.mark.parametrize("spec", ["SYMMETRIC_DEFAULT", "HMAC_256"])
@pytest.mark.parametrize("algorithm", ["RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"])
def test_key_wrap_is_for_private_keys(kms, spec, algorithm):
    usage = {"KeyUsage": "GENERATE_VERIFY_MAC"} if spec.startswith("HMAC") else {}
    text = (
        f"Wrapping algorithm {algorithm} and wrapping key spec RSA_3072 cannot be used to import a "
        f"{spec} key."
    )
    support.refused(
        kms.get_parameters_for_import, "ValidationException", text, WrappingKeySpec="RSA_3072",
        KeyId=external(kms, KeySpec=spec, **usage)["KeyId"], WrappingAlgorithm=algorithm,
    )  # fmt: skip


@pytest.mark.parametrize("bits, length", [(224, 28), (256, 32), (384, 48), (512, 64)])
def test_hmac_material(kms, bits, length):
    import hashlib
    import hmac

    usage = {"KeySpec": f"HMAC_{bits}", "KeyUsage": "GENERATE_VERIFY_MAC"}
    key = external(kms, **usage)["KeyId"]
    material = os.urandom(length)
    put(kms, key, material)
    made = kms.generate_mac(KeyId=key, Message=b"m", MacAlgorithm=f"HMAC_SHA_{bits}")["Mac"]
    assert made == hmac.new(material, b"m", getattr(hashlib, f"sha{bits}")).digest()


@pytest.mark.parametrize("spec", ["ML_DSA_44", "ML_DSA_65", "ML_DSA_87"])
def test_no_key_waits_for_what_cannot_be_imported(kms, spec):
    support.refused(
        kms.create_key, "UnsupportedOperationException",
        f"KeySpec {spec} is not supported for Origin EXTERNAL",
        KeySpec=spec, KeyUsage="SIGN_VERIFY", Origin="EXTERNAL",
    )  # fmt: skip


def test_a_block_of_the_wrong_length(kms):
    given = parameters(kms, external(kms)["KeyId"], os.urandom(32))
    for wrong in (b"x", b"x" * 255, b"x" * 257, given["EncryptedKeyMaterial"] + b"x"):
        request = {**given, "EncryptedKeyMaterial": wrong, **FOR_EVER}
        support.refused(
            kms.import_key_material, "ValidationException", "Invalid encrypted key size.", **request
        )
    request = {**given, "EncryptedKeyMaterial": b"x" * 256, **FOR_EVER}
    support.refused(kms.import_key_material, "InvalidCiphertextException", None, **request)


def test_what_does_not_fit(kms):
    key = external(kms)["KeyId"]
    wrong = [os.urandom(31), os.urandom(33), b"x"]
    for material in wrong:
        given = parameters(kms, key, material)
        support.refused(
            kms.import_key_material, "IncorrectKeyMaterialException", None, **given, **FOR_EVER
        )
    given = parameters(kms, key, os.urandom(32))
    other = external(kms)["KeyId"]
    support.refused(
        kms.import_key_material, "InvalidImportTokenException", None,
        **{**given, "KeyId": other}, **FOR_EVER,
    )  # fmt: skip
    token = bytearray(given["ImportToken"])
    token[-1] ^= 1
    support.refused(
        kms.import_key_material, "InvalidImportTokenException", None,
        **{**given, "ImportToken": bytes(token)}, **FOR_EVER,
    )  # fmt: skip
    support.refused(
        kms.import_key_material, "InvalidCiphertextException", None,
        **{**given, "EncryptedKeyMaterial": os.urandom(256)}, **FOR_EVER,
    )  # fmt: skip
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"
    # A refused call leaves the token usable.
    support.refused(
        kms.import_key_material, "ValidationException",
        "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES", **given,
    )  # fmt: skip
    kms.import_key_material(**given, **FOR_EVER)


def test_only_external_keys_take_material(kms, key):
    arn = key["Arn"]
    support.refused(
        kms.get_parameters_for_import, "UnsupportedOperationException",
        f"{arn} origin is AWS_KMS which is not valid for this operation.",
        KeyId=key["KeyId"], WrappingAlgorithm="RSAES_OAEP_SHA_1", WrappingKeySpec="RSA_2048",
    )  # fmt: skip


@pytest.mark.parametrize(
    "spec, usage, algorithm, wrapping",
    [
        ("RSA_2048", "SIGN_VERIFY", "RSAES_OAEP_SHA_256", "RSA_4096"),
        ("ECC_NIST_P521", "SIGN_VERIFY", "RSAES_OAEP_SHA_256", "RSA_2048"),
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "RSAES_PKCS1_V1_5", "RSA_2048"),
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "SM2PKE", "SM2"),
    ],
)
def test_wrappings_that_cannot_be(kms, spec, usage, algorithm, wrapping):
    key = external(kms, KeySpec=spec, KeyUsage=usage)["KeyId"]
    code, text = "UnsupportedOperationException", None
    if usage == "SIGN_VERIFY":
        code = "ValidationException"
        text = (
            f"Wrapping algorithm {algorithm} and wrapping key spec {wrapping} cannot be used to "
            f"import a {spec} key."
        )
    support.refused(
        kms.get_parameters_for_import, code, text,
        KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=wrapping,
    )  # fmt: skip


def test_deleted_and_imported_again(kms):
    key = external(kms)["KeyId"]
    material = os.urandom(32)
    first = put(kms, key, material)["KeyMaterialId"]
    sealed = kms.encrypt(KeyId=key, Plaintext=b"p")["CiphertextBlob"]
    gone = kms.delete_imported_key_material(KeyId=key)
    metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert support.members(gone) == {"KeyId", "KeyMaterialId"}
    assert (gone["KeyId"], gone["KeyMaterialId"]) == (metadata["Arn"], first)
    assert metadata["KeyState"] == "PendingImport" and "ExpirationModel" not in metadata
    assert metadata["CurrentKeyMaterialId"] == first
    support.refused(
        kms.decrypt, "KMSInvalidStateException", f"{metadata['Arn']} is pending import.",
        CiphertextBlob=sealed,
    )  # fmt: skip
    kms.delete_imported_key_material(KeyId=key)  # no effect, no error
    given = parameters(kms, key, os.urandom(32))
    support.refused(
        kms.import_key_material, "IncorrectKeyMaterialException", None, **given, **FOR_EVER
    )
    given = parameters(kms, key, material)
    support.refused(
        kms.import_key_material, "IncorrectKeyMaterialException", None, **given, **NEW
    )
    assert put(kms, key, material)["KeyMaterialId"] == first
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"


def test_expiry(own_server, account):
    kms = own_server.client(account)
    key = external(kms)["KeyId"]
    material = os.urandom(32)
    now = datetime.datetime.now(datetime.timezone.utc)
    for end, text in [
        (now - datetime.timedelta(hours=1), "ValidTo must be in the future"),
        (now + datetime.timedelta(days=400), None),
    ]:
        given = parameters(kms, key, material)
        support.refused(kms.import_key_material, "ValidationException", text, **given, ValidTo=end)
    put(kms, key, material, ValidTo=now + datetime.timedelta(days=2))
    metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert metadata["ExpirationModel"] == "KEY_MATERIAL_EXPIRES"
    assert abs(metadata["ValidTo"] - now - datetime.timedelta(days=2)).total_seconds() < 1
    sealed = kms.encrypt(KeyId=key, Plaintext=b"p")["CiphertextBlob"]
    own_server.advance(2 * DAY + 1)
    metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert metadata["KeyState"] == "PendingImport" and "ValidTo" not in metadata
    own_server.restart()
    kms = own_server.client(account)
    put(kms, key, material)
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"


def test_tokens_expire(own_server, account):
    kms = own_server.client(account)
    given = parameters(kms, external(kms)["KeyId"], os.urandom(32))
    own_server.advance(DAY + 1)
    support.refused(
        kms.import_key_material, "ExpiredImportTokenException", None, **given, **FOR_EVER
    )


def test_new_material_waits_for_its_rotation(kms):
    key = external(kms)["KeyId"]
    arn = kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    first = put(kms, key, os.urandom(32))["KeyMaterialId"]
    old = kms.encrypt(KeyId=key, Plaintext=b"old")["CiphertextBlob"]
    support.refused(
        kms.rotate_key_on_demand, "KMSInvalidStateException",
        f"No available key material pending rotation for the key: {arn}.", KeyId=key,
    )  # fmt: skip
    second = put(kms, key, os.urandom(32), **NEW, KeyMaterialDescription="second")
    assert states(kms, key) == [("CURRENT", "IMPORTED"), ("PENDING_ROTATION", "IMPORTED")]
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"] == first
    refused = parameters(kms, key, os.urandom(32))
    with pytest.raises(kms.exceptions.KMSInvalidStateException) as caught:
        kms.import_key_material(**refused, **NEW)
    assert str(caught.value).endswith(
        f"cannot be imported into KMS key {arn}, because another key material "
        f"(id: {second['KeyMaterialId']}) is pending rotation."
    )
    kms.rotate_key_on_demand(KeyId=key)
    metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert metadata["CurrentKeyMaterialId"] == second["KeyMaterialId"]
    new = kms.encrypt(KeyId=key, Plaintext=b"new")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=old)["Plaintext"] == b"old"
    assert kms.decrypt(CiphertextBlob=new)["Plaintext"] == b"new"
    assert states(kms, key) == [("NON_CURRENT", "IMPORTED"), ("CURRENT", "IMPORTED")]
    # Every material that was ever current must be there.
    kms.delete_imported_key_material(KeyId=key, KeyMaterialId=first)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"


def test_material_that_waits_can_be_taken_back(kms):
    key = external(kms)["KeyId"]
    put(kms, key, os.urandom(32))
    second = put(kms, key, os.urandom(32), **NEW)["KeyMaterialId"]
    kms.delete_imported_key_material(KeyId=key, KeyMaterialId=second)
    assert states(kms, key) == [("CURRENT", "IMPORTED")]
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    put(kms, key, os.urandom(32), **NEW)
    kms.rotate_key_on_demand(KeyId=key)
