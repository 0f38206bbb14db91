"""docs/formats.md, taken at its word: a second reader, which shares no code with the program, opens a
store, its keys and its ciphertexts from the bytes on disk."""

import base64
import configparser
import hashlib
import hmac
import json
import sqlite3
import tomllib
import uuid

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

import interface
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


def canonical(context):
    pairs = sorted((key.encode(), value.encode()) for key, value in context.items())
    framed = (be32(len(key)) + key + be32(len(value)) + value for key, value in pairs)
    return be32(len(pairs)) + b"".join(framed)


class Reader:
    """A store, opened by what the document says."""

    def __init__(self, file, root=None, passphrase=None):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
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

    def material(self, account, key, material_id):
        path = f"material/{account}/{key}/{material_id.hex()}".encode()
        assert len(self.rows[path]) == 81
        material = self.unwrap(
            self.rows[path], b"keystead/v1/domain/material",
            account.encode(), key.encode(), SPEC, material_id,
        )  # fmt: skip
        label = b"keystead/v1/material-id"
        framed = be32(len(key)) + key.encode() + be32(len(SPEC)) + SPEC
        assert mac(kdf(material, label), label + framed) == material_id
        return material

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

    sealed = page["NextMarker"].encode()
    marker = base64.urlsafe_b64decode(sealed + b"=" * (-len(sealed) % 4))
    binding = f"ListKeys/{account}/us-east-1/".encode()
    last = reader.unwrap(marker, b"keystead/v1/domain/marker", binding)
    assert last.decode() == page["Keys"][0]["KeyId"]


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
