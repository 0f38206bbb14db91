"""The table of interoperability: its cells, what is known of them beforehand, and the page it becomes.

The cells are the whole product of the enumerations in AWS's model. What must work, and who judges it, stands
here and is not asked of the program.
"""

import datetime
import itertools
import platform
import subprocess
from collections import Counter

import botocore.session
import cryptography

MODEL = botocore.session.get_session().get_service_model("kms")
FAMILIES = {
    "Sign, Verify": ("KeySpec", "SigningAlgorithmSpec", "MessageType"),
    "Encrypt, Decrypt": ("KeySpec", "EncryptionAlgorithmSpec"),
    "GenerateMac, VerifyMac": ("KeySpec", "MacAlgorithmSpec"),
    "DeriveSharedSecret": ("KeySpec", "KeyAgreementAlgorithmSpec"),
    "GenerateDataKey": ("DataKeySpec",),
    "GenerateDataKeyPair": ("DataKeyPairSpec",),
    "ImportKeyMaterial": ("WrappingKeySpec", "AlgorithmSpec", "KeySpec"),
}
COMMAND = "KEYSTEAD_TABLE=docs/interoperability.md python -m pytest -q tests/e2e/test_interoperability.py"
BOTH = ("OpenSSL", "PyCA")


def enum(name):
    return MODEL.shape_for(name).enum


def cells(family):
    return list(itertools.product(*map(enum, FAMILIES[family])))


def kind(spec):
    for start in ("RSA", "ECC_NIST_EDWARDS", "ECC", "HMAC", "ML_DSA", "SM2"):
        if spec.startswith(start):
            return start
    return spec


def signs(spec, algorithm, message_type):
    hashes = {"ECC_NIST_P256": "256", "ECC_SECG_P256K1": "256", "ECC_NIST_P384": "384",
              "ECC_NIST_P521": "512"}  # fmt: skip
    if kind(spec) == "RSA":
        return BOTH if algorithm.startswith("RSASSA") and message_type != "EXTERNAL_MU" else ()
    if spec in hashes:
        fits = algorithm == "ECDSA_SHA_" + hashes[spec] and message_type != "EXTERNAL_MU"
        return BOTH if fits else ()
    return {
        ("SM2", "SM2DSA", "RAW"): ("OpenSSL",),
        ("SM2", "SM2DSA", "DIGEST"): ("OpenSSL",),
        ("ECC_NIST_EDWARDS", "ED25519_SHA_512", "RAW"): BOTH,
        ("ECC_NIST_EDWARDS", "ED25519_PH_SHA_512", "DIGEST"): ("ed25519-dalek",),
        ("ML_DSA", "ML_DSA_SHAKE_256", "RAW"): ("PyCA",),
        ("ML_DSA", "ML_DSA_SHAKE_256", "EXTERNAL_MU"): ("ml-dsa",),
    }.get((kind(spec), algorithm, message_type), ())


def encrypts(spec, algorithm):
    if spec == "SYMMETRIC_DEFAULT":
        return ("PyCA",) if algorithm == spec else ()
    if kind(spec) == "RSA":
        return BOTH if algorithm.startswith("RSAES") else ()
    return ("OpenSSL",) if (spec, algorithm) == ("SM2", "SM2PKE") else ()


def authenticates(spec, algorithm):
    return BOTH if algorithm == spec.replace("HMAC", "HMAC_SHA") else ()


def agrees(spec, _):
    if spec == "SM2":
        return ("curves.py",)
    return BOTH if spec.startswith("ECC_NIST_P") else ()


def comes_in(wrapping, algorithm, material):
    if (wrapping == "SM2") != (algorithm == "SM2PKE"):
        return ()
    if kind(material) == "ML_DSA" or algorithm == "RSAES_PKCS1_V1_5":
        return ()
    if "AES_KEY_WRAP" in algorithm:
        # For private keys alone.
        if kind(material) in ("SYMMETRIC_DEFAULT", "HMAC"):
            return ()
    else:
        if kind(material) == "RSA":
            return ()
        if material == "ECC_NIST_P521" and wrapping == "RSA_2048":
            return ()
    return ("OpenSSL",) if wrapping == "SM2" else BOTH


def plan(family, cell):
    """The checks of a cell: a judge and a direction each; without judges that it is refused."""
    found = {
        "Sign, Verify": signs,
        "Encrypt, Decrypt": encrypts,
        "GenerateMac, VerifyMac": authenticates,
        "DeriveSharedSecret": agrees,
        "GenerateDataKey": lambda _: ("PyCA",),
        "GenerateDataKeyPair": lambda spec: ("OpenSSL",) if spec == "SM2" else BOTH,
        "ImportKeyMaterial": comes_in,
    }[family](*cell)  # fmt: skip
    if not found:
        return {("", "refused")}
    ways = ["in"] if family == "ImportKeyMaterial" else ["out", "in"]
    if family == "Sign, Verify" and cell[2] == "RAW" and kind(cell[0]) == "ML_DSA":
        # No ML-DSA key can be imported (ImportKeyMaterial's cells), and none leaves.
        ways = ["out"]
    return set(itertools.product(found, ways))


# The page.


def table(results, openssl):
    """The page; `results`: of each family and cell, of each judge and direction, why not, or nothing."""
    lines, rows, total = [], [], Counter()
    for family in FAMILIES:
        count = Counter()
        for cell in cells(family):
            planned, found = plan(family, cell), results.get((family, cell), {})
            passed = {check for check, text in found.items() if not text} & planned
            way = "refused" if ("", "refused") in planned else "judged"
            count[way] += 1
            count[way, "passed"] += passed == planned
            count["checks"] += len(planned) * (way == "judged")
            count["checks", "passed"] += len(passed) * (way == "judged")
            if way == "judged":
                rows.append(row(family, cell, planned, passed))
        total += count
        lines.append(summary(family, " × ".join(FAMILIES[family]), count))
    lines.append(summary("**all**", "", total))
    return PAGE.format(
        date=datetime.date.today(), command=COMMAND, openssl=openssl_version(openssl), pyca=cryptography.__version__,
        python=platform.python_version(), summary="\n".join(lines), rows="\n".join(rows),
    )  # fmt: skip


def summary(family, axes, count):
    return (
        f"| {family} | {axes} | {count['judged', 'passed']}/{count['judged']} "
        f"| {count['checks', 'passed']}/{count['checks']} "
        f"| {count['refused', 'passed']}/{count['refused']} |"
    )


def row(family, cell, planned, passed):
    def shown(way):
        return ", ".join(
            name if (name, way) in passed else f"**{name}: FAILED**"
            for name, direction in sorted(planned)
            if direction == way
        ) or "–"  # fmt: skip

    return f"| {family} | {' '.join(cell)} | {shown('out')} | {shown('in')} |"


def openssl_version(program):
    """Name and number, without the date."""
    told = subprocess.run([program, "version"], capture_output=True, text=True).stdout
    return " ".join(told.split()[:2])


PAGE = """# Interoperability

What Keystead makes, others take, and what others make, Keystead takes; through the front door.
Written by

```
cargo build && cargo build -p keystead-crypto --example judge
{command}
```

on {date}, with {openssl}; PyCA cryptography {pyca} (an OpenSSL of its own); ed25519-dalek and
ml-dsa of `Cargo.lock`; Python {python}. The test fails if a cell is missing, not refused, or not
taken by each judge.

The cells are the whole product of the enumerations in AWS's model. A cell **works**, and then each
judge tries it in each direction, or it is **refused** (by Sign and by Verify, and so on); which of
both was known before. **Checks** counts judges and directions.

| operations | enumerations | cells that work | checks | cells refused |
| --- | --- | --- | --- | --- |
{summary}

## How each is tried

- **out**, from Keystead to the judge: signatures by keys that Keystead made, verified, and not
  verified for another message; ciphertexts opened with the private key that the judge made and
  Keystead imported; MACs of an imported key compared; shared secrets derived on both sides; pairs
  checked, used and read again.
- **in**, from the judge to Keystead: a key of the judge's is imported, and Keystead verifies the
  judge's signatures and MACs, refuses them for another message, decrypts what the judge encrypts,
  derives what the judge derives. A data key pair, written anew by the judge, is imported and has
  the same public key.
- MACs of a key that Keystead made cannot be judged, as no such key leaves; those of an imported key
  are.
- Symmetric ciphertexts are opened and made by a reader of [formats.md](formats.md) on PyCA's KBKDF
  and AES-GCM.
- ML-DSA keys can be neither imported nor exported, in AWS KMS as here, so a judge cannot sign for
  Keystead to verify through the front door: "–". Of EXTERNAL_MU the judge's part is μ. Below the
  front door `crates/keystead-crypto/tests/asymmetric/oracles.rs` does both directions.
- ImportKeyMaterial only goes in. After each import the key is tried with its material.

## The cells that work

| operations | cell | out | in |
| --- | --- | --- | --- |
{rows}
"""
