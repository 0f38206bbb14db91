"""Asymmetric and HMAC keys: every spec and algorithm, judged by OpenSSL, PyCA and curves.py."""

import hashlib
import os
import subprocess

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils, x25519

import curves
import support
from support import CHINA, INCORRECT_KEY, INVALID_CIPHERTEXT_BODY, b64, create, refused

RSA_SIGNING = [f"RSASSA_{scheme}_SHA_{bits}" for scheme in ("PKCS1_V1_5", "PSS")
               for bits in (256, 384, 512)]  # fmt: skip
SIGNING = {
    "RSA_2048": RSA_SIGNING, "RSA_3072": RSA_SIGNING, "RSA_4096": RSA_SIGNING,
    "ECC_NIST_P256": ["ECDSA_SHA_256"], "ECC_NIST_P384": ["ECDSA_SHA_384"],
    "ECC_NIST_P521": ["ECDSA_SHA_512"], "ECC_SECG_P256K1": ["ECDSA_SHA_256"],
    "ECC_NIST_EDWARDS25519": ["ED25519_SHA_512", "ED25519_PH_SHA_512"],
    "ML_DSA_44": ["ML_DSA_SHAKE_256"], "ML_DSA_65": ["ML_DSA_SHAKE_256"],
    "ML_DSA_87": ["ML_DSA_SHAKE_256"], "SM2": ["SM2DSA"],
}  # fmt: skip
PAIRS = [(spec, algorithm) for spec, algorithms in SIGNING.items() for algorithm in algorithms]
HASHED = [(spec, algorithm) for spec, algorithm in PAIRS if not algorithm.startswith(("ED", "ML"))]
OAEP = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]
RSA = ["RSA_2048", "RSA_3072", "RSA_4096"]
LIMITS = {("RSA_2048", OAEP[0]): 214, ("RSA_2048", OAEP[1]): 190, ("RSA_3072", OAEP[0]): 342,
          ("RSA_3072", OAEP[1]): 318, ("RSA_4096", OAEP[0]): 470, ("RSA_4096", OAEP[1]): 446,
          ("SM2", "SM2PKE"): 1024}  # fmt: skip
AGREEING = {
    "ECC_NIST_P256": ec.SECP256R1,
    "ECC_NIST_P384": ec.SECP384R1,
    "ECC_NIST_P521": ec.SECP521R1,
}
MACS = {f"HMAC_{bits}": (f"HMAC_SHA_{bits}", bits // 8) for bits in (224, 256, 384, 512)}
# Every spec with every usage it may have, and the one list that CreateKey and GetPublicKey show.
MATRIX = [
    *((spec, "SIGN_VERIFY", "SigningAlgorithms", algorithms) for spec, algorithms in SIGNING.items()),
    *((spec, "ENCRYPT_DECRYPT", "EncryptionAlgorithms", OAEP) for spec in RSA),
    ("SM2", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", ["SM2PKE"]),
    *((spec, "KEY_AGREEMENT", "KeyAgreementAlgorithms", ["ECDH"]) for spec in [*AGREEING, "SM2"]),
    *((spec, "GENERATE_VERIFY_MAC", "MacAlgorithms", [mac]) for spec, (mac, _) in MACS.items()),
]  # fmt: skip
SPKI = {"RSA_2048": 294, "RSA_3072": 422, "RSA_4096": 550, "ECC_NIST_P256": 91,
        "ECC_NIST_P384": 120, "ECC_NIST_P521": 158, "ECC_SECG_P256K1": 88, "SM2": 91,
        "ECC_NIST_EDWARDS25519": 44, "ML_DSA_44": 1334, "ML_DSA_65": 1974, "ML_DSA_87": 2614}  # fmt: skip
SIGNATURE = {"RSA_2048": range(256, 257), "RSA_3072": range(384, 385), "RSA_4096": range(512, 513),
             "ECC_NIST_P256": range(8, 73), "ECC_NIST_P384": range(8, 105),
             "ECC_NIST_P521": range(8, 140), "ECC_SECG_P256K1": range(8, 73), "SM2": range(8, 73),
             "ECC_NIST_EDWARDS25519": range(64, 65), "ML_DSA_44": range(2420, 2421),
             "ML_DSA_65": range(3309, 3310), "ML_DSA_87": range(4627, 4628)}  # fmt: skip
MESSAGE = b"what both sides agree on"


class World:
    """Keys shared by the tests of this file, made when first asked for; none may be changed."""

    def __init__(self, server):
        self.server, self.account, self._keys = server, support.new_account(), {}

    def kms(self, spec="SYMMETRIC_DEFAULT"):
        return self.server.client(self.account, CHINA if spec == "SM2" else support.REGION)

    def key(self, spec, usage):
        if (spec, usage) not in self._keys:
            self._keys[spec, usage] = create(self.kms(spec), KeySpec=spec, KeyUsage=usage)
        return self._keys[spec, usage]

    def public(self, spec, usage):
        return self.kms(spec).get_public_key(KeyId=self.key(spec, usage)["KeyId"])["PublicKey"]

    def body(self, operation, spec="SYMMETRIC_DEFAULT", **request):
        """The whole body of a refusal, which an SDK does not show."""
        region = CHINA if spec == "SM2" else support.REGION
        sent = {name: b64(v) if isinstance(v, bytes) else v for name, v in request.items()}
        answer = self.server.post(operation, sent, account=self.account, region=region)
        assert answer.status == 400, answer
        return answer.body


@pytest.fixture(scope="module")
def world(server):
    return World(server)


def digest_of(algorithm, spki, message):
    """What MessageType DIGEST takes for this message."""
    if algorithm == "SM2DSA":
        return curves.sm2_e(spki, message)
    return hashlib.new("sha" + algorithm[-3:], message).digest()


def judge(algorithm, spki, message, signature):
    """Whether a second implementation takes the signature for one of the message."""
    if algorithm == "ED25519_PH_SHA_512":
        return curves.ed25519_verifies(spki[-32:], message, signature, prehashed=True)
    public = serialization.load_der_public_key(spki)
    try:
        if algorithm.startswith("RSASSA"):
            hashed = getattr(hashes, "SHA" + algorithm[-3:])()
            scheme = (padding.PSS(padding.MGF1(hashed), hashed.digest_size)
                      if "PSS" in algorithm else padding.PKCS1v15())  # fmt: skip
            public.verify(signature, message, scheme, hashed)
        elif algorithm.startswith("ECDSA"):
            public.verify(signature, message, ec.ECDSA(getattr(hashes, "SHA" + algorithm[-3:])()))
        else:
            public.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def openssl_verifies(openssl, directory, algorithm, spki, message, signature):
    paths = {name: directory / name for name in ("pub", "msg", "sig")}
    for name, content in (("pub", spki), ("msg", message), ("sig", signature)):
        paths[name].write_bytes(content)
    options = ["-rawin", "-in", paths["msg"], "-sigfile", paths["sig"]]
    if algorithm == "SM2DSA":
        options += ["-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]
    elif not algorithm.startswith("ED"):
        options += ["-digest", "sha" + algorithm[-3:]]
    if "PSS" in algorithm:
        options += ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
    call = [openssl, "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", paths["pub"]]
    done = subprocess.run([*map(str, call + options)], capture_output=True, timeout=60)
    assert b"Success" in done.stdout or b"Failure" in done.stdout, done
    return done.returncode == 0


# Keys.


@pytest.mark.parametrize(("spec", "usage", "member", "algorithms"), MATRIX)
def test_a_new_key_of_every_spec_and_usage(world, spec, usage, member, algorithms):
    key, kms = world.key(spec, usage), world.kms(spec)
    old = {"CustomerMasterKeySpec": spec}
    assert set(key) == {
        "AWSAccountId", "Arn", "CreationDate", "Description", "Enabled", "KeyId", "KeyManager",
        "KeySpec", "KeyState", "KeyUsage", "MultiRegion", "Origin", member, *old,
    }  # fmt: skip
    assert key[member] == algorithms
    assert (key["KeySpec"], key["KeyUsage"]) == (spec, usage)
    assert key | old == key
    assert (key["KeyState"], key["Enabled"], key["Origin"]) == ("Enabled", True, "AWS_KMS")
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == key
    if usage == "GENERATE_VERIFY_MAC":
        return
    got = kms.get_public_key(KeyId=key["KeyId"])
    assert support.body(got) == {
        "KeyId": key["Arn"], "PublicKey": got["PublicKey"], "KeySpec": spec,
        "KeyUsage": usage, member: algorithms, **old,
    }  # fmt: skip
    spki = got["PublicKey"]
    assert len(spki) == SPKI[spec]
    if spec == "SM2":
        x, y = curves.sm2_point(spki)
        assert (y * y - x**3 - curves.SM2_A * x - curves.SM2_B) % curves.SM2_P == 0
    else:
        again = serialization.load_der_public_key(spki).public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert again == spki


def test_public_keys_of_two_keys_differ_and_one_keeps_its_own(world):
    kms = world.kms()
    for spec in ("RSA_2048", "ECC_NIST_P256", "ECC_NIST_EDWARDS25519", "ML_DSA_44"):
        other = create(kms, KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyId"]
        public = world.public(spec, "SIGN_VERIFY")
        assert public == world.public(spec, "SIGN_VERIFY")
        assert public != kms.get_public_key(KeyId=other)["PublicKey"]


def test_get_public_key_takes_aliases_and_asymmetric_keys_alone(world):
    kms, key = world.kms(), world.key("ECC_NIST_P256", "SIGN_VERIFY")
    kms.create_alias(AliasName="alias/signer", TargetKeyId=key["KeyId"])
    arn = support.alias_arn(world.account, "alias/signer")
    for name in (key["Arn"], "alias/signer", arn):
        got = kms.get_public_key(KeyId=name)
        assert got["KeyId"] == key["Arn"]
        assert (
            kms.sign(KeyId=name, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")["KeyId"]
            == key["Arn"]
        )
    for spec, usage in (
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
        ("HMAC_224", "GENERATE_VERIFY_MAC"),
    ):
        body = world.body("GetPublicKey", KeyId=world.key(spec, usage)["KeyId"])
        assert body == b'{"__type":"UnsupportedOperationException"}'


@pytest.mark.parametrize("usage", ["ENCRYPT_DECRYPT", "SIGN_VERIFY", "KEY_AGREEMENT"])
@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1"])
def test_sm2_keys_are_refused_outside_china(server, account, usage, region):
    kms = server.client(account, region)
    refused(kms.create_key, "UnsupportedOperationException", None, KeySpec="SM2", KeyUsage=usage)
    assert kms.list_keys()["Keys"] == []


def test_keys_work_after_a_restart(own_server, account):
    kms = own_server.client(account)
    made = {}
    for spec, algorithm in (("RSA_2048", RSA_SIGNING[3]), ("ML_DSA_44", "ML_DSA_SHAKE_256"),
                            ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512")):  # fmt: skip
        key = create(kms, KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyId"]
        sent = {"KeyId": key, "Message": MESSAGE, "SigningAlgorithm": algorithm}
        made[key] = kms.get_public_key(KeyId=key)["PublicKey"], sent, kms.sign(**sent)["Signature"]
    mac_key = {"KeyId": create(kms, KeySpec="HMAC_384", KeyUsage="GENERATE_VERIFY_MAC")["KeyId"],
               "Message": MESSAGE, "MacAlgorithm": "HMAC_SHA_384"}  # fmt: skip
    mac = kms.generate_mac(**mac_key)["Mac"]
    box = {"KeyId": create(kms, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyId"],
           "EncryptionAlgorithm": OAEP[1]}  # fmt: skip
    sealed = kms.encrypt(Plaintext=MESSAGE, **box)["CiphertextBlob"]
    own_server.restart()
    kms = own_server.client(account)
    for key, (public, sent, signature) in made.items():
        assert kms.get_public_key(KeyId=key)["PublicKey"] == public
        assert kms.verify(Signature=signature, **sent)["SignatureValid"]
        assert judge(sent["SigningAlgorithm"], public, MESSAGE, kms.sign(**sent)["Signature"])
    assert kms.generate_mac(**mac_key)["Mac"] == mac
    assert kms.decrypt(CiphertextBlob=sealed, **box)["Plaintext"] == MESSAGE


# Signatures.


def signing_request(spec, algorithm, key, message=MESSAGE):
    """A request for a signature of the message, and the bytes that the judge is to verify."""
    request = {"KeyId": key, "SigningAlgorithm": algorithm, "Message": message}
    if algorithm == "ED25519_PH_SHA_512":
        # Hashed by us and, as the message of Ed25519ph, once more.
        request |= {"Message": hashlib.sha512(message).digest(), "MessageType": "DIGEST"}
    return request, request["Message"]


@pytest.mark.parametrize(("spec", "algorithm"), PAIRS)
def test_signatures_pass_the_judges(world, openssl, tmp_path, spec, algorithm):
    kms, key = world.kms(spec), world.key(spec, "SIGN_VERIFY")
    spki = world.public(spec, "SIGN_VERIFY")
    request, signed = signing_request(spec, algorithm, key["KeyId"])
    made = kms.sign(**request)
    signature = made["Signature"]
    assert support.body(made) == {
        "KeyId": key["Arn"], "Signature": signature, "SigningAlgorithm": algorithm,
    }  # fmt: skip
    assert len(signature) in SIGNATURE[spec]
    forged = bytes([signed[0] ^ 1]) + signed[1:]
    if spec != "SM2":
        assert judge(algorithm, spki, signed, signature)
        assert not judge(algorithm, spki, forged, signature), "the judge accepts anything"
    if not algorithm.startswith(("ML", "ED25519_PH")):
        directory = tmp_path
        assert openssl_verifies(openssl, directory, algorithm, spki, signed, signature)
        assert not openssl_verifies(openssl, directory, algorithm, spki, forged, signature)
    got = kms.verify(Signature=signature, **request)
    assert support.body(got) == {
        "KeyId": key["Arn"], "SignatureValid": True, "SigningAlgorithm": algorithm,
    }  # fmt: skip
    body = world.body("Verify", spec, Signature=signature, **request | {"Message": forged})
    assert body == b'{"__type":"KMSInvalidSignatureException"}'


@pytest.mark.parametrize(("spec", "algorithm"), HASHED)
def test_raw_and_digest_are_two_ways_to_the_same_signature(world, spec, algorithm):
    kms, key = world.kms(spec), world.key(spec, "SIGN_VERIFY")["KeyId"]
    spki = world.public(spec, "SIGN_VERIFY")
    common = {"KeyId": key, "SigningAlgorithm": algorithm}
    for message in (b"\x00", MESSAGE, os.urandom(4096)):
        raw = common | {"Message": message, "MessageType": "RAW"}
        digest = common | {"Message": digest_of(algorithm, spki, message), "MessageType": "DIGEST"}
        for one, other in ((raw, digest), (digest, raw)):
            signature = kms.sign(**one)["Signature"]
            assert kms.verify(Signature=signature, **other)["SignatureValid"]
            if spec != "SM2":
                assert judge(algorithm, spki, message, signature)
        refused(kms.verify, "KMSInvalidSignatureException", None,
                Signature=signature, **raw | {"Message": digest["Message"]})  # fmt: skip


@pytest.mark.parametrize("spec", ["ML_DSA_44", "ML_DSA_65", "ML_DSA_87"])
def test_external_mu_is_the_same_as_raw(world, spec):
    kms, key = world.kms(), world.key(spec, "SIGN_VERIFY")["KeyId"]
    spki = world.public(spec, "SIGN_VERIFY")
    raw_key = serialization.load_der_public_key(spki).public_bytes_raw()
    prefix = hashlib.shake_256(raw_key).digest(64) + b"\x00\x00"
    common = {"KeyId": key, "SigningAlgorithm": "ML_DSA_SHAKE_256"}
    raw = common | {"Message": MESSAGE}
    mu = common | {"Message": hashlib.shake_256(prefix + MESSAGE).digest(64),
                   "MessageType": "EXTERNAL_MU"}  # fmt: skip
    for one, other in ((raw, mu), (mu, raw)):
        signature = kms.sign(**one)["Signature"]
        assert judge("ML_DSA_SHAKE_256", spki, MESSAGE, signature)
        assert kms.verify(Signature=signature, **other)["SignatureValid"]
    wrong = mu | {"Message": hashlib.shake_256(prefix + b"else").digest(64)}
    refused(kms.verify, "KMSInvalidSignatureException", None, Signature=signature, **wrong)


def test_sm2_digest_lets_the_caller_choose_the_identity(world, openssl, tmp_path):
    kms, key = world.kms("SM2"), world.key("SM2", "SIGN_VERIFY")["KeyId"]
    spki = world.public("SM2", "SIGN_VERIFY")
    signature = kms.sign(
        KeyId=key, SigningAlgorithm="SM2DSA", MessageType="DIGEST",
        Message=curves.sm2_e(spki, MESSAGE, identity=b"ALICE123@YAHOO.COM"),
    )["Signature"]  # fmt: skip
    paths = {"pub": spki, "msg": MESSAGE, "sig": signature}
    for name, content in paths.items():
        (tmp_path / name).write_bytes(content)
    for identity, good in (("ALICE123@YAHOO.COM", True), ("1234567812345678", False)):
        done = subprocess.run(
            [openssl, "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", tmp_path / "pub",
             "-rawin", "-in", tmp_path / "msg", "-sigfile", tmp_path / "sig", "-digest", "sm3",
             "-pkeyopt", f"distid:{identity}"], capture_output=True)  # fmt: skip
        assert (done.returncode == 0) is good, done


@pytest.mark.parametrize(
    "spec", ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1"]
)
def test_both_forms_of_s_are_accepted(world, spec):
    order = {
        "ECC_NIST_P256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        "ECC_NIST_P384": int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16),
        "ECC_NIST_P521": int("1FF" + "F" * 63 + "A51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
        "ECC_SECG_P256K1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    }[spec]  # fmt: skip
    kms, key = world.kms(), world.key(spec, "SIGN_VERIFY")["KeyId"]
    request = {"KeyId": key, "Message": MESSAGE, "SigningAlgorithm": SIGNING[spec][0]}
    r, s = utils.decode_dss_signature(kms.sign(**request)["Signature"])
    for value in (s, order - s):
        signature = utils.encode_dss_signature(r, value)
        assert kms.verify(Signature=signature, **request)["SignatureValid"]
    for pair in ((r, s + order), (r, 0), (0, s), (s, r), (order, s)):
        refused(kms.verify, "KMSInvalidSignatureException", None,
                Signature=utils.encode_dss_signature(*pair), **request)  # fmt: skip


@pytest.mark.parametrize(("spec", "algorithm"), PAIRS)
def test_damaged_signatures(world, spec, algorithm):
    kms, key = world.kms(spec), world.key(spec, "SIGN_VERIFY")["KeyId"]
    request, _ = signing_request(spec, algorithm, key)
    good = kms.sign(**request)["Signature"]
    middle = len(good) // 2
    bad = [good[:-1], good + b"\x00", b"\x00" + good, b"\x00", b"\x00" * len(good),
           b"\xff" * len(good), good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
           os.urandom(len(good)), b"0" * 6144]  # fmt: skip
    for signature in bad:
        body = world.body("Verify", spec, Signature=signature, **request)
        assert body == b'{"__type":"KMSInvalidSignatureException"}'
    other = (
        create(kms, KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyId"] if spec not in RSA[1:] else None
    )
    if other:
        refused(kms.verify, "KMSInvalidSignatureException", None,
                Signature=good, **request | {"KeyId": other})  # fmt: skip


def test_a_signature_is_bound_to_its_algorithm(world):
    kms, key = world.kms(), world.key("RSA_2048", "SIGN_VERIFY")["KeyId"]
    for algorithm in RSA_SIGNING:
        signature = kms.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm=algorithm)["Signature"]
        again = kms.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm=algorithm)["Signature"]
        assert (signature == again) is ("PKCS1" in algorithm)
        for other in set(RSA_SIGNING) - {algorithm}:
            refused(kms.verify, "KMSInvalidSignatureException", None, KeyId=key, Message=MESSAGE,
                    SigningAlgorithm=other, Signature=signature)  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "algorithm"), [*HASHED, ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512")]
)
def test_digests_of_a_wrong_length(world, spec, algorithm):
    kms, key = world.kms(spec), world.key(spec, "SIGN_VERIFY")["KeyId"]
    right = 32 if spec == "SM2" else int(algorithm[-3:]) // 8
    text = f"Digest is invalid length for algorithm {algorithm}."
    common = {"KeyId": key, "SigningAlgorithm": algorithm, "MessageType": "DIGEST"}
    kms.sign(Message=b"d" * right, **common)
    for length in {1, 20, 32, 48, 64, 65, 4096, right - 1, right + 1} - {right}:
        message = b"d" * length
        refused(kms.sign, "ValidationException", text, Message=message, **common)
        refused(kms.verify, "ValidationException", text, Message=message, Signature=b"s", **common)


def test_external_mu_of_a_wrong_length(world):
    kms, key = world.kms(), world.key("ML_DSA_44", "SIGN_VERIFY")["KeyId"]
    for length in (1, 32, 63, 65):
        refused(kms.sign, "ValidationException", None, KeyId=key, Message=b"m" * length,
                SigningAlgorithm="ML_DSA_SHAKE_256", MessageType="EXTERNAL_MU")  # fmt: skip


@pytest.mark.parametrize(("spec", "algorithm", "kinds"), [
    *((spec, algorithm, ["EXTERNAL_MU"]) for spec, algorithm in HASHED),
    ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", ["DIGEST", "EXTERNAL_MU"]),
    ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", ["RAW", None, "EXTERNAL_MU"]),
    ("ML_DSA_65", "ML_DSA_SHAKE_256", ["DIGEST"]),
])  # fmt: skip
def test_message_types_that_do_not_go_with_the_algorithm(world, spec, algorithm, kinds):
    kms, key = world.kms(spec), world.key(spec, "SIGN_VERIFY")["KeyId"]
    for kind in kinds:
        request = {"KeyId": key, "SigningAlgorithm": algorithm, "Message": b"m" * 64}
        request |= {"MessageType": kind} if kind else {}
        of = f"algorithm {algorithm}" if spec == "ECC_NIST_EDWARDS25519" else f"key spec {spec}"
        text = f"Message type {kind or 'RAW'} is incompatible with {of}."
        refused(kms.sign, "ValidationException", text, **request)
        refused(kms.verify, "ValidationException", text, Signature=b"s" * 64, **request)


# RSA and SM2 encryption.


def oaep(algorithm):
    hashed = hashes.SHA1() if algorithm.endswith("SHA_1") else hashes.SHA256()
    return padding.OAEP(padding.MGF1(hashed), hashed, None)


@pytest.mark.parametrize(("spec", "algorithm"), LIMITS)
def test_encryption_and_its_limits(world, spec, algorithm):
    kms, key = world.kms(spec), world.key(spec, "ENCRYPT_DECRYPT")
    limit = LIMITS[spec, algorithm]
    common = {"KeyId": key["KeyId"], "EncryptionAlgorithm": algorithm}
    for plaintext in (b"\x00", b"nine byte", os.urandom(limit)):
        sealed = kms.encrypt(Plaintext=plaintext, **common)
        blob = sealed["CiphertextBlob"]
        assert support.body(sealed) == {
            "CiphertextBlob": blob, "KeyId": key["Arn"], "EncryptionAlgorithm": algorithm,
        }  # fmt: skip
        assert len(blob) == int(spec[4:]) // 8 if spec in RSA else blob[0] == 0x30
        assert blob != kms.encrypt(Plaintext=plaintext, **common)["CiphertextBlob"]
        opened = kms.decrypt(CiphertextBlob=blob, **common)
        assert support.body(opened) == {
            "Plaintext": plaintext, "KeyId": key["Arn"], "EncryptionAlgorithm": algorithm,
        }  # fmt: skip
    text = (
        f"Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {limit} bytes."
    )
    for length in (limit + 1, 4096):
        refused(kms.encrypt, "ValidationException", text, Plaintext=b"p" * length, **common)
        refused(kms.encrypt, "ValidationException", text,
                Plaintext=b"p" * length, DryRun=True, **common)  # fmt: skip


@pytest.mark.parametrize("algorithm", OAEP)
@pytest.mark.parametrize("spec", RSA)
def test_what_others_encrypt_is_decrypted(world, openssl, tmp_path, spec, algorithm):
    kms, key = world.kms(), world.key(spec, "ENCRYPT_DECRYPT")["KeyId"]
    spki = world.public(spec, "ENCRYPT_DECRYPT")
    public = serialization.load_der_public_key(spki)
    common = {"KeyId": key, "EncryptionAlgorithm": algorithm}
    # One in 256 begins with a zero byte, which must not be dropped.
    blobs = [public.encrypt(MESSAGE, oaep(algorithm)) for _ in range(3000)]
    zero = next((blob for blob in blobs if blob[0] == 0), None)
    assert zero, "3000 ciphertexts without a leading zero"
    for blob in (blobs[0], zero):
        assert kms.decrypt(CiphertextBlob=blob, **common)["Plaintext"] == MESSAGE
    (tmp_path / "pub").write_bytes(spki)
    (tmp_path / "msg").write_bytes(MESSAGE)
    name = "sha1" if algorithm.endswith("SHA_1") else "sha256"
    done = subprocess.run(
        [openssl, "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", tmp_path / "pub",
         "-in", tmp_path / "msg", "-pkeyopt", "rsa_padding_mode:oaep",
         "-pkeyopt", f"rsa_oaep_md:{name}", "-pkeyopt", f"rsa_mgf1_md:{name}"],
        capture_output=True, check=True)  # fmt: skip
    assert kms.decrypt(CiphertextBlob=done.stdout, **common)["Plaintext"] == MESSAGE


def test_sm2_of_openssl_is_decrypted(world, openssl, tmp_path):
    kms, key = world.kms("SM2"), world.key("SM2", "ENCRYPT_DECRYPT")["KeyId"]
    (tmp_path / "pub").write_bytes(world.public("SM2", "ENCRYPT_DECRYPT"))
    for message in (b"m", MESSAGE, os.urandom(500)):
        (tmp_path / "msg").write_bytes(message)
        done = subprocess.run(
            [openssl, "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey",
             tmp_path / "pub", "-in", tmp_path / "msg", "-pkeyopt", "digest:sm3"],
            capture_output=True, check=True)  # fmt: skip
        opened = kms.decrypt(CiphertextBlob=done.stdout, KeyId=key, EncryptionAlgorithm="SM2PKE")
        assert opened["Plaintext"] == message


@pytest.mark.parametrize(("spec", "algorithm"), [("RSA_2048", OAEP[0]), ("RSA_2048", OAEP[1]),
                                                 ("SM2", "SM2PKE")])  # fmt: skip
def test_bad_ciphertexts_are_all_alike(world, spec, algorithm):
    kms, key = world.kms(spec), world.key(spec, "ENCRYPT_DECRYPT")["KeyId"]
    other = create(kms, KeySpec=spec, KeyUsage="ENCRYPT_DECRYPT")["KeyId"]
    common = {"KeyId": key, "EncryptionAlgorithm": algorithm}
    good = kms.encrypt(Plaintext=MESSAGE, **common)["CiphertextBlob"]
    foreign = kms.encrypt(Plaintext=MESSAGE, **common | {"KeyId": other})["CiphertextBlob"]
    bad = [good[:-1], good[1:], good + b"\x00", b"\x00" + good, b"\x00", b"\x00" * len(good),
           b"\xff" * len(good), good[:-1] + bytes([good[-1] ^ 1]), os.urandom(len(good)),
           foreign, b"c" * 6144]  # fmt: skip
    if spec in RSA:
        public = serialization.load_der_public_key(world.public(spec, "ENCRYPT_DECRYPT"))
        bad += [public.encrypt(MESSAGE, padding.PKCS1v15()),
                public.encrypt(MESSAGE, oaep(OAEP[algorithm == OAEP[0]])),
                public.encrypt(MESSAGE, padding.OAEP(oaep(algorithm).mgf, oaep(algorithm).algorithm, b"l"))]  # fmt: skip
    for blob in bad:
        body = world.body("Decrypt", spec, CiphertextBlob=blob, **common)
        assert body == INVALID_CIPHERTEXT_BODY
        body = world.body("ReEncrypt", spec, CiphertextBlob=blob, SourceKeyId=key,
                          SourceEncryptionAlgorithm=algorithm, DestinationKeyId=other,
                          DestinationEncryptionAlgorithm=algorithm)  # fmt: skip
        assert body == INVALID_CIPHERTEXT_BODY
    # Without KeyId the blob is taken for a symmetric one, which it is not.
    for request in ({}, {"EncryptionAlgorithm": algorithm}):
        assert (
            world.body("Decrypt", spec, CiphertextBlob=good, **request) == INVALID_CIPHERTEXT_BODY
        )
    assert kms.decrypt(CiphertextBlob=good, **common)["Plaintext"] == MESSAGE


def test_contexts_are_refused_with_asymmetric_keys(world):
    kms, key = world.kms(), world.key("RSA_2048", "ENCRYPT_DECRYPT")["KeyId"]
    symmetric = world.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")["KeyId"]
    common = {"KeyId": key, "EncryptionAlgorithm": OAEP[0]}
    blob = kms.encrypt(Plaintext=MESSAGE, EncryptionContext={}, **common)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext={}, **common)["Plaintext"] == MESSAGE
    text, context = "Invalid EncryptionContext", {"EncryptionContext": {"a": "b"}}
    refused(kms.encrypt, "ValidationException", text, Plaintext=b"p", **common, **context)
    refused(
        kms.encrypt, "ValidationException", text, Plaintext=b"p", DryRun=True, **common, **context
    )
    refused(kms.decrypt, "ValidationException", text, CiphertextBlob=blob, **common, **context)
    sealed = kms.encrypt(KeyId=symmetric, Plaintext=b"p")["CiphertextBlob"]
    refused(kms.re_encrypt, "ValidationException", text, CiphertextBlob=sealed, DestinationKeyId=key,
            DestinationEncryptionAlgorithm=OAEP[0], DestinationEncryptionContext={"a": "b"})  # fmt: skip
    refused(kms.re_encrypt, "ValidationException", text, CiphertextBlob=blob, SourceKeyId=key,
            SourceEncryptionAlgorithm=OAEP[0], SourceEncryptionContext={"a": "b"},
            DestinationKeyId=symmetric)  # fmt: skip


def test_re_encrypt_between_kinds_of_keys(world):
    kms = world.kms()
    keys = [
        (world.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"), "SYMMETRIC_DEFAULT"),
        (world.key("RSA_2048", "ENCRYPT_DECRYPT"), OAEP[1]),
        (world.key("RSA_4096", "ENCRYPT_DECRYPT"), OAEP[0]),
    ]
    for source, source_algorithm in keys:
        for destination, algorithm in keys:
            blob = kms.encrypt(KeyId=source["KeyId"], Plaintext=MESSAGE,
                               EncryptionAlgorithm=source_algorithm)["CiphertextBlob"]  # fmt: skip
            request = {"CiphertextBlob": blob, "SourceKeyId": source["KeyId"],
                       "SourceEncryptionAlgorithm": source_algorithm,
                       "DestinationKeyId": destination["KeyId"],
                       "DestinationEncryptionAlgorithm": algorithm}  # fmt: skip
            made = support.body(kms.re_encrypt(**request))
            expected = {"SourceKeyId": source["Arn"], "KeyId": destination["Arn"],
                        "SourceEncryptionAlgorithm": source_algorithm,
                        "DestinationEncryptionAlgorithm": algorithm}  # fmt: skip
            for name, key in (("Source", source), ("Destination", destination)):
                if "CurrentKeyMaterialId" in key:
                    expected[f"{name}KeyMaterialId"] = key["CurrentKeyMaterialId"]
            blob = made.pop("CiphertextBlob")
            assert made == expected
            opened = kms.decrypt(CiphertextBlob=blob, KeyId=destination["KeyId"],
                                 EncryptionAlgorithm=algorithm)  # fmt: skip
            assert opened["Plaintext"] == MESSAGE
            refused(
                kms.re_encrypt, "DryRunOperationException", support.DRY_RUN, DryRun=True, **request
            )


def test_re_encrypt_refuses_what_the_destination_cannot_hold(world):
    kms, key = world.kms(), world.key("RSA_2048", "ENCRYPT_DECRYPT")["KeyId"]
    symmetric = world.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")["KeyId"]
    for length in (190, 191):
        blob = kms.encrypt(KeyId=symmetric, Plaintext=b"p" * length)["CiphertextBlob"]
        request = {"CiphertextBlob": blob, "DestinationKeyId": key,
                   "DestinationEncryptionAlgorithm": OAEP[1]}  # fmt: skip
        if length == 190:
            kms.re_encrypt(**request)
    refused(kms.re_encrypt, "ValidationException",
            f"Algorithm {OAEP[1]} and key spec RSA_2048 cannot encrypt data larger than 190 bytes.",
            **request)  # fmt: skip


def test_incorrect_key_comes_before_usage_and_state(world):
    kms, symmetric = world.kms(), world.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")["KeyId"]
    blob = kms.encrypt(KeyId=symmetric, Plaintext=b"p")["CiphertextBlob"]
    disabled = create(kms, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    kms.disable_key(KeyId=disabled["KeyId"])
    signer, mac = (
        world.key("ECC_NIST_P256", "SIGN_VERIFY"),
        world.key("HMAC_512", "GENERATE_VERIFY_MAC"),
    )
    for key in (mac, signer, disabled, world.key("RSA_2048", "ENCRYPT_DECRYPT")):
        refused(kms.decrypt, "IncorrectKeyException", INCORRECT_KEY,
                CiphertextBlob=blob, KeyId=key["KeyId"])  # fmt: skip
        refused(kms.re_encrypt, "IncorrectKeyException", INCORRECT_KEY, CiphertextBlob=blob,
                SourceKeyId=key["KeyId"], DestinationKeyId=mac["KeyId"])  # fmt: skip
    sealed = kms.encrypt(KeyId=world.key("RSA_2048", "ENCRYPT_DECRYPT")["KeyId"], Plaintext=b"p",
                         EncryptionAlgorithm=OAEP[0])["CiphertextBlob"]  # fmt: skip
    assert world.body("Decrypt", CiphertextBlob=sealed, KeyId=symmetric) == INVALID_CIPHERTEXT_BODY


# MACs.


@pytest.mark.parametrize("spec", MACS)
def test_macs(world, spec):
    """That a MAC is the HMAC of the key cannot be seen from outside: no key leaves the program."""
    (algorithm, length), kms, key = MACS[spec], world.kms(), world.key(spec, "GENERATE_VERIFY_MAC")
    common = {"KeyId": key["KeyId"], "MacAlgorithm": algorithm}
    macs = {}
    for message in (b"\x00", b"\x00\x00", MESSAGE, b"m" * 4096):
        made = kms.generate_mac(Message=message, **common)
        mac = made["Mac"]
        assert support.body(made) == {"KeyId": key["Arn"], "Mac": mac, "MacAlgorithm": algorithm}
        assert len(mac) == length
        assert kms.generate_mac(Message=message, **common)["Mac"] == mac
        got = kms.verify_mac(Message=message, Mac=mac, **common)
        assert support.body(got) == {
            "KeyId": key["Arn"],
            "MacValid": True,
            "MacAlgorithm": algorithm,
        }
        macs[message] = mac
    assert len(set(macs.values())) == 4
    good = macs[MESSAGE]
    other = create(kms, KeySpec=spec, KeyUsage="GENERATE_VERIFY_MAC")["KeyId"]
    foreign = kms.generate_mac(Message=MESSAGE, **common | {"KeyId": other})["Mac"]
    assert foreign != good
    bad = [good[:-1], good[:1], good + b"\x00", bytes([good[0] ^ 1]) + good[1:],
           good[:-1] + bytes([good[-1] ^ 128]), b"\x00" * length, macs[b"\x00"], foreign]  # fmt: skip
    for mac in bad:
        body = world.body("VerifyMac", Message=MESSAGE, Mac=mac, **common)
        assert body == b'{"__type":"KMSInvalidMacException"}'


def test_mac_algorithms_of_other_specs(world):
    kms = world.kms()
    for spec, (own, _) in MACS.items():
        key = world.key(spec, "GENERATE_VERIFY_MAC")["KeyId"]
        for algorithm in {name for name, _ in MACS.values()} - {own}:
            text = f"Algorithm {algorithm} is incompatible with key spec {spec}."
            request = {"KeyId": key, "Message": b"m", "MacAlgorithm": algorithm}
            refused(kms.generate_mac, "InvalidKeyUsageException", text, **request)
            refused(kms.verify_mac, "InvalidKeyUsageException", text, Mac=b"x", **request)


# Key agreement.


def spki_of(private):
    return private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("spec", AGREEING)
def test_shared_secrets_are_those_of_pyca(world, spec):
    kms, key = world.kms(), world.key(spec, "KEY_AGREEMENT")
    ours = serialization.load_der_public_key(world.public(spec, "KEY_AGREEMENT"))
    common = {"KeyId": key["KeyId"], "KeyAgreementAlgorithm": "ECDH"}
    first = ec.generate_private_key(AGREEING[spec]())
    # A secret that begins with a whole zero byte; of P-521 the top byte holds one bit.
    for _ in range(5000):
        zero = ec.generate_private_key(AGREEING[spec]())
        secret = zero.exchange(ec.ECDH(), ours)
        if secret[: 2 if spec.endswith("521") else 1].strip(b"\x00") == b"":
            break
    else:
        pytest.fail("5000 secrets without a leading zero")
    for peer in (first, zero):
        made = kms.derive_shared_secret(PublicKey=spki_of(peer), **common)
        assert support.body(made) == {
            "KeyId": key["Arn"], "SharedSecret": peer.exchange(ec.ECDH(), ours),
            "KeyAgreementAlgorithm": "ECDH", "KeyOrigin": "AWS_KMS",
        }  # fmt: skip
    assert len(made["SharedSecret"]) == {"256": 32, "384": 48, "521": 66}[spec[-3:]]


def test_two_keys_agree(world):
    for spec in [*AGREEING, "SM2"]:
        kms, one = world.kms(spec), world.key(spec, "KEY_AGREEMENT")["KeyId"]
        other = create(kms, KeySpec=spec, KeyUsage="KEY_AGREEMENT")["KeyId"]
        secrets = {
            kms.derive_shared_secret(
                KeyId=mine, KeyAgreementAlgorithm="ECDH",
                PublicKey=kms.get_public_key(KeyId=theirs)["PublicKey"],
            )["SharedSecret"]
            for mine, theirs in ((one, other), (other, one))
        }  # fmt: skip
        assert len(secrets) == 1


def test_sm2_agreement_is_the_x_coordinate(world):
    kms, key = world.kms("SM2"), world.key("SM2", "KEY_AGREEMENT")["KeyId"]
    ours = curves.sm2_point(world.public("SM2", "KEY_AGREEMENT"))
    scalar = int.from_bytes(os.urandom(31), "big") + 1
    made = kms.derive_shared_secret(
        KeyId=key, KeyAgreementAlgorithm="ECDH",
        PublicKey=curves.sm2_spki(curves.sm2_multiply(scalar)),
    )  # fmt: skip
    assert made["SharedSecret"] == curves.sm2_multiply(scalar, ours)[0].to_bytes(32, "big")


def bad_peers(spki):
    """Peer keys that a P-256 key must not agree with; `spki` is a good one."""
    yield b"x"
    yield os.urandom(91)
    yield spki[:-1]
    yield spki + b"\x00"
    yield spki[:-1] + bytes([spki[-1] ^ 1])  # off the curve
    yield spki[:26] + b"\x04" + b"\x00" * 64
    yield spki[:26] + b"\x04" + b"\xff" * 64
    yield bytes.fromhex("301a301306072a8648ce3d020106082a8648ce3d03010703030000")  # identity
    yield spki[-65:]
    yield spki_of(ec.generate_private_key(ec.SECP384R1()))
    yield spki_of(ec.generate_private_key(ec.SECP256K1()))
    yield curves.sm2_spki(curves.SM2_G)
    yield spki_of(rsa.generate_private_key(65537, 2048))
    yield spki_of(ed25519.Ed25519PrivateKey.generate())
    yield spki_of(x25519.X25519PrivateKey.generate())


@pytest.mark.parametrize("dry", [{}, {"DryRun": True}])
def test_peer_keys_that_are_refused(world, dry):
    key = world.key("ECC_NIST_P256", "KEY_AGREEMENT")["KeyId"]
    common = {"KeyId": key, "KeyAgreementAlgorithm": "ECDH"} | dry
    for peer in bad_peers(spki_of(ec.generate_private_key(ec.SECP256R1()))):
        body = world.body("DeriveSharedSecret", PublicKey=peer, **common)
        assert body == b'{"__type":"ValidationException"}', peer.hex()


# Order of the checks, on every operation.

REQUESTS = {
    "Sign": {"Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"},
    "Verify": {"Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256", "Signature": b"s"},
    "GenerateMac": {"Message": b"m", "MacAlgorithm": "HMAC_SHA_256"},
    "VerifyMac": {"Message": b"m", "MacAlgorithm": "HMAC_SHA_256", "Mac": b"s"},
    "DeriveSharedSecret": {"KeyAgreementAlgorithm": "ECDH", "PublicKey":
        spki_of(ec.generate_private_key(ec.SECP256R1()))},
    "Encrypt": {"Plaintext": b"m", "EncryptionAlgorithm": OAEP[0]},
    "Decrypt": {"CiphertextBlob": b"m", "EncryptionAlgorithm": OAEP[0]},
}  # fmt: skip
FITTING = {"Sign": ("ECC_NIST_P256", "SIGN_VERIFY"), "Verify": ("ECC_NIST_P256", "SIGN_VERIFY"),
           "GenerateMac": ("HMAC_256", "GENERATE_VERIFY_MAC"),
           "VerifyMac": ("HMAC_256", "GENERATE_VERIFY_MAC"),
           "DeriveSharedSecret": ("ECC_NIST_P256", "KEY_AGREEMENT"),
           "Encrypt": ("RSA_2048", "ENCRYPT_DECRYPT"),
           "Decrypt": ("RSA_2048", "ENCRYPT_DECRYPT")}  # fmt: skip
OTHERS = [("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"), *dict.fromkeys(FITTING.values())]


@pytest.mark.parametrize("operation", REQUESTS)
def test_usage_is_told_before_the_algorithm(world, operation):
    method = getattr(world.kms(), support.snake(operation))
    usage = FITTING[operation][1]
    for spec, other in OTHERS:
        if other == usage:
            continue
        key = world.key(spec, other)
        text = f"{key['Arn']} key usage is {other} which is not valid for {operation}."
        for dry in ({}, {"DryRun": True}):
            request = REQUESTS[operation] | dry
            refused(method, "InvalidKeyUsageException", text, KeyId=key["KeyId"], **request)


@pytest.mark.parametrize("operation", REQUESTS)
def test_dry_run_and_state(world, operation):
    kms, (spec, usage) = world.kms(), FITTING[operation]
    method, request = getattr(kms, support.snake(operation)), REQUESTS[operation]
    key = create(kms, KeySpec=spec, KeyUsage=usage)
    dry = {"KeyId": key["KeyId"], "DryRun": True} | request
    refused(method, "DryRunOperationException", support.DRY_RUN, **dry)
    refused(method, "NotFoundException", None, **dry | {"KeyId": support.ABSENT_KEY})
    refused(method, "InvalidGrantTokenException", None, **dry, GrantTokens=["unknown"])
    kms.disable_key(KeyId=key["KeyId"])
    text = f"{key['Arn']} is disabled."
    refused(method, "DisabledException", text, **dry)
    refused(method, "DisabledException", text, KeyId=key["KeyId"], **request)
    kms.schedule_key_deletion(KeyId=key["KeyId"])
    text = f"{key['Arn']} is pending deletion."
    refused(method, "KMSInvalidStateException", text, KeyId=key["KeyId"], **request)
    if usage != "GENERATE_VERIFY_MAC":
        refused(kms.get_public_key, "KMSInvalidStateException", text, KeyId=key["KeyId"])


@pytest.mark.parametrize("operation", REQUESTS)
def test_usage_is_told_before_state(world, operation):
    kms = world.kms()
    spec, usage = next(pair for pair in OTHERS[::-1] if pair[1] != FITTING[operation][1])
    key = create(kms, KeySpec=spec, KeyUsage=usage)
    kms.disable_key(KeyId=key["KeyId"])
    text = f"{key['Arn']} key usage is {usage} which is not valid for {operation}."
    refused(getattr(kms, support.snake(operation)), "InvalidKeyUsageException", text,
            KeyId=key["KeyId"], **REQUESTS[operation])  # fmt: skip


@pytest.mark.parametrize("spec", [spec for spec in SIGNING if spec != "SM2"])
def test_signing_algorithms_of_other_specs(world, spec):
    kms, key = world.kms(), world.key(spec, "SIGN_VERIFY")["KeyId"]
    every = {algorithm for algorithms in SIGNING.values() for algorithm in algorithms}
    for algorithm in every - set(SIGNING[spec]):
        text = f"Algorithm {algorithm} is incompatible with key spec {spec}."
        # Of no algorithm's digest length: that would be told later.
        request = {
            "KeyId": key,
            "Message": b"m",
            "MessageType": "DIGEST",
            "SigningAlgorithm": algorithm,
        }
        refused(kms.sign, "InvalidKeyUsageException", text, **request)
        refused(kms.verify, "InvalidKeyUsageException", text, Signature=b"s", **request)


def test_encryption_algorithms_of_other_specs(world):
    kms = world.kms()
    symmetric = world.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")["KeyId"]
    pair = world.key("RSA_2048", "ENCRYPT_DECRYPT")["KeyId"]
    blob = kms.encrypt(KeyId=symmetric, Plaintext=b"p")["CiphertextBlob"]
    for key, spec, algorithm in ((pair, "RSA_2048", None), (pair, "RSA_2048", "SYMMETRIC_DEFAULT"),
                                 (pair, "RSA_2048", "SM2PKE"),
                                 (symmetric, "SYMMETRIC_DEFAULT", OAEP[0])):  # fmt: skip
        shown = algorithm or "SYMMETRIC_DEFAULT"
        text = f"Algorithm {shown} is incompatible with key spec {spec}."
        named = {"EncryptionAlgorithm": algorithm} if algorithm else {}
        refused(kms.encrypt, "InvalidKeyUsageException", text, KeyId=key, Plaintext=b"p", **named)
        named = {"DestinationEncryptionAlgorithm": algorithm} if algorithm else {}
        refused(kms.re_encrypt, "InvalidKeyUsageException", text, CiphertextBlob=blob,
                DestinationKeyId=key, **named)  # fmt: skip


def test_re_encrypt_names_itself_for_a_destination_of_the_wrong_usage(world):
    kms = world.kms()
    symmetric = world.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")["KeyId"]
    blob = kms.encrypt(KeyId=symmetric, Plaintext=b"p")["CiphertextBlob"]
    mac = world.key("HMAC_256", "GENERATE_VERIFY_MAC")
    refused(kms.re_encrypt, "InvalidKeyUsageException",
            f"{mac['Arn']} key usage is GENERATE_VERIFY_MAC which is not valid for ReEncrypt.",
            CiphertextBlob=blob, DestinationKeyId=mac["KeyId"])  # fmt: skip


def test_data_keys_need_a_symmetric_key(world):
    kms, key = world.kms(), world.key("RSA_2048", "ENCRYPT_DECRYPT")["KeyId"]
    for name, more in (("generate_data_key", {"KeySpec": "AES_256"}),
                       ("generate_data_key_without_plaintext", {"NumberOfBytes": 8}),
                       ("generate_data_key_pair", {"KeyPairSpec": "ECC_NIST_P256"}),
                       ("generate_data_key_pair_without_plaintext", {"KeyPairSpec": "RSA_2048"})):  # fmt: skip
        refused(getattr(kms, name), "InvalidKeyUsageException", None, KeyId=key, **more)


# The order of checks as it is reported of the real service: usage, key state, key spec.


def test_usage_is_told_before_state_and_state_before_spec(kms):
    mac = support.create(kms, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    rsa_key = support.create(kms, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    sign = {"Message": b"m", "SigningAlgorithm": "RSASSA_PSS_SHA_256"}
    usage = f"{mac['Arn']} key usage is GENERATE_VERIFY_MAC which is not valid for Sign."
    for key in (mac, rsa_key):
        kms.disable_key(KeyId=key["KeyId"])
    refused(kms.sign, "InvalidKeyUsageException", usage, KeyId=mac["KeyId"], **sign)
    refused(kms.generate_data_key, "DisabledException", f"{rsa_key['Arn']} is disabled.",
            KeyId=rsa_key["KeyId"], KeySpec="AES_256")  # fmt: skip
    kms.schedule_key_deletion(KeyId=mac["KeyId"], PendingWindowInDays=7)
    refused(kms.sign, "InvalidKeyUsageException", usage, KeyId=mac["KeyId"], **sign)
    kms.enable_key(KeyId=rsa_key["KeyId"])
    for call in (kms.generate_data_key, kms.generate_data_key_without_plaintext):
        refused(call, "InvalidKeyUsageException",
                "You cannot generate a data key with an asymmetric CMK",
                KeyId=rsa_key["KeyId"], NumberOfBytes=32)  # fmt: skip


def test_a_block_that_is_to_be_a_symmetric_ciphertext(kms):
    key = support.create(kms, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyId"]
    other = support.create(kms)["KeyId"]
    block = kms.encrypt(KeyId=key, Plaintext=b"p", EncryptionAlgorithm="RSAES_OAEP_SHA_1")
    block = block["CiphertextBlob"]
    refused(kms.decrypt, "InvalidCiphertextException", None, KeyId=key, CiphertextBlob=block)
    refused(kms.decrypt, "InvalidCiphertextException", None, KeyId=key, CiphertextBlob=block,
            EncryptionAlgorithm="SYMMETRIC_DEFAULT")  # fmt: skip
    refused(kms.re_encrypt, "InvalidCiphertextException", None, SourceKeyId=key,
            CiphertextBlob=block, DestinationKeyId=other)  # fmt: skip
    refused(kms.decrypt, "InvalidKeyUsageException",
            "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.",
            KeyId=key, DryRun=True, DryRunModifiers=["IGNORE_CIPHERTEXT"])  # fmt: skip
