"""GetKeyLastUsage across the ends of a process: orderly, and by kill -9."""

import signal

import interface
import support


def last(server, account, key):
    answer = server.client(account).get_key_last_usage(KeyId=key)
    assert answer["TrackingStartDate"] == answer["KeyCreationDate"]
    usage = answer["KeyLastUsage"]
    return usage and (usage["Operation"], usage["KmsRequestId"])


def use(server, account, key):
    answer = server.client(account).encrypt(KeyId=key, Plaintext=b"p")
    return "Encrypt", answer["ResponseMetadata"]["RequestId"]


def test_what_outlives_the_process(own_server, account):
    key = support.create(own_server.client(account))["KeyId"]
    assert last(own_server, account, key) == {}
    used = use(own_server, account, key)
    assert last(own_server, account, key) == used
    own_server.restart()
    assert last(own_server, account, key) == used
    swept = use(own_server, account, key)
    # Moving the clock brings the sweep by.
    own_server.advance(1)
    lost = use(own_server, account, key)
    assert last(own_server, account, key) == lost
    own_server.restart(signal.SIGKILL)
    assert last(own_server, account, key) == swept


def test_a_backup_has_the_last_use(own_server, make_server, account, tmp_path):
    key = support.create(own_server.client(account))["KeyId"]
    used = use(own_server, account, key)
    own_server.advance(1)
    file, data = tmp_path / "backup", tmp_path / "restored"
    for arguments in (
        interface.backup(own_server.data, file),
        interface.restore(file, data),
    ):
        done = support.run(arguments, own_server.home)
        assert done.returncode == 0, done.stderr
    own_server.stop()
    root_key = ["--root-key-file", str(own_server.root_key())]
    other = make_server(arguments=[*interface.dev(data), *root_key]).start()
    assert last(other, account, key) == used
