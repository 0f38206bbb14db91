//! A writer of key encodings that shares no code with the crate.

use keystead_crypto::AsymmetricSpec;

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        len @ 0..=0x7f => out.push(u8::try_from(len).unwrap()),
        len @ 0x80..=0xff => out.extend([0x81, u8::try_from(len).unwrap()]),
        len => {
            out.push(0x82);
            out.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
    }
    out.extend_from_slice(content);
    out
}

/// Tag, content, rest.
pub(crate) fn split(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (len, header) = match der[1] {
        len @ 0..=0x7f => (usize::from(len), 2),
        0x81 => (usize::from(der[2]), 3),
        0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
        _ => panic!("a length of {:x}", der[1]),
    };
    let (content, rest) = der[header..].split_at(len);
    (der[0], content, rest)
}

/// The elements of a SEQUENCE, each with its header.
pub(crate) fn elements(der: &[u8]) -> Vec<Vec<u8>> {
    let (tag, mut content, rest) = split(der);
    assert_eq!((tag, rest), (0x30, &[][..]));
    let mut all = Vec::new();
    while !content.is_empty() {
        let (_, _, rest) = split(content);
        all.push(content[..content.len() - rest.len()].to_vec());
        content = rest;
    }
    all
}

pub(crate) fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &elements.concat())
}

pub(crate) fn curve_oid(spec: AsymmetricSpec) -> Vec<u8> {
    let oid = match spec {
        AsymmetricSpec::EccNistP256 => "2a8648ce3d030107",
        AsymmetricSpec::EccNistP384 => "2b81040022",
        AsymmetricSpec::EccNistP521 => "2b81040023",
        AsymmetricSpec::EccSecgP256k1 => "2b8104000a",
        AsymmetricSpec::Sm2 => "2a811ccf5501822d",
        other => panic!("{other:?} has no curve"),
    };
    tlv(6, &hex::decode(oid).unwrap())
}

fn ec_algorithm(spec: AsymmetricSpec) -> Vec<u8> {
    sequence(&[tlv(6, &hex::decode("2a8648ce3d0201").unwrap()), curve_oid(spec)])
}

pub(crate) fn ec_spki(spec: AsymmetricSpec, point: &[u8]) -> Vec<u8> {
    sequence(&[ec_algorithm(spec), tlv(3, &[&[0], point].concat())])
}

/// `key`: DER RSAPublicKey.
pub(crate) fn rsa_spki(key: &[u8]) -> Vec<u8> {
    let oid = tlv(6, &hex::decode("2a864886f70d010101").unwrap());
    sequence(&[sequence(&[oid, tlv(5, &[])]), tlv(3, &[&[0], key].concat())])
}

pub(crate) fn ml_dsa_spki(spec: AsymmetricSpec, key: &[u8]) -> Vec<u8> {
    let last = match spec {
        AsymmetricSpec::MlDsa44 => 0x11,
        AsymmetricSpec::MlDsa65 => 0x12,
        AsymmetricSpec::MlDsa87 => 0x13,
        other => panic!("{other:?} is not ML-DSA"),
    };
    let oid = tlv(6, &[&hex::decode("6086480165030403").unwrap()[..], &[last]].concat());
    sequence(&[sequence(&[oid]), tlv(3, &[&[0], key].concat())])
}

/// PKCS #8 with the seed alone.
pub(crate) fn ml_dsa_pkcs8(spec: AsymmetricSpec, seed: &[u8]) -> Vec<u8> {
    let algorithm = elements(&ml_dsa_spki(spec, &[])).remove(0);
    sequence(&[tlv(2, &[0]), algorithm, tlv(4, &tlv(0x80, seed))])
}

/// PKCS #8 with an ECPrivateKey of this scalar and the given further elements.
pub(crate) fn ec_pkcs8(spec: AsymmetricSpec, scalar: &[u8], further: &[Vec<u8>]) -> Vec<u8> {
    let inner = [vec![tlv(2, &[1]), tlv(4, scalar)], further.to_vec()].concat();
    sequence(&[tlv(2, &[0]), ec_algorithm(spec), tlv(4, &sequence(&inner))])
}

/// The `[1]` of an ECPrivateKey.
pub(crate) fn ec_public(point: &[u8]) -> Vec<u8> {
    tlv(0xa1, &tlv(3, &[&[0], point].concat()))
}

/// Bytes of a scalar and of a coordinate.
pub(crate) fn field_len(spec: AsymmetricSpec) -> usize {
    match spec {
        AsymmetricSpec::EccNistP384 => 48,
        AsymmetricSpec::EccNistP521 => 66,
        _ => 32,
    }
}
