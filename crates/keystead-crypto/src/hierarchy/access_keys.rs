//! The key that seals access keys, wrapped.

use super::{DomainKeys, Purpose, read_head};
use crate::access_key::AccessKeySeal;
use crate::arena::Area;
use crate::error::{CryptoError, UnwrapError};

impl DomainKeys {
    /// Wraps the sealing key of access keys under the current epoch: 81 bytes.
    ///
    /// # Errors
    /// [`CryptoError::Random`], [`CryptoError::Library`].
    pub fn wrap_access_key_seal(&self, seal: &AccessKeySeal) -> Result<Vec<u8>, CryptoError> {
        self.wrap(Purpose::AccessKeys, &[&self.store_id], seal.expose())
    }

    /// Unwraps the sealing key of access keys.
    ///
    /// # Errors
    /// [`UnwrapError`].
    pub fn unwrap_access_key_seal(&self, record: &[u8]) -> Result<AccessKeySeal, UnwrapError> {
        self.unwrap_key(Purpose::AccessKeys, Area::Roots, &[&self.store_id], record)
            .map(AccessKeySeal::from_key)
    }

    /// Brings the wrapped sealing key to the current epoch; `None` when it is there already.
    ///
    /// # Errors
    /// Those of unwrapping and wrapping.
    pub fn rewrap_access_key_seal(&self, record: &[u8]) -> Result<Option<Vec<u8>>, UnwrapError> {
        if read_head(record)? == self.current {
            return Ok(None);
        }
        let seal = self.unwrap_access_key_seal(record)?;
        Ok(Some(self.wrap_access_key_seal(&seal)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::record_key::RecordKey;
    use crate::secret::Secret;

    #[test]
    fn the_sealing_key_survives_a_rotation_of_the_domain_key() {
        let mut keys = DomainKeys::generate([7; 16]).unwrap();
        let seal = AccessKeySeal::generate().unwrap();
        let secret = Secret::from_slice(b"secret");
        let sealed = seal.seal(b"111122223333", "AKIA", &secret).unwrap();
        let wrapped = keys.wrap_access_key_seal(&seal).unwrap();
        assert_eq!(wrapped.len(), 81);
        assert_eq!(keys.rewrap_access_key_seal(&wrapped), Ok(None));
        keys.add_epoch().unwrap();
        let again = keys.rewrap_access_key_seal(&wrapped).unwrap().unwrap();
        keys.drop_epoch(1).unwrap();
        assert!(keys.unwrap_access_key_seal(&wrapped).is_err());
        let seal = keys.unwrap_access_key_seal(&again).unwrap();
        assert!(seal.open(b"111122223333", "AKIA", &sealed).unwrap().ct_eq(b"secret"));
    }

    #[test]
    fn it_is_neither_a_record_key_nor_of_another_store() {
        let keys = DomainKeys::generate([7; 16]).unwrap();
        let seal = keys.wrap_access_key_seal(&AccessKeySeal::generate().unwrap()).unwrap();
        let record_key = keys.wrap_record_key(&RecordKey::generate().unwrap()).unwrap();
        assert!(keys.unwrap_record_key(&seal).is_err());
        assert!(keys.unwrap_access_key_seal(&record_key).is_err());
        let mut other = keys.clone();
        other.store_id = [8; 16];
        assert!(other.unwrap_access_key_seal(&seal).is_err());
    }
}
