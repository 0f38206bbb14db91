//! A ciphertext blob: parsed, decrypted, and damaged. The first byte chooses what happens to the rest.
//!
//! - even: the rest is taken as a blob;
//! - odd: the rest is encrypted, decrypted, and decrypted again after one change that it chooses itself.
#![no_main]

use std::sync::OnceLock;

use keystead_crypto::{
    BLOB_OVERHEAD, Blob, BlobHeader, EncryptionContext, MAX_BLOB, SymmetricMaterial, decrypt,
    encrypt,
};
use libfuzzer_sys::fuzz_target;

const HEADER: BlobHeader =
    BlobHeader { key_id: [7; 16], multi_region: false, material_id: [9; 32] };

fn material() -> &'static SymmetricMaterial {
    static MATERIAL: OnceLock<SymmetricMaterial> = OnceLock::new();
    MATERIAL.get_or_init(|| SymmetricMaterial::generate().expect("the generator works"))
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let context = EncryptionContext::empty();
    if choice % 2 == 0 {
        if let Ok(blob) = Blob::parse(rest) {
            assert!((BLOB_OVERHEAD + 1..=MAX_BLOB).contains(&rest.len()));
            let _ = blob.header();
            // The material is random: nothing that was not encrypted here may open.
            assert!(decrypt(material(), &blob, &context).is_err());
        }
        return;
    }
    let Some((at, plaintext)) = rest.split_first_chunk::<2>() else { return };
    let Ok(sealed) = encrypt(material(), &HEADER, plaintext, &context) else {
        assert!(plaintext.is_empty() || plaintext.len() > MAX_BLOB - BLOB_OVERHEAD);
        return;
    };
    let blob = Blob::parse(&sealed).expect("what was encrypted is a blob");
    assert_eq!(blob.header(), HEADER);
    let opened = decrypt(material(), &blob, &context).expect("what was encrypted opens");
    assert!(opened.ct_eq(plaintext));

    let mut damaged = sealed.clone();
    let bit = usize::from(u16::from_be_bytes(*at)) % (damaged.len() * 8);
    damaged[bit / 8] ^= 1 << (bit % 8);
    if let Ok(blob) = Blob::parse(&damaged) {
        assert!(decrypt(material(), &blob, &context).is_err(), "bit {bit} does not count");
    }
    let cut = usize::from(u16::from_be_bytes(*at)) % sealed.len();
    if let Ok(blob) = Blob::parse(&sealed[..cut]) {
        assert!(decrypt(material(), &blob, &context).is_err(), "{cut} bytes suffice");
    }
});
