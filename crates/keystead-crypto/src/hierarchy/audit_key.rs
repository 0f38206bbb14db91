//! The key that signs the audit log, wrapped.

use super::{DomainKeys, Purpose, read_head};
use crate::arena::Area;
use crate::audit_key::AuditSigningKey;
use crate::error::{CryptoError, UnwrapError};

impl DomainKeys {
    /// Wraps the signing key of the audit log under the current epoch: 81 bytes.
    ///
    /// # Errors
    /// [`CryptoError::Random`], [`CryptoError::Library`].
    pub fn wrap_audit_key(&self, key: &AuditSigningKey) -> Result<Vec<u8>, CryptoError> {
        self.wrap(Purpose::AuditKey, &[&self.store_id], key.expose())
    }

    /// Unwraps the signing key of the audit log.
    ///
    /// # Errors
    /// [`UnwrapError`].
    pub fn unwrap_audit_key(&self, record: &[u8]) -> Result<AuditSigningKey, UnwrapError> {
        self.unwrap_key(Purpose::AuditKey, Area::Roots, &[&self.store_id], record)
            .map(AuditSigningKey::from_seed)
    }

    /// Brings the wrapped signing key to the current epoch; `None` when it is there already.
    ///
    /// # Errors
    /// Those of unwrapping and wrapping.
    pub fn rewrap_audit_key(&self, record: &[u8]) -> Result<Option<Vec<u8>>, UnwrapError> {
        if read_head(record)? == self.current {
            return Ok(None);
        }
        let key = self.unwrap_audit_key(record)?;
        Ok(Some(self.wrap_audit_key(&key)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::access_key::AccessKeySeal;

    #[test]
    fn the_signing_key_survives_a_rotation_of_the_domain_key() {
        let mut keys = DomainKeys::generate([7; 16]).unwrap();
        let key = AuditSigningKey::generate().unwrap();
        let wrapped = keys.wrap_audit_key(&key).unwrap();
        assert_eq!(wrapped.len(), 81);
        assert_eq!(keys.rewrap_audit_key(&wrapped), Ok(None));
        keys.add_epoch().unwrap();
        let again = keys.rewrap_audit_key(&wrapped).unwrap().unwrap();
        keys.drop_epoch(1).unwrap();
        assert!(keys.unwrap_audit_key(&wrapped).is_err());
        let found = keys.unwrap_audit_key(&again).unwrap();
        assert_eq!(found.public_key().unwrap(), key.public_key().unwrap());
    }

    #[test]
    fn it_is_neither_another_key_nor_of_another_store() {
        let keys = DomainKeys::generate([7; 16]).unwrap();
        let wrapped = keys.wrap_audit_key(&AuditSigningKey::generate().unwrap()).unwrap();
        let seal = keys.wrap_access_key_seal(&AccessKeySeal::generate().unwrap()).unwrap();
        assert!(keys.unwrap_access_key_seal(&wrapped).is_err());
        assert!(keys.unwrap_audit_key(&seal).is_err());
        let mut other = keys.clone();
        other.store_id = [8; 16];
        assert!(other.unwrap_audit_key(&wrapped).is_err());
    }
}
