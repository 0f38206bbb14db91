"""After traffic, nothing secret is in the data directory, the log, or a core dump."""

import base64
import os
import shutil
import signal
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

import interface
import support
from support import create

PLAINTEXT = b"a plaintext that only its owner may ever see 7f3a"
DESCRIPTION = "a description, which is no secret, 51c9"


class Secrets:
    """What must not be found, by name."""

    def __init__(self):
        self.values = {}

    def add(self, name, value):
        assert len(value) >= 16, "too short to be told from chance"
        self.values[name] = value

    def spellings(self):
        """Each secret raw, in hex, and in base64 at each of the three alignments."""
        for name, value in self.values.items():
            yield name, "raw", value
            yield name, "hex", value.hex().encode()
            yield name, "HEX", value.hex().upper().encode()
            for shift in range(3):
                # The characters that depend on this value alone, wherever it stands in a stream.
                text = base64.b64encode(b"\0" * shift + value)
                yield name, f"base64+{shift}", text[4 if shift else 0 : len(text) // 4 * 4 - 4]

    def found_in(self, content):
        return [(name, form) for name, form, needle in self.spellings() if needle in content]


def root_key_bytes(file):
    """The 32 bytes in the root key file, whichever way they are written."""
    text = file.read_bytes()
    if len(text) == 32:
        return text
    return bytes.fromhex(text.decode().strip().rsplit(":", 1)[-1])


def traffic(server, account):
    """Uses every operation that handles secrets; returns them, and a key's id for the control."""
    secrets = Secrets()
    kms = server.client(account)
    key = create(kms, Description=DESCRIPTION)["KeyId"]
    data = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    secrets.add("data key", data["Plaintext"])
    secrets.add("random", kms.generate_random(NumberOfBytes=64)["Plaintext"])
    blob = kms.encrypt(KeyId=key, Plaintext=PLAINTEXT)["CiphertextBlob"]
    secrets.add("plaintext", PLAINTEXT)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == PLAINTEXT
    kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key)
    sealed = kms.generate_data_key_without_plaintext(KeyId=key, NumberOfBytes=64)["CiphertextBlob"]
    secrets.add("sealed data key", kms.decrypt(CiphertextBlob=sealed)["Plaintext"])
    for spec in ("RSA_2048", "ECC_NIST_P256", "ECC_NIST_P521", "ECC_NIST_EDWARDS25519"):
        made = kms.generate_data_key_pair(KeyId=key, KeyPairSpec=spec)
        private = made["PrivateKeyPlaintext"]
        secrets.add(f"{spec} PKCS #8", private)
        secret = load_der_private_key(private, None)
        if spec.startswith("RSA"):
            numbers = secret.private_numbers()
            for part in "dpq":
                value = getattr(numbers, part)
                size = (value.bit_length() + 7) // 8
                secrets.add(f"{spec} {part}", value.to_bytes(size, "big"))
                secrets.add(f"{spec} {part} in words", value.to_bytes(size, "little"))
        elif spec.startswith("ECC_NIST_P"):
            value = secret.private_numbers().private_value
            size = (secret.curve.key_size + 7) // 8
            secrets.add(f"{spec} scalar", value.to_bytes(size, "big"))
            secrets.add(f"{spec} scalar in words", value.to_bytes(size, "little"))
        else:
            secrets.add(f"{spec} seed", private[-32:])
        kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"])
    # Failures print more than successes do.
    for bad in (blob[:-1], blob[1:], b"x" * 100):
        support.refused(
            kms.decrypt, "InvalidCiphertextException", None, CiphertextBlob=bad, KeyId=key
        )
    server.post(
        "Encrypt", {"KeyId": "nonsense", "Plaintext": support.b64(PLAINTEXT)}, account=account
    )
    server.post(
        "Encrypt", f'{{"KeyId":"{key}","Plaintext":"{support.b64(PLAINTEXT)}"', account=account
    )
    secrets.add("root key", root_key_bytes(server.root_key()))
    return secrets, key


def files_but_the_root_key(server):
    root = server.root_key()
    places = [server.home, server.log]
    for place in places:
        for path in [place] if place.is_file() else place.rglob("*"):
            if path.is_file() and path != root:
                yield path


@pytest.fixture
def chatty(make_server):
    """A server that logs as much as it can."""
    return make_server(environment=interface.LOG_EVERYTHING).start()


def test_the_search_finds_what_is_there():
    """The instrument itself: each spelling, at every alignment, is found."""
    secrets = Secrets()
    value = os.urandom(33)
    secrets.add("planted", value)
    for lead in range(5):
        for spelled in (
            value, value.hex().encode(), value.hex().upper().encode(),
            base64.b64encode(os.urandom(lead) + value + os.urandom(7)),
        ):  # fmt: skip
            assert secrets.found_in(b"noise" + spelled + b"noise"), (lead, spelled)
    assert not secrets.found_in(os.urandom(10_000))


def test_nothing_secret_in_files_and_log(chatty, account):
    secrets, key = traffic(chatty, account)
    for stage in ("running", "stopped"):
        if stage == "stopped":
            chatty.stop()
        seen = b""
        for path in files_but_the_root_key(chatty):
            content = path.read_bytes()
            assert not secrets.found_in(content), (stage, path, secrets.found_in(content))
            seen += content
        # What is stored and no secret is found by the same search: so it can find.
        control = Secrets()
        control.add("description", DESCRIPTION.encode())
        assert control.found_in(seen), "the search does not find what must be there"
    assert len(secrets.values) > 10


def test_destroyed_material_is_in_no_file(own_server, account):
    """After deletion the wrapped material is gone from the files, not only from the index."""
    kms = own_server.client(account)
    kept, doomed = (create(kms, Description=f"{DESCRIPTION} {n}") for n in ("kept", "doomed"))
    kms.schedule_key_deletion(KeyId=doomed["KeyId"], PendingWindowInDays=7)

    def occurrences(text):
        return sum(
            path.read_bytes().count(text.encode())
            for path in own_server.data.rglob("*")
            if path.is_file()
        )

    assert occurrences(f"{DESCRIPTION} doomed") > 0
    own_server.advance(8 * 86400)
    support.refused(kms.describe_key, "NotFoundException", None, KeyId=doomed["KeyId"])
    deadline = support.time.monotonic() + 30
    while occurrences(f"{DESCRIPTION} doomed") and support.time.monotonic() < deadline:
        support.time.sleep(0.1)
    assert occurrences(f"{DESCRIPTION} doomed") == 0, "the record of a deleted key is still on disk"
    material = doomed["CurrentKeyMaterialId"]
    assert occurrences(material) == 0
    own_server.stop()
    assert all(
        bytes.fromhex(material) not in path.read_bytes()
        for path in own_server.data.rglob("*")
        if path.is_file()
    )
    assert occurrences(f"{DESCRIPTION} kept") > 0, "the search does not find what must be there"
    own_server.start()
    assert own_server.client(account).encrypt(KeyId=kept["KeyId"], Plaintext=b"p")


def core_dump(server, directory):
    """A core dump of the running process, taken from outside, or a reason why there is none."""
    gcore = shutil.which("gcore")
    if gcore is None:
        pytest.skip("no gcore command: a core dump cannot be forced")
    if os.geteuid() != 0:
        pytest.skip("not root: the process refuses to be dumped, as it should")
    done = subprocess.run(
        [gcore, "-o", directory / "core", str(server.process.pid)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    cores = list(directory.glob("core*"))
    if not cores:
        pytest.skip(f"gcore gave no dump: {done.stderr[-300:]}")
    return cores[0].read_bytes()


def test_nothing_secret_in_a_core_dump(own_server, account, tmp_path):
    """Pages that hold long-lived secrets are left out of dumps; the rest is wiped after use."""
    secrets, key = traffic(own_server, account)
    dump = core_dump(own_server, tmp_path)
    control = Secrets()
    control.add("version of the protocol", b"application/x-amz-json-1.1")
    assert control.found_in(dump), "the search does not find what must be there"
    assert not secrets.found_in(dump), secrets.found_in(dump)


def test_core_dumps_are_off(own_server):
    """Neither a crash nor another process of the same user may write its memory down."""
    limits = open(f"/proc/{own_server.process.pid}/limits").read()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4] == "0", line
    # A process that cannot be dumped has its /proc entries owned by root.
    if os.geteuid() != 0:
        assert os.stat(f"/proc/{own_server.process.pid}/mem").st_uid == 0
    before = set(own_server.home.rglob("*"))
    own_server.stop(signal.SIGABRT)
    assert not {path for path in set(own_server.home.rglob("*")) - before if "core" in path.name}


def test_arguments_and_environment_hold_no_secret(own_server):
    root = root_key_bytes(own_server.root_key())
    secrets = Secrets()
    secrets.add("root key", root)
    for name in ("cmdline", "environ"):
        content = open(f"/proc/{own_server.process.pid}/{name}", "rb").read()
        assert content and not secrets.found_in(content)
    assert (
        interface.dev("x")[0].encode()
        in open(f"/proc/{own_server.process.pid}/cmdline", "rb").read()
    )
