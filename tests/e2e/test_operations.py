"""Running the program: settings, starts that are refused, backup, rotation, crashes, shutdown."""

import json
import os
import random
import re
import shutil
import signal
import socket
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import interface
import support
from interface import SETTINGS
from support import StartError, create

KILL_ROUNDS = int(os.environ.get("KEYSTEAD_KILL_ROUNDS", "5"))


@pytest.fixture
def traffic(account):
    """A key with a few blobs, and a check that they all still decrypt."""

    class Traffic:
        def __init__(self):
            self.made = []

        def make(self, server):
            kms = server.client(account)
            key = create(kms, Description="kept")
            kms.create_alias(AliasName=f"alias/{key['KeyId']}", TargetKeyId=key["KeyId"])
            kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "a", "TagValue": "b"}])
            for context in ({}, {"a": "b"}):
                made = kms.generate_data_key_pair(
                    KeyId=key["KeyId"], KeyPairSpec="ECC_NIST_P256", EncryptionContext=context
                )
                self.made.append((key, context, made))

        def check(self, server):
            kms = server.client(account)
            for key, context, made in self.made:
                got = kms.decrypt(
                    CiphertextBlob=made["PrivateKeyCiphertextBlob"], EncryptionContext=context
                )
                assert got["Plaintext"] == made["PrivateKeyPlaintext"]
                assert kms.describe_key(KeyId=f"alias/{key['KeyId']}")["KeyMetadata"] == key
                assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]

    return Traffic()


def snapshot(directory):
    """The content of every file under a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def refuses_to_start(server, *words):
    """Asserts that the program ends with an error which names what is wrong."""
    with pytest.raises(StartError) as caught:
        server.start()
    text = str(caught.value)
    assert "ended with 0 " not in text, text
    assert "panicked" not in text, text
    for word in words:
        assert re.search(word, text, re.IGNORECASE), (word, text)
    return text


# Settings.


def test_data_directory_is_made_and_named(make_server, traffic):
    server = make_server()
    assert not server.data.exists()
    server.start()
    assert server.data.is_dir()
    assert server.printed_data.samefile(server.data)
    assert server.data.stat().st_mode & 0o077 == 0, "others may read the data directory"
    assert server.root_key().stat().st_mode & 0o777 == 0o600
    traffic.make(server)
    traffic.check(server)


def test_environment_sets_what_flags_do(make_server):
    server = make_server(arguments=["dev"])
    server.environment = {
        SETTINGS["listen"][1]: "127.0.0.1:0", SETTINGS["admin"][1]: "127.0.0.1:0",
        SETTINGS["data"][1]: str(server.data),
    }  # fmt: skip
    server.start()
    assert server.data.is_dir()


def test_flag_beats_environment_beats_file(make_server):
    server = make_server()
    places = {name: server.home / name for name in ("by-flag", "by-environment", "by-file")}
    config = server.home / "keystead.toml"
    config.write_text(
        f"{SETTINGS['listen'][2]} = '127.0.0.1:0'\n{SETTINGS['admin'][2]} = '127.0.0.1:0'\n"
        f"{SETTINGS['data'][2]} = '{places['by-file']}'\n"
    )
    in_file = ["dev", SETTINGS["config"][0], str(config)]
    in_environment = {SETTINGS["data"][1]: str(places["by-environment"])}
    by_flag = [SETTINGS["data"][0], str(places["by-flag"])]
    for expected, arguments, environment in (
        ("by-file", in_file, {}),
        ("by-environment", in_file, in_environment),
        ("by-flag", in_file + by_flag, in_environment),
        ("by-file", ["dev"], {SETTINGS["config"][1]: str(config)}),
    ):
        server.arguments, server.environment = arguments, environment
        server.start()
        assert server.printed_data.samefile(places[expected]), (expected, server.printed_data)
        server.stop()


@pytest.mark.parametrize(
    "line", ["unknown = 1", "lisen = '127.0.0.1:0'", "[audit]\nnothing = 1", "= 1", "listen = 5"]
)
def test_a_faulty_configuration_file_is_refused(make_server, line):
    server = make_server()
    config = server.home / "keystead.toml"
    config.write_text(line + "\n")
    server.arguments = [*interface.dev(server.data), SETTINGS["config"][0], str(config)]
    refuses_to_start(server, r"keystead\.toml|unknown|lisen|audit|expected|invalid")
    assert not server.data.exists() or not snapshot(server.data)


def test_an_absent_configuration_file_is_refused(make_server):
    server = make_server()
    server.arguments = [*interface.dev(server.data), SETTINGS["config"][0], "absent.toml"]
    refuses_to_start(server, r"absent\.toml")


@pytest.mark.parametrize("flag", ["listen", "admin"])
@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_other_addresses_than_loopback_are_refused(make_server, flag, address):
    server = make_server()
    server.arguments = interface.dev(server.data, **{flag: address})
    refuses_to_start(server, "loopback")


def test_remote_addresses_by_explicit_wish(make_server):
    server = make_server()
    server.arguments = [*interface.dev(server.data, listen="0.0.0.0:0"), interface.ALLOW_REMOTE]
    # The ready line may name 0.0.0.0, which the pattern does not take for ready.
    server.log.write_text("")
    process = support.subprocess.Popen(
        [support.BINARY, *server.arguments], stdout=server.log.open("ab"),
        stderr=support.subprocess.STDOUT, env=support.child_environment(server.home),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + support.START_SECONDS
        while not (found := re.search(r"ready on http://[^ ]+:(\d+)", server.output())):
            assert process.poll() is None and time.monotonic() < deadline, server.output()
            time.sleep(0.01)
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=10):
            pass
    finally:
        process.terminate()
        process.wait(60)


def test_a_taken_port_is_refused(make_server):
    first, second = make_server().start(), make_server()
    second.arguments = interface.dev(second.data, listen=f"127.0.0.1:{first.port}")
    refuses_to_start(second, str(first.port))


def test_unknown_flags_and_help(make_server):
    server = make_server()
    done = support.run(["dev", "--no-such-flag"], server.home)
    assert done.returncode not in (0, 101) and "--no-such-flag" in done.stderr
    done = support.run(["dev", "--help"], server.home)
    assert done.returncode == 0
    for flag, variable, _ in (SETTINGS[name] for name in ("listen", "admin", "data", "config")):
        assert flag in done.stdout and variable in done.stdout
    assert support.run(["--version"], server.home).stdout.startswith("keystead ")


# Starts that are refused, with nothing damaged.


def test_a_second_process_on_the_same_directory(make_server, traffic):
    first = make_server().start()
    traffic.make(first)
    second = make_server()
    second.home, second.data = first.home, first.data
    refuses_to_start(second, r"in use|lock|another|already")
    traffic.check(first)
    first.restart()
    traffic.check(first)


def test_a_missing_root_key(own_server, traffic):
    traffic.make(own_server)
    root = own_server.root_key()
    own_server.stop()
    before = snapshot(own_server.data)
    kept = root.read_bytes()
    root.unlink()
    refuses_to_start(own_server, "root key")
    assert not root.exists(), "a new root key was made over an existing store"
    assert snapshot(own_server.data) == before
    root.write_bytes(kept)
    root.chmod(0o600)
    own_server.start()
    traffic.check(own_server)


def test_a_wrong_root_key(own_server, make_server, traffic):
    traffic.make(own_server)
    other = make_server().start()
    foreign = other.root_key().read_bytes()
    other.stop()
    root = own_server.root_key()
    own_server.stop()
    before, kept = snapshot(own_server.data), root.read_bytes()
    assert kept != foreign
    for wrong in (foreign, b"", kept[:-8], b"nonsense"):
        root.write_bytes(wrong)
        text = refuses_to_start(own_server, "root key")
        assert kept.decode(errors="replace").strip() not in text
        assert snapshot(own_server.data) == before
    root.write_bytes(kept)
    own_server.start()
    traffic.check(own_server)


def test_a_root_key_that_others_may_read(own_server):
    root = own_server.root_key()
    own_server.stop()
    for mode in (0o640, 0o604, 0o666):
        root.chmod(mode)
        refuses_to_start(own_server, "permission|mode|0600")
    root.chmod(0o600)
    own_server.start()


def test_a_root_key_inside_the_data_directory(make_server):
    server = make_server()
    flag = SETTINGS["root_key"][0]
    server.data.mkdir()
    for inside in (server.data / "root.key", server.data / "deep" / ".." / "root.key"):
        server.arguments = [*interface.dev(server.data), flag, str(inside)]
        refuses_to_start(server, "inside|outside|within")
        assert not (server.data / "root.key").exists()
    link = server.home / "link"
    link.symlink_to(server.data)
    server.arguments = [*interface.dev(server.data), flag, str(link / "root.key")]
    refuses_to_start(server, "inside|outside|within")


def store_files(data):
    """The data files of a stopped store, largest first."""
    files = [path for path in data.rglob("*") if path.is_file() and path.stat().st_size > 0]
    return sorted(files, key=lambda path: -path.stat().st_size)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "foreign", "head overwritten"])
def test_a_damaged_store(own_server, traffic, damage):
    traffic.make(own_server)
    own_server.stop()
    largest = store_files(own_server.data)[0]
    kept = largest.read_bytes()
    largest.write_bytes({
        "truncated": kept[: len(kept) // 2],
        "emptied": b"",
        "foreign": b"this is not a store\n" * 200,
        "head overwritten": b"\xff" * 64 + kept[64:],
    }[damage])  # fmt: skip
    changed = largest.read_bytes()
    refuses_to_start(own_server)
    assert largest.read_bytes() == changed, "a damaged store was written to"
    largest.write_bytes(kept)
    own_server.start()
    traffic.check(own_server)


def test_a_lost_store_beside_its_root_key(own_server, traffic):
    """An empty directory is a new store; the root key of the old one must not be replaced."""
    traffic.make(own_server)
    root = own_server.root_key()
    kept = root.read_bytes()
    own_server.stop()
    shutil.move(own_server.data, own_server.home / "lost")
    try:
        own_server.start()
    except StartError:
        pass
    assert root.read_bytes() == kept
    own_server.stop()
    shutil.rmtree(own_server.data, ignore_errors=True)
    shutil.move(own_server.home / "lost", own_server.data)
    own_server.start()
    traffic.check(own_server)


# The passphrase, in place of a root key file.


@pytest.fixture
def sealed_server(make_server):
    """A server whose root key is sealed by a passphrase, and the file of that."""
    server = make_server()
    file = server.home / "passphrase"
    file.write_text("correct horse battery staple\n")
    file.chmod(0o600)
    server.arguments = [*interface.dev(server.data), interface.PASSPHRASE, str(file)]
    return server.start(), file


def test_a_passphrase_seals_the_root_key(sealed_server, traffic):
    server, file = sealed_server
    traffic.make(server)
    for text in ("correct horse battery staple\n", "correct horse battery staple"):
        file.write_text(text)
        server.restart()
        traffic.check(server)
    assert not list(server.home.rglob("*root-key*")), "a root key file beside the passphrase"
    assert b"battery staple" not in b"".join(snapshot(server.data).values())
    assert "battery staple" not in server.output()


def test_a_wrong_passphrase(sealed_server, traffic):
    server, file = sealed_server
    traffic.make(server)
    server.stop()
    before = snapshot(server.data)
    for text in ("Correct horse battery staple", "", "correct horse battery staple "):
        file.write_text(text)
        output = refuses_to_start(server, "passphrase")
        assert "battery staple" not in output
        assert snapshot(server.data) == before
    file.write_text("correct horse battery staple")
    file.chmod(0o644)
    refuses_to_start(server, "mode|permission|others")
    file.chmod(0o600)
    server.start()
    traffic.check(server)


def test_a_passphrase_inside_the_data_directory(make_server):
    server = make_server()
    server.data.mkdir(mode=0o700)
    inside = server.data / "passphrase"
    inside.write_text("x" * 20)
    inside.chmod(0o600)
    server.arguments = [*interface.dev(server.data), interface.PASSPHRASE, str(inside)]
    refuses_to_start(server, "inside|outside|within")


def test_sm2_everywhere_by_setting(make_server, account):
    server = make_server()
    server.arguments = [*interface.dev(server.data), interface.SM2_EVERYWHERE]
    kms = server.start().client(account)
    key = create(kms)["KeyId"]
    made = kms.generate_data_key_pair(KeyId=key, KeyPairSpec="SM2")
    assert len(made["PublicKey"]) == 91


# Backup, rotation, rewrapping.


def command(server, arguments, status=0):
    done = support.run(arguments, server.home)
    output = done.stdout + done.stderr
    assert "panicked" not in output, output
    assert (done.returncode == 0) == (status == 0), output
    return output


def test_backup_and_restore(own_server, make_server, traffic, account):
    traffic.make(own_server)
    file = own_server.home / "backup"
    stop = threading.Event()
    written = []

    def write():
        kms = own_server.client(account)
        while not stop.is_set():
            written.append(create(kms)["KeyId"])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        # No root key is needed, so none is there.
        root = own_server.root_key()
        hidden = root.rename(root.with_name("hidden"))
        command(own_server, interface.backup(own_server.data, file))
        hidden.rename(root)
    finally:
        stop.set()
        writer.join()
    assert file.exists()
    assert file.stat().st_mode & 0o077 == 0, "others may read the backup"
    command(own_server, interface.backup(own_server.data, file), status=1)

    traffic.check(own_server)
    later = create(own_server.client(account))
    own_server.stop()
    restored = make_server()
    command(restored, interface.restore(file, restored.data))
    target = restored.home / root.relative_to(own_server.home)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(root, target)
    restored.start()
    traffic.check(restored)
    kms = restored.client(account)
    keys = {key["KeyId"] for page in kms.get_paginator("list_keys").paginate()
            for key in page["Keys"]}  # fmt: skip
    assert later["KeyId"] not in keys
    # Consistent: keys made one after another are there up to one moment, and none after it.
    present = [key in keys for key in written]
    assert present == sorted(present, reverse=True)


def test_restore_refuses(own_server, make_server, traffic):
    traffic.make(own_server)
    file = own_server.home / "backup"
    command(own_server, interface.backup(own_server.data, file))
    own_server.stop()
    before = snapshot(own_server.data)
    command(own_server, interface.restore(file, own_server.data), status=1)
    assert snapshot(own_server.data) == before, "restore wrote over a store"
    fresh = make_server()
    whole = file.read_bytes()
    for name, content in {
        "short": whole[: len(whole) // 2], "empty": b"", "foreign": b"x" * 5000,
    }.items():  # fmt: skip
        bad = fresh.home / name
        bad.write_bytes(content)
        command(fresh, interface.restore(bad, fresh.data), status=1)
        assert not fresh.data.exists() or not store_files(fresh.data), name
    command(fresh, interface.restore(fresh.home / "absent", fresh.data), status=1)


def test_domain_key_rotation(own_server, traffic):
    for _ in range(3):
        traffic.make(own_server)
        root = own_server.root_key()
        own_server.stop()
        command(own_server, interface.rotate_domain_key(own_server.data, root))
        own_server.start()
        traffic.check(own_server)
    own_server.restart()
    traffic.check(own_server)


def test_root_key_rewrap(own_server, traffic):
    traffic.make(own_server)
    root = own_server.root_key()
    own_server.stop()
    old = root.read_bytes()
    new = own_server.home / "new-root.key"
    command(own_server, interface.rewrap_root_key(own_server.data, root, new))
    assert new.stat().st_mode & 0o777 == 0o600
    assert new.read_bytes() != old
    own_server.arguments = [
        *interface.dev(own_server.data), SETTINGS["root_key"][0], str(root),
    ]  # fmt: skip
    refuses_to_start(own_server, "root key")
    own_server.arguments[-1] = str(new)
    own_server.start()
    traffic.check(own_server)
    traffic.make(own_server)
    traffic.check(own_server)


def test_offline_commands_refuse_a_running_store(own_server, traffic):
    traffic.make(own_server)
    root = own_server.root_key()
    new = own_server.home / "new-root.key"
    for arguments in (
        interface.rotate_domain_key(own_server.data, root),
        interface.rewrap_root_key(own_server.data, root, new),
    ):
        done = support.run(arguments, own_server.home)
        if done.returncode == 0:
            continue  # Allowed, if the running server learns of it.
        assert re.search(r"in use|lock|another|running|already", done.stderr, re.IGNORECASE)
        assert not new.exists()
    traffic.check(own_server)
    traffic.make(own_server)
    traffic.check(own_server)


# Crashes.


class Writers:
    """Clients that write until the server dies, and remember what was acknowledged."""

    def __init__(self, server, account):
        self.server, self.account = server, account
        self.keys, self.blobs, self.aliases, self.tags = {}, [], {}, {}
        self.lock = threading.Lock()
        self.unexpected = []

    def run_until_killed(self, count, seed):
        rng = random.Random(seed)
        enough = threading.Event()
        acknowledged = [0]
        target = rng.randrange(1, 40)

        def write(number):
            kms = self.server.client(self.account)
            try:
                while True:
                    self.step(kms, f"{seed}-{number}-{acknowledged[0]}")
                    with self.lock:
                        acknowledged[0] += 1
                        if acknowledged[0] >= target:
                            enough.set()
            except BotoCoreError:
                pass  # The connection broke: what was in flight may or may not have happened.
            except ClientError as error:
                with self.lock:
                    self.unexpected.append(error)
                enough.set()

        threads = [threading.Thread(target=write, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        assert enough.wait(120), "the server acknowledges nothing"
        self.server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not self.unexpected, self.unexpected

    def step(self, kms, name):
        key = create(kms, Description=name)
        with self.lock:
            self.keys[key["KeyId"]] = name
        pair = kms.generate_data_key_pair_without_plaintext(
            KeyId=key["KeyId"], KeyPairSpec="ECC_NIST_P256"
        )
        data = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256")
        with self.lock:
            self.blobs.append((pair["PrivateKeyCiphertextBlob"], None, key["KeyId"]))
            self.blobs.append((data["CiphertextBlob"], data["Plaintext"], key["KeyId"]))
        kms.create_alias(AliasName=f"alias/{key['KeyId']}", TargetKeyId=key["KeyId"])
        with self.lock:
            self.aliases[f"alias/{key['KeyId']}"] = key["KeyId"]
        kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "n", "TagValue": name}])
        with self.lock:
            self.tags[key["KeyId"]] = name

    def check(self, kms, sample):
        present = {key["KeyId"] for page in kms.get_paginator("list_keys").paginate()
                   for key in page["Keys"]}  # fmt: skip
        assert set(self.keys) <= present, set(self.keys) - present
        aliases = {entry["AliasName"]: entry.get("TargetKeyId")
                   for page in kms.get_paginator("list_aliases").paginate()
                   for entry in page["Aliases"]}  # fmt: skip
        assert self.aliases.items() <= aliases.items()
        for blob, plaintext, key in sample(self.blobs):
            got = kms.decrypt(CiphertextBlob=blob)
            assert got["KeyId"].endswith(key)
            assert plaintext is None or got["Plaintext"] == plaintext
        for key in sample(list(self.tags)):
            assert kms.list_resource_tags(KeyId=key)["Tags"] == [
                {"TagKey": "n", "TagValue": self.tags[key]}
            ]
            found = kms.describe_key(KeyId=key)["KeyMetadata"]
            assert (found["Description"], found["KeyState"]) == (self.keys[key], "Enabled")


def test_nothing_acknowledged_is_lost_by_kill(own_server, account):
    """`KEYSTEAD_KILL_ROUNDS` rounds of write load and kill -9; 200 is the long form."""
    writers = Writers(own_server, account)
    for round_number in range(KILL_ROUNDS):
        writers.run_until_killed(8, seed=round_number)
        own_server.start()
        rng = random.Random(round_number)
        # Everything of this round is looked at, and a sample of the rounds before.
        writers.check(
            own_server.client(account),
            lambda items, rng=rng: items[-60:] + rng.sample(items, min(40, len(items))),
        )
    writers.check(own_server.client(account), lambda items: items)
    assert len(writers.keys) >= KILL_ROUNDS
    print(f"\n{KILL_ROUNDS} kills; {len(writers.keys)} keys, {len(writers.blobs)} blobs kept")


def test_kill_during_the_first_start(make_server, traffic):
    """Killed at any moment of making its store, the program starts the next time."""
    for milliseconds in (1, 3, 5, 10, 20, 40, 80, 160):
        server = make_server()
        with server.log.open("ab") as log:
            process = support.subprocess.Popen(
                [support.BINARY, *interface.dev(server.data)], stdout=log, stderr=log,
                env=support.child_environment(server.home), cwd=server.home,
            )  # fmt: skip
        try:
            process.wait(milliseconds / 1000)
        except support.subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        server.start()
        assert create(server.client())["KeyState"] == "Enabled"
        server.stop()


# Shutdown and the admin listener.


def test_shutdown_finishes_requests_in_flight(own_server, account):
    kms = own_server.client(account)
    key = create(kms)["KeyId"]
    body = json.dumps({"KeyId": key, "KeyPairSpec": "RSA_4096"})
    results, begun = [], threading.Barrier(5)

    def slow():
        begun.wait()
        results.append(own_server.post("GenerateDataKeyPair", body, account=account))

    threads = [threading.Thread(target=slow) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait()
    # Each of the four is on its way; wait until the server counts them or has answered them.
    with socket.create_connection(("127.0.0.1", own_server.port)) as half:
        half.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n")  # never finished: must not hold it up
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline and not results:
            time.sleep(0.01)
        assert own_server.stop(signal.SIGTERM) == 0
    for thread in threads:
        thread.join(60)
    assert [answer.status for answer in results] == [200] * 4
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", own_server.port), timeout=5).close()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_success(own_server, sig):
    assert own_server.stop(sig) == 0


def test_health_and_metrics(own_server, account):
    for path in (interface.LIVE, interface.READY_PATH):
        assert own_server.http("GET", path, admin=True).status == 200
    kms = own_server.client(account)
    key = create(kms)["KeyId"]
    for _ in range(3):
        kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    support.refused(kms.describe_key, "NotFoundException", None, KeyId="nonsense")
    answer = own_server.http("GET", interface.METRICS, admin=True)
    assert answer.status == 200
    text = answer.body.decode()
    assert answer.headers["content-type"].startswith(("text/plain", "application/openmetrics-text"))
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(
        re.fullmatch(r"[a-z_:][\w:]*(\{.*\})? [-+0-9.eE]+|.* (NaN|\+Inf)", s) for s in samples
    )
    counted = [line for line in samples if "GenerateDataKey" in line]
    assert counted, "no metric names the operation"
    assert any(line.endswith((" 3", " 3.0")) for line in counted), counted
    assert key not in text and account not in text, "metrics name keys or accounts"


def test_admin_listener_is_apart(own_server):
    """Nothing of the admin listener answers on the main port, and no operation on the admin's."""
    clock = json.dumps({"advance_seconds": 86400})
    assert own_server.http("POST", interface.CLOCK, clock).status in range(400, 500)
    for path in (interface.METRICS, interface.LIVE):
        assert own_server.http("GET", path).status in range(400, 500)
    answer = own_server.http(
        "POST", "/", b"{}", {"X-Amz-Target": "TrentService.CreateKey"}, admin=True
    )
    assert answer.status in range(400, 500)


@pytest.mark.parametrize(
    "sent", ["", "x", "[]", "{}", '{"advance_seconds":"5"}',
             '{"advance_seconds":1e300}', '{"advance":5}'],
)  # fmt: skip
def test_faulty_clock_moves(own_server, sent):
    answer = own_server.http(
        "POST", interface.CLOCK, sent, {"Content-Type": "application/json"}, admin=True
    )
    assert answer.status in range(400, 500)
    assert own_server.http("GET", interface.LIVE, admin=True).status == 200


def test_a_web_page_cannot_move_the_clock(own_server):
    """A browser names the page that sends: refused, whatever the type of the body."""
    sent = json.dumps({"advance_seconds": 86400})
    for headers in (
        {"Content-Type": "text/plain", "Origin": "https://example.com"},
        {"Content-Type": "application/json", "Origin": "https://example.com"},
    ):
        answer = own_server.http("POST", interface.CLOCK, sent, headers, admin=True)
        assert answer.status in range(400, 500), headers
