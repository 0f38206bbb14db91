"""The commands the program prints, and a stranger's tour with the aws CLI."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import interface
import judges
import support


@pytest.fixture(scope="session")
def aws():
    """The directory of the aws command; the one beside this Python is the pinned one."""
    beside = Path(sys.executable).parent / "aws"
    found = str(beside) if beside.exists() else shutil.which("aws")
    assert found, "no aws command: install requirements.txt"
    return str(Path(found).parent)


@pytest.fixture
def shell(own_server, aws, tmp_path):
    """Runs a line in a shell as somebody would who has just installed the CLI."""

    def run(line, **environment):
        return subprocess.run(
            line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env=support.child_environment(
                tmp_path,
                {"PATH": f"{aws}:/usr/bin:/bin", "AWS_MAX_ATTEMPTS": "1"} | environment,
            ),
        )  # fmt: skip

    return run


CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "111122223333", "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_DEFAULT_OUTPUT": "json",
}  # fmt: skip


def printed_commands(server):
    """The lines with a command: `aws …`, perhaps behind variables or a prompt."""
    after = server.output()[support.interface.READY.search(server.output()).start() :]
    lines = [line.strip().removeprefix("$ ") for line in after.splitlines()]
    return [line for line in lines if re.match(r"(export \w+=|(\w+=\S* )*aws )", line)]


def test_printed_commands_work_as_pasted(own_server, shell):
    """Pasted one after another into one shell, with no setting of the stranger's own."""
    commands = printed_commands(own_server)
    assert len([line for line in commands if "aws " in line]) == 3, commands
    assert all(f":{own_server.port}" in line for line in commands if "aws " in line)
    done = shell("set -e\n" + "\n".join(commands))
    assert done.returncode == 0, (commands, done.stdout, done.stderr)
    assert "arn:aws" in done.stdout


def test_printed_commands_work_one_by_one(own_server, shell):
    commands = printed_commands(own_server)
    exports = [line for line in commands if line.startswith("export ")]
    for line in commands:
        if not line.startswith("export "):
            done = shell("\n".join([*exports, line]))
            assert done.returncode == 0, (line, done.stdout, done.stderr)


def test_printed_commands_over_tls_work_from_anywhere(make_server, shell, openssl):
    """The certificate is given by a name that means nothing where the commands are pasted."""
    server = make_server()
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=keystead test", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", "key.pem", "-out", "it's mine.pem"],
        cwd=server.home, check=True, capture_output=True,
    )  # fmt: skip
    server.arguments = interface.dev(server.data) + interface.tls("it's mine.pem", "key.pem")
    server.start()
    commands = printed_commands(server)
    assert len(commands) == 3, commands
    done = shell("set -e\n" + "\n".join(commands))
    assert done.returncode == 0, (commands, done.stdout, done.stderr)
    assert "PrivateKeyPlaintext" in done.stdout


def test_tour(own_server, shell, openssl, tmp_path):
    """Create a key, a pair of each spec, decrypt, restart, decrypt again."""

    def kms(arguments, region="us-east-1"):
        done = shell(
            f"aws --endpoint-url {own_server.url} --region {region} kms {arguments}", **CREDENTIALS
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    pairs = []
    for region in ("us-east-1", support.CHINA):
        key = kms("create-key --description tour", region)["KeyMetadata"]
        kms(f"create-alias --alias-name alias/tour --target-key-id {key['KeyId']}", region)
        for spec in judges.SPECS:
            if (spec == "SM2") != (region == support.CHINA):
                continue
            made = kms(
                f"generate-data-key-pair --key-id alias/tour --key-pair-spec {spec} "
                "--encryption-context tour=yes", region,
            )  # fmt: skip
            private = base64.b64decode(made["PrivateKeyPlaintext"])
            judges.judge_shape(spec, private, base64.b64decode(made["PublicKey"]))
            (tmp_path / f"{spec}.blob").write_bytes(
                base64.b64decode(made["PrivateKeyCiphertextBlob"])
            )
            pairs.append((region, spec, made["PrivateKeyPlaintext"]))
    assert len(pairs) == 9

    def decrypt_all():
        for region, spec, private in pairs:
            got = kms(
                f"decrypt --ciphertext-blob fileb://{spec}.blob --encryption-context tour=yes",
                region,
            )
            assert got["Plaintext"] == private, spec

    decrypt_all()
    own_server.restart()
    decrypt_all()


def test_an_error_reaches_the_user(own_server, shell):
    done = shell(
        f"aws --endpoint-url {own_server.url} kms describe-key --key-id nonsense", **CREDENTIALS
    )
    assert done.returncode in (254, 255), "of version 2 and of version 1 of the CLI"
    assert "NotFoundException" in done.stderr and "Invalid keyId 'nonsense'" in done.stderr


def test_paging_by_the_cli(own_server, shell):
    kms = own_server.client("111122223333")
    made = {support.create(kms)["KeyId"] for _ in range(7)}
    done = shell(f"aws --endpoint-url {own_server.url} kms list-keys --page-size 2", **CREDENTIALS)
    assert done.returncode == 0, done.stderr
    assert {key["KeyId"] for key in json.loads(done.stdout)["Keys"]} == made
