"""What Keystead makes, others take, and what others make, Keystead takes: every spec with every algorithm.

`interoperability.py` says which cells the table has and what must come of each: that judges take it, in which
directions, or that it is refused. A cell that is not run, or tried by fewer, fails the last test. `out` is from
Keystead to the judge, `in` the other way: under a key which the judge made and Keystead imported. Run the file
whole, with `-s` to see the table; KEYSTEAD_TABLE names a file for the page docs/interoperability.md.
"""

import hashlib
import os
import secrets

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

import curves
import judges
import support
from implementations import Crates, Curves, OpenSsl, Pyca
from interoperability import FAMILIES, cells, enum, kind, plan, table
from support import CHINA, REGION

MESSAGE = b"what both sides agree on"
CONTEXT = {"purpose": "interoperability", "\u00e9": "\u6f22"}


def test_the_judges_give_the_examples_of_the_standards(openssl, tmp_path):
    """RFC 5649, 6, whose keys have 192 bits and cannot be tried on Keystead; GB/T 32905, A.1."""
    key = bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
    for plain, wrapped in (
        ("c37b7e6492584340bed12207808941155068f738",
         "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"),
        ("466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
    ):  # fmt: skip
        plain, wrapped = bytes.fromhex(plain), bytes.fromhex(wrapped)
        assert aes_key_wrap_with_padding(key, plain) == wrapped
        made = OpenSsl(openssl, tmp_path).run(
            "enc", "-id-aes192-wrap-pad", "-K", key.hex(), "-iv", "A65959A6", "-in", "@msg", msg=plain
        )
        assert made == wrapped
    sm3 = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert hashlib.new("sm3", b"abc").hexdigest() == sm3


# The world.


class World:
    """Keys of every kind, made by Keystead or by a judge and imported, and made once."""

    def __init__(self, server, openssl, directory):
        self.server, self.account, self._keys = server, support.new_account(), {}
        self.results = {}
        pair = [Crates("ed25519-dalek"), Crates("ml-dsa")]
        self.judges = {judge.name: judge for judge in
                       [OpenSsl(openssl, directory), Pyca(), Curves(), *pair]}  # fmt: skip

    def close(self):
        for name in ("ed25519-dalek", "ml-dsa"):
            self.judges[name].close()

    def kms(self, *specs):
        return self.server.client(self.account, CHINA if "SM2" in specs else REGION)

    def maker(self, spec):
        """Who generates keys of this spec: OpenSSL and PyCA in turn, so that both encodings come in."""
        return self.judges["OpenSSL" if spec in ("SM2", "RSA_3072", "ECC_NIST_P384") else "PyCA"]

    def material(self, spec):
        if spec == "SYMMETRIC_DEFAULT":
            return secrets.token_bytes(32)
        if kind(spec) == "HMAC":
            return secrets.token_bytes(int(spec[5:]) // 8)
        return self.maker(spec).generate(spec)

    def own(self, spec, usage):
        """A key that Keystead made."""
        return self._once((spec, usage, "own"), lambda: support.create(
            self.kms(spec), KeySpec=spec, KeyUsage=usage)["KeyId"])  # fmt: skip

    def imported(self, spec, usage):
        """A key that a judge made, and its bytes."""
        def make():
            kms, material = self.kms(spec), self.material(spec)
            return self.bring_in(kms, spec, usage, material), material

        return self._once((spec, usage, "imported"), make)

    def bring_in(self, kms, spec, usage, material):
        key = support.create(kms, KeySpec=spec, KeyUsage=usage, Origin="EXTERNAL")["KeyId"]
        secret = kind(spec) in ("SYMMETRIC_DEFAULT", "HMAC")
        algorithm = "RSAES_OAEP_SHA_256" if secret else "RSA_AES_KEY_WRAP_SHA_256"
        given = kms.get_parameters_for_import(
            KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec="RSA_2048"
        )
        self.deliver(kms, given, self.judges["PyCA"].wrap(algorithm, given["PublicKey"], material))
        return key

    @staticmethod
    def deliver(kms, given, wrapped):
        kms.import_key_material(
            KeyId=given["KeyId"], ImportToken=given["ImportToken"], EncryptedKeyMaterial=wrapped,
            ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
        )  # fmt: skip

    def _once(self, name, make):
        if name not in self._keys:
            self._keys[name] = make()
        return self._keys[name]

    def run(self, family, cell, checks):
        """Notes each check that is planned; one that raises has failed."""
        found = self.results.setdefault((family, cell), {})
        for judge, way in sorted(plan(family, cell)):
            try:
                passed = checks(self, judge, way, *cell)
            except (AssertionError, ClientError, ValueError) as fault:
                passed, text = False, f"{type(fault).__name__}: {fault}"
            else:
                text = "" if passed else "the other side does not take it"
            found[judge, way] = text
        faults = {name: text for name, text in found.items() if text}
        assert not faults, (family, cell, faults)


@pytest.fixture(scope="module")
def world(server, openssl, tmp_path_factory):
    world = World(server, openssl, tmp_path_factory.mktemp("judges"))
    yield world
    world.close()


def refused(call, **parameters):
    try:
        call(**parameters)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return code in ("InvalidKeyUsageException", "ValidationException",
                        "UnsupportedOperationException")  # fmt: skip
    return False


USAGES = {"SYMMETRIC_DEFAULT": "ENCRYPT_DECRYPT", "HMAC": "GENERATE_VERIFY_MAC"}


def any_key(world, spec, usage):
    """A key of this usage, or of its only one if the spec has not this."""
    allowed = {
        "SIGN_VERIFY": ("RSA", "ECC", "ECC_NIST_EDWARDS", "ML_DSA", "SM2"),
        "ENCRYPT_DECRYPT": ("RSA", "SYMMETRIC_DEFAULT", "SM2"),
        "GENERATE_VERIFY_MAC": ("HMAC",),
    }.get(usage, ())
    if kind(spec) in allowed:
        return world.own(spec, usage)
    return world.own(spec, USAGES.get(kind(spec), "SIGN_VERIFY"))


# The checks, one function a family: whether the other side takes it.


def check_signing(world, judge, way, spec, algorithm, message_type):
    kms, judge = world.kms(spec), world.judges.get(judge)
    common = {"SigningAlgorithm": algorithm, "MessageType": message_type}
    if way == "refused":
        common |= {"KeyId": any_key(world, spec, "SIGN_VERIFY"), "Message": b"m" * 64}
        return refused(kms.sign, **common) and refused(kms.verify, Signature=b"s", **common)
    if way == "out" or kind(spec) == "ML_DSA":
        common["KeyId"], private = world.own(spec, "SIGN_VERIFY"), None
    else:
        common["KeyId"], private = world.imported(spec, "SIGN_VERIFY")
    public = kms.get_public_key(KeyId=common["KeyId"])["PublicKey"]

    def given(message):
        """What the caller hands over, and the message that the judge has to do with."""
        if message_type == "RAW":
            return message, message
        if message_type == "EXTERNAL_MU":
            return judge.mu(public, message), message
        if algorithm == "SM2DSA":
            return curves.sm2_e(public, message), message
        digest = hashlib.new("sha" + algorithm[-3:], message).digest()
        # AWS hashes this digest once more, so it is the message of Ed25519ph.
        return digest, digest if "PH" in algorithm else message

    handed, signed = given(MESSAGE)
    other, _ = given(MESSAGE + b"!")
    if way == "out":
        signature = kms.sign(Message=handed, **common)["Signature"]
        forged = bytes([signed[0] ^ 1]) + signed[1:]
        return judge.verify(algorithm, public, signed, signature) and not (
            judge.verify(algorithm, public, forged, signature)
        )
    if private is None:
        # Signed as the message itself, verified by the judge's value of it.
        signature = kms.sign(Message=MESSAGE, **common | {"MessageType": "RAW"})["Signature"]
    else:
        signature = judge.sign(algorithm, private, signed)
    return kms.verify(Message=handed, Signature=signature, **common)["SignatureValid"] and (
        invalid(kms.verify, "KMSInvalidSignatureException",
                Message=other, Signature=signature, **common)
    )


def invalid(call, code, **request):
    try:
        call(**request)
    except ClientError as error:
        return error.response["Error"]["Code"] == code
    return False


def check_encryption(world, judge, way, spec, algorithm):
    kms, judge = world.kms(spec), world.judges.get(judge)
    if way == "refused":
        key = any_key(world, spec, "ENCRYPT_DECRYPT")
        sent = {"KeyId": key, "EncryptionAlgorithm": algorithm}
        blob = kms.encrypt(KeyId=world.own("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT") if spec != "SM2"
                           else chinese(world), Plaintext=b"p")["CiphertextBlob"]  # fmt: skip
        fails = False
        try:
            kms.decrypt(CiphertextBlob=blob, **sent)
        except ClientError:
            fails = True
        return refused(kms.encrypt, Plaintext=b"p", **sent) and fails
    key, material = world.imported(spec, "ENCRYPT_DECRYPT")
    sent = {"KeyId": key, "EncryptionAlgorithm": algorithm}
    if spec == "SYMMETRIC_DEFAULT":
        blob = kms.encrypt(Plaintext=MESSAGE, EncryptionContext=CONTEXT, **sent)["CiphertextBlob"]
        if way == "out":
            opened = judge.open(material, blob, CONTEXT)
            return opened == MESSAGE and judge.open(material, blob) is None
        blob = judge.seal(material, blob, b"made elsewhere", CONTEXT)
        opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)
        return opened["Plaintext"] == b"made elsewhere"
    if way == "out":
        blob = kms.encrypt(Plaintext=MESSAGE, **sent)["CiphertextBlob"]
        return judge.decrypt(algorithm, material, blob) == MESSAGE
    public = kms.get_public_key(KeyId=key)["PublicKey"]
    blob = judge.encrypt(algorithm, public, MESSAGE)
    return kms.decrypt(CiphertextBlob=blob, **sent)["Plaintext"] == MESSAGE


def chinese(world):
    return world._once("chinese", lambda: support.create(world.kms("SM2"))["KeyId"])


def check_mac(world, judge, way, spec, algorithm):
    kms = world.kms(spec)
    sent = {"Message": MESSAGE, "MacAlgorithm": algorithm}
    if way == "refused":
        sent["KeyId"] = any_key(world, spec, "GENERATE_VERIFY_MAC")
        return refused(kms.generate_mac, **sent) and refused(kms.verify_mac, Mac=b"m", **sent)
    sent["KeyId"], material = world.imported(spec, "GENERATE_VERIFY_MAC")
    theirs = world.judges[judge].mac(algorithm, material, MESSAGE)
    if way == "out":
        return kms.generate_mac(**sent)["Mac"] == theirs
    other = sent | {"Message": MESSAGE + b"!"}
    return kms.verify_mac(Mac=theirs, **sent)["MacValid"] and (
        invalid(kms.verify_mac, "KMSInvalidMacException", Mac=theirs, **other)
    )


def check_agreement(world, judge, way, spec, algorithm):
    """out: Keystead's own key with the judge's; in: a key of the judge's that Keystead holds, with another."""
    kms = world.kms(spec)
    if way == "refused":
        peer = world.maker("ECC_NIST_P256").generate("ECC_NIST_P256")
        return refused(kms.derive_shared_secret, KeyId=any_key(world, spec, "KEY_AGREEMENT"),
                       KeyAgreementAlgorithm=algorithm,
                       PublicKey=world.judges["PyCA"].public(peer))  # fmt: skip
    judge, maker = world.judges[judge], world.maker(spec)
    peer = maker.generate(spec)
    if way == "out":
        key = world.own(spec, "KEY_AGREEMENT")
        secret = judge.agree(peer, kms.get_public_key(KeyId=key)["PublicKey"])
    else:
        key, private = world.imported(spec, "KEY_AGREEMENT")
        secret = judge.agree(private, maker.public(peer))
    made = kms.derive_shared_secret(
        KeyId=key, KeyAgreementAlgorithm=algorithm, PublicKey=maker.public(peer)
    )
    return made["SharedSecret"] == secret


def check_data_key(world, judge, way, spec):
    kms, judge = world.kms(), world.judges[judge]
    key, material = world.imported("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
    made = kms.generate_data_key(KeyId=key, KeySpec=spec, EncryptionContext=CONTEXT)
    if way == "out":
        return judge.open(material, made["CiphertextBlob"], CONTEXT) == made["Plaintext"]
    fresh = secrets.token_bytes(int(spec[4:]) // 8)
    blob = judge.seal(material, made["CiphertextBlob"], fresh, CONTEXT)
    opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)
    return opened["Plaintext"] == fresh


def check_pair(world, judge, way, spec):
    """out: the pair at work; in: as the judge writes it, it is a KMS key with the same public half."""
    kms, judge = world.kms(spec), world.judges[judge]
    key = chinese(world) if spec == "SM2" else world.own("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
    made = world._once(("pair", spec), lambda: kms.generate_data_key_pair(
        KeyId=key, KeyPairSpec=spec))  # fmt: skip
    private, public = made["PrivateKeyPlaintext"], made["PublicKey"]
    if way == "in":
        held = world.bring_in(kms, spec, "SIGN_VERIFY", judge.rewrite(private))
        return kms.get_public_key(KeyId=held)["PublicKey"] == public
    if judge.name == "OpenSSL":
        judges.judge_by_openssl(judge.program, spec, private, public, judge.directory)
    else:
        judges.judge_by_pyca(spec, private, public)
    return judge.public(private) == public


def check_import(world, judge, way, wrapping, algorithm, spec):
    kms = world.kms(wrapping, spec)
    usage = USAGES.get(kind(spec), "SIGN_VERIFY")
    region = "china" if "SM2" in (wrapping, spec) else "world"
    if kind(spec) == "ML_DSA":
        # No key is made to wait for what cannot come.
        wanted = {"KeySpec": spec, "KeyUsage": usage, "Origin": "EXTERNAL"}
        return way == "refused" and refused(kms.create_key, **wanted)
    key = world._once(("empty", spec, region), lambda: support.create(
        kms, KeySpec=spec, KeyUsage=usage, Origin="EXTERNAL")["KeyId"])  # fmt: skip
    wanted = {"KeyId": key, "WrappingAlgorithm": algorithm, "WrappingKeySpec": wrapping}
    if way == "refused":
        return refused(kms.get_parameters_for_import, **wanted)
    # One wrapping key for both judges.
    given = world._once(("wrapping", wrapping, algorithm, spec), lambda: (
        kms.get_parameters_for_import(**wanted)))  # fmt: skip
    material = world._once(("material", spec, region), lambda: world.material(spec))
    kms.delete_imported_key_material(KeyId=key)
    world.deliver(kms, given, world.judges[judge].wrap(algorithm, given["PublicKey"], material))
    if spec == "SYMMETRIC_DEFAULT":
        blob = kms.encrypt(KeyId=key, Plaintext=MESSAGE)["CiphertextBlob"]
        return world.judges["PyCA"].open(material, blob) == MESSAGE
    if kind(spec) == "HMAC":
        name = spec.replace("HMAC", "HMAC_SHA")
        made = kms.generate_mac(KeyId=key, Message=MESSAGE, MacAlgorithm=name)["Mac"]
        return made == world.judges["PyCA"].mac(name, material, MESSAGE)
    public = world._once(("public", spec, region), lambda: world.maker(spec).public(material))
    return kms.get_public_key(KeyId=key)["PublicKey"] == public


CHECKS = {
    "Sign, Verify": check_signing,
    "Encrypt, Decrypt": check_encryption,
    "GenerateMac, VerifyMac": check_mac,
    "DeriveSharedSecret": check_agreement,
    "GenerateDataKey": check_data_key,
    "GenerateDataKeyPair": check_pair,
    "ImportKeyMaterial": check_import,
}


@pytest.mark.parametrize(
    ("family", "first"),
    [(family, first) for family, axes in FAMILIES.items() for first in enum(axes[0])],
)
def test_cells(world, family, first):
    faults = []
    for cell in cells(family):
        if cell[0] == first:
            try:
                world.run(family, cell, CHECKS[family])
            except AssertionError as fault:
                faults.append(str(fault))
    assert not faults, "\n".join(faults)


def test_the_table_is_whole(world, openssl):
    page = table(world.results, openssl)
    print("\n" + page)
    if path := os.environ.get("KEYSTEAD_TABLE"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)
    for family in FAMILIES:
        for cell in cells(family):
            found = world.results.get((family, cell), {})
            assert set(found) == plan(family, cell), (family, cell)
            assert not any(found.values()), (family, cell, found)
