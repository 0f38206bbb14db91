//! The ciphertext blob: what Encrypt, ReEncrypt and the GenerateDataKey family give to callers.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 4 | `01 02 02 00`: begins like AWS's blobs, so that base64 reads `AQICA…`, by which secret scanners know them |
//! | 4 | 1 | format, `01` |
//! | 5 | 1 | flags: bit 0 (value 1) multi-Region key; all others zero |
//! | 6 | 16 | key id: the bytes of the UUID, or of the hex digits behind `mrk-` |
//! | 22 | 32 | key material id |
//! | 54 | 4 | reference check: the first bytes of SHA-256(`"keystead/v1/blob-reference"` ‖ bytes 0 to 53) |
//! | 58 | 16 | N, random, from which the key of this blob is derived |
//! | 74 | 12 | IV, random |
//! | 86 | n | ciphertext, as long as the plaintext, at least 1 |
//! | 86 + n | 16 | tag |
//!
//! The reference check tells damage from a blob of another key: a flipped bit in the key id is an
//! invalid ciphertext, as everywhere else in the blob, and never the question whether a key of
//! that id exists. It is no authentication; the tag is.
//!
//! K = KBKDF-CTR-HMAC-SHA-256(material, `"keystead/v1/blob" ‖ 00 ‖ N ‖ be32(256)`), used for this
//! one AES-256-GCM encryption; so no GCM key comes near its bound, whatever the load. Authenticated
//! data: bytes 0 to 85, then the canonical [`EncryptionContext`]. Neither account nor Region is in
//! it: the key id determines the account, and every replica of a multi-Region key decrypts.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use crate::arena::KEY_LEN;
use crate::context::EncryptionContext;
use crate::error::CryptoError;
use crate::material::SymmetricMaterial;
use crate::primitive::{self, IV_LEN, NONCE_LEN, TAG_LEN};
use crate::random;
use crate::secret::Secret;

/// By how many bytes a blob is longer than its plaintext.
pub const BLOB_OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// The longest blob, in bytes: the bound of AWS's Decrypt.
pub const MAX_BLOB: usize = 6144;

/// Encrypts `plaintext` (1 to [`MAX_BLOB`]` - `[`BLOB_OVERHEAD`] bytes; narrower limits are the
/// operation's affair) under `material`, which `header` names.
///
/// # Errors
/// [`CryptoError::PlaintextLength`], [`CryptoError::Random`] or [`CryptoError::Library`].
pub fn encrypt(
    material: &SymmetricMaterial,
    header: &BlobHeader,
    plaintext: &[u8],
    context: &EncryptionContext,
) -> Result<Vec<u8>, CryptoError> {
    if plaintext.is_empty() || plaintext.len() > MAX_BLOB - BLOB_OVERHEAD {
        return Err(CryptoError::PlaintextLength(plaintext.len()));
    }
    let mut head = [0; HEADER_LEN];
    head[..FORMAT_AT].copy_from_slice(&MAGIC);
    head[FORMAT_AT] = FORMAT;
    head[FLAGS_AT] = if header.multi_region { MULTI_REGION } else { 0 };
    head[KEY_ID_AT..MATERIAL_ID_AT].copy_from_slice(&header.key_id);
    head[MATERIAL_ID_AT..CHECK_AT].copy_from_slice(&header.material_id);
    let check = reference_check(&head);
    head[CHECK_AT..NONCE_AT].copy_from_slice(&check);
    random::fill_random(&mut head[NONCE_AT..])?;
    let key = derive_key(material, &head)?;

    // The only allocation: the plaintext is encrypted straight into it.
    let mut blob = vec![0; plaintext.len() + BLOB_OVERHEAD];
    blob[..HEADER_LEN].copy_from_slice(&head);
    let (ciphertext, tag) = blob[HEADER_LEN..].split_at_mut(plaintext.len());
    with_authenticated_data(&head, context, |aad| {
        primitive::seal(&key, &iv(&head), aad, plaintext, ciphertext, tag)
    })?;
    Ok(blob)
}

/// Decrypts `blob` with the material its header names.
///
/// # Errors
/// [`InvalidCiphertext`]: changed, of another material, or encrypted with another context; no
/// telling which.
pub fn decrypt(
    material: &SymmetricMaterial,
    blob: &Blob<'_>,
    context: &EncryptionContext,
) -> Result<Secret, InvalidCiphertext> {
    let Blob { head, ciphertext, tag } = blob;
    let key = derive_key(material, head).map_err(|_| InvalidCiphertext)?;
    Secret::filled(ciphertext.len(), |plaintext| {
        with_authenticated_data(head, context, |aad| {
            primitive::open(&key, &iv(head), aad, ciphertext, *tag, plaintext)
        })
    })
    .map_err(|Unspecified| InvalidCiphertext)
}

/// What a blob says about the key it was encrypted under.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BlobHeader {
    /// The bytes of the key id.
    pub key_id: [u8; 16],
    /// Whether the key id is that of a multi-Region key (`mrk-…`).
    pub multi_region: bool,
    /// The id of the key material.
    pub material_id: [u8; 32],
}

/// Bytes that have the form of a blob. Nothing is authenticated before [`decrypt`] has succeeded:
/// the header is the caller's claim.
pub struct Blob<'a> {
    // INVARIANT: one that `encrypt` can have written.
    head: &'a [u8; HEADER_LEN],
    // INVARIANT: 1 to `MAX_BLOB - BLOB_OVERHEAD` bytes.
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LEN],
}

impl<'a> Blob<'a> {
    /// Recognises a blob; for any bytes whatever.
    ///
    /// # Errors
    /// [`InvalidCiphertext`] for a wrong length, foreign first bytes, another format, an unknown
    /// flag, a reference that is damaged.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidCiphertext> {
        if bytes.len() > MAX_BLOB {
            return Err(InvalidCiphertext);
        }
        let (head, rest) = bytes.split_first_chunk().ok_or(InvalidCiphertext)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(InvalidCiphertext)?;
        let head: &[u8; HEADER_LEN] = head;
        let known = head.starts_with(&MAGIC)
            && head[FORMAT_AT] == FORMAT
            && head[FLAGS_AT] & !MULTI_REGION == 0
            && head[CHECK_AT..NONCE_AT] == reference_check(head);
        if !known || ciphertext.is_empty() {
            return Err(InvalidCiphertext);
        }
        Ok(Self { head, ciphertext, tag })
    }

    /// The claim of which key and material this was encrypted under.
    #[must_use]
    pub fn header(&self) -> BlobHeader {
        let mut header = BlobHeader {
            key_id: [0; 16],
            multi_region: self.head[FLAGS_AT] & MULTI_REGION != 0,
            material_id: [0; 32],
        };
        header.key_id.copy_from_slice(&self.head[KEY_ID_AT..MATERIAL_ID_AT]);
        header.material_id.copy_from_slice(&self.head[MATERIAL_ID_AT..CHECK_AT]);
        header
    }
}

impl fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("plaintext_len", &self.ciphertext.len())
            .field("header", &self.header())
            .finish()
    }
}

/// The one answer to every ciphertext that cannot be decrypted, so that nobody learns why.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid ciphertext")]
pub struct InvalidCiphertext;

const MAGIC: [u8; 4] = [0x01, 0x02, 0x02, 0x00];
const FORMAT: u8 = 1;
const MULTI_REGION: u8 = 1;
const LABEL: &[u8] = b"keystead/v1/blob";
const REFERENCE_LABEL: &[u8; 26] = b"keystead/v1/blob-reference";

const FORMAT_AT: usize = MAGIC.len();
const FLAGS_AT: usize = FORMAT_AT + 1;
const KEY_ID_AT: usize = FLAGS_AT + 1;
const MATERIAL_ID_AT: usize = KEY_ID_AT + 16;
const CHECK_AT: usize = MATERIAL_ID_AT + 32;
const NONCE_AT: usize = CHECK_AT + 4;
const IV_AT: usize = NONCE_AT + NONCE_LEN;
const HEADER_LEN: usize = IV_AT + IV_LEN;

fn reference_check(head: &[u8; HEADER_LEN]) -> [u8; NONCE_AT - CHECK_AT] {
    let mut input = [0; REFERENCE_LABEL.len() + CHECK_AT];
    input[..REFERENCE_LABEL.len()].copy_from_slice(REFERENCE_LABEL);
    input[REFERENCE_LABEL.len()..].copy_from_slice(&head[..CHECK_AT]);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &input);
    let mut check = [0; NONCE_AT - CHECK_AT];
    check.copy_from_slice(&digest.as_ref()[..NONCE_AT - CHECK_AT]);
    check
}

fn iv(head: &[u8; HEADER_LEN]) -> [u8; IV_LEN] {
    let mut iv = [0; IV_LEN];
    iv.copy_from_slice(&head[IV_AT..]);
    iv
}

fn derive_key(
    material: &SymmetricMaterial,
    head: &[u8; HEADER_LEN],
) -> Result<Zeroizing<[u8; KEY_LEN]>, CryptoError> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    primitive::derive(material.expose(), LABEL, &head[NONCE_AT..IV_AT], &mut key)?;
    Ok(key)
}

/// Runs `work` over `head ‖ context`, joined on the stack where the context is of usual size.
fn with_authenticated_data<T>(
    head: &[u8; HEADER_LEN],
    context: &EncryptionContext,
    work: impl FnOnce(&[u8]) -> T,
) -> T {
    let context = context.as_bytes();
    let len = head.len() + context.len();
    let mut small = [0; 512];
    if let Some(joined) = small.get_mut(..len) {
        joined[..head.len()].copy_from_slice(head);
        joined[head.len()..].copy_from_slice(context);
        work(joined)
    } else {
        work(&[&head[..], context].concat())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::material::tests::planted;
    use proptest::prelude::*;

    const HEADER: BlobHeader =
        BlobHeader { key_id: [0xaa; 16], multi_region: true, material_id: [0xbb; 32] };

    fn open(bytes: &[u8], context: &EncryptionContext) -> Result<Vec<u8>, InvalidCiphertext> {
        let blob = Blob::parse(bytes)?;
        decrypt(&planted(9), &blob, context).map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn the_layout_is_as_documented() {
        let context = EncryptionContext::from_pairs([("k", "v")]).unwrap();
        let blob = encrypt(&planted(9), &HEADER, b"attack at dawn", &context).unwrap();
        assert_eq!(blob.len(), 86 + 14 + 16);
        assert_eq!(blob[..6], [1, 2, 2, 0, 1, 1]);
        assert_eq!((&blob[6..22], &blob[22..54]), (&[0xaa; 16][..], &[0xbb; 32][..]));

        let reference = [&b"keystead/v1/blob-reference"[..], &blob[..54]].concat();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &reference);
        assert_eq!(blob[54..58], digest.as_ref()[..4]);

        // Opened by hand, with nothing of this module.
        use aws_lc_rs::{aead, hmac};
        let fixed = [b"\0\0\0\x01keystead/v1/blob\0", &blob[58..74], b"\0\0\x01\0"].concat();
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[9; 32]), &fixed);
        let key = aead::LessSafeKey::new(
            aead::UnboundKey::new(&aead::AES_256_GCM, key.as_ref()).unwrap(),
        );
        let iv = aead::Nonce::try_assume_unique_for_key(&blob[74..86]).unwrap();
        let aad = [&blob[..86], b"\0\0\0\x01\0\0\0\x01k\0\0\0\x01v"].concat();
        let mut rest = blob[86..].to_vec();
        assert_eq!(
            key.open_in_place(iv, aead::Aad::from(aad), &mut rest).unwrap(),
            b"attack at dawn"
        );
    }

    #[test]
    fn base64_begins_as_scanners_expect() {
        use base64::Engine;
        let blob = encrypt(&planted(9), &HEADER, b"x", &EncryptionContext::empty()).unwrap();
        assert!(base64::engine::general_purpose::STANDARD.encode(blob).starts_with("AQICA"));
    }

    #[test]
    fn no_blob_is_longer_than_at_aws() {
        // Plaintext and blob lengths at AWS: people have sized their columns by them.
        let table = [
            (1, 153),
            (16, 168),
            (24, 176),
            (32, 184),
            (64, 220),
            (100, 256),
            (128, 285),
            (256, 418),
            (1024, 1186),
            (4096, 4258),
            (48, 201),
            (135, 292),
            (138, 295),
            (185, 346),
            (241, 403),
            (1217, 1379),
            (1794, 1956),
            (2374, 2536),
        ];
        for (plaintext, at_aws) in table {
            let blob =
                encrypt(&planted(9), &HEADER, &vec![1; plaintext], &EncryptionContext::empty())
                    .unwrap();
            assert!(blob.len() <= at_aws, "{plaintext}: {} > {at_aws}", blob.len());
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let seal =
            |len: usize| encrypt(&planted(9), &HEADER, &vec![1; len], &EncryptionContext::empty());
        assert_eq!(seal(0), Err(CryptoError::PlaintextLength(0)));
        assert_eq!(seal(MAX_BLOB - BLOB_OVERHEAD).unwrap().len(), MAX_BLOB);
        assert_eq!(seal(MAX_BLOB - BLOB_OVERHEAD + 1), Err(CryptoError::PlaintextLength(6043)));
        assert!(Blob::parse(&[seal(1).unwrap(), vec![0; MAX_BLOB]].concat()).is_err());
    }

    #[test]
    fn any_flipped_bit_and_any_other_length_give_the_one_error() {
        let context = EncryptionContext::from_pairs([("purpose", "test")]).unwrap();
        let blob =
            encrypt(&planted(9), &HEADER, b"0123456789abcdef0123456789abcdef", &context).unwrap();
        assert_eq!(open(&blob, &context).unwrap(), b"0123456789abcdef0123456789abcdef");
        for bit in 0..blob.len() * 8 {
            let mut changed = blob.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&changed, &context), Err(InvalidCiphertext), "bit {bit}");
        }
        for len in 0..blob.len() {
            assert_eq!(open(&blob[..len], &context), Err(InvalidCiphertext), "cut to {len}");
        }
        for byte in 0..=255 {
            assert_eq!(open(&[&blob[..], &[byte]].concat(), &context), Err(InvalidCiphertext));
        }
    }

    #[test]
    fn foreign_heads_are_refused_before_any_key_is_looked_up() {
        let blob = encrypt(&planted(9), &HEADER, b"x", &EncryptionContext::empty()).unwrap();
        assert!(Blob::parse(&blob).is_ok());
        for bit in 0..NONCE_AT * 8 {
            let mut changed = blob.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Blob::parse(&changed).map(|_| ()), Err(InvalidCiphertext), "bit {bit}");
        }
    }

    #[test]
    fn other_contexts_and_other_material_give_the_one_error() {
        let context = |pairs: &[(&'static str, &'static str)]| {
            EncryptionContext::from_pairs(pairs.iter().copied()).unwrap()
        };
        let right = context(&[("ab", "c")]);
        let blob = encrypt(&planted(9), &HEADER, b"x", &right).unwrap();
        assert_eq!(open(&blob, &right).unwrap(), b"x");
        for wrong in
            [&[][..], &[("a", "bc")], &[("AB", "c")], &[("ab", "C")], &[("ab", "c"), ("d", "e")]]
        {
            assert_eq!(open(&blob, &context(wrong)), Err(InvalidCiphertext), "{wrong:?}");
        }
        let parsed = Blob::parse(&blob).unwrap();
        assert!(decrypt(&planted(8), &parsed, &right).is_err());
    }

    #[test]
    fn two_blobs_of_one_plaintext_share_no_random_part() {
        let [one, two] = [0, 1]
            .map(|_| encrypt(&planted(9), &HEADER, &[0; 32], &EncryptionContext::empty()).unwrap());
        assert_ne!(one[54..70], two[54..70]);
        assert_ne!(one[70..82], two[70..82]);
        assert_ne!(one[82..], two[82..]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn decrypt_inverts_encrypt(
            plaintext in prop::collection::vec(any::<u8>(), 1..=4096),
            key_id: [u8; 16], material_id: [u8; 32], multi_region: bool,
            value in ".{0,700}",
        ) {
            let header = BlobHeader { key_id, multi_region, material_id };
            let context = EncryptionContext::from_pairs([("k", value.as_str())]).unwrap();
            let bytes = encrypt(&planted(9), &header, &plaintext, &context).unwrap();
            prop_assert_eq!(Blob::parse(&bytes).unwrap().header(), header);
            prop_assert_eq!(open(&bytes, &context).unwrap(), plaintext);
            prop_assert_eq!(open(&bytes, &EncryptionContext::empty()), Err(InvalidCiphertext));
        }

        #[test]
        fn parse_is_total(mut bytes in prop::collection::vec(any::<u8>(), 0..300), genuine: bool) {
            if genuine && bytes.len() > 6 {
                bytes[..6].copy_from_slice(&[1, 2, 2, 0, 1, 0]);
            }
            if genuine && let Some(head) = bytes.first_chunk::<HEADER_LEN>() {
                let check = reference_check(head);
                bytes[CHECK_AT..NONCE_AT].copy_from_slice(&check);
            }
            prop_assert_eq!(Blob::parse(&bytes).is_ok(), genuine && bytes.len() > BLOB_OVERHEAD);
            prop_assert_eq!(open(&bytes, &EncryptionContext::empty()), Err(InvalidCiphertext));
        }
    }
}
