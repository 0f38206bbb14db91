"""STS beside KMS on one port: as boto3, the aws CLI and credential providers use it."""

import base64
import configparser
import datetime
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import boto3
import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import interface
import support

HOME, AWAY = "111122223333", "444455556666"
ISSUER = "https://issuer.example/realms/test"
FAR_ISSUER = "https://far.example"
HOUR = 3600


def trust(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, principal=None, resource=None, **condition):
    statement = {"Effect": "Allow", "Action": action}
    if principal:
        statement["Principal"] = principal
    if resource:
        statement["Resource"] = resource
    if condition:
        statement["Condition"] = condition["condition"]
    return statement


def arn(name, account=HOME):
    return f"arn:aws:iam::{account}:{name}"


STEPS = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


def federated(issuer=ISSUER):
    return {"Federated": arn(f"oidc-provider/{issuer.removeprefix('https://')}")}


ROLES = {
    # Trusts users by name: that is enough for them.
    "Direct": (trust(allow(STEPS, {"AWS": [arn("user/alice"), arn("user/poor")]})), {}),
    # Trusts its account: that needs an identity policy as well.
    "Account": (trust(allow(STEPS, {"AWS": HOME})), {}),
    "Untrusting": (trust(allow("sts:AssumeRole", {"AWS": arn("user/other")})), {}),
    "NoTags": (trust(allow("sts:AssumeRole", {"AWS": arn("user/alice")})), {}),
    "External": (
        trust(allow("sts:AssumeRole", {"AWS": arn("user/alice")},
                    condition={"StringEquals": {"sts:ExternalId": "the-secret-id"}})),
        {},
    ),
    "Next": (trust(allow(STEPS, {"AWS": [arn("role/team/First"), arn("user/alice")]})), {"long": True}),
    "Last": (trust(allow(STEPS, {"AWS": arn("role/Next")})), {}),
    "Long": (trust(allow("sts:AssumeRole", {"AWS": arn("user/alice")})), {"long": True}),
    "Web": (
        trust(
            allow("sts:AssumeRoleWithWebIdentity", federated(),
                  condition={"StringLike": {"issuer.example/realms/test:sub": "workload-*",
                                            "issuer.example/realms/test:aud": "client"}}),
            allow(["sts:TagSession", "sts:SetSourceIdentity"], federated()),
        ),
        {},
    ),
    "Url": (trust(allow("sts:AssumeRoleWithWebIdentity", federated(FAR_ISSUER))), {}),
}  # fmt: skip

EVERYTHING = trust(allow("kms:*", resource="*"))


def identities(folder, url):
    users = {
        "alice": trust(allow(STEPS, resource="*"), allow("kms:*", resource="*")),
        "poor": trust(allow("kms:ListKeys", resource="*")),
        "other": trust(allow("kms:ListKeys", resource="*")),
    }
    text = []
    for user, policy in users.items():
        text += [f"[accounts.{HOME}.users.{user}]", 'tags = { team = "home" }',
                 f"[accounts.{HOME}.users.{user}.inline_policies]", f"All = '{policy}'"]  # fmt: skip
    roles = dict(ROLES)
    roles["First"] = (trust(allow(STEPS, {"AWS": arn("user/alice")})), {"path": "/team/"})
    for role, (policy, more) in roles.items():
        text += [f"[accounts.{HOME}.roles.{role}]", f"trust_policy = '{policy}'",
                 'tags = { stage = "test" }']  # fmt: skip
        if more.get("path"):
            text.append(f'path = "{more["path"]}"')
        if more.get("long"):
            text.append("max_session_duration = 43200")
        allowed = trust(allow("kms:*", resource="*"), allow(STEPS, resource="*"))
        text += [f"[accounts.{HOME}.roles.{role}.inline_policies]", f"All = '{allowed}'"]
    # Another account: both sides have to agree.
    text += [f"[accounts.{AWAY}.roles.Foreign]",
             f"trust_policy = '{trust(allow('sts:AssumeRole', {'AWS': HOME}))}'"]  # fmt: skip
    text += [f"[accounts.{HOME}.policies.OnlyList]",
             f"document = '{trust(allow('kms:ListKeys', resource='*'))}'"]  # fmt: skip
    text += [f'[accounts.{HOME}.oidc_providers."{ISSUER}"]', 'client_ids = ["client", "party"]',
             f'jwks = {{ file = "{folder / "jwks.json"}" }}',
             f'[accounts.{HOME}.oidc_providers."{FAR_ISSUER}"]', 'client_ids = ["client"]',
             f'jwks = {{ url = "{url}" }}']  # fmt: skip
    return "\n".join(text) + "\n"


def encoded(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value, length=None):
    return encoded(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


class Issuer:
    """An OpenID Connect issuer: an RSA key, a key on a curve, and its tokens."""

    def __init__(self):
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.curve = ec.generate_private_key(ec.SECP256R1())

    def key_set(self):
        public, point = self.rsa.public_key().public_numbers(), self.curve.public_key().public_numbers()
        return {"keys": [
            {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256",
             "n": number(public.n), "e": number(public.e)},
            {"kty": "EC", "kid": "two", "use": "sig", "crv": "P-256",
             "x": number(point.x, 32), "y": number(point.y, 32)},
        ]}  # fmt: skip

    def token(self, server, header=None, **claims):
        now = server.now()
        all_claims = {"iss": ISSUER, "sub": "workload-7", "aud": "client", "iat": now, "exp": now + HOUR}
        all_claims = {k: v for k, v in (all_claims | claims).items() if v is not None}
        head = {"alg": "RS256", "kid": "one", "typ": "JWT"} | (header or {})
        message = f"{encoded(head)}.{encoded(all_claims)}"
        if head["alg"] == "ES256":
            r, s = decode_dss_signature(self.curve.sign(message.encode(), ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        else:
            signature = self.rsa.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{message}.{encoded(signature)}"


class Known(support.Server):
    """A `keystead dev` that knows identities, on a clock that can be moved."""

    def __init__(self, home, url):
        super().__init__(home)
        self.folder, self.moved, self._anonymous = home / "made", 0, None
        done = support.run(interface.init(self.folder, HOME), home)
        assert done.returncode == 0, done.stderr
        self.data = self.folder / interface.DATA
        self.config, self.file = self.folder / interface.CONFIG, self.folder / interface.IDENTITIES
        with self.file.open("a") as file:
            file.write(identities(self.folder, url))
        parsed = configparser.ConfigParser()
        parsed.read(self.folder / interface.CREDENTIALS)
        self.keys = {"administrator": (parsed["default"]["aws_access_key_id"],
                                       parsed["default"]["aws_secret_access_key"], None)}  # fmt: skip
        self.issuer = Issuer()
        (self.folder / "jwks.json").write_text(json.dumps(self.issuer.key_set()))
        for user in ("alice", "poor"):
            done = support.run(interface.create_access_key(self.config, self.file, HOME, user), home)
            assert done.returncode == 0, done.stderr
            found = dict(line.split(" = ") for line in done.stdout.splitlines() if line[:4] == "aws_")
            self.keys[user] = (found["aws_access_key_id"], found["aws_secret_access_key"], None)
        self.arguments = ["dev", "--config", str(self.config), "--listen", "127.0.0.1:0",
                          "--admin-listen", "127.0.0.1:0"]  # fmt: skip

    def advance(self, seconds):
        super().advance(seconds)
        self.moved += seconds

    def now(self):
        return int(time.time()) + self.moved

    def connect(self, service, who, region=support.REGION):
        """A client of a user, or of credentials."""
        name, secret, token = self.keys[who] if isinstance(who, str) else who
        client = boto3.session.Session().client(
            service, region_name=region, endpoint_url=self.url, aws_access_key_id=name,
            aws_secret_access_key=secret, aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
        )  # fmt: skip
        client.meta.events.register("before-sign", lambda **_: setattr(CLOCK, "moved", self.moved))
        return client

    def assume(self, who, role, **parameters):
        account = parameters.pop("account", HOME)
        return self.connect("sts", who).assume_role(
            RoleArn=arn(f"role/{role}", account),
            **{"RoleSessionName": "session"} | parameters,
        )

    def web(self, token, role="Web", account=HOME, **parameters):
        if self._anonymous and self._anonymous[0] == self.url:
            client = self._anonymous[1]
        else:
            client = self._new_anonymous()
            self._anonymous = self.url, client
        return client.assume_role_with_web_identity(
            RoleArn=arn(f"role/{role}", account), RoleSessionName="session",
            WebIdentityToken=token, **parameters,
        )  # fmt: skip

    def _new_anonymous(self):
        return boto3.session.Session().client(
            "sts", region_name=support.REGION, endpoint_url=self.url, aws_access_key_id="x",
            aws_secret_access_key="x", config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip


class Clock:
    """The time by which botocore signs."""

    def __init__(self):
        self.moved, real = 0, botocore.auth.get_current_datetime

        def moved(*given, **named):
            return real(*given, **named) + datetime.timedelta(seconds=self.moved)

        botocore.auth.get_current_datetime = moved


CLOCK = Clock()


def credentials(answer):
    found = answer["Credentials"]
    return found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]


def refusal(call, *arguments, **parameters):
    """Code, status and text with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    response = caught.value.response
    return (
        response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"].get("Message", ""),
    )  # fmt: skip


class KeyServer(http.server.BaseHTTPRequestHandler):
    """Serves what `answer` holds, counting."""

    answer, asked = b"", 0

    def do_GET(self):  # noqa: N802
        type(self).asked += 1
        self.send_response(200 if self.answer else 503)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def key_server():
    server = http.server.HTTPServer(("127.0.0.1", 0), KeyServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/jwks"
    server.shutdown()


@pytest.fixture(scope="module")
def known(tmp_path_factory, key_server):
    """For tests that do not move its clock."""
    server = Known(tmp_path_factory.mktemp("sts") / "home", key_server).start()
    yield server
    server.stop()
    output = server.output()
    assert "panicked" not in output, output[-4000:]
    # No token and no secret in a log.
    assert "eyJ" not in output
    assert "SessionToken" not in output


@pytest.fixture
def own(tmp_path, key_server):
    server = Known(tmp_path / "home", key_server).start()
    yield server
    server.stop()
    assert "panicked" not in server.output(), server.output()[-4000:]


# Who am I.


def test_everybody_is_told_who_it_is(known):
    root = f"arn:aws:iam::{HOME}:root"
    who = known.connect("sts", "alice").get_caller_identity()
    assert who["Arn"] == arn("user/alice")
    assert who["Account"] == HOME
    assert re.fullmatch(r"AIDA[A-Z2-7]{16}", who["UserId"])
    answer = known.assume("alice", "team/First", RoleSessionName="me@work")
    session = f"arn:aws:sts::{HOME}:assumed-role/First/me@work"
    assert answer["AssumedRoleUser"]["Arn"] == session
    assert "PackedPolicySize" not in answer
    assert "SourceIdentity" not in answer
    who = known.connect("sts", credentials(answer)).get_caller_identity()
    assert who["Arn"] == session != root
    assert who["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    assert who["UserId"].endswith(":me@work")
    name, secret, token = credentials(answer)
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", name)
    assert len(secret) == 40
    assert len(token) < 4096
    left = answer["Credentials"]["Expiration"].timestamp() - known.now()
    assert HOUR - 30 < left <= HOUR + 1


def test_answers_are_xml_with_their_ids(known):
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    answer = signed(known, body)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/xml"
    assert answer.headers["x-amzn-requestid"].encode() in answer.body
    assert b'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"' in answer.body


def signed(server, body, service="sts", headers=None, who="alice"):
    name, secret, token = server.keys[who] if isinstance(who, str) else who
    sent = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"} | (headers or {})
    request = AWSRequest("POST", server.url + "/", data=body, headers=sent)
    SigV4Auth(Credentials(name, secret, token), service, support.REGION).add_auth(request)
    return server.http("POST", "/", body, dict(request.headers.items()))


def code(answer):
    found = re.search(rb"<Code>(\w+)</Code>", answer.body)
    assert found, answer
    return found[1].decode(), answer.status


def test_requests_go_where_their_headers_say(known):
    form = b"Action=GetCallerIdentity&Version=2011-06-15"
    assert code(signed(known, form, "kms")) == ("SignatureDoesNotMatch", 403)
    target = {"X-Amz-Target": "TrentService.ListKeys"}
    # A target is one of KMS whatever the content type, and a signature for STS does not open it.
    assert signed(known, b"{}", "sts", target).kind() == "InvalidSignatureException"
    assert signed(known, b"{}", "kms", target).status == 200
    json_type = {"Content-Type": "application/x-amz-json-1.1"}
    assert signed(known, form, "sts", json_type).kind() == "UnknownOperationException"
    for body in (
        b"Action=GetFederationToken&Version=2011-06-15", b"Action=GetCallerIdentity", b"", b"\xff",
        b"Action=GetCallerIdentity&Version=2011-06-16", b"Version=2011-06-15",
    ):  # fmt: skip
        assert code(signed(known, body)) == ("InvalidAction", 400), body
    for body in (form + b"&Action=GetCallerIdentity", form + b"&a=%zz", form + b"&a=%ff"):
        assert code(signed(known, body)) == ("ValidationError", 400), body
    plain = {"Content-Type": "application/x-www-form-urlencoded"}
    assert code(known.http("POST", "/", form, plain)) == ("MissingAuthenticationToken", 403)
    broken = plain | {"Authorization": "AWS4-HMAC-SHA256 nonsense"}
    assert code(known.http("POST", "/", form, broken)) == ("IncompleteSignature", 400)
    # Errors of the form come after authentication.
    assert code(known.http("POST", "/", form + b"&a=%zz", plain))[0] == "MissingAuthenticationToken"


# Roles.


def test_who_may_assume_a_role(known):
    known.assume("alice", "Direct")
    known.assume("poor", "Direct")
    known.assume("alice", "Account")
    known.assume("alice", "Foreign", account=AWAY)
    for who, role, account in (
        ("poor", "Account", HOME), ("alice", "Untrusting", HOME), ("alice", "Absent", HOME),
        ("poor", "Foreign", AWAY), ("alice", "Absent", AWAY), ("alice", "R", "777777777777"),
    ):  # fmt: skip
        target = arn(f"role/{role}", account)
        assert refusal(known.assume, who, role, account=account) == (
            "AccessDenied", 403,
            f"User: {arn(f'user/{who}')} is not authorized to perform: sts:AssumeRole on resource: {target}",
        )  # fmt: skip
    # A wrong path or case is another role.
    for role in ("First", "team/first", "direct"):
        assert refusal(known.assume, "alice", role)[0] == "AccessDenied"


def test_the_external_id_is_asked_for_by_the_policy_alone(known):
    known.assume("alice", "External", ExternalId="the-secret-id")
    known.assume("alice", "Direct", ExternalId="any")
    for given in ({"ExternalId": "The-secret-id"}, {}):
        assert refusal(known.assume, "alice", "External", **given)[0] == "AccessDenied"


def test_parameters_are_checked_in_the_words_of_the_service(known):
    assert refusal(known.assume, "alice", "Direct", RoleSessionName="a:b") == (
        "ValidationError", 400,
        "1 validation error detected: Value 'a:b' at 'roleSessionName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [\\w+=,.@-]*",
    )  # fmt: skip
    assert refusal(known.assume, "alice", "Direct", DurationSeconds=HOUR + 1) == (
        "ValidationError", 400,
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )  # fmt: skip
    # Of a role that cannot be assumed, its longest session is not told.
    assert refusal(known.assume, "poor", "Account", DurationSeconds=HOUR + 1)[0] == "AccessDenied"
    sts = known.connect("sts", "alice")
    odd = "arn:aws:iam::111122223333:user/alice"
    assert refusal(sts.assume_role, RoleArn=odd, RoleSessionName="session")[2] == f"{odd} is invalid"
    for device in ({"SerialNumber": arn("mfa/alice")}, {"TokenCode": "123456"}):
        assert refusal(known.assume, "alice", "Direct", **device)[:2] == ("AccessDenied", 403)
        assert refusal(sts.get_session_token, **device)[:2] == ("AccessDenied", 403)
    contexts = [{"ProviderArn": arn("x"), "ContextAssertion": "assertion"}]
    assert refusal(known.assume, "alice", "Direct", ProvidedContexts=contexts)[0] == "ValidationError"


def test_session_policies_limit_and_never_add(known):
    key = support.create(known.connect("kms", "alice"))["KeyId"]
    for given in (
        {"Policy": trust(allow("kms:ListKeys", resource="*"))},
        {"PolicyArns": [{"arn": arn("policy/OnlyList")}]},
    ):
        answer = known.assume("alice", "Direct", **given)
        assert 0 < answer["PackedPolicySize"] <= 100
        kms = known.connect("kms", credentials(answer))
        kms.list_keys()
        found = refusal(kms.describe_key, KeyId=key)
        assert found[0] == "AccessDeniedException"
        assert "because no session policy allows the kms:DescribeKey action" in found[2]
        assert f"assumed-role/Direct/session is not authorized" in found[2]  # noqa: F541
    both = known.assume(
        "alice", "Direct", PolicyArns=[{"arn": arn("policy/OnlyList")}],
        Policy=trust(allow("kms:DescribeKey", resource="*")),
    )  # fmt: skip
    kms = known.connect("kms", credentials(both))
    kms.list_keys()
    kms.describe_key(KeyId=key)
    denied = known.assume("alice", "Direct", Policy=trust(
        allow("kms:*", resource="*"),
        {"Effect": "Deny", "Action": "kms:DescribeKey", "Resource": "*"},
    ))  # fmt: skip
    kms = known.connect("kms", credentials(denied))
    assert "explicit deny in a session policy" in refusal(kms.describe_key, KeyId=key)[2]
    for policy, expected in (
        ("{}", "MalformedPolicyDocument"), ("no json", "MalformedPolicyDocument"),
        (trust(allow("kms:*", {"AWS": "*"}, "*")), "MalformedPolicyDocument"),
        (trust(allow("kms:*", resource="*")) + " " * 2048, "ValidationError"),
    ):  # fmt: skip
        assert refusal(known.assume, "alice", "Direct", Policy=policy)[:2] == (expected, 400), policy
    absent = [{"arn": arn("policy/Absent")}]
    assert refusal(known.assume, "alice", "Direct", PolicyArns=absent)[:2] == ("ValidationError", 400)


def test_session_tags_are_principal_tags(known):
    policy = trust(
        allow("kms:*", {"AWS": arn("root")}, "*"),
        {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "kms:Encrypt", "Resource": "*",
         "Condition": {"StringNotEquals": {"aws:PrincipalTag/team": "blue"}}},
        {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "kms:Encrypt", "Resource": "*",
         "Condition": {"StringNotEquals": {"aws:PrincipalTag/stage": "test"}}},
    )  # fmt: skip
    key = support.create(known.connect("kms", "administrator"), Policy=policy)["KeyId"]

    def encrypts(answer):
        kms = known.connect("kms", credentials(answer))
        try:
            kms.encrypt(KeyId=key, Plaintext=b"x")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDeniedException"
            return False
        return True

    tag = lambda **tags: [{"Key": k, "Value": v} for k, v in tags.items()]  # noqa: E731
    assert encrypts(known.assume("alice", "Direct", Tags=tag(team="blue")))
    assert encrypts(known.assume("alice", "Direct", Tags=tag(TEAM="blue")))
    assert not encrypts(known.assume("alice", "Direct", Tags=tag(team="red")))
    # The user's tag is not the session's, and a session tag hides the role's.
    assert not encrypts(known.assume("alice", "Direct"))
    assert not encrypts(known.assume("alice", "Direct", Tags=tag(team="blue", stage="live")))
    denied = refusal(known.assume, "alice", "NoTags", Tags=tag(team="blue"))
    assert denied[0] == "AccessDenied"
    assert "perform: sts:TagSession on resource" in denied[2]
    for tags in (tag(a="1", A="2"), tag(**{"aws:x": "1"})):
        assert refusal(known.assume, "alice", "Direct", Tags=tags)[0] == "ValidationError"
    many = tag(**{f"{n:03d}" + "k" * 100: "v" * 200 for n in range(50)})
    assert refusal(known.assume, "alice", "Direct", Tags=many)[:2] == ("PackedPolicyTooLarge", 400)


def test_transitive_tags_and_source_identity_go_down_the_chain(known):
    key_policy = trust(
        allow("kms:*", {"AWS": arn("root")}, "*"),
        {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "kms:Encrypt", "Resource": "*",
         "Condition": {"StringNotEquals": {"aws:PrincipalTag/team": "blue",
                                           "aws:SourceIdentity": "alice"}}},
        {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "kms:Encrypt", "Resource": "*",
         "Condition": {"Null": {"aws:PrincipalTag/local": "false"}}},
    )  # fmt: skip
    key = support.create(known.connect("kms", "administrator"), Policy=key_policy)["KeyId"]
    first = known.assume(
        "alice", "team/First", SourceIdentity="alice", TransitiveTagKeys=["team"],
        Tags=[{"Key": "team", "Value": "blue"}, {"Key": "local", "Value": "x"}],
    )  # fmt: skip
    assert first["SourceIdentity"] == "alice"
    assert first["PackedPolicySize"] > 0
    second = known.assume(credentials(first), "Next")
    third = known.assume(credentials(second), "Last")
    assert third["SourceIdentity"] == "alice"
    known.connect("kms", credentials(third)).encrypt(KeyId=key, Plaintext=b"x")
    with pytest.raises(ClientError):  # its own tag `local` is there
        known.connect("kms", credentials(first)).encrypt(KeyId=key, Plaintext=b"x")
    again = [{"Key": "TEAM", "Value": "red"}]
    assert refusal(known.assume, credentials(second), "Last", Tags=again)[0] == "ValidationError"
    known.assume(credentials(second), "Last", SourceIdentity="alice")
    other = refusal(known.assume, credentials(second), "Last", SourceIdentity="mallory")
    assert other[0] == "AccessDenied"
    odd = refusal(known.assume, "alice", "Direct", TransitiveTagKeys=["absent"])
    assert odd[0] == "ValidationError"


def test_a_chain_lasts_an_hour_at_most(known):
    known.assume("alice", "Long", DurationSeconds=43200)
    first = known.assume("alice", "team/First")
    known.assume(credentials(first), "Next", DurationSeconds=HOUR)
    assert refusal(known.assume, credentials(first), "Next", DurationSeconds=HOUR + 1) == (
        "ValidationError", 400,
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role "
        "chaining.",
    )  # fmt: skip
    # A session of the user counts as a step.
    own = credentials(known.connect("sts", "alice").get_session_token())
    found = refusal(known.assume, own, "Long", DurationSeconds=HOUR + 1)
    assert found[0] == "ValidationError"


# Sessions of users.


def test_a_session_of_a_user_is_that_user(known):
    answer = known.connect("sts", "alice").get_session_token()
    left = answer["Credentials"]["Expiration"].timestamp() - known.now()
    assert 43170 < left <= 43201
    session = known.connect("sts", credentials(answer))
    assert session.get_caller_identity()["Arn"] == arn("user/alice")
    known.connect("kms", credentials(answer)).list_keys()
    known.assume(credentials(answer), "Direct")
    assert refusal(session.get_session_token) == (
        "AccessDenied", 403, "Cannot call GetSessionToken with session credentials",
    )  # fmt: skip
    role = credentials(known.assume("alice", "Direct"))
    assert refusal(known.connect("sts", role).get_session_token)[0] == "AccessDenied"
    known.connect("sts", "poor").get_session_token(DurationSeconds=129600)


# Credentials that are not what they seem.


def test_forged_and_mixed_credentials_are_refused(known):
    name, secret, token = credentials(known.assume("alice", "Direct"))
    other = credentials(known.assume("alice", "Direct"))
    raw = base64.b64decode(token)
    flipped = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(0, len(raw), 23)]
    tokens = [base64.b64encode(changed).decode() for changed in flipped]
    tokens += [other[2], "nonsense", token[:-4], token + "AAAA", "A" * 8192, None]
    for changed in tokens:
        kms = known.connect("kms", (name, secret, changed))
        assert refusal(kms.list_keys)[0] == "UnrecognizedClientException", changed
    sts = known.connect("sts", (name, secret, other[2]))
    assert refusal(sts.get_caller_identity) == (
        "InvalidClientTokenId", 403, "The security token included in the request is invalid.",
    )  # fmt: skip
    wrong = known.connect("sts", (name, secret[:-1] + ("A" if secret[-1] != "A" else "B"), token))
    assert refusal(wrong.get_caller_identity)[:2] == ("SignatureDoesNotMatch", 403)
    # Long-term keys take no token, and no key of ours signs for another.
    user, user_secret, _ = known.keys["alice"]
    assert refusal(known.connect("sts", (user, user_secret, token)).get_caller_identity)[0] == (
        "InvalidClientTokenId"
    )
    assert refusal(known.connect("sts", (other[0], secret, token)).get_caller_identity)[0] == (
        "InvalidClientTokenId"
    )


def test_sessions_end_at_their_time(own):
    answer = own.assume("alice", "Direct", DurationSeconds=900)
    first = credentials(answer)
    own.connect("kms", first).list_keys()
    own.advance(890)
    own.connect("kms", first).list_keys()
    own.advance(11)
    assert refusal(own.connect("kms", first).list_keys) == (
        "ExpiredTokenException", 400, "The security token included in the request is expired",
    )  # fmt: skip
    assert refusal(own.connect("sts", first).get_caller_identity) == (
        "ExpiredToken", 403, "The security token included in the request is expired",
    )  # fmt: skip


def test_sessions_go_with_their_role_and_outlive_restarts_and_rotations(own):
    first = credentials(own.assume("alice", "Direct"))
    second = credentials(own.assume("alice", "Account"))
    own.stop()
    root_key = own.folder / interface.ROOT_KEY_FILE
    done = support.run(interface.rotate_domain_key(own.data, root_key), own.home)
    assert done.returncode == 0, done.stderr
    text = own.file.read_text()
    # Account is made again, as another one.
    changed = text.replace(f"[accounts.{HOME}.roles.Account]\n",
                           f'[accounts.{HOME}.roles.Account]\nid = "AROAANOTHERIDOFTHEROLE"\n')  # fmt: skip
    assert changed != text
    own.file.write_text(changed)
    own.start()
    own.connect("kms", first).list_keys()
    assert refusal(own.connect("kms", second).list_keys)[0] == "UnrecognizedClientException"
    own.connect("kms", credentials(own.assume("alice", "Account"))).list_keys()


# Web identity.


def test_a_token_of_the_issuer_opens_the_role(known):
    for header in ({}, {"alg": "ES256", "kid": "two"}, {"kid": None}):
        header = {k: v for k, v in header.items() if v is not None}
        answer = known.web(known.issuer.token(known, header))
        assert answer["SubjectFromWebIdentityToken"] == "workload-7"
        assert (answer["Provider"], answer["Audience"]) == (ISSUER, "client")
        who = known.connect("sts", credentials(answer)).get_caller_identity()
        assert who["Arn"] == f"arn:aws:sts::{HOME}:assumed-role/Web/session"
    known.connect("kms", credentials(answer)).list_keys()
    claims = {
        "https://aws.amazon.com/tags": {"principal_tags": {"team": ["blue"]},
                                        "transitive_tag_keys": ["team"]},
        "https://aws.amazon.com/source_identity": "workload",
    }  # fmt: skip
    answer = known.web(known.issuer.token(known, **claims))
    assert answer["SourceIdentity"] == "workload"
    assert answer["PackedPolicySize"] > 0


def test_other_tokens_do_not(known):
    token, now = known.issuer.token, known.now()
    unretrieved = (
        "Couldn't retrieve verification key from your identity provider,  please reference "
        "AssumeRoleWithWebIdentity documentation for requirements"
    )
    good = token(known)
    head, claims, signature = good.split(".")
    other = Issuer().token(known)
    for bad in (
        f"{head}.{encoded({'iss': ISSUER})}.{signature}", other, f"{head}.{claims}.{encoded(b'')}",
        token(known, {"kid": "three"}), token(known, {"kid": "two"}),
        f"{head}.{claims}.{encoded(bytes(256))}",
    ):  # fmt: skip
        assert refusal(known.web, bad) == ("InvalidIdentityToken", 400, unretrieved)
    for header in ({"alg": "none"}, {"alg": "HS256"}, {"crit": ["exp"]}, {"jku": "https://x"},
                   {"x5u": "https://x"}, {"jwk": known.issuer.key_set()["keys"][0]}):  # fmt: skip
        assert refusal(known.web, token(known, header))[:2] == ("InvalidIdentityToken", 400), header
    stripped = f"{encoded({'alg': 'none'})}.{claims}."
    assert refusal(known.web, stripped)[0] == "InvalidIdentityToken"
    assert refusal(known.web, "a.b.c")[0] == "InvalidIdentityToken"
    assert refusal(known.web, token(known, iss="https://other.example")) == (
        "InvalidIdentityToken", 400,
        "No OpenIDConnect provider found in your account for https://other.example",
    )  # fmt: skip
    assert refusal(known.web, token(known, aud="other"))[2] == "Incorrect token audience"
    assert refusal(known.web, token(known, azp="other"))[2] == "Incorrect token audience"
    expired = refusal(known.web, token(known, exp=now - 10, iat=now - 100))
    assert expired[:2] == ("ExpiredTokenException", 400)
    assert re.fullmatch(
        rf"Token expired: current date/time \d+ must be before the expiration date/time {now - 10}",
        expired[2],
    )
    for claims in ({"iat": now + 600}, {"nbf": now + 600}, {"iat": None}, {"exp": None},
                   {"sub": "short"}, {"sub": None}, {"exp": float(now + 9)}):  # fmt: skip
        assert refusal(known.web, token(known, **claims))[0] == "InvalidIdentityToken", claims
    denied = ("AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    assert refusal(known.web, token(known, sub="stranger")) == denied
    # The party a token was issued to is its audience.
    assert refusal(known.web, token(known, azp="party")) == denied
    for role in ("Direct", "Absent", "Url"):
        assert refusal(known.web, good, role) == denied
    # Providers and roles share an account.
    assert refusal(known.web, good, "Foreign", AWAY)[2] == (
        f"No OpenIDConnect provider found in your account for {ISSUER}"
    )
    assert refusal(known.web, good, ProviderId="www.amazon.com")[0] == "ValidationError"


def test_keys_come_from_a_url_and_are_asked_for_once_a_minute(own):
    token = own.issuer.token(own, iss=FAR_ISSUER)
    KeyServer.answer, KeyServer.asked = b"", 0
    assert refusal(own.web, token, "Url")[0] == "InvalidIdentityToken"
    KeyServer.answer = json.dumps(own.issuer.key_set()).encode()
    assert refusal(own.web, token, "Url")[0] == "InvalidIdentityToken"
    assert KeyServer.asked == 1
    own.advance(61)
    own.web(own.issuer.token(own, iss=FAR_ISSUER), "Url")
    assert KeyServer.asked == 2
    for name in range(5):
        made_up = own.issuer.token(own, {"kid": f"made-up-{name}"}, iss=FAR_ISSUER)
        assert refusal(own.web, made_up, "Url")[0] == "InvalidIdentityToken"
    assert KeyServer.asked == 2
    # New keys are found out by the first token under them.
    own.advance(61)
    fresh = Issuer()
    KeyServer.answer = json.dumps(fresh.key_set()).replace('"one"', '"new"').encode()
    own.web(fresh.token(own, {"kid": "new"}, iss=FAR_ISSUER), "Url")
    assert KeyServer.asked == 3
    # What was read stays good for a day while nothing can be read.
    KeyServer.answer = b""
    own.advance(23 * HOUR)
    own.web(fresh.token(own, {"kid": "new"}, iss=FAR_ISSUER), "Url")
    own.advance(2 * HOUR)
    late = fresh.token(own, {"kid": "new"}, iss=FAR_ISSUER)
    assert refusal(own.web, late, "Url")[0] == "InvalidIdentityToken"


# Credential providers as they are.


@pytest.fixture
def cli(known, tmp_path):
    """The aws command with a configuration of its own."""

    beside = Path(sys.executable).parent / "aws"
    found = str(beside) if beside.exists() else shutil.which("aws")
    assert found, "no aws command: install requirements.txt"

    def run(arguments, config="", **environment):
        (tmp_path / "config").write_text(config)
        done = subprocess.run(
            [found, *arguments], capture_output=True, text=True, timeout=120,
            env=support.child_environment(tmp_path, {
                "PATH": f"{Path(found).parent}:/usr/bin:/bin", "AWS_CONFIG_FILE": str(tmp_path / "config"),
                "AWS_ENDPOINT_URL": known.url, "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_OUTPUT": "json"} | environment),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_the_cli_with_a_role_chain_of_profiles(known, cli):
    name, secret, _ = known.keys["alice"]
    config = f"""
[profile alice]
aws_access_key_id = {name}
aws_secret_access_key = {secret}
[profile first]
role_arn = {arn("role/team/First")}
source_profile = alice
role_session_name = one
[profile next]
role_arn = {arn("role/Next")}
source_profile = first
role_session_name = two
"""
    who = cli(["sts", "get-caller-identity", "--profile", "alice"], config)
    assert who["Arn"] == arn("user/alice")
    who = cli(["sts", "get-caller-identity", "--profile", "next"], config)
    assert who["Arn"] == f"arn:aws:sts::{HOME}:assumed-role/Next/two"
    assert "Keys" in cli(["kms", "list-keys", "--profile", "next"], config)


def test_the_web_identity_provider(known, cli, tmp_path):
    (tmp_path / "token").write_text(known.issuer.token(known))
    environment = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ROLE_ARN": arn("role/Web"), "AWS_ROLE_SESSION_NAME": "pod",
    }  # fmt: skip
    who = cli(["sts", "get-caller-identity"], **environment)
    assert who["Arn"] == f"arn:aws:sts::{HOME}:assumed-role/Web/pod"
    assert "Keys" in cli(["kms", "list-keys"], **environment)


# Without identities.


def test_a_server_that_knows_nobody_answers_for_roots(own_server):
    account = support.new_account()
    make = lambda service, *names: boto3.session.Session().client(  # noqa: E731
        service, region_name=support.REGION, endpoint_url=own_server.url,
        aws_access_key_id=names[0], aws_secret_access_key=names[1],
        aws_session_token=names[2] if len(names) > 2 else None,
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    sts = make("sts", account, "any")
    root = {"Arn": f"arn:aws:iam::{account}:root", "UserId": account, "Account": account}
    found = sts.get_caller_identity()
    assert {name: found[name] for name in root} == root
    session = credentials(sts.get_session_token(DurationSeconds=7200))
    found = make("sts", *session).get_caller_identity()
    assert {name: found[name] for name in root} == root
    key = support.create(make("kms", *session))["KeyId"]
    own_server.client(account).describe_key(KeyId=key)
    assert refusal(make("sts", *session).get_session_token)[0] == "AccessDenied"
    assert refusal(
        sts.assume_role, RoleArn=arn("role/R", account), RoleSessionName="session"
    ) == ("AccessDenied", 403, "Roles may not be assumed by root accounts.")
    token = f"{encoded({'alg': 'RS256'})}.{encoded({'iss': ISSUER})}.{encoded(b'x')}"
    assert refusal(
        sts.assume_role_with_web_identity, RoleArn=arn("role/R", account),
        RoleSessionName="session", WebIdentityToken=token,
    )[2] == f"No OpenIDConnect provider found in your account for {ISSUER}"  # fmt: skip
    # A root's session lasts an hour, whatever was asked for.
    own_server.advance(3601)
    assert refusal(make("kms", *session).list_keys)[0] == "ExpiredTokenException"
