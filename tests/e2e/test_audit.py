"""The audit trail of the running program: through an SDK, by its own verification, across kills."""

import json
import os
import shutil
import signal
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import interface
import support


@pytest.fixture
def trail(tmp_path):
    return tmp_path / "trail"


@pytest.fixture
def audited(make_server, trail):
    return make_server(environment={"KEYSTEAD_AUDIT_DIR": str(trail)}).start()


def records(trail):
    """All records, in the order of the files."""
    lines = []
    for path in sorted(trail.glob("audit-*.jsonl")):
        lines += path.read_text().splitlines()
    return [json.loads(line) for line in lines]


def public_key(server, path):
    done = support.run(["audit", "public-key", "--data-dir", str(server.data)], server.home)
    assert done.returncode == 0, done.stderr
    path.write_text(done.stdout)
    return path


def verify(server, trail, tmp_path):
    """Asserts that the trail is intact, and answers what the program says of it."""
    key = public_key(server, tmp_path / "audit.pem")
    done = support.run(["audit", "verify", str(trail), "--public-key", str(key)], server.home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("intact\n")
    return done.stdout


def request_id(answer):
    return answer["ResponseMetadata"]["RequestId"]


def test_an_sdk_leaves_its_records(audited, trail, tmp_path, account):
    kms = audited.client(account)
    made = kms.create_key(Description="audited", Tags=[{"TagKey": "a", "TagValue": "b"}])
    arn = made["KeyMetadata"]["Arn"]
    sealed = kms.encrypt(KeyId=arn, Plaintext=b"p", EncryptionContext={"tenant": "a"})
    opened = kms.decrypt(
        CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext={"tenant": "a"}
    )
    pair = kms.generate_data_key_pair(KeyId=arn, KeyPairSpec="ECC_NIST_P256")
    with pytest.raises(ClientError) as caught:
        kms.describe_key(KeyId=support.ABSENT_KEY)
    refusal = caught.value.response
    kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    audited.advance(8 * 86_400)
    # What is not signed at all is no event of the trail.
    assert audited.post("ListKeys", {}, sign=False).status == 400
    assert audited.stop() == 0

    found = {record.get("requestID"): record for record in records(trail)}
    assert found[request_id(made)]["responseElements"]["keyMetadata"]["arn"] == arn
    record = found[request_id(sealed)]
    assert record["requestParameters"] == {
        "keyId": arn,
        "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "encryptionContext": {"tenant": "a"},
    }
    assert record["sourceIPAddress"] == "127.0.0.1"
    assert record["userAgent"].startswith("Boto3/")
    assert record["userIdentity"]["accountId"] == account
    assert found[request_id(opened)]["requestParameters"]["keyId"] == arn
    assert found[request_id(pair)]["readOnly"] is True
    failure = found[request_id(refusal)]
    assert failure["errorCode"] == "NotFoundException"
    assert failure["errorMessage"] == refusal["Error"]["Message"]
    events = [record for record in records(trail) if record["eventType"] == "AwsServiceEvent"]
    assert [record["eventName"] for record in events] == ["DeleteKey"]
    assert events[0]["resources"][0]["ARN"] == arn
    strangers = (trail / "security.jsonl").read_text().splitlines()
    assert [json.loads(line)["eventName"] for line in strangers] == ["ListKeys"]
    assert (trail.stat().st_mode & 0o777, len(strangers)) == (0o700, 1)

    said = verify(audited, trail, tmp_path)
    assert f"records as signed: {len(records(trail))}\n" in said
    assert "closed: yes\n" in said
    # Tools that read CloudTrail's files read the export.
    to = tmp_path / "export"
    done = support.run(["audit", "export", str(trail), "--to", str(to)], audited.home)
    assert done.returncode == 0, done.stderr
    exported = [json.loads(path.read_text())["Records"] for path in sorted(to.iterdir())]
    assert sum(exported, []) == records(trail)

    # One changed byte is found.
    path = next(trail.glob("audit-*.jsonl"))
    path.write_text(path.read_text().replace('"tenant":"a"', '"tenant":"b"', 1))
    key = tmp_path / "audit.pem"
    done = support.run(["audit", "verify", str(trail), "--public-key", str(key)], audited.home)
    assert done.returncode == 1
    assert "was altered" in done.stdout


def test_a_kill_loses_no_record(audited, trail, tmp_path, account):
    kms = audited.client(account)
    key = support.create(kms)["KeyId"]
    answered, made = [], []
    lock = threading.Lock()

    def load():
        while True:
            for call, parameters in (
                (kms.generate_data_key, {"KeyId": key, "KeySpec": "AES_256"}),
                (kms.create_key, {}),
                (kms.describe_key, {"KeyId": support.ABSENT_KEY}),
            ):
                try:
                    answer = call(**parameters)
                except ClientError as error:
                    answer = error.response
                except BotoCoreError:
                    return
                with lock:
                    answered.append(request_id(answer))
                    if "KeyMetadata" in answer:
                        made.append(answer["KeyMetadata"]["Arn"])

    for round_number in range(1, 4):
        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while len(answered) < 150 * round_number and time.monotonic() < deadline:
            time.sleep(0.005)
        audited.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()
        assert len(answered) >= 150 * round_number
        audited.start()
        kms = audited.client(account)
    pages = kms.get_paginator("list_keys").paginate()
    stored = {entry["KeyArn"] for page in pages for entry in page["Keys"]}
    assert audited.stop() == 0

    found = records(trail)
    ids = {record["requestID"] for record in found}
    assert [request for request in answered if request not in ids] == []
    created = [
        record["resources"][0]["ARN"]
        for record in found
        if record["eventName"] == "CreateKey" and "errorCode" not in record
    ]
    assert set(created) == stored
    assert set(made) <= stored
    events = [record["eventID"] for record in found]
    assert len(events) == len(set(events)), "a record was moved twice"
    verify(audited, trail, tmp_path)


def test_a_trail_that_is_gone_stops_the_service(audited, trail, tmp_path, account):
    kms = audited.client(account)
    key = support.create(kms)["KeyId"]
    assert audited.http("GET", "/readyz", admin=True).status == 200
    away = tmp_path / "away"
    trail.rename(away)
    deadline = time.monotonic() + 30
    status = 200
    while status == 200 and time.monotonic() < deadline:
        status = audited.post("DescribeKey", {"KeyId": key}, account).status
    assert status == 500
    answer = audited.post("GenerateDataKey", {"KeyId": key, "KeySpec": "AES_256"}, account)
    assert (answer.status, answer.kind()) == (500, "KMSInternalException")
    ready = audited.http("GET", "/readyz", admin=True)
    assert ready.status == 503
    assert ready.body.startswith(b"audit_blocked: ")
    assert b"\nkeystead_audit_blocked 1\n" in audited.http("GET", "/metrics", admin=True).body
    away.rename(trail)
    deadline = time.monotonic() + 30
    while status == 500 and time.monotonic() < deadline:
        status = audited.post("DescribeKey", {"KeyId": key}, account).status
    assert status == 200
    assert audited.http("GET", "/readyz", admin=True).status == 200
    assert audited.stop() == 0
    verify(audited, trail, tmp_path)


def test_a_signal_begins_another_file(audited, trail, tmp_path, account):
    kms = audited.client(account)
    support.create(kms)
    before = len(list(trail.glob("audit-*.jsonl")))
    os.kill(audited.process.pid, signal.SIGHUP)
    deadline = time.monotonic() + 30
    while len(list(trail.glob("audit-*.jsonl"))) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    kms.list_keys()
    assert audited.stop() == 0
    assert len(list(trail.glob("audit-*.jsonl"))) == before + 1
    verify(audited, trail, tmp_path)


def test_the_signing_key_outlives_rotations(audited, trail, tmp_path, account):
    support.create(audited.client(account))
    key = public_key(audited, tmp_path / "first.pem").read_text()
    assert audited.stop() == 0
    place = ["--data-dir", str(audited.data)]
    for arguments in (
        ["domain-key", "rotate", *place],
        ["root-key", "rewrap", *place, "--new-root-key-file", str(tmp_path / "new-key")],
    ):
        done = support.run(arguments, audited.home)
        assert done.returncode == 0, done.stderr
    shutil.move(tmp_path / "new-key", audited.root_key())
    assert public_key(audited, tmp_path / "second.pem").read_text() == key
    audited.start()
    audited.client(account).list_keys()
    assert audited.stop() == 0
    verify(audited, trail, tmp_path)


def test_settings_that_cannot_be_followed(make_server, tmp_path):
    for lines, complaint in (
        ("[audit]\n", "audit.dir is missing"),
        ('[audit]\ndir = "trail"\nsync = "never"\n', "sync"),
        ('[audit]\ndir = "trail"\nrotate_bytes = 1\n', "audit.rotate_bytes must be"),
    ):
        file = tmp_path / "keystead.toml"
        file.write_text(lines)
        data = tmp_path / "data"
        done = support.run([*interface.dev(data), "--config", str(file)], tmp_path)
        assert (done.returncode, complaint in done.stderr) == (2, True), done.stderr
