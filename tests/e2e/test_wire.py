"""Bare HTTP: statuses, headers, error bodies, and input nobody should send."""

import json
import random
import re
import socket
import time

import pytest

import interface
import support
from support import TARGET, create

JSON = "application/x-amz-json-1.1"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def check_form(answer):
    """What every answer on the main port has."""
    assert UUID.fullmatch(answer.headers["x-amzn-requestid"]), answer.headers
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert "date" in answer.headers
    if answer.body:
        assert answer.headers["content-type"] == JSON


def check_error(answer, kind=None, status=400):
    check_form(answer)
    assert answer.status == status, answer
    body = answer.json()
    assert "__type" in body
    assert set(body) <= {"__type", "message", "Message"} and len(body) <= 2, body
    assert re.fullmatch(r"[A-Za-z]+", body["__type"]), "a bare name"
    if kind:
        assert body["__type"] == kind, body


def test_success_and_its_headers(server, account, kms):
    answer = server.post("CreateKey", {}, account=account)
    assert answer.status == 200
    check_form(answer)
    metadata = answer.json()["KeyMetadata"]
    assert isinstance(metadata["CreationDate"], float)
    assert abs(metadata["CreationDate"] - time.time()) < 3600
    assert re.search(rb'"CreationDate":\d+\.\d{1,3}[,}]', answer.body)
    assert answer.headers["cache-control"] == "no-cache, no-store, must-revalidate, private"
    assert answer.headers["pragma"] == "no-cache"
    second = server.post("DescribeKey", {"KeyId": metadata["KeyId"]}, account=account)
    assert second.headers["x-amzn-requestid"] != answer.headers["x-amzn-requestid"]
    assert second.json() == answer.json()


def test_operations_without_output_have_an_empty_body(server, account, key):
    for operation in ("DisableKey", "EnableKey"):
        answer = server.post(operation, {"KeyId": key["KeyId"]}, account=account)
        assert (answer.status, answer.body) == (200, b"")
        check_form(answer)


def test_health_is_unsigned(server):
    answer = server.http("GET", interface.HEALTH)
    assert answer.status == 200


@pytest.mark.parametrize(
    "target",
    ["TrentService.Nothing", "TrentService.", "TrentService", "CreateKey", "", "DynamoDB.CreateKey",
     "TrentService.createkey", "trentservice.CreateKey",
     "TrentService.CreateKey.x", "x" * 4000],
)  # fmt: skip
def test_unknown_targets(server, account, target):
    answer = server.post("", {}, account=account, target=target)
    check_error(answer, "UnknownOperationException")


def test_missing_target(server, account):
    answer = server.post("ListKeys", {}, account=account, headers={"X-Amz-Target": None})
    check_error(answer, "UnknownOperationException")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_other_methods_and_paths(server, method):
    answer = server.http(method, "/", headers={"X-Amz-Target": TARGET + "ListKeys"})
    assert 400 <= answer.status < 500
    assert server.http("POST", "/some/where", b"{}").status in range(400, 500)


def test_missing_authorization(server):
    for body in (b"{}", b"not json", b"\xff" * 100):
        answer = server.post("ListKeys", body, sign=False)
        check_error(answer, "MissingAuthenticationTokenException")
        assert answer.message() == "Missing Authentication Token"


GOOD = (
    "AWS4-HMAC-SHA256 Credential=111122223333/20260101/us-east-1/kms/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
)
DATE = "20260101T000000Z"


@pytest.mark.parametrize(
    "value",
    [
        "x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "Basic dXNlcjpwYXNz",
        "AWS4-ECDSA-P256-SHA256 " + GOOD.split(" ", 1)[1],
        GOOD.replace("Credential=", "Kredential="),
        GOOD.replace("SignedHeaders=host;x-amz-date, ", ""),
        GOOD[: GOOD.index(", Signature")],
        GOOD.replace("/aws4_request", ""),
        GOOD.replace("111122223333/20260101", "111122223333"),
        "AWS4-HMAC-SHA256 " + "a=b," * 2000, "AWS4-HMAC-SHA256 " + "," * 100,
    ],
)  # fmt: skip
def test_malformed_authorization(server, value):
    answer = server.post(
        "ListKeys", b"not json", sign=False, headers={"Authorization": value, "X-Amz-Date": DATE}
    )
    assert answer.status in (400, 431)
    if answer.status == 400:
        check_error(answer, "IncompleteSignatureException")


def test_dev_accepts_any_signature(server):
    answer = server.post(
        "ListKeys", {}, sign=False, headers={"Authorization": GOOD, "X-Amz-Date": DATE}
    )
    assert answer.status == 200


BAD_BODIES = [
    b"{", b"}", b"nonsense", b"[]", b'"x"', b"1", b"null", b"true", b"{}{}", b"{} x", b"{'a':1}",
    b'{"KeyId":}', b'{"KeyId":"a",}', b'{"KeyId" "a"}', b'{"KeyId":"\xff"}', b"\x00",
    b"\xef\xbb\xbf{}",
    b'{"KeyId":"\\ud800"}', b'{"KeyId":"a\nb"}', b'{"KeyId":1e999}', b"{" * 1000,
]  # fmt: skip


@pytest.mark.parametrize("sent", BAD_BODIES)
def test_bodies_that_are_no_json_object(server, account, sent):
    answer = server.post("DescribeKey", sent, account=account)
    check_error(answer)
    assert answer.kind() in ("SerializationException", "ValidationException")
    if sent not in (b"null",):
        assert answer.kind() == "SerializationException"


WRONG_TYPES = [
    ("DescribeKey", '{"KeyId":1}'), ("DescribeKey", '{"KeyId":true}'),
    ("DescribeKey", '{"KeyId":["a"]}'), ("DescribeKey", '{"KeyId":{}}'),
    ("DescribeKey", '{"KeyId":"a","GrantTokens":"t"}'),
    ("DescribeKey", '{"KeyId":"a","GrantTokens":[1]}'),
    ("CreateKey", '{"MultiRegion":"true"}'), ("CreateKey", '{"MultiRegion":1}'),
    ("CreateKey", '{"Tags":{}}'), ("CreateKey", '{"Tags":["a"]}'), ("CreateKey", '{"Tags":[[]]}'),
    ("CreateKey", '{"KeySpec":1}'),
    ("ListKeys", '{"Limit":"5"}'), ("ListKeys", '{"Limit":true}'), ("ListKeys", '{"Limit":[]}'),
    ("Encrypt", '{"KeyId":"a","Plaintext":1}'), ("Encrypt", '{"KeyId":"a","Plaintext":[1]}'),
    ("Encrypt", '{"KeyId":"a","Plaintext":"cA==","EncryptionContext":[]}'),
    ("Encrypt", '{"KeyId":"a","Plaintext":"cA==","EncryptionContext":{"a":1}}'),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "sent"), WRONG_TYPES)
def test_members_of_the_wrong_type(server, account, operation, sent):
    check_error(server.post(operation, sent, account=account), "SerializationException")


@pytest.mark.parametrize(
    "text", ["!!!!", "a", "abc", "ab=c", "cA=", "cA", "c A==", "cA==cA==", "Zm9v_-8="]
)
def test_bad_base64(server, account, key, text):
    for operation, request in (
        ("Decrypt", {"CiphertextBlob": text}),
        ("Encrypt", {"KeyId": key["KeyId"], "Plaintext": text}),
    ):
        check_error(server.post(operation, request, account=account), "SerializationException")


def test_null_is_absent(server, account, key):
    request = {"KeyId": key["KeyId"], "GrantTokens": None}
    assert server.post("DescribeKey", request, account=account).status == 200
    everything = dict.fromkeys(
        ["Policy", "Description", "KeyUsage", "KeySpec", "Origin", "Tags", "MultiRegion",
         "CustomKeyStoreId", "BypassPolicyLockoutSafetyCheck", "CustomerMasterKeySpec"]
    )  # fmt: skip
    answer = server.post("CreateKey", everything, account=account)
    assert answer.status == 200 and answer.json()["KeyMetadata"]["Description"] == ""
    answer = server.post("DescribeKey", {"KeyId": None}, account=account)
    check_error(answer, "ValidationException")
    assert answer.message() == (
        "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_unknown_members_are_ignored(server, account, key):
    sent = {"KeyId": key["KeyId"], "Unknown": {"deep": [1, {"x": None}]}, "keyId": 5}
    answer = server.post("DescribeKey", sent, account=account)
    assert answer.status == 200 and answer.json()["KeyMetadata"]["KeyId"] == key["KeyId"]


@pytest.mark.parametrize(
    "sent",
    ['{"KeyId":"a","KeyId":"a"}', '{"KeyId":"%s","\\u004beyId":"%s"}',
     '{"KeyId":null,"KeyId":"%s"}',
     '{"KeyId":"%s","GrantTokens":[],"GrantTokens":[]}'],
)  # fmt: skip
def test_duplicate_members(server, account, key, sent):
    check_error(server.post("DescribeKey", sent.replace("%s", key["KeyId"]), account=account))


def test_deep_nesting(server, account, key):
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        deep = opening * 10_000 + "1" + closing * 10_000
        for sent in (deep, f'{{"KeyId":"{key["KeyId"]}","Unknown":{deep}}}'):
            answer = server.post("DescribeKey", sent, account=account)
            check_error(answer, "SerializationException")
    assert server.http("GET", interface.HEALTH).status == 200


def test_several_violations_in_one_message(server, account):
    answer = server.post(
        "CreateKey", {"KeyUsage": "RANDOM", "CustomKeyStoreId": "", "Description": "x" * 8193},
        account=account,
    )  # fmt: skip
    check_error(answer, "ValidationException")
    message = answer.message()
    assert message.startswith("3 validation errors detected: ")
    parts = message.removeprefix("3 validation errors detected: ").split("; ")
    assert len(parts) == 3
    assert any(part.startswith("Value 'RANDOM' at 'keyUsage' failed to satisfy constraint: Member "
                               "must satisfy enum value set: [") for part in parts)  # fmt: skip
    assert "Value '' at 'customKeyStoreId' failed to satisfy constraint: Member must have length " \
        "greater than or equal to 1" in parts  # fmt: skip
    assert any("at 'description'" in part and part.endswith("less than or equal to 8192")
               for part in parts)  # fmt: skip


def test_secrets_are_not_echoed(server, account, key):
    secret = support.b64(b"a secret nobody may see" * 200)
    answer = server.post("Encrypt", {"KeyId": key["KeyId"], "Plaintext": secret}, account=account)
    check_error(answer, "ValidationException")
    assert answer.message() == (
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: "
        "Member must have length less than or equal to 4096"
    )


# Sizes.


def test_a_body_of_one_mebibyte_is_read(server, account):
    padding = "x" * (interface.BODY_ACCEPTED - 100)
    assert server.post("ListKeys", {"Unknown": padding}, account=account).status == 200


def test_a_body_of_ten_mebibytes_is_refused(server, account):
    """413, though the server may close before all has been sent."""
    length = interface.BODY_REFUSED
    head = (
        "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: TrentService.ListKeys\r\n"
        f"X-Amz-Date: {DATE}\r\nAuthorization: {GOOD}\r\n"
    )
    chunked = head + "Transfer-Encoding: chunked\r\n\r\n"
    for start, step in (
        (head + f"Content-Length: {length}\r\n\r\n", b" " * 65536),
        (chunked, b"10000\r\n" + b" " * 65536 + b"\r\n"),
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(start.encode())
            try:
                for _ in range(length // 65536):
                    connection.sendall(step)
            except (BrokenPipeError, ConnectionResetError):
                pass
            try:
                answer = connection.recv(65536)
            except ConnectionResetError:
                # A reset may overtake the answer; then only survival can be judged.
                answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.1 413"), answer[:200]
    with socket.create_connection(("127.0.0.1", server.port), timeout=90) as connection:
        # Refused by its declared length, though not a byte of it is sent.
        connection.sendall((head + f"Content-Length: {length}\r\n\r\n").encode())
        answer = b""
        while b"RequestEntityTooLargeException" not in answer:
            more = connection.recv(65536)
            assert more, answer
            answer += more
    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]
    assert server.post("ListKeys", {}, account=account).status == 200


def test_an_empty_body_is_an_empty_object(server, account):
    assert server.post("ListKeys", b"", account=account).status == 200
    check_error(server.post("DescribeKey", b"", account=account), "ValidationException")


def test_huge_and_many_headers(server, account):
    for headers in ({"X-Long": "x" * 200_000}, {f"X-{n}": "x" for n in range(2000)}):
        try:
            answer = server.post("ListKeys", {}, account=account, headers=headers)
        except (ConnectionError, OSError):
            continue
        assert 400 <= answer.status < 500, answer.status
    assert server.post("ListKeys", {}, account=account).status == 200


def test_bytes_that_are_no_http(server, account):
    rng = random.Random(11)
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            try:
                connection.sendall(rng.randbytes(rng.randrange(1, 400)) + b"\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(65536)
            except OSError:  # the server may have hung up already
                answer = b""
        assert not re.match(rb"HTTP/1\.[01] 5", answer), answer
    assert server.post("ListKeys", {}, account=account).status == 200


def test_keep_alive_and_pipelined_requests(server):
    one = (
        "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: TrentService.ListKeys\r\n"
        f"X-Amz-Date: {DATE}\r\nAuthorization: {GOOD}\r\nContent-Length: 2\r\n\r\n{{}}"
    ).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(one * 5)
        got = b""
        while got.count(b"HTTP/1.1 200") < 5:
            more = connection.recv(65536)
            assert more, got
            got += more


def test_expect_100_continue(server):
    head = (
        "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: TrentService.ListKeys\r\n"
        f"X-Amz-Date: {DATE}\r\nAuthorization: {GOOD}\r\n"
        "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(b"{}")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


# Fuzz.


def mutations(rng, seeds):
    """A body made from a good one by a few random edits, or of random bytes."""
    if rng.random() < 0.15:
        return rng.randbytes(rng.randrange(0, 500))
    body = bytearray(json.dumps(rng.choice(seeds)).encode())
    words = [b"null", b"{}", b"[]", b'""', b"-1", b"1e308", b"\\u0000", b'"KeyId":', b"9" * 40,
             b"\xf0\x9f\x94\x91", b"true", b"\\", b'"']  # fmt: skip
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(4):
            case 0:
                body[at:at] = rng.choice(words)
            case 1:
                del body[at : at + rng.randrange(1, 9)]
            case 2 if body:
                body[at % len(body)] = rng.randrange(256)
            case _:
                body[at:at] = bytes(body[at : at + rng.randrange(1, 40)])
    return bytes(body)


def test_random_bodies_never_are_server_faults(server, account, kms, key):
    from botocore.loaders import Loader

    rng = random.Random(20261124)
    operations = list(Loader().load_service_model("kms", "service-2")["operations"])
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p")["CiphertextBlob"]
    seeds = [
        {"KeyId": key["KeyId"], "KeySpec": "AES_256", "EncryptionContext": {"a": "b"}},
        {"KeyId": key["KeyId"], "Plaintext": "cGxhaW4=", "DryRun": True, "GrantTokens": ["t"]},
        {"CiphertextBlob": support.b64(blob), "EncryptionContext": {}},
        {"KeyId": key["Arn"], "Tags": [{"TagKey": "a", "TagValue": "b"}], "TagKeys": ["a"]},
        {"AliasName": "alias/x", "TargetKeyId": key["KeyId"], "Limit": 5, "Marker": "m"},
        {"KeyId": key["KeyId"], "Policy": "{}", "PolicyName": "default", "PendingWindowInDays": 7},
        {"KeyId": key["KeyId"], "KeyPairSpec": "ECC_NIST_P256", "Description": "d"},
    ]
    for n in range(300):
        operation, sent = rng.choice(operations), mutations(rng, seeds)
        answer = server.post(operation, sent, account=account)
        assert answer.status in (200, 400), (n, operation, sent, answer)
        if answer.status == 400:
            check_error(answer)
    assert create(server.client(account))["KeyState"] == "Enabled"


def test_slow_clients_do_not_hold_up_others(server, account):
    """Half a request on many connections; others are answered meanwhile."""
    half = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: TrentService.ListKeys\r\nContent-Le"
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(half)
        for _ in range(5):
            assert server.post("ListKeys", {}, account=account).status == 200
    finally:
        for connection in slow:
            connection.close()
