//! Reading our own exports back, strictly.

use der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber};

/// The private key inside a PrivateKeyInfo (RFC 5208) of version 0 without attributes.
pub(super) fn private_key(pkcs8: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(pkcs8)?;
    let inner = reader.sequence(|info: &mut SliceReader<'_>| -> der::Result<_> {
        version(info, 0)?;
        AnyRef::decode(info)?;
        <&OctetStringRef>::decode(info).map(OctetStringRef::as_bytes)
    })?;
    reader.finish()?;
    Ok(inner)
}

/// Scalar and public point of an ECPrivateKey (RFC 5915) without curve parameters.
pub(super) fn ec_private_key(inner: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(inner)?;
    let parts = reader.sequence(|key: &mut SliceReader<'_>| -> der::Result<_> {
        version(key, 1)?;
        let scalar = <&OctetStringRef>::decode(key)?.as_bytes();
        let public = AnyRef::decode(key)?;
        if der::Tagged::tag(&public)
            != (Tag::ContextSpecific { constructed: true, number: TagNumber(1) })
        {
            return Err(der::ErrorKind::Failed.into());
        }
        let point =
            BitStringRef::from_der(public.value())?.as_bytes().ok_or(der::ErrorKind::Failed)?;
        Ok((scalar, point))
    })?;
    reader.finish()?;
    Ok(parts)
}

pub(super) fn version(reader: &mut SliceReader<'_>, expected: u8) -> der::Result<()> {
    if u8::decode(reader)? == expected { Ok(()) } else { Err(der::ErrorKind::Failed.into()) }
}
