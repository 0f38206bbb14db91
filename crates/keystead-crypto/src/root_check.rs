use aws_lc_rs::{constant_time, digest};

use crate::error::{CryptoError, RootCheckError};
use crate::framing;
use crate::primitive::{self, IV_LEN, TAG_LEN};
use crate::provider::RootKey;
use crate::random;

/// Makes the check value by which a later start recognises the root key of this store: 53 bytes.
///
/// Layout: format `01`; IV (12); a constant encrypted under the root key by AES-256-GCM (16); tag
/// (16); the first 8 bytes of SHA-256 over label, store id and all that precedes. Authenticated are
/// format and IV, then `be32(2)` and, each with its be32 length, the label `keystead/v1/root-check`
/// and the store id; the label of the digest is the same. The digest tells a damaged value from a
/// wrong root key; the tag alone is what is trusted.
///
/// # Errors
/// [`CryptoError::Random`], [`CryptoError::Library`].
pub fn root_check_value(root: &RootKey, store_id: &[u8; 16]) -> Result<Vec<u8>, CryptoError> {
    let mut value = vec![0; LEN];
    value[0] = FORMAT;
    random::fill_random(&mut value[1..HEAD_LEN])?;
    let (head, rest) = value.split_at_mut(HEAD_LEN);
    let (ciphertext, rest) = rest.split_at_mut(CONSTANT.len());
    let aad = framing::authenticated(head, &[LABEL, store_id]);
    primitive::seal(root.expose(), &iv(head), &aad, CONSTANT, ciphertext, &mut rest[..TAG_LEN])?;
    let digest = checksum(store_id, &value[..DIGEST_AT]);
    value[DIGEST_AT..].copy_from_slice(&digest);
    Ok(value)
}

/// Whether `root` is the root key for which `value` was made.
///
/// # Errors
/// [`RootCheckError`], which says whether the key or the value is at fault.
pub fn verify_root_check_value(
    root: &RootKey,
    store_id: &[u8; 16],
    value: &[u8],
) -> Result<(), RootCheckError> {
    match value.first() {
        Some(&FORMAT) if value.len() == LEN => {}
        Some(&format) if format != FORMAT => return Err(RootCheckError::Format(format)),
        _ => return Err(RootCheckError::Damaged),
    }
    let (sealed, digest) = value.split_at(DIGEST_AT);
    if digest != checksum(store_id, sealed) {
        return Err(RootCheckError::Damaged);
    }
    let (head, rest) = sealed.split_at(HEAD_LEN);
    let (ciphertext, tag) = rest.split_at(CONSTANT.len());
    let aad = framing::authenticated(head, &[LABEL, store_id]);
    let mut constant = [0; CONSTANT.len()];
    primitive::open(root.expose(), &iv(head), &aad, ciphertext, tag, &mut constant)
        .map_err(|_| RootCheckError::WrongRootKey)?;
    constant_time::verify_slices_are_equal(&constant, CONSTANT).map_err(|_| RootCheckError::Damaged)
}

const FORMAT: u8 = 1;
const LABEL: &[u8] = b"keystead/v1/root-check";
const CONSTANT: &[u8; 16] = b"this is the root";
const HEAD_LEN: usize = 1 + IV_LEN;
const DIGEST_AT: usize = HEAD_LEN + CONSTANT.len() + TAG_LEN;
const DIGEST_LEN: usize = 8;
const LEN: usize = DIGEST_AT + DIGEST_LEN;

fn iv(head: &[u8]) -> [u8; IV_LEN] {
    let mut iv = [0; IV_LEN];
    iv.copy_from_slice(&head[1..]);
    iv
}

fn checksum(store_id: &[u8; 16], sealed: &[u8]) -> [u8; DIGEST_LEN] {
    let input = [LABEL, store_id, sealed].concat();
    let mut checksum = [0; DIGEST_LEN];
    checksum.copy_from_slice(&digest::digest(&digest::SHA256, &input).as_ref()[..DIGEST_LEN]);
    checksum
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn wrong_keys_and_damaged_values_are_told_apart() {
        let (root, other) = (RootKey::generate().unwrap(), RootKey::generate().unwrap());
        let value = root_check_value(&root, &[1; 16]).unwrap();
        assert_eq!(value.len(), 53);
        assert_eq!(verify_root_check_value(&root, &[1; 16], &value), Ok(()));
        assert_eq!(
            verify_root_check_value(&other, &[1; 16], &value),
            Err(RootCheckError::WrongRootKey)
        );
        assert_eq!(verify_root_check_value(&root, &[2; 16], &value), Err(RootCheckError::Damaged));
        for bit in 8..value.len() * 8 {
            let mut changed = value.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            for key in [&root, &other] {
                assert_eq!(
                    verify_root_check_value(key, &[1; 16], &changed),
                    Err(RootCheckError::Damaged),
                    "{bit}"
                );
            }
        }
        for len in 0..value.len() {
            assert_eq!(
                verify_root_check_value(&root, &[1; 16], &value[..len]),
                Err(RootCheckError::Damaged)
            );
        }
        assert_eq!(
            verify_root_check_value(&root, &[1; 16], &[&[2], &value[1..]].concat()),
            Err(RootCheckError::Format(2))
        );
    }

    #[test]
    fn a_value_with_a_repaired_digest_does_not_pass() {
        let root = RootKey::generate().unwrap();
        let mut value = root_check_value(&root, &[1; 16]).unwrap();
        value[20] ^= 1;
        let digest = checksum(&[1; 16], &value[..DIGEST_AT]);
        value[DIGEST_AT..].copy_from_slice(&digest);
        assert_eq!(
            verify_root_check_value(&root, &[1; 16], &value),
            Err(RootCheckError::WrongRootKey)
        );
    }
}
