"""docs/formats.md, taken at its word: a second reader, which shares no code with the program, opens a
store, its keys and its ciphertexts from the bytes on disk."""

import base64
import configparser
import hashlib
import hmac
import json
import os
import sqlite3
import tomllib
import uuid

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.hazmat.primitives.serialization import load_der_private_key as load_private_key
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

import interface
import invariants
import support

SPEC = b"SYMMETRIC_DEFAULT"


def be32(number):
    return number.to_bytes(4, "big")


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, message):
    return hmac.new(key, message, "sha256").digest()


def kdf(secret, label, context=b""):
    return mac(secret, be32(1) + label + b"\0" + context + be32(256))


def fields(*parts):
    return be32(len(parts)) + b"".join(be32(len(part)) + part for part in parts)


def unpadded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def canonical(context):
    pairs = sorted((key.encode(), value.encode()) for key, value in context.items())
    framed = (be32(len(key)) + key + be32(len(value)) + value for key, value in pairs)
    return be32(len(pairs)) + b"".join(framed)


class Reader:
    """A store, opened by what the document says."""

    def __init__(self, file, root=None, passphrase=None, left_by_kill=False):
        # A log that a kill left behind must be gone through, which needs the files for itself.
        mode = "rw" if left_by_kill else "ro"
        with sqlite3.connect(f"file:{file}?mode={mode}", uri=True) as database:
            assert database.execute("PRAGMA application_id").fetchone() == (0x4B535444,)
            assert database.execute("PRAGMA user_version").fetchone() == (1,)
            self.rows = {
                bytes(k): bytes(v) for k, v in database.execute("SELECT key, value FROM kv")
            }
        self.header = json.loads(self.rows[b"meta/store"])
        self.store_id = bytes.fromhex(self.header["store_id"])
        self.root = root or self.open_slot(passphrase)
        self.check_root()
        self.domain_keys = dict(map(self.domain_key, self.under(b"meta/domain/")))
        self.record_key = self.unwrap(
            self.rows[b"meta/record-key"], b"keystead/v1/domain/record-key", self.store_id
        )
        self.sealing_key = self.unwrap(
            self.rows[b"meta/access-keys"], b"keystead/v1/domain/access-keys", self.store_id
        )

    def under(self, prefix):
        return [path for path in self.rows if path.startswith(prefix)]

    def open_slot(self, passphrase):
        slot = bytes.fromhex(self.header["passphrase_slot"])
        assert len(slot) == 89 and slot[0] == 1
        memory, passes, lanes = (int.from_bytes(slot[at : at + 4], "big") for at in (1, 5, 9))
        assert (memory, passes, lanes) == (65536, 3, 4)
        key = Argon2id(
            salt=slot[13:29], length=32, iterations=passes, lanes=lanes, memory_cost=memory
        ).derive(passphrase)
        return AESGCM(key).decrypt(
            slot[29:41], slot[41:], b"keystead/v1/passphrase-slot" + slot[:41]
        )

    def check_root(self):
        value, label = bytes.fromhex(self.header["root_check"]), b"keystead/v1/root-check"
        assert len(value) == 53 and value[0] == 1
        assert value[45:] == sha256(label + self.store_id + value[:45])[:8]
        aad = value[:13] + fields(label, self.store_id)
        assert AESGCM(self.root).decrypt(value[1:13], value[13:45], aad) == b"this is the root"

    def domain_key(self, path):
        value = self.rows[path]
        assert len(value) == 65 and value[0] == 1
        epoch = int.from_bytes(value[1:5], "big")
        assert path == b"meta/domain/%08x" % epoch
        aad = value[:17] + fields(b"keystead/v1/domain-key", self.store_id)
        return epoch, AESGCM(self.root).decrypt(value[5:17], value[17:], aad)

    def unwrap(self, value, purpose, *further):
        assert value[0] == 1
        sub_key = kdf(self.domain_keys[int.from_bytes(value[1:5], "big")], purpose)
        key = kdf(sub_key, b"keystead/v1/record", value[5:21])
        return AESGCM(key).decrypt(value[21:33], value[33:], value[:33] + fields(purpose, *further))

    def secret(self, account, access_key, sealed):
        value, label = base64.b64decode(sealed, validate=True), b"keystead/v1/access-key"
        assert len(value) == 85 and value[0] == 1
        aad = value[:29] + fields(label, account.encode(), access_key.encode())
        key = kdf(self.sealing_key, label, value[1:17])
        return AESGCM(key).decrypt(value[17:29], value[29:], aad).decode()

    def record(self, path):
        value = self.rows[path]
        assert value[0] == 1
        assert value[1:17] == self.tag(path, value[17:]), path
        return json.loads(value[17:])

    def tag(self, path, content):
        return mac(self.record_key, be32(len(path)) + path + content)[:16]

    def material(self, account, key, material_id, spec=SPEC, suffix=""):
        """Key material of any spec. The suffix is that of imported material."""
        path = f"material/{account}/{key}/{material_id.hex()}{suffix}".encode()
        material = self.unwrap(
            self.rows[path], b"keystead/v1/domain/material",
            account.encode(), key.encode(), spec, material_id,
        )  # fmt: skip
        assert len(self.rows[path]) == len(material) + 49
        label = b"keystead/v1/material-id"
        framed = be32(len(key)) + key.encode() + be32(len(spec)) + spec
        if len(material) != 32:
            framed += be32(4) + be32(len(material))
        assert mac(kdf(material, label), label + framed) == material_id
        return material

    def token(self, sealed, purpose, binding):
        return self.unwrap(sealed, b"keystead/v1/domain/" + purpose, binding)

    def decrypt(self, blob, context):
        assert blob[:5] == bytes.fromhex("0102020001")
        multi_region, raw = blob[5], blob[6:22]
        key = f"mrk-{raw.hex()}" if multi_region else str(uuid.UUID(bytes=raw))
        assert blob[54:58] == sha256(b"keystead/v1/blob-reference" + blob[:54])[:4]
        account = self.record(f"ref/{key}".encode())["account"]
        material = self.material(account, key, blob[22:54])
        once = kdf(material, b"keystead/v1/blob", blob[58:74])
        return AESGCM(once).decrypt(blob[74:86], blob[86:], blob[:86] + canonical(context))


def check(server, account, **opened_by):
    kms = server.client(account)
    context = {"b": "", "a": "bc", "\u00e9": "\u6f22"}
    keys = [support.create(kms, MultiRegion=multi_region) for multi_region in (False, True)]
    kms.create_alias(AliasName="alias/one", TargetKeyId=keys[0]["KeyId"])
    kms.schedule_key_deletion(KeyId=support.create(kms)["KeyId"])
    blobs = [
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello", EncryptionContext=context)
        for key in keys
    ]  # fmt: skip
    page = kms.list_keys(Limit=1)
    server.stop()

    reader = Reader(server.data / "keystead.db", **opened_by)
    for blob in blobs:
        assert reader.decrypt(blob["CiphertextBlob"], context) == b"hello"
    prefixes = (b"key/", b"policy/", b"ref/", b"alias/", b"due/", b"usage/", b"meta/tracking")
    counts = {
        prefix: len([reader.record(path) for path in reader.under(prefix)]) for prefix in prefixes
    }
    assert counts == {
        b"key/": 3, b"policy/": 3, b"ref/": 3, b"alias/": 1, b"due/": 1, b"usage/": 2,
        b"meta/tracking": 1,
    }  # fmt: skip
    record = reader.record(f"key/{account}/us-east-1/{keys[0]['KeyId']}".encode())
    assert record["state"] == {"name": "Enabled"} and record["aliases"] == 1
    assert record["materials"][0]["id"] == keys[0]["CurrentKeyMaterialId"]
    assert (
        reader.rows[f"key-alias/{account}/us-east-1/{keys[0]['KeyId']}/alias/one".encode()] == b""
    )

    used = reader.record(f"usage/{account}/us-east-1/{keys[0]['KeyId']}".encode())
    request = blobs[0]["ResponseMetadata"]["RequestId"]
    assert (used["operation"], used["request"]) == ("Encrypt", request)
    assert used["key_created"] == record["created"] <= used["moment"]
    assert reader.record(b"meta/tracking")["since"] <= record["created"]
    event = reader.tag(b"event-id", uuid.UUID(request).bytes + account.encode())
    assert used["event"] == str(uuid.UUID(bytes=event, version=4))

    binding = f"ListKeys/{account}/us-east-1/".encode()
    last = reader.token(unpadded(page["NextMarker"]), b"marker", binding)
    assert last.decode() == page["Keys"][0]["KeyId"]
    assert set(reader.under(b"meta/")) == {
        b"meta/store", b"meta/domain/00000001", b"meta/record-key", b"meta/tracking",
        b"meta/access-keys", b"meta/grantees",
    }  # fmt: skip
    assert reader.rows[b"meta/grantees"] == b""
    invariants.check(reader)


def root_key(file):
    line, prefix = file.read_bytes(), b"keystead-root-key-v1:"
    assert len(line) == 86 and line.startswith(prefix) and line.endswith(b"\n")
    return bytes.fromhex(line[len(prefix) : -1].decode())


def test_a_store_under_a_root_key_file_is_as_documented(own_server, account):
    check(own_server, account, root=root_key(own_server.root_key()))


def test_a_store_under_a_passphrase_is_as_documented(make_server, account, tmp_path):
    file = tmp_path / "passphrase"
    file.write_bytes(b"correct horse\r\n")
    file.chmod(0o600)
    data = tmp_path / "home" / "data"
    server = make_server(arguments=[*interface.dev(data), interface.PASSPHRASE, str(file)])
    server.data = data
    check(server.start(), account, passphrase=b"correct horse")


def public_half(pkcs8):
    key = load_private_key(pkcs8, None)
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def opened(server):
    server.stop()
    reader = Reader(server.data / "keystead.db", root=root_key(server.root_key()))
    invariants.check(reader)
    return reader


@pytest.mark.parametrize(
    "spec",
    ["RSA_2048", "ECC_NIST_P256", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519",
     "ML_DSA_44", "ML_DSA_87"],
)  # fmt: skip
def test_private_keys_are_as_documented(own_server, account, spec):
    kms = own_server.client(account)
    key = support.create(kms, KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyId"]
    public = kms.get_public_key(KeyId=key)["PublicKey"]
    reader = opened(own_server)
    record = reader.record(f"key/{account}/us-east-1/{key}".encode())
    assert base64.b64decode(record["public_key"], validate=True) == public
    material_id = bytes.fromhex(record["materials"][0]["id"])
    pkcs8 = reader.material(account, key, material_id, spec.encode())
    if spec.startswith("ML_DSA"):
        assert len(pkcs8) == 54
    assert public_half(pkcs8) == public


@pytest.mark.parametrize("bits, length", [(224, 28), (256, 32), (384, 48), (512, 64)])
def test_hmac_keys_are_as_documented(own_server, account, bits, length):
    kms = own_server.client(account)
    spec = f"HMAC_{bits}"
    key = support.create(kms, KeySpec=spec, KeyUsage="GENERATE_VERIFY_MAC")["KeyId"]
    made = kms.generate_mac(KeyId=key, Message=b"m", MacAlgorithm=f"HMAC_SHA_{bits}")["Mac"]
    reader = opened(own_server)
    record = reader.record(f"key/{account}/us-east-1/{key}".encode())
    material = reader.material(
        account, key, bytes.fromhex(record["materials"][0]["id"]), spec.encode()
    )
    assert len(material) == length
    assert hmac.digest(material, b"m", f"sha{bits}") == made


def test_generations_and_imports_are_as_documented(own_server, account):
    from test_import import FOR_EVER, external, parameters, put

    kms, west = own_server.client(account), own_server.client(account, "us-west-2")
    rotated = support.create(kms)["KeyId"]
    kms.enable_key_rotation(KeyId=rotated, RotationPeriodInDays=100)
    kms.rotate_key_on_demand(KeyId=rotated)
    blob = kms.encrypt(KeyId=rotated, Plaintext=b"hello")["CiphertextBlob"]
    imported, multi = external(kms)["KeyId"], external(kms, MultiRegion=True)["KeyId"]
    material, of_multi = os.urandom(32), os.urandom(32)
    put(kms, imported, material)
    kms.delete_imported_key_material(KeyId=imported)
    put(kms, imported, material, KeyMaterialDescription="again", **FOR_EVER)
    second = os.urandom(32)
    put(kms, imported, second, ImportType="NEW_KEY_MATERIAL", **FOR_EVER)
    put(kms, multi, of_multi)
    kms.replicate_key(KeyId=multi, ReplicaRegion="us-west-2")
    put(west, multi, of_multi)
    given = parameters(kms, imported, second)
    wrapping = kms.get_parameters_for_import(
        KeyId=multi, WrappingAlgorithm="RSAES_OAEP_SHA_1", WrappingKeySpec="RSA_2048"
    )
    reader = opened(own_server)

    def record(key, region="us-east-1"):
        return reader.record(f"key/{account}/{region}/{key}".encode())

    found = record(rotated)
    first, last = found["materials"]
    assert (first["current"], last["current"]) == (False, True) and "rotated" not in first
    assert last["rotated"] == {"date": last["created"], "kind": "ON_DEMAND"}
    due = f"due/{found['rotation']['next']:016x}/{account}/us-east-1/{rotated}"
    assert reader.record(due.encode()) == {
        "account": account, "region": "us-east-1", "id": rotated
    }  # fmt: skip
    assert found["rotation"]["period"] == 100
    assert reader.material(account, rotated, bytes.fromhex(first["id"]))
    assert reader.decrypt(blob, {}) == b"hello"

    found = record(imported)
    first, last = found["materials"]
    assert (first["imported"], last["imported"]) == (
        {"present": True, "generation": 1, "pending": False, "description": "again"},
        {"present": True, "generation": 2, "pending": True},
    )
    assert found["imports"] == 3 and last["current"] is False
    assert reader.material(account, imported, bytes.fromhex(first["id"]), suffix=".1") == material
    assert reader.material(account, imported, bytes.fromhex(last["id"]), suffix=".2") == second
    for region in ("us-east-1", "us-west-2"):
        (only,) = record(multi, region)["materials"]
        assert only["imported"]["region"] == region
        assert record(multi, region)["multi_region"] == {
            "primary": "us-east-1", "replicas": ["us-west-2"],
        }  # fmt: skip
        got = reader.material(account, multi, bytes.fromhex(only["id"]), suffix=f".0.{region}")
        assert got == of_multi

    for key, sealed, algorithm, public in (
        (imported, given["ImportToken"], "RSAES_OAEP_SHA_256", None),
        (multi, wrapping["ImportToken"], "RSAES_OAEP_SHA_1", wrapping["PublicKey"]),
    ):
        content = reader.token(sealed, b"import-token", f"{account}/us-east-1/{key}".encode())
        length = int.from_bytes(content[:4], "big")
        token = json.loads(content[4 : 4 + length])
        expires = token.pop("expires")
        assert token == {"key": key, "algorithm": algorithm, "spec": "RSA_2048"}
        assert public is None or public_half(content[4 + length :]) == public
    assert expires == round(wrapping["ParametersValidTo"].timestamp() * 1000)


def test_grants_are_as_documented(own_server, account):
    kms = own_server.client(account)
    key = support.create(kms)["KeyId"]
    grantee, retiring = (f"arn:aws:iam::{account}:role/{name}" for name in ("uses", "ends"))
    context = {"b": "1", "a": "\u00e9"}
    wide = {
        "KeyId": key, "GranteePrincipal": grantee, "RetiringPrincipal": retiring, "Name": "wide",
        "Operations": ["Decrypt", "Encrypt"],
        "Constraints": {"EncryptionContextSubset": context},
    }  # fmt: skip
    made = kms.create_grant(**wide)
    bare = kms.create_grant(KeyId=key, GranteePrincipal=retiring, Operations=["DescribeKey"])
    gone = kms.create_grant(**{**wide, "Name": "gone"})
    kms.retire_grant(GrantToken=gone["GrantToken"])
    page = kms.list_grants(KeyId=key, Limit=1)
    reader = opened(own_server)

    place = f"{account}/us-east-1/{key}"
    record = reader.record(f"grant/{place}/{made['GrantId']}".encode())
    created = record.pop("created")
    assert record == {
        "grantee": grantee, "retiring": retiring, "issuer": account, "name": "wide",
        "operations": ["Decrypt", "Encrypt"], "subset": context,
    }  # fmt: skip
    record = reader.record(f"grant/{place}/{bare['GrantId']}".encode())
    assert record.pop("created") >= created
    assert record == {"grantee": retiring, "issuer": account, "operations": ["DescribeKey"]}
    assert reader.record(f"key/{place}".encode())["grants"] == 2
    # That the indexes hold what the grants say, and no more, is known by now.
    indexes = {prefix: len(reader.under(prefix)) for prefix in (
        b"grant/", b"grantee/", b"retirable/", b"grant-name/")}  # fmt: skip
    assert indexes == {b"grant/": 2, b"grantee/": 2, b"retirable/": 1, b"grant-name/": 1}
    for grant in (made, bare, gone):
        content = reader.token(unpadded(grant["GrantToken"]), b"grant-token", b"")
        assert content.decode() == f"{place}/{grant['GrantId']}"
    binding = f"ListGrants/{account}/us-east-1/{key}//".encode()
    last = reader.token(unpadded(page["NextMarker"]), b"marker", binding)
    assert last.decode() == page["Grants"][0]["GrantId"]


def test_a_second_reader_needs_the_right_root_key(own_server, account):
    support.create(own_server.client(account))
    own_server.stop()
    with pytest.raises(InvalidTag):
        Reader(own_server.data / "keystead.db", root=bytes(32))


def test_a_sealed_secret_is_as_documented(account, tmp_path):
    home = tmp_path / "keystead"
    done = support.run(["init", str(home), "--account", account], tmp_path)
    assert done.returncode == 0, done.stderr
    credentials = configparser.ConfigParser()
    credentials.read(home / "credentials")
    access_key = credentials["default"]["aws_access_key_id"]
    secret = credentials["default"]["aws_secret_access_key"]
    identities = tomllib.loads((home / "identities.toml").read_text())
    user = identities["accounts"][account]["users"]["administrator"]
    sealed = user["access_keys"][access_key]["secret"]

    reader = Reader(home / "data" / "keystead.db", root=root_key(home / "root-key"))
    assert reader.secret(account, access_key, sealed) == secret
    with pytest.raises(InvalidTag):
        reader.secret(account, access_key[::-1], sealed)
