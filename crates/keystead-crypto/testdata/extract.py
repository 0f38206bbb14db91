"""How the files beside this one were taken from their originals; not needed to run the tests.

    extract.py ACVP KBKDF KEYWRAP

ACVP is a folder with NIST's ML-DSA-{keyGen,sigGen,sigVer}-FIPS204/internalProjection.json
(github.com/usnistgov/ACVP-Server, gen-val/json-files; the crate fips204 0.4.6 carries them under
tests/nist_vectors), KBKDF is NIST's CAVS 14.4 response file of SP 800-108 in counter mode, KEYWRAP
the folder of NIST's kwtestvectors (PyPI's cryptography-vectors 48.0.0 carries both, as
KDF/nist-800-108-KBKDF-CTR.txt and keywrap/kwtestvectors).

Values are copied as they are, and what no test needs is left out. Two are computed: `pkSha256`, for a
public key that would be long and can only be compared, and `mu`. NIST's files of that revision test
the internal functions of FIPS 204, whose message is M' itself, so mu = SHAKE256(SHAKE256(pk, 64) || M', 64)
(algorithm 7, line 6); it is what a caller of AWS KMS gives as EXTERNAL_MU.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
COMMON = "NIST ACVP, github.com/usnistgov/ACVP-Server, gen-val/json-files/%s/internalProjection.json"


def load(folder, name):
    return json.loads((folder / name / "internalProjection.json").read_text())["testGroups"]


def mu(tr, message):
    return hashlib.shake_256(tr + bytes.fromhex(message)).digest(64).hex()


def write(name, origin, cases, **further):
    lines = ",\n".join(" " + json.dumps(case) for case in cases)
    head = "".join(json.dumps(key) + ": " + json.dumps(value) + ",\n" for key, value in further.items())
    text = '{"origin": %s,\n%s"cases": [\n%s\n]}\n' % (json.dumps(origin), head, lines)
    (HERE / name).write_text(text)
    print(name, len(cases), "cases", len(text), "bytes")


def key_gen(acvp):
    name = "ML-DSA-keyGen-FIPS204"
    cases = [
        {
            "parameterSet": group["parameterSet"], "tcId": test["tcId"],
            "seed": test["seed"].lower(),
            "pkSha256": hashlib.sha256(bytes.fromhex(test["pk"])).hexdigest(),
        }
        for group in load(acvp, name)
        for test in group["tests"]
    ]  # fmt: skip
    write("acvp-ml-dsa-keygen.json", COMMON % name, cases)


def sig_ver(acvp):
    """Of each parameter set one case of every reason."""
    name, cases, keys = "ML-DSA-sigVer-FIPS204", [], {}
    for group in load(acvp, name):
        seen = set()
        keys[group["parameterSet"]] = group["pk"].lower()
        tr = hashlib.shake_256(bytes.fromhex(group["pk"])).digest(64)
        for test in group["tests"]:
            if test["reason"] in seen:
                continue
            seen.add(test["reason"])
            cases.append({
                "parameterSet": group["parameterSet"], "tcId": test["tcId"],
                "testPassed": test["testPassed"], "reason": test["reason"],
                "mu": mu(tr, test["message"]), "signature": test["signature"].lower(),
            })  # fmt: skip
    write("acvp-ml-dsa-sigver.json", COMMON % name, cases, pk=keys)


def sig_gen(acvp):
    """Of each parameter set one deterministic and one hedged signature. The private key is left as
    its expanded form, in which tr = SHAKE256(pk, 64) follows two seeds of 32 bytes."""
    name, cases = "ML-DSA-sigGen-FIPS204", []
    for group in load(acvp, name):
        test = group["tests"][0]
        tr = bytes.fromhex(test["sk"])[64:128]
        cases.append({
            "parameterSet": group["parameterSet"], "tcId": test["tcId"],
            "deterministic": group["deterministic"], "sk": test["sk"].lower(),
            "mu": mu(tr, test["message"]), "signature": test["signature"].lower(),
        })  # fmt: skip
    write("acvp-ml-dsa-siggen.json", COMMON % name, cases)


def kbkdf(file):
    section = None
    cases = []
    for line in file.read_text().splitlines():
        line = line.strip()
        if line.startswith("["):
            section = (section or ()) + (line,) if not line.startswith("[PRF") else (line,)
        wanted = section == ("[PRF=HMAC_SHA256]", "[CTRLOCATION=BEFORE_FIXED]", "[RLEN=32_BITS]")
        if not wanted or " = " not in line and "=" not in line:
            continue
        name, _, value = (part.strip() for part in line.partition("="))
        if name == "COUNT":
            cases.append({"count": int(value)})
        elif name in ("KI", "FixedInputData", "KO"):
            cases[-1][name] = value
    write(
        "cavp-kbkdf.json",
        "NIST CAVP, CAVS 14.4, SP 800-108 KDF, counter mode, HMAC_SHA256, counter of 32 bits before the fixed data",
        cases,
    )


def key_wrap(folder):
    """Of each length of KWP_AD_256 (unwrapping, valid and invalid) and KWP_AE_256 the first eight."""
    cases = []
    for name in ("KWP_AE_256", "KWP_AD_256"):
        length, taken = None, 0
        for block in (folder / f"{name}.txt").read_text().split("\n\n"):
            if found := re.search(r"\[PLAINTEXT LENGTH = (\d+)\]", block):
                length, taken = int(found[1]), 0
            fields = dict(re.findall(r"^(COUNT|K|P|C) = (\w+)$", block, re.MULTILINE))
            if "K" not in fields or taken == 8:
                continue
            taken += 1
            cases.append({
                "file": name, "bits": length, "count": int(fields["COUNT"]), "K": fields["K"],
                "C": fields["C"], "P": fields.get("P"),
            })  # fmt: skip
    write("cavp-key-wrap-with-padding.json", "NIST CAVP, kwtestvectors, KWP_AE_256.txt and KWP_AD_256.txt", cases)


if __name__ == "__main__":
    acvp, kdf, wrap = map(Path, sys.argv[1:])
    key_gen(acvp)
    sig_ver(acvp)
    sig_gen(acvp)
    kbkdf(kdf)
    key_wrap(wrap)
