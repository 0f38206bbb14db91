"""Second implementations behind one face: OpenSSL's program, PyCA, and the crates of the Rust judge.

Private keys are DER PKCS #8, public keys DER SubjectPublicKeyInfo, everything else plain bytes. None of them
shares code with the program under test. `curves.py` is the judge of key agreement on SM2, which OpenSSL 3.0's
program does not offer.
"""

import os
import secrets
import subprocess

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

import curves
from judges import CURVES
from support import BINARY

JUDGE = os.environ.get("KEYSTEAD_JUDGE", BINARY.parent / "examples/judge")
SM2_ID = "1234567812345678"
PKCS8 = (
    serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption(),
)  # fmt: skip
SPKI = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo


def hash_of(algorithm):
    """The bits of the hash in the name of an algorithm; OAEP's first one is SHA_1."""
    return algorithm.rpartition("_")[2]


class Pyca:
    """PyCA cryptography."""

    name = "PyCA"

    def generate(self, spec):
        if spec in CURVES:
            key = ec.generate_private_key(CURVES[spec]())
        elif spec == "ECC_NIST_EDWARDS25519":
            key = ed25519.Ed25519PrivateKey.generate()
        else:
            key = rsa.generate_private_key(65537, int(spec.removeprefix("RSA_")))
        return key.private_bytes(*PKCS8)

    def rewrite(self, private):
        return serialization.load_der_private_key(private, None).private_bytes(*PKCS8)

    def public(self, private):
        return serialization.load_der_private_key(private, None).public_key().public_bytes(*SPKI)

    @staticmethod
    def _scheme(algorithm):
        if algorithm.startswith(("ED25519", "ML_DSA")):
            return ()
        hashed = getattr(hashes, "SHA" + hash_of(algorithm))()
        if algorithm.startswith("ECDSA"):
            return (ec.ECDSA(hashed),)
        if "PSS" in algorithm:
            return padding.PSS(padding.MGF1(hashed), hashed.digest_size), hashed
        return padding.PKCS1v15(), hashed

    def sign(self, algorithm, private, message):
        return serialization.load_der_private_key(private, None).sign(
            message, *self._scheme(algorithm)
        )

    def verify(self, algorithm, public, message, signature):
        key = serialization.load_der_public_key(public)
        try:
            key.verify(signature, message, *self._scheme(algorithm))
        except InvalidSignature:
            return False
        return True

    @staticmethod
    def _oaep(algorithm):
        hashed = getattr(hashes, "SHA" + hash_of(algorithm))()
        return padding.OAEP(padding.MGF1(hashed), hashed, None)

    def encrypt(self, algorithm, public, plaintext):
        key = serialization.load_der_public_key(public)
        return key.encrypt(plaintext, self._oaep(algorithm))

    def decrypt(self, algorithm, private, ciphertext):
        key = serialization.load_der_private_key(private, None)
        return key.decrypt(ciphertext, self._oaep(algorithm))

    def agree(self, private, peer):
        key = serialization.load_der_private_key(private, None)
        return key.exchange(ec.ECDH(), serialization.load_der_public_key(peer))

    def mac(self, algorithm, key, message):
        made = hmac.HMAC(key, getattr(hashes, "SHA" + hash_of(algorithm))())
        made.update(message)
        return made.finalize()

    def wrap(self, algorithm, public, material):
        if algorithm.startswith("RSAES"):
            return self.encrypt(algorithm, public, material)
        key = secrets.token_bytes(32)
        return self.encrypt(algorithm, public, key) + aes_key_wrap_with_padding(key, material)

    # Symmetric ciphertexts, as docs/formats.md has them.

    @staticmethod
    def _once(material, nonce):
        return KBKDFHMAC(
            hashes.SHA256(), Mode.CounterMode, 32, 4, 4, CounterLocation.BeforeFixed,
            b"keystead/v1/blob", nonce, None,
        ).derive(material)  # fmt: skip

    def open(self, material, blob, context=()):
        try:
            return AESGCM(self._once(material, blob[58:74])).decrypt(
                blob[74:86], blob[86:], blob[:86] + canonical(context)
            )
        except InvalidTag:
            return None

    def seal(self, material, like, plaintext, context=()):
        """A ciphertext under the key and material that another one names."""
        head = like[:58] + secrets.token_bytes(28)
        once = self._once(material, head[58:74])
        return head + AESGCM(once).encrypt(head[74:86], plaintext, head + canonical(context))


def canonical(context):
    def framed(data):
        return len(data).to_bytes(4, "big") + data

    pairs = sorted((name.encode(), value.encode()) for name, value in dict(context).items())
    return len(pairs).to_bytes(4, "big") + b"".join(framed(n) + framed(v) for n, v in pairs)


class OpenSsl:
    """OpenSSL's program, by files in a directory of its own."""

    name = "OpenSSL"

    def __init__(self, program, directory):
        self.program, self.directory = program, directory

    def run(self, *arguments, fails=False, **files):
        """Each file is named by its keyword in the arguments as `@name`; gives standard output."""
        for name, content in files.items():
            (self.directory / name).write_bytes(content)
        call = [
            str(self.directory / word[1:]) if word.startswith("@") else word for word in arguments
        ]
        done = subprocess.run([self.program, *call], capture_output=True, timeout=60)
        if fails:
            assert b"Success" in done.stdout or b"Failure" in done.stdout, done
            return done.returncode == 0
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def generate(self, spec):
        options = ["-algorithm", "EC", "-pkeyopt", "ec_param_enc:named_curve"]
        if spec.startswith("RSA"):
            options = ["-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{spec[4:]}"]
        elif spec == "ECC_NIST_EDWARDS25519":
            options = ["-algorithm", "ED25519"]
        else:
            curve = {"ECC_SECG_P256K1": "secp256k1", "SM2": "SM2"}.get(spec, "P-" + spec[-3:])
            options += ["-pkeyopt", f"ec_paramgen_curve:{curve}"]
        return self.rewrite(self.run("genpkey", *options, "-outform", "DER"))

    def rewrite(self, private):
        return self.run("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER",
                        "-in", "@key", key=private)  # fmt: skip

    def public(self, private):
        return self.run("pkey", "-inform", "DER", "-in", "@key", "-pubout", "-outform", "DER",
                        key=private)  # fmt: skip

    @staticmethod
    def _scheme(algorithm):
        if algorithm == "SM2DSA":
            return ["-rawin", "-digest", "sm3", "-pkeyopt", f"distid:{SM2_ID}"]
        if algorithm.startswith("ED25519"):
            return ["-rawin"]
        options = ["-rawin", "-digest", "sha" + hash_of(algorithm)]
        if "PSS" in algorithm:
            options += ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
        return options

    def sign(self, algorithm, private, message):
        return self.run("pkeyutl", "-sign", "-keyform", "DER", "-inkey", "@key", "-in", "@msg",
                        *self._scheme(algorithm), key=private, msg=message)  # fmt: skip

    def verify(self, algorithm, public, message, signature):
        return self.run("pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "@pub",
                        "-in", "@msg", "-sigfile", "@sig", *self._scheme(algorithm),
                        fails=True, pub=public, msg=message, sig=signature)  # fmt: skip

    @staticmethod
    def _oaep(algorithm):
        if algorithm == "SM2PKE":
            return []
        name = "sha" + hash_of(algorithm)
        return ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", f"rsa_oaep_md:{name}",
                "-pkeyopt", f"rsa_mgf1_md:{name}"]  # fmt: skip

    def encrypt(self, algorithm, public, plaintext):
        return self.run("pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "@pub",
                        "-in", "@msg", *self._oaep(algorithm), pub=public, msg=plaintext)  # fmt: skip

    def decrypt(self, algorithm, private, ciphertext):
        return self.run("pkeyutl", "-decrypt", "-keyform", "DER", "-inkey", "@key", "-in", "@msg",
                        *self._oaep(algorithm), key=private, msg=ciphertext)  # fmt: skip

    def agree(self, private, peer):
        return self.run("pkeyutl", "-derive", "-keyform", "DER", "-inkey", "@key",
                        "-peerform", "DER", "-peerkey", "@peer", key=private, peer=peer)  # fmt: skip

    def mac(self, algorithm, key, message):
        return self.run("dgst", "-binary", "-sha" + hash_of(algorithm), "-mac", "HMAC",
                        "-macopt", f"hexkey:{key.hex()}", "@msg", msg=message)  # fmt: skip

    def wrap(self, algorithm, public, material):
        if algorithm.startswith(("RSAES", "SM2")):
            return self.encrypt(algorithm, public, material)
        key = secrets.token_bytes(32)
        wrapped = self.run("enc", "-id-aes256-wrap-pad", "-K", key.hex(), "-iv", "A65959A6",
                           "-in", "@msg", msg=material)  # fmt: skip
        return self.encrypt(algorithm, public, key) + wrapped


class Crates:
    """The crates ed25519-dalek and ml-dsa, behind `crates/keystead-crypto/examples/judge.rs`."""

    def __init__(self, name, program=JUDGE):
        self.name = name
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)

    def _ask(self, *words):
        line = " ".join((word.hex() or "-") if isinstance(word, bytes) else word for word in words)
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer and not answer.startswith("error"), answer
        return {"true": True, "false": False}.get(answer) if answer in ("true", "false") else (
            bytes.fromhex(answer))  # fmt: skip

    def sign(self, _, private, message):
        assert private[:16].hex() == "302e020100300506032b657004220420"
        return self._ask("ed25519ph-sign", private[16:], message)

    def verify(self, algorithm, public, message, signature):
        if algorithm == "ED25519_PH_SHA_512":
            return self._ask("ed25519ph-verify", public[-32:], message, signature)
        mu = self.mu(public, message)
        return self._ask("ml-dsa-verify-mu", *_ml_dsa(public), mu, signature)

    def mu(self, public, message):
        return self._ask("ml-dsa-mu", *_ml_dsa(public), message)


def _ml_dsa(public):
    """The parameter set and the bare key."""
    size = {1312: "44", 1952: "65", 2592: "87"}[len(public) - 22]
    return size, public[22:]


class Curves:
    """`curves.py`: ECDH on the curve of SM2."""

    name = "curves.py"

    def agree(self, private, peer):
        # The canonical PKCS #8: the scalar follows 36 bytes.
        scalar = int.from_bytes(private[36:68], "big")
        return curves.sm2_multiply(scalar, curves.sm2_point(peer))[0].to_bytes(32, "big")
