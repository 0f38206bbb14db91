//! The ASN.1 around keys: strict DER, bounded, and of one key type at a time.

use aws_lc_rs::constant_time;
use der::asn1::{AnyRef, OctetStringRef, UintRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use zeroize::Zeroizing;

use super::{AsymmetricSpec, InvalidKey};

/// Longer input is no key of any spec: the longest known, PKCS #8 of RSA_4096, has 2,376 bytes.
const MAX_LEN: usize = 8192;

pub(super) const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
/// `[1]` of an ECPrivateKey.
pub(super) const EC_PUBLIC_KEY: u8 = 0xa1;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// A PrivateKeyInfo (RFC 5208) or OneAsymmetricKey (RFC 5958).
pub(super) struct PrivateKeyInfo<'a> {
    /// The content of the octet string: the key in the encoding of its algorithm.
    pub(super) inner: &'a [u8],
    /// The public key that version 1 may carry.
    pub(super) public: Option<&'a [u8]>,
}

impl<'a> PrivateKeyInfo<'a> {
    /// Reads a key whose algorithm must be that of `spec`. Attributes are passed over.
    pub(super) fn parse(spec: AsymmetricSpec, der: &'a [u8]) -> Result<Self, InvalidKey> {
        bounded(der, |reader| {
            reader.sequence(|info: &mut SliceReader<'a>| -> der::Result<_> {
                let version = u8::decode(info)?;
                holds(version <= 1)?;
                algorithm(info, spec)?;
                let inner = <&OctetStringRef>::decode(info)?.as_bytes();
                if next_is(info, true, 0) {
                    AnyRef::decode(info)?;
                }
                let mut public = None;
                if version == 1 && next_is(info, false, 1) {
                    public = Some(whole_bytes(AnyRef::decode(info)?.value())?);
                }
                Ok(Self { inner, public })
            })
        })
    }

    /// The canonical encoding of a key: version 0, no attributes, no public key.
    pub(super) fn encode(spec: AsymmetricSpec, inner: &[u8]) -> Zeroizing<Vec<u8>> {
        let key_type = KeyType::of(spec);
        let oid = tlv(OBJECT_IDENTIFIER, &[key_type.oid]);
        let parameters = match key_type.parameters {
            Parameters::Absent => Zeroizing::default(),
            Parameters::Null => tlv(0x05, &[]),
            Parameters::Curve(curve) => tlv(OBJECT_IDENTIFIER, &[curve]),
        };
        let algorithm = tlv(SEQUENCE, &[&oid, &parameters]);
        let inner = tlv(OCTET_STRING, &[inner]);
        tlv(SEQUENCE, &[&[INTEGER, 1, 0], &algorithm, &inner])
    }
}

/// The key inside a SubjectPublicKeyInfo (RFC 5280) whose algorithm must be that of `spec`.
pub(super) fn public_key(spec: AsymmetricSpec, der: &[u8]) -> Result<&[u8], InvalidKey> {
    bounded(der, |reader| {
        reader.sequence(|info: &mut SliceReader<'_>| -> der::Result<_> {
            algorithm(info, spec)?;
            let key = AnyRef::decode(info)?;
            holds(key.tag() == Tag::BitString)?;
            whole_bytes(key.value())
        })
    })
}

/// An ECPrivateKey (RFC 5915).
pub(super) struct EcPrivateKey<'a> {
    pub(super) scalar: &'a [u8],
    pub(super) public: Option<&'a [u8]>,
}

impl<'a> EcPrivateKey<'a> {
    /// Reads a key; where it names a curve, that must be the one of `spec`.
    pub(super) fn parse(spec: AsymmetricSpec, der: &'a [u8]) -> Result<Self, InvalidKey> {
        bounded(der, |reader| {
            reader.sequence(|key: &mut SliceReader<'a>| -> der::Result<_> {
                holds(u8::decode(key)? == 1)?;
                let scalar = <&OctetStringRef>::decode(key)?.as_bytes();
                if next_is(key, true, 0) {
                    let named = AnyRef::from_der(AnyRef::decode(key)?.value())?;
                    let Parameters::Curve(curve) = KeyType::of(spec).parameters else {
                        return Err(der::ErrorKind::Failed.into());
                    };
                    holds(named.tag() == Tag::ObjectIdentifier && named.value() == curve)?;
                }
                let mut public = None;
                if next_is(key, true, 1) {
                    let bits = AnyRef::from_der(AnyRef::decode(key)?.value())?;
                    holds(bits.tag() == Tag::BitString)?;
                    public = Some(whole_bytes(bits.value())?);
                }
                Ok(Self { scalar, public })
            })
        })
    }
}

/// The eight integers of an RSAPrivateKey (RFC 8017, A.1.2) with two primes: n, e, d, p, q and the
/// CRT values, without leading zeros.
pub(super) fn rsa_private_key(der: &[u8]) -> Result<[&[u8]; 8], InvalidKey> {
    bounded(der, |reader| {
        reader.sequence(|key: &mut SliceReader<'_>| -> der::Result<_> {
            holds(u8::decode(key)? == 0)?;
            let mut integers = [&[][..]; 8];
            for integer in &mut integers {
                *integer = UintRef::decode(key)?.as_bytes();
            }
            Ok(integers)
        })
    })
}

/// The 32 bytes of a CurvePrivateKey (RFC 8410, 7).
pub(super) fn edwards_seed(der: &[u8]) -> Result<&[u8; 32], InvalidKey> {
    bounded(der, |reader| <&OctetStringRef>::decode(reader).map(OctetStringRef::as_bytes))?
        .try_into()
        .map_err(|_| InvalidKey)
}

/// r and s of a DER signature, without leading zeros.
pub(super) fn signature(der: &[u8]) -> Result<[&[u8]; 2], InvalidKey> {
    bounded(der, |reader| {
        reader.sequence(|signature: &mut SliceReader<'_>| -> der::Result<_> {
            Ok([UintRef::decode(signature)?.as_bytes(), UintRef::decode(signature)?.as_bytes()])
        })
    })
}

/// Whether `given`, uncompressed or compressed, is the point `canonical`, which is uncompressed.
pub(super) fn is_point(given: &[u8], canonical: &[u8]) -> bool {
    let field_len = canonical.len() / 2;
    let compressed = || {
        let parity = 2 | canonical.last().map_or(0, |last| last & 1);
        given.len() == 1 + field_len
            && given[0] == parity
            && constant_time::verify_slices_are_equal(&given[1..], &canonical[1..=field_len])
                .is_ok()
    };
    constant_time::verify_slices_are_equal(given, canonical).is_ok() || compressed()
}

/// Tag, length and the concatenated contents, in a buffer that never moves.
pub(super) fn tlv(tag: u8, contents: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let len = contents.iter().map(|content| content.len()).sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(1 + 1 + size_of::<usize>() + len));
    out.push(tag);
    let bytes = len.to_be_bytes();
    let significant = &bytes[bytes.iter().take_while(|&&byte| byte == 0).count()..];
    match (significant.len(), len) {
        (_, 0..=127) => out.push(bytes[bytes.len() - 1]),
        (count, _) => {
            // At most eight.
            out.push(0x80 | count.to_be_bytes()[size_of::<usize>() - 1]);
            out.extend_from_slice(significant);
        }
    }
    for content in contents {
        out.extend_from_slice(content);
    }
    out
}

/// An INTEGER of an unsigned number without leading zeros.
pub(super) fn integer(number: &[u8]) -> Zeroizing<Vec<u8>> {
    match number {
        [] => tlv(INTEGER, &[&[0]]),
        [first, ..] if *first >= 0x80 => tlv(INTEGER, &[&[0], number]),
        _ => tlv(INTEGER, &[number]),
    }
}

struct KeyType {
    oid: &'static [u8],
    parameters: Parameters,
}

#[derive(Copy, Clone)]
enum Parameters {
    Null,
    Absent,
    Curve(&'static [u8]),
}

impl KeyType {
    fn of(spec: AsymmetricSpec) -> Self {
        let curve = |curve| Self {
            oid: b"\x2a\x86\x48\xce\x3d\x02\x01",
            parameters: Parameters::Curve(curve),
        };
        let plain = |oid| Self { oid, parameters: Parameters::Absent };
        match spec {
            AsymmetricSpec::Rsa2048 | AsymmetricSpec::Rsa3072 | AsymmetricSpec::Rsa4096 => {
                Self { oid: b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", parameters: Parameters::Null }
            }
            AsymmetricSpec::EccNistP256 => curve(b"\x2a\x86\x48\xce\x3d\x03\x01\x07"),
            AsymmetricSpec::EccNistP384 => curve(b"\x2b\x81\x04\x00\x22"),
            AsymmetricSpec::EccNistP521 => curve(b"\x2b\x81\x04\x00\x23"),
            AsymmetricSpec::EccSecgP256k1 => curve(b"\x2b\x81\x04\x00\x0a"),
            AsymmetricSpec::Sm2 => curve(b"\x2a\x81\x1c\xcf\x55\x01\x82\x2d"),
            AsymmetricSpec::EccNistEdwards25519 => plain(b"\x2b\x65\x70"),
            AsymmetricSpec::MlDsa44 => plain(b"\x60\x86\x48\x01\x65\x03\x04\x03\x11"),
            AsymmetricSpec::MlDsa65 => plain(b"\x60\x86\x48\x01\x65\x03\x04\x03\x12"),
            AsymmetricSpec::MlDsa87 => plain(b"\x60\x86\x48\x01\x65\x03\x04\x03\x13"),
        }
    }
}

/// Reads an AlgorithmIdentifier, which must be that of `spec`. The NULL of RSA may be left out, as
/// some writers do.
fn algorithm(reader: &mut SliceReader<'_>, spec: AsymmetricSpec) -> der::Result<()> {
    let key_type = KeyType::of(spec);
    reader.sequence(|identifier: &mut SliceReader<'_>| -> der::Result<_> {
        let oid = AnyRef::decode(identifier)?;
        holds(oid.tag() == Tag::ObjectIdentifier && oid.value() == key_type.oid)?;
        let parameters =
            if identifier.is_finished() { None } else { Some(AnyRef::decode(identifier)?) };
        let (tag, value) = match (key_type.parameters, parameters) {
            (Parameters::Absent | Parameters::Null, None) => return Ok(()),
            (Parameters::Null, Some(null)) => return holds(null == AnyRef::NULL),
            (Parameters::Curve(curve), Some(named)) => ((named.tag(), named.value()), curve),
            _ => return Err(der::ErrorKind::Failed.into()),
        };
        holds(tag == (Tag::ObjectIdentifier, value))
    })
}

fn bounded<'a, T>(
    der: &'a [u8],
    read: impl FnOnce(&mut SliceReader<'a>) -> der::Result<T>,
) -> Result<T, InvalidKey> {
    if der.len() > MAX_LEN {
        return Err(InvalidKey);
    }
    let all = |der| {
        let mut reader = SliceReader::new(der)?;
        let value = read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    };
    all(der).map_err(|_: der::Error| InvalidKey)
}

fn next_is(reader: &SliceReader<'_>, constructed: bool, number: u32) -> bool {
    let expected = Tag::ContextSpecific { constructed, number: TagNumber(number) };
    !reader.is_finished() && Tag::peek(reader).is_ok_and(|tag| tag == expected)
}

/// The content of a bit string, which must be whole bytes.
fn whole_bytes(bits: &[u8]) -> der::Result<&[u8]> {
    match bits {
        [0, bytes @ ..] => Ok(bytes),
        _ => Err(der::ErrorKind::Failed.into()),
    }
}

fn holds(condition: bool) -> der::Result<()> {
    if condition { Ok(()) } else { Err(der::ErrorKind::Failed.into()) }
}
