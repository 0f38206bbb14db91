"""OpenSSL and PyCA cryptography as judges of key pairs."""

import subprocess

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

MESSAGE = b"a message that both halves agree on"

# Sizes and first bytes of the encodings (cryptography.md 4).
SHAPES = {
    "RSA_2048": (294, range(1213, 1221), "308204", "020100300d06092a864886f70d01010105000482"),
    "RSA_3072": (422, range(1789, 1797), "308206", "020100300d06092a864886f70d01010105000482"),
    "RSA_4096": (550, range(2370, 2378), "308209", "020100300d06092a864886f70d01010105000482"),
    "ECC_NIST_P256": (91, [138], "308187",
                      "020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420"),
    "ECC_NIST_P384": (120, [185], "3081b6",
                      "020100301006072a8648ce3d020106052b8104002204819e30819b0201010430"),
    "ECC_NIST_P521": (158, [241], "3081ee",
                      "020100301006072a8648ce3d020106052b810400230481d63081d30201010442"),
    "ECC_SECG_P256K1": (88, [135], "308184",
                        "020100301006072a8648ce3d020106052b8104000a046d306b0201010420"),
    "SM2": (91, [138], "308187",
            "020100301306072a8648ce3d020106082a811ccf5501822d046d306b0201010420"),
    "ECC_NIST_EDWARDS25519": (44, [48], "302e", "020100300506032b657004220420"),
}  # fmt: skip

SPECS = list(SHAPES)
CURVES = {
    "ECC_NIST_P256": ec.SECP256R1,
    "ECC_NIST_P384": ec.SECP384R1,
    "ECC_NIST_P521": ec.SECP521R1,
    "ECC_SECG_P256K1": ec.SECP256K1,
}


def judge_shape(spec, private, public):
    public_length, private_lengths, head, rest = SHAPES[spec]
    assert len(public) == public_length
    assert len(private) in private_lengths
    assert private.hex().startswith(head)
    inner = private[2:] if private[1] < 128 else private[2 + (private[1] & 0x7F) :]
    assert inner.hex().startswith(rest)
    if spec in CURVES or spec == "SM2":
        # No parameters within, the public point at the end, uncompressed, equal to the SPKI's.
        size = {"ECC_NIST_P384": 48, "ECC_NIST_P521": 66}.get(spec, 32)
        point = public[-(2 * size + 1) :]
        assert point[0] == 4
        scalar_end = len(bytes.fromhex(rest)) + size
        tail = inner[scalar_end:]
        assert tail[0] == 0xA1 and tail.endswith(point), "[1] publicKey must follow the scalar"


def judge_by_pyca(spec, private, public):
    secret = serialization.load_der_private_key(private, None)
    shared = serialization.load_der_public_key(public)
    spki = secret.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert spki == public
    assert shared == secret.public_key()
    again = secret.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert again == private, "PKCS #8 is not what a second implementation writes"
    if spec.startswith("RSA"):
        assert isinstance(secret, rsa.RSAPrivateKey)
        assert secret.key_size == int(spec[4:])
        numbers = secret.private_numbers()
        assert numbers.public_numbers.e == 65537
        assert abs(numbers.p - numbers.q).bit_length() > int(spec[4:]) // 2 - 100
        assert numbers.d.bit_length() > int(spec[4:]) // 2
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
        shared.verify(secret.sign(MESSAGE, *scheme), MESSAGE, *scheme)
    elif spec in CURVES:
        assert isinstance(secret.curve, CURVES[spec])
        scheme = ec.ECDSA(hashes.SHA256())
        shared.verify(secret.sign(MESSAGE, scheme), MESSAGE, scheme)
    else:
        assert isinstance(secret, ed25519.Ed25519PrivateKey)
        shared.verify(secret.sign(MESSAGE), MESSAGE)


def judge_by_openssl(openssl, spec, private, public, directory):
    paths = {name: directory / f"{spec}.{name}" for name in ("key", "pub", "msg", "sig")}
    for name, content in (("key", private), ("pub", public), ("msg", MESSAGE)):
        paths[name].write_bytes(content)

    def call(*arguments):
        done = subprocess.run([openssl, *map(str, arguments)], capture_output=True, timeout=60)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    call("pkey", "-inform", "DER", "-in", paths["key"], "-check", "-noout")
    written = call("pkey", "-inform", "DER", "-in", paths["key"], "-pubout", "-outform", "DER")
    assert written == public
    options = ["-rawin", "-in", paths["msg"]]
    if spec == "SM2":
        options += ["-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]
    elif spec != "ECC_NIST_EDWARDS25519":
        options += ["-digest", "sha256"]
    call(
        "pkeyutl",
        "-sign",
        "-keyform",
        "DER",
        "-inkey",
        paths["key"],
        "-out",
        paths["sig"],
        *options,
    )
    verify = ["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", paths["pub"]]
    call(*verify, "-sigfile", paths["sig"], *options)
    paths["msg"].write_bytes(MESSAGE + b"!")
    forged = subprocess.run(
        [openssl, *map(str, [*verify, "-sigfile", paths["sig"], *options])], capture_output=True
    )
    assert forged.returncode != 0, "the judge accepts anything"
