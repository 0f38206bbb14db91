"""Ed25519ph and the SM2 curve in plain Python: judges where neither OpenSSL 3.0 nor PyCA has one.

Slow and not constant-time, for public data and test keys alone. Ed25519 is RFC 8032, SM2 is
GB/T 32918; the plain form of each is itself tested against PyCA or OpenSSL.
"""

import hashlib

# Ed25519 (RFC 8032, 5.1).

_P = 2**255 - 19
_Q = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
PREHASHED = b"SigEd25519 no Ed25519 collisions" + b"\x01\x00"


def _edwards_add(one, other):
    (x1, y1), (x2, y2) = one, other
    cross = _D * x1 * x2 * y1 * y2 % _P
    return (
        (x1 * y2 + x2 * y1) * pow(1 + cross, -1, _P) % _P,
        (y1 * y2 + x1 * x2) * pow(1 - cross, -1, _P) % _P,
    )


def _edwards_multiply(scalar, point):
    result = (0, 1)
    while scalar:
        if scalar & 1:
            result = _edwards_add(result, point)
        point = _edwards_add(point, point)
        scalar >>= 1
    return result


def _edwards_point(encoded):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    assert x * x % _P == square, "not a point"
    return (_P - x if x & 1 != sign else x), y


def ed25519_verifies(public, message, signature, prehashed):
    """Whether the signature is one over the message; `prehashed`: as Ed25519ph, whose hash of the
    message is made here."""
    base = _edwards_point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    if prehashed:
        message = hashlib.sha512(message).digest()
    prefix = PREHASHED if prehashed else b""
    challenge = hashlib.sha512(prefix + signature[:32] + public + message).digest()
    h = int.from_bytes(challenge, "little") % _Q
    s = int.from_bytes(signature[32:], "little")
    right = _edwards_add(
        _edwards_point(signature[:32]), _edwards_multiply(h, _edwards_point(public))
    )
    return len(signature) == 64 and s < _Q and _edwards_multiply(s, base) == right


# SM2 (GB/T 32918.5).

SM2_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
SM2_A = SM2_P - 3
SM2_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
SM2_G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
SM2_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")


def _sm2_add(one, other):
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % SM2_P == 0:
        return None
    if one == other:
        slope = (3 * x1 * x1 + SM2_A) * pow(2 * y1, -1, SM2_P)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, SM2_P)
    x = (slope * slope - x1 - x2) % SM2_P
    return x, (slope * (x1 - x) - y1) % SM2_P


def sm2_multiply(scalar, point=SM2_G):
    result = None
    while scalar:
        if scalar & 1:
            result = _sm2_add(result, point)
        point = _sm2_add(point, point)
        scalar >>= 1
    return result


def sm2_point(spki):
    assert spki.startswith(SM2_SPKI)
    return int.from_bytes(spki[-64:-32], "big"), int.from_bytes(spki[-32:], "big")


def sm2_spki(point):
    return SM2_SPKI + b"".join(value.to_bytes(32, "big") for value in point)


def sm2_e(spki, message, identity=b"1234567812345678"):
    """The value that SM2 signs: SM3(ZA || message)."""
    fields = (SM2_A, SM2_B, *SM2_G, *sm2_point(spki))
    za = hashlib.new("sm3", (8 * len(identity)).to_bytes(2, "big") + identity
                     + b"".join(value.to_bytes(32, "big") for value in fields)).digest()  # fmt: skip
    return hashlib.new("sm3", za + message).digest()
