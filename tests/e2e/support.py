"""Runs the program under test and speaks to it, by SDK and by bare HTTP."""

import base64
import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

import interface

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("KEYSTEAD_BIN", REPOSITORY / "target/debug/keystead")).absolute()
REGION = "us-east-1"
CHINA = "cn-north-1"
START_SECONDS = 60
ABSENT_KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
ABSENT_MULTI_REGION_KEY = "mrk-1234abcd12ab34cd56ef1234567890ab"

# Of an operation that takes key ids and ARNs of keys alone.
NO_ALIASES = "Key Aliases are not supported for this operation."
TARGET = "TrentService."


class StartError(Exception):
    """The program ended before it was ready. Carries what it printed."""


class Server:
    """One `keystead dev` on one data directory, with a home of its own."""

    def __init__(self, home: Path, arguments=None, environment=None):
        self.home = home
        self.home.mkdir(parents=True, exist_ok=True)
        self.data = home / "data"
        self.log = home.parent / f"{home.name}.log"
        self.arguments = arguments
        self.environment = environment or {}
        self.process = None
        self.port = self.admin_port = None
        self._lock = threading.Lock()
        self._clients = {}

    # Life.

    def start(self):
        assert self.process is None, "already started"
        arguments = self.arguments or interface.dev(self.data)
        offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [BINARY, *arguments], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=child_environment(self.home, self.environment), cwd=self.home,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while True:
            # Asked before the output is read: what an ended program printed is all there.
            ended = self.process.poll() is not None
            output = self.log.read_bytes()[offset:].decode(errors="replace")
            if ready := interface.READY.search(output):
                break
            if ended:
                status, self.process = self.process.returncode, None
                raise StartError(f"ended with {status} before it was ready:\n{output}")
            if time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                raise StartError(f"not ready after {START_SECONDS} s:\n{output}")
            time.sleep(0.01)
        self.port, self.admin_port = int(ready["port"]), int(ready["admin"])
        self._clients.clear()
        self.printed_data = Path(ready["data"].strip())
        return self

    def output(self):
        return self.log.read_text(errors="replace")

    def stop(self, sig=signal.SIGTERM):
        """Ends the process and returns its exit status."""
        if self.process is None:
            return None
        self.process.send_signal(sig)
        try:
            status = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"did not end within 60 s of signal {sig}")
        finally:
            self.process = None
        return status

    def restart(self, sig=signal.SIGTERM):
        self.stop(sig)
        return self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def root_key(self):
        """The root key file, found as the one private file outside the data directory."""
        found = [
            path
            for path in self.home.rglob("*")
            if path.is_file()
            and self.data not in path.parents
            and "root" in path.name
            and path.stat().st_mode & 0o777 == 0o600
        ]
        assert len(found) == 1, f"one root key file expected outside the data directory: {found}"
        return found[0]

    # Speaking by SDK.

    def client(self, account=None, region=REGION, **config):
        """A boto3 client acting as an account; a new account if none is given."""
        account = account or new_account()
        key = (account, region, tuple(sorted(config.items())))
        with self._lock:  # creating clients is not thread-safe in boto3
            if key not in self._clients:
                self._clients[key] = boto3.session.Session().client(
                    "kms", region_name=region, endpoint_url=self.url,
                    aws_access_key_id=account, aws_secret_access_key="any",
                    config=Config(retries={"total_max_attempts": 1}, max_pool_connections=80,
                                  connect_timeout=10, read_timeout=120, **config),
                )  # fmt: skip
            return self._clients[key]

    # Speaking by HTTP.

    def post(self, operation, body, account="111122223333", region=REGION, headers=None,
             target=None, sign=True):  # fmt: skip
        """One signed request; the body is JSON text, bytes, or a value to be encoded."""
        data = body if isinstance(body, bytes) else (
            body.encode() if isinstance(body, str) else json.dumps(body).encode())  # fmt: skip
        sent = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": target if target is not None else TARGET + operation,
        }
        if sign:
            request = AWSRequest("POST", self.url + "/", data=data, headers=sent)
            SigV4Auth(Credentials(account, "any"), "kms", region).add_auth(request)
            sent = dict(request.headers.items())
        for name, value in (headers or {}).items():
            sent.pop(name, None)
            if value is not None:
                sent[name] = value
        return self.http("POST", "/", data, sent)

    def http(self, method, path, body=None, headers=None, admin=False):
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.admin_port if admin else self.port, timeout=60
        )
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())

    def advance(self, seconds):
        answer = self.http(
            "POST", interface.CLOCK, json.dumps({"advance_seconds": seconds}),
            {"Content-Type": "application/json"}, admin=True,
        )  # fmt: skip
        assert answer.status == 200, (answer.status, answer.body)


class Answer:
    """A whole HTTP response."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def json(self):
        return json.loads(self.body)

    def kind(self):
        return self.json().get("__type")

    def message(self):
        body = self.json()
        return body.get("message", body.get("Message"))

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


def new_account():
    """An account nobody has used; each is a world of its own."""
    return f"{random.SystemRandom().randrange(10**12):012d}"


def child_environment(home, extra=None):
    """The environment of a child: nothing of ours that could steer it."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("KEYSTEAD_", "AWS_", "XDG_")) or k == "KEYSTEAD_BIN"}  # fmt: skip
    kept.update(HOME=str(home), AWS_EC2_METADATA_DISABLED="true", AWS_PAGER="", NO_COLOR="1")
    return kept | (extra or {})


def run(arguments, home, extra=None, timeout=120):
    """Runs the program to its end."""
    return subprocess.run(
        [BINARY, *arguments], env=child_environment(home, extra), cwd=home, timeout=timeout,
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip


def refused(call, code, message=None, /, **parameters):
    """Asserts that an SDK call is refused with this code and, if given, exactly this message."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    assert response["Error"]["Code"] == code, response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400, response
    text = response["Error"].get("Message", "")
    if isinstance(message, re.Pattern):
        assert message.search(text), text
    elif message is not None:
        assert text == message
    return text


def snake(operation):
    """The name of an operation's method in boto3."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", operation).lower()


def body(response):
    """The members of an SDK response."""
    return {name: value for name, value in response.items() if name != "ResponseMetadata"}


def members(response):
    return set(body(response))


def create(kms, **parameters):
    return kms.create_key(**parameters)["KeyMetadata"]


def own_aliases(kms, **parameters):
    """The entries of ListAliases, at most 100, but for those of AWS managed keys."""
    listed = kms.list_aliases(Limit=100, **parameters)
    assert listed["Truncated"] is False
    return [entry for entry in listed["Aliases"] if not entry["AliasName"].startswith("alias/aws/")]


def key_arn(account, key, region=REGION):
    return f"arn:{partition(region)}:kms:{region}:{account}:key/{key}"


def alias_arn(account, name, region=REGION):
    return f"arn:{partition(region)}:kms:{region}:{account}:{name}"


def root_arn(account, region=REGION):
    return f"arn:{partition(region)}:iam::{account}:root"


def partition(region):
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def not_on_this_resource(account, action, region=REGION):
    """The text for a key or alias of another account (behaviour.md 5.5)."""
    return (
        f"User: {root_arn(account, region)} is not authorized to perform: kms:{action} on this "
        "resource because the resource does not exist in this Region, no resource-based policies "
        "allow access, or a resource-based policy explicitly denies access"
    )


def not_on_this_ciphertext(account, action="Decrypt", region=REGION):
    """The text for a ciphertext without KeyId whose key is unknown or foreign (5.5)."""
    return (
        f"User: {root_arn(account, region)} is not authorized to perform: kms:{action} on the "
        "resource associated with this ciphertext because the resource does not exist in this "
        "Region, no resource-based policies allow access, or a resource-based policy explicitly "
        "denies access"
    )


INCORRECT_KEY = "The key ID in the request does not identify a CMK that can perform this operation."
DRY_RUN = "The request would have succeeded, but the DryRun option is set."
INVALID_CIPHERTEXT_BODY = b'{"__type":"InvalidCiphertextException"}'


def b64(data):
    return base64.b64encode(data).decode()


def der_length(content):
    """The length of a DER element with so many content bytes."""
    return content + (2 if content < 128 else 3 if content < 256 else 4)


def aws_blob_length(plaintext):
    """The length of AWS's ciphertext for so many plaintext bytes (cryptography.md 2)."""
    info = der_length(11 + 32 + der_length(plaintext + 16 + 11))
    return 58 + der_length(11 + der_length(der_length(3 + info)))
