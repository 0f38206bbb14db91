use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::{Zeroize, Zeroizing};

use super::RootKeyError;
use crate::arena::KEY_LEN;
use crate::error::CryptoError;
use crate::primitive::{self, IV_LEN, TAG_LEN};
use crate::random;

/// What guessing one passphrase costs (RFC 9106): memory, passes over it, lanes.
///
/// The default is the RFC's second recommended option: 64 MiB, 3 passes, 4 lanes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    m_kib: u32,
    t: u32,
    p: u32,
}

impl Argon2Cost {
    /// `m_kib`: memory in KiB, from 8 for each lane to 2 GiB; `t`: passes, 1 to 64; `p`: lanes, 1
    /// to 64.
    ///
    /// The upper bounds hold for slots that are read, too: a forged one shall not take all memory
    /// or all day.
    ///
    /// # Errors
    /// [`RootKeyError::Parameters`].
    pub fn new(m_kib: u32, t: u32, p: u32) -> Result<Self, RootKeyError> {
        if !(1..=64).contains(&p) {
            return Err(RootKeyError::Parameters("lanes must be 1 to 64"));
        }
        if !(1..=64).contains(&t) {
            return Err(RootKeyError::Parameters("passes must be 1 to 64"));
        }
        if !(8 * p..=2 << 20).contains(&m_kib) {
            return Err(RootKeyError::Parameters("memory must be 8 KiB for each lane to 2 GiB"));
        }
        Ok(Self { m_kib, t, p })
    }
}

impl Default for Argon2Cost {
    fn default() -> Self {
        Self { m_kib: 64 << 10, t: 3, p: 4 }
    }
}

const FORMAT: u8 = 1;
const LABEL: &[u8] = b"keystead/v1/passphrase-slot";
const SALT_AT: usize = 1 + 3 * 4;
const SALT_LEN: usize = 16;
const IV_AT: usize = SALT_AT + SALT_LEN;
const HEAD_LEN: usize = IV_AT + IV_LEN;
const SLOT_LEN: usize = HEAD_LEN + KEY_LEN + TAG_LEN;

pub(super) fn seal(
    root: &[u8; KEY_LEN],
    passphrase: &[u8],
    cost: &Argon2Cost,
) -> Result<Vec<u8>, RootKeyError> {
    let mut head = [FORMAT; HEAD_LEN];
    for (place, value) in head[1..SALT_AT].chunks_exact_mut(4).zip([cost.m_kib, cost.t, cost.p]) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    random::fill_random(&mut head[SALT_AT..])?;
    let key = derive(passphrase, cost, &head)?;
    let mut slot = vec![0; SLOT_LEN];
    slot[..HEAD_LEN].copy_from_slice(&head);
    let (ciphertext, tag) = slot[HEAD_LEN..].split_at_mut(KEY_LEN);
    primitive::seal(&key, &iv(&head), &[LABEL, &head].concat(), root, ciphertext, tag)?;
    Ok(slot)
}

pub(super) fn open(
    passphrase: &[u8],
    slot: &[u8],
    root: &mut [u8; KEY_LEN],
) -> Result<(), RootKeyError> {
    let slot: &[u8; SLOT_LEN] = slot.try_into().map_err(|_| RootKeyError::Slot)?;
    let (head, rest) = slot.split_first_chunk::<HEAD_LEN>().ok_or(RootKeyError::Slot)?;
    if head[0] != FORMAT {
        return Err(RootKeyError::Slot);
    }
    let number =
        |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let cost = Argon2Cost::new(number(1), number(5), number(9))?;
    let key = derive(passphrase, &cost, head)?;
    let (ciphertext, tag) = rest.split_at(KEY_LEN);
    primitive::open(&key, &iv(head), &[LABEL, head].concat(), ciphertext, tag, root)
        .map_err(|_| RootKeyError::WrongPassphrase)
}

fn iv(head: &[u8; HEAD_LEN]) -> [u8; IV_LEN] {
    let mut iv = [0; IV_LEN];
    iv.copy_from_slice(&head[IV_AT..]);
    iv
}

fn derive(
    passphrase: &[u8],
    cost: &Argon2Cost,
    head: &[u8; HEAD_LEN],
) -> Result<Zeroizing<[u8; KEY_LEN]>, RootKeyError> {
    if passphrase.is_empty() {
        return Err(RootKeyError::EmptyPassphrase);
    }
    let failed = |_| CryptoError::Library("Argon2id");
    let params = Params::new(cost.m_kib, cost.t, cost.p, Some(KEY_LEN)).map_err(failed)?;
    let blocks = params.block_count();
    // Ours, so that it can be wiped, and so that a lack of memory is an error rather than an abort.
    let mut memory: Vec<Block> = Vec::new();
    memory.try_reserve_exact(blocks).map_err(|_| CryptoError::Library("memory for Argon2id"))?;
    memory.resize(blocks, Block::new());
    let mut key = Zeroizing::new([0; KEY_LEN]);
    let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, &head[SALT_AT..IV_AT], &mut *key, &mut memory);
    memory.zeroize();
    hashed.map_err(failed)?;
    Ok(key)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::provider::RootKey;
    use argon2::{AssociatedData, ParamsBuilder};

    fn cheap() -> Argon2Cost {
        Argon2Cost::new(32, 1, 2).unwrap()
    }

    #[test]
    fn slots_open_with_their_passphrase_alone() {
        let root = RootKey::generate().unwrap();
        let slot = root.to_passphrase_slot(b"correct horse", &cheap()).unwrap();
        assert_eq!(slot.len(), 89);
        assert_eq!(
            RootKey::from_passphrase_slot(b"correct horse", &slot).unwrap().expose(),
            root.expose()
        );
        for wrong in [&b"correct hors"[..], b"Correct horse", b"correct horse "] {
            let error = RootKey::from_passphrase_slot(wrong, &slot).unwrap_err();
            assert!(matches!(error, RootKeyError::WrongPassphrase), "{error}");
        }
        // A second slot stands beside the first and shares nothing with it.
        let other = root.to_passphrase_slot(b"battery staple", &cheap()).unwrap();
        assert_eq!(
            RootKey::from_passphrase_slot(b"battery staple", &other).unwrap().expose(),
            root.expose()
        );
        assert_ne!(slot[SALT_AT..], other[SALT_AT..]);
    }

    /// A slot opened by hand, with nothing of this module.
    #[test]
    fn the_layout_is_as_documented() {
        use aws_lc_rs::aead;
        let root = RootKey::generate().unwrap();
        let slot = root.to_passphrase_slot(b"p", &cheap()).unwrap();
        assert_eq!(slot[..13], [1, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0, 2]);
        let params = Params::new(32, 1, 2, Some(32)).unwrap();
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(b"p", &slot[13..29], &mut key)
            .unwrap();
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, &key).unwrap();
        let iv = aead::Nonce::try_assume_unique_for_key(&slot[29..41]).unwrap();
        let aad = [&b"keystead/v1/passphrase-slot"[..], &slot[..41]].concat();
        let mut rest = slot[41..].to_vec();
        let opened = aead::LessSafeKey::new(key).open_in_place(iv, aead::Aad::from(aad), &mut rest);
        assert_eq!(opened.unwrap(), root.expose());
    }

    #[test]
    fn the_default_cost_works() {
        let root = RootKey::generate().unwrap();
        let slot = root.to_passphrase_slot(b"correct horse", &Argon2Cost::default()).unwrap();
        assert_eq!(slot[..13], [1, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4]);
        assert_eq!(
            RootKey::from_passphrase_slot(b"correct horse", &slot).unwrap().expose(),
            root.expose()
        );
    }

    #[test]
    fn a_changed_slot_never_opens() {
        let root = RootKey::generate().unwrap();
        let slot = root.to_passphrase_slot(b"p", &cheap()).unwrap();
        for index in 0..slot.len() {
            // The lowest bit of each byte, so that the changed cost stays affordable where it is in
            // bounds at all.
            let mut changed = slot.clone();
            changed[index] ^= 1;
            assert!(RootKey::from_passphrase_slot(b"p", &changed).is_err(), "byte {index}");
        }
        for wrong in [&slot[..88], &[&slot[..], &[0]].concat()[..], &[]] {
            assert!(matches!(RootKey::from_passphrase_slot(b"p", wrong), Err(RootKeyError::Slot)));
        }
    }

    #[test]
    fn costs_are_bounded() {
        for (m, t, p) in
            [(7, 1, 1), (31, 1, 4), ((2 << 20) + 1, 1, 1), (64, 0, 1), (64, 65, 1), (64, 1, 0)]
        {
            assert!(
                matches!(Argon2Cost::new(m, t, p), Err(RootKeyError::Parameters(_))),
                "{m} {t} {p}"
            );
        }
        assert!(Argon2Cost::new(u32::MAX, u32::MAX, u32::MAX).is_err());
        assert!(Argon2Cost::new(2 << 20, 1, 4).is_ok());
        let mut forged = RootKey::generate().unwrap().to_passphrase_slot(b"p", &cheap()).unwrap();
        forged[1..5].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(
            RootKey::from_passphrase_slot(b"p", &forged),
            Err(RootKeyError::Parameters(_))
        ));
    }

    #[test]
    fn an_empty_passphrase_is_refused() {
        let refused = RootKey::generate().unwrap().to_passphrase_slot(b"", &cheap());
        assert!(matches!(refused, Err(RootKeyError::EmptyPassphrase)));
    }

    /// RFC 9106, 5.3: Argon2id with secret and associated data.
    #[test]
    fn argon2id_gives_the_tag_of_the_rfc() {
        let params = ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let argon2 =
            Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut tag = [0; 32];
        argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
        assert_eq!(
            hex::encode(tag),
            "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
        );
    }

    /// No secret, no associated data: the way a slot uses it. Judge: the reference program `argon2`
    /// (`echo -n password | argon2 somesalt -id -v 13 -t 2 -k 65536 -p 1 -l 32`), vector of its
    /// test suite.
    #[test]
    fn a_slot_key_is_that_of_the_reference_implementation() {
        let params = Params::new(65536, 2, 1, Some(32)).unwrap();
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(b"password", b"somesalt", &mut key)
            .unwrap();
        assert_eq!(
            hex::encode(key),
            "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
        );
    }
}
