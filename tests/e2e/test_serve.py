"""`keystead serve` as its operator and its users meet it: init, TLS, signatures, reloads."""

import configparser
import contextlib
import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

import interface
import support

ACCOUNT = "111122223333"
SECONDS = 30
PLAINTEXT = b"for nobody else"


class Served(support.Server):
    """One `keystead serve` on what `keystead init` has made."""

    def __init__(self, home, rest):
        super().__init__(home)
        self.folder = home / "served"
        done = support.run(interface.init(self.folder, ACCOUNT), home)
        assert done.returncode == 0, done.stderr
        self.data = self.folder / interface.DATA
        self.config = self.folder / interface.CONFIG
        self.identities = self.folder / interface.IDENTITIES
        self.arguments = interface.serve(self.config, *rest)
        self.certificate = None

    @property
    def url(self):
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://localhost:{self.port}"

    def administrator(self):
        parsed = configparser.ConfigParser()
        parsed.read(self.folder / interface.CREDENTIALS)
        return parsed["default"]["aws_access_key_id"], parsed["default"]["aws_secret_access_key"]

    def kms(self, access_key, region=support.REGION):
        name, secret = access_key
        return boto3.session.Session().client(
            "kms", region_name=region, endpoint_url=self.url, verify=self.certificate,
            aws_access_key_id=name, aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60),
        )  # fmt: skip

    def new_access_key(self, user):
        """Id and secret; in force once the server has read the file again."""
        arguments = interface.create_access_key(self.config, self.identities, ACCOUNT, user)
        done = support.run(arguments, self.home)
        assert done.returncode == 0, done.stderr
        values = dict(line.split(" = ") for line in done.stdout.splitlines() if line[:4] == "aws_")
        return values["aws_access_key_id"], values["aws_secret_access_key"]

    def admin(self, path):
        return self.http("GET", path, admin=True)

    def metric(self, name):
        text = self.admin("/metrics").body.decode()
        found = [line.split()[1] for line in text.splitlines() if line.split()[0] == name]
        assert len(found) == 1, (name, found)
        return int(found[0])


def certificate(openssl, folder, name):
    """A self-signed certificate of localhost and its key."""
    chain, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", chain],
        check=True, capture_output=True,
    )  # fmt: skip
    return chain, key


@pytest.fixture
def make_served(tmp_path):
    made = []

    def make(*rest):
        served = Served(tmp_path / f"served-{len(made)}", rest)
        made.append(served)
        return served

    yield make
    for served in made:
        served.stop()
        if served.log.exists():
            assert "panicked" not in served.output(), served.output()[-4000:]


@pytest.fixture
def served(make_served):
    """Plain HTTP on loopback, as behind a proxy."""
    return make_served(interface.PLAIN_HTTP).start()


@pytest.fixture
def secured(make_served, openssl, tmp_path):
    """TLS."""
    chain, key = certificate(openssl, tmp_path, "first")
    served = make_served(*interface.tls(chain, key))
    served.certificate = str(chain)
    served.chain, served.key = chain, key
    return served.start()


def eventually(holds, what):
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def refusal(call, **parameters):
    """Code and text with which a call is refused; `None` if it is not."""
    try:
        call(**parameters)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        return error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    return None


def test_what_init_made_is_served_over_tls(secured):
    """From an empty directory to a ciphertext, with nothing edited but a user added."""
    kms = secured.kms(secured.administrator())
    key = kms.create_key()["KeyMetadata"]
    assert key["AWSAccountId"] == ACCOUNT
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=PLAINTEXT)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == PLAINTEXT
    assert kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")["Plaintext"]

    name, secret = secured.administrator()
    wrong = secured.kms((name, secret[:-1] + ("a" if secret[-1] != "a" else "b")))
    code, text = refusal(wrong.encrypt, KeyId=key["KeyId"], Plaintext=PLAINTEXT)
    assert code == "InvalidSignatureException"
    assert text.startswith("The request signature we calculated does not match")
    assert secret not in text

    with secured.identities.open("a") as file:
        file.write(f"\n[accounts.{ACCOUNT}.users.intern]\n")
    intern = secured.kms(secured.new_access_key("intern"))
    secured.process.send_signal(signal.SIGHUP)
    eventually(lambda: "Unrecognized" not in refusal(intern.list_keys)[0], "the key is not known")
    assert refusal(intern.decrypt, CiphertextBlob=sealed) == (
        "AccessDeniedException",
        f"User: arn:aws:iam::{ACCOUNT}:user/intern is not authorized to perform: kms:Decrypt on the "
        "resource associated with this ciphertext because the resource does not exist in this "
        "Region, no resource-based policies allow access, or a resource-based policy explicitly "
        "denies access",
    )
    assert secret not in secured.output() and PLAINTEXT.decode() not in secured.output()


def test_nobody_gets_in_as_in_dev(served):
    """The credentials that dev takes, a temporary access key, and none at all."""
    code, text = refusal(served.client(ACCOUNT).list_keys)
    assert (code, text) == (
        "UnrecognizedClientException", "The security token included in the request is invalid.",
    )  # fmt: skip
    name, secret = served.administrator()
    assert refusal(served.kms(("ASIA" + name[4:], secret)).list_keys)[0] == (
        "UnrecognizedClientException"
    )
    answer = served.post("ListKeys", "no JSON", sign=False)
    assert answer.kind() == "MissingAuthenticationTokenException"
    answer = served.post("ListKeys", "no JSON")
    assert answer.kind() == "UnrecognizedClientException"


def signed(served, body=b"{}", region=support.REGION, service="kms", headers=None):
    request = AWSRequest(
        "POST", served.url + "/", data=body,
        headers={"Content-Type": "application/x-amz-json-1.1",
                 "X-Amz-Target": support.TARGET + "ListKeys"} | (headers or {}),
    )  # fmt: skip
    SigV4Auth(Credentials(*served.administrator()), service, region).add_auth(request)
    return dict(request.headers.items())


def test_what_was_altered_is_refused(served):
    def ask(headers, body=b"{}", path="/"):
        headers = {"Host": f"localhost:{served.port}"} | headers
        return served.http("POST", path, body, headers).kind()

    good = signed(served)
    assert "Keys" in served.http(
        "POST", "/", b"{}", {"Host": f"localhost:{served.port}"} | good
    ).json()
    mismatch = "InvalidSignatureException"
    assert ask(good, body=b"{ }") == mismatch
    assert ask(good, path="/?a=b") == mismatch
    assert ask(good | {"X-Amz-Target": support.TARGET + "CreateKey"}) == mismatch
    assert ask(good | {"X-Amz-Extra": "1"}) == mismatch
    assert ask(good | {"Host": "elsewhere"}) == mismatch
    assert ask(signed(served, service="s3")) == mismatch
    assert ask(signed(served, region="Nowhere")) == mismatch


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_another_signer_over_both_versions_of_http(secured, tmp_path, version):
    """curl signs by itself; HTTP/2 has `:authority` where HTTP/1.1 has Host."""
    curl = shutil.which("curl")
    if curl is None or "HTTP2" not in subprocess.check_output([curl, "--version"], text=True):
        pytest.skip("no curl that speaks HTTP/2 and signs")
    name, secret = secured.administrator()
    credentials = tmp_path / "curl"  # not in arguments, which others can read
    credentials.write_text(f'user = "{name}:{secret}"\n')

    def ask(*rest):
        done = subprocess.run(
            [curl, "--silent", f"--http{version}", "--cacert", secured.certificate,
             "--config", credentials, "--aws-sigv4", f"aws:amz:{support.REGION}:kms",
             "--header", "Content-Type: application/x-amz-json-1.1", "--data", "{}",
             "--write-out", "\n%{http_version}", *rest, secured.url + "/"],
            check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        body, found = done.stdout.rsplit("\n", 1)
        assert found == version
        return json.loads(body)

    target = f"X-Amz-Target: {support.TARGET}ListKeys"
    assert ask("--header", target) == {"Keys": [], "Truncated": False}
    other = ask("--header", target, "--aws-sigv4", "aws:amz:eu-west-1:s3")
    assert other["__type"] == "InvalidSignatureException"


@contextlib.contextmanager
def load(served, kms, key):
    """Requests without pause, on connections that are kept; none may fail."""
    stop, failures, done = threading.Event(), [], [0]

    def work():
        try:
            while not stop.is_set():
                kms.generate_data_key(KeyId=key, KeySpec="AES_256")
                done[0] += 1
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert not failures, failures
    assert done[0] > 0


def test_identities_change_without_a_lost_request(served):
    """By signal and by looking; what is faulty stays out and is told."""
    administrator = served.kms(served.administrator())
    key = administrator.create_key()["KeyMetadata"]["KeyId"]
    before = served.identities.read_text()
    group = f'\n[accounts.{ACCOUNT}.users.helper]\ngroups = ["Administrators"]\n'
    with load(served, administrator, key):
        served.identities.write_text(before + group)
        helper = served.kms(served.new_access_key("helper"))
        # Nobody tells the server: it looks by itself.
        eventually(lambda: refusal(helper.list_keys) is None, "a new access key is not known")
        with_helper = served.identities.read_text()

        served.identities.write_text("x = 1\n" + with_helper)
        served.process.send_signal(signal.SIGHUP)
        eventually(lambda: served.metric("keystead_identities_faulty") == 1, "no fault is shown")
        ready = served.admin("/readyz")
        assert ready.status == 200
        assert "the identity file is not in force" in ready.body.decode()
        assert "has faults" in served.output()
        assert refusal(helper.list_keys) is None

        served.identities.write_text(before)
        served.process.send_signal(signal.SIGHUP)
        eventually(lambda: served.metric("keystead_identities_faulty") == 0, "a fault is left")
        assert refusal(helper.list_keys)[0] == "UnrecognizedClientException"
        assert served.admin("/readyz").body == b"ok\n"
    assert served.metric("keystead_identities_reloads_total") >= 2


def subject(port, trusted):
    """The common name of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=trusted)
    with (
        socket.create_connection(("localhost", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        return dict(pair[0] for pair in wrapped.getpeercert()["subject"])["commonName"]


def test_a_certificate_changes_without_a_lost_connection(secured, openssl, tmp_path):
    both = tmp_path / "both.crt"
    chain, key = certificate(openssl, tmp_path, "second")
    both.write_text(secured.chain.read_text() + chain.read_text())
    assert subject(secured.port, both) == "first"
    kept = http.client.HTTPSConnection(
        "localhost", secured.port, context=ssl.create_default_context(cafile=str(both)), timeout=30
    )
    with contextlib.closing(kept):
        kept.request("GET", "/healthz")
        assert kept.getresponse().read()
        held = kept.sock

        # One file without the other does not fit, and does not take effect.
        shutil.copy(chain, secured.chain)
        secured.process.send_signal(signal.SIGHUP)
        eventually(lambda: secured.metric("keystead_tls_certificate_faulty") == 1, "no fault")
        assert subject(secured.port, both) == "first"
        assert "the certificate is not in force" in secured.admin("/readyz").body.decode()

        shutil.copy(key, secured.key)
        secured.process.send_signal(signal.SIGHUP)
        eventually(lambda: subject(secured.port, both) == "second", "the old certificate is left")
        assert secured.metric("keystead_tls_certificate_faulty") == 0
        kept.request("GET", "/healthz")
        assert kept.getresponse().read() and kept.sock is held


def test_serve_makes_nothing_and_asks_for_what_it_needs(make_served):
    served = make_served(interface.PLAIN_HTTP)

    def fails(arguments, status, *words):
        done = support.run(arguments, served.home)
        assert done.returncode == status, done.stderr
        assert len(done.stderr.splitlines()) == 1 or status == 1, done.stderr
        assert all(word in done.stderr for word in words), done.stderr

    plain = interface.serve(served.config, interface.PLAIN_HTTP)
    fails(interface.serve(served.config), 2, "--tls-cert")
    fails(interface.serve(served.config, interface.PLAIN_HTTP, listen="0.0.0.0:0"), 2, "clear")
    fails(["serve"], 2, "--data-dir")
    fails(["serve", "--data-dir", str(served.data), interface.PLAIN_HTTP], 2, "--identities")

    served.data.chmod(0o750)
    fails(plain, 1, "0750", "chmod 700")
    served.data.chmod(0o700)
    moved = served.data.with_name("elsewhere")
    served.data.rename(moved)
    fails(plain, 1, "no store", "root key")
    assert not served.data.exists() or not any(served.data.iterdir())
    (served.folder / interface.ROOT_KEY_FILE).rename(served.folder / "kept")
    fails(plain, 1, "no store", "keystead init")
    (served.folder / "kept").rename(served.folder / interface.ROOT_KEY_FILE)
    shutil.rmtree(served.data, ignore_errors=True)
    moved.rename(served.data)
    text = served.identities.read_text()
    served.identities.write_text(text + "[accounts.1]\n")
    fails(plain, 1, "identities.toml:")
    served.identities.write_text(text)

    served.start()
    answer = served.http("POST", interface.CLOCK, json.dumps({"advance_seconds": 1}), admin=True)
    assert answer.status == 403
    assert served.stop() == 0


def test_dev_can_verify(make_served, make_server):
    """With an identity file `dev` is as strict, and keeps its clock."""
    served = make_served()
    server = make_server(
        arguments=[*interface.dev(served.data), "--root-key-file",
                   str(served.folder / interface.ROOT_KEY_FILE), "--identities",
                   str(served.identities)],
    ).start()  # fmt: skip
    served.port = server.port
    kms = served.kms(served.administrator())
    assert refusal(kms.list_keys) is None
    assert refusal(server.client(ACCOUNT).list_keys)[0] == "UnrecognizedClientException"
    server.advance(16 * 60)
    code, text = refusal(kms.list_keys)
    assert code == "InvalidSignatureException" and text.startswith("Signature expired: ")
