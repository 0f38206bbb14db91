//! Wrapped secrets of any length, and the tokens a server hands out and takes back.

use super::{DomainKeys, MaterialContext, Purpose, RECORD_OVERHEAD, UnwrapError, read_head};
use crate::error::CryptoError;
use crate::secret::Secret;

/// Longest secret that is wrapped, in bytes: PKCS #8 of RSA_4096 needs 2,376.
pub const MAX_SECRET: usize = 4096;

/// A token that is not ours, was changed, was made for something else, or names an epoch that is
/// gone.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid token")]
pub struct InvalidToken;

impl DomainKeys {
    /// Wraps key material that is not the 32 bytes of a symmetric key (canonical PKCS #8, an HMAC
    /// key) under the current epoch: 49 bytes longer than `secret`, in the layout of
    /// [`wrap_material`](Self::wrap_material). The key spec in `context` keeps the kinds apart.
    ///
    /// # Errors
    /// [`CryptoError::SecretLength`] unless it has 1 to [`MAX_SECRET`] bytes;
    /// [`CryptoError::Random`], [`CryptoError::Library`].
    pub fn wrap_secret(
        &self,
        context: &MaterialContext<'_>,
        secret: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        if secret.is_empty() || secret.len() > MAX_SECRET {
            return Err(CryptoError::SecretLength(secret.len()));
        }
        self.wrap(Purpose::Material, &context.fields(), secret)
    }

    /// Unwraps what [`wrap_secret`](Self::wrap_secret) has wrapped. The result is not in the
    /// [arena](crate::arena); it is wiped on drop.
    ///
    /// # Errors
    /// [`UnwrapError`]; a record moved to another account, key, spec or material id does not
    /// authenticate.
    pub fn unwrap_secret(
        &self,
        context: &MaterialContext<'_>,
        record: &[u8],
    ) -> Result<Secret, UnwrapError> {
        let len = record.len().checked_sub(RECORD_OVERHEAD).ok_or(UnwrapError::Format(None))?;
        if len == 0 || len > MAX_SECRET {
            return Err(UnwrapError::Format(None));
        }
        Secret::filled(len, |out| {
            self.unwrap_into(Purpose::Material, &context.fields(), record, out)
        })
    }

    /// Brings a wrapped secret to the current epoch; `None` when it is there already.
    ///
    /// # Errors
    /// Those of unwrapping and wrapping.
    pub fn rewrap_secret(
        &self,
        context: &MaterialContext<'_>,
        record: &[u8],
    ) -> Result<Option<Vec<u8>>, UnwrapError> {
        if read_head(record)? == self.current {
            return Ok(None);
        }
        let secret = self.unwrap_secret(context, record)?;
        Ok(Some(self.wrap_secret(context, secret.expose())?))
    }

    /// Seals an import token, 49 bytes longer than `content`, which holds the private wrapping key
    /// and whatever else the token says. It opens only with the same `aad`: put account and key id
    /// there. [`wrapped_epoch`](super::wrapped_epoch) tells the epoch it needs.
    ///
    /// # Errors
    /// [`CryptoError::Random`], [`CryptoError::Library`].
    pub fn seal_import_token(&self, aad: &[u8], content: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.wrap(Purpose::ImportToken, &[aad], content)
    }

    /// Opens an import token, for any bytes whatever.
    ///
    /// # Errors
    /// [`InvalidToken`].
    pub fn open_import_token(&self, aad: &[u8], token: &[u8]) -> Result<Secret, InvalidToken> {
        self.open_token(Purpose::ImportToken, aad, token)
    }

    /// Seals a grant token in the same way.
    ///
    /// # Errors
    /// [`CryptoError::Random`], [`CryptoError::Library`].
    pub fn seal_grant_token(&self, aad: &[u8], content: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.wrap(Purpose::GrantToken, &[aad], content)
    }

    /// Opens a grant token, for any bytes whatever. Its content is no secret.
    ///
    /// # Errors
    /// [`InvalidToken`].
    pub fn open_grant_token(&self, aad: &[u8], token: &[u8]) -> Result<Vec<u8>, InvalidToken> {
        self.open_token(Purpose::GrantToken, aad, token).map(|content| content.expose().to_vec())
    }

    fn open_token(
        &self,
        purpose: Purpose,
        aad: &[u8],
        token: &[u8],
    ) -> Result<Secret, InvalidToken> {
        let len = token.len().checked_sub(RECORD_OVERHEAD).ok_or(InvalidToken)?;
        Secret::filled(len, |out| {
            self.unwrap_into(purpose, &[aad], token, out).map_err(|_| InvalidToken)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::hierarchy::wrapped_epoch;
    use crate::material::{SymmetricMaterial, secret_material_id};

    const ID: [u8; 32] = [5; 32];
    const CONTEXT: MaterialContext<'_> = MaterialContext {
        account: b"111122223333",
        key_id: "1234abcd-12ab-34cd-56ef-1234567890ab",
        spec: "RSA_4096",
        material_id: &ID,
    };

    #[test]
    fn secrets_of_every_length_come_back() {
        let keys = DomainKeys::generate([7; 16]).unwrap();
        for len in [1, 28, 32, 54, 138, 2376, MAX_SECRET] {
            let secret = vec![0xa5; len];
            let record = keys.wrap_secret(&CONTEXT, &secret).unwrap();
            assert_eq!(record.len(), len + 49);
            assert!(keys.unwrap_secret(&CONTEXT, &record).unwrap().ct_eq(&secret));
        }
        for len in [0, MAX_SECRET + 1] {
            assert_eq!(
                keys.wrap_secret(&CONTEXT, &vec![1; len]),
                Err(CryptoError::SecretLength(len))
            );
        }
        for len in [0, 1, 48, 49, MAX_SECRET + 50] {
            let garbage = [vec![1, 0, 0, 0, 1], vec![0; len]].concat();
            assert!(keys.unwrap_secret(&CONTEXT, &garbage[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn a_secret_opens_only_where_it_belongs() {
        let keys = DomainKeys::generate([7; 16]).unwrap();
        let record = keys.wrap_secret(&CONTEXT, &[1; 138]).unwrap();
        let elsewhere = [
            MaterialContext { account: b"444455556666", ..CONTEXT },
            MaterialContext { key_id: "other", ..CONTEXT },
            MaterialContext { spec: "RSA_2048", ..CONTEXT },
            MaterialContext { material_id: &[6; 32], ..CONTEXT },
        ];
        for context in elsewhere {
            let error = keys.unwrap_secret(&context, &record).map(|_| ());
            assert_eq!(error, Err(UnwrapError::Authentication), "{context:?}");
        }
        for bit in 0..record.len() * 8 {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(keys.unwrap_secret(&CONTEXT, &changed).is_err(), "bit {bit}");
        }
    }

    /// The layout is the one that stores have held since the first release.
    #[test]
    fn records_of_symmetric_material_are_the_same_records() {
        let keys = DomainKeys::generate([7; 16]).unwrap();
        let material = SymmetricMaterial::from_slice(&[3; 32]).unwrap();
        let record = keys.wrap_material(&CONTEXT, &material).unwrap();
        assert!(keys.unwrap_secret(&CONTEXT, &record).unwrap().ct_eq(&[3; 32]));
        let id = secret_material_id(&[4; 32], CONTEXT.key_id, CONTEXT.spec).unwrap();
        let own = MaterialContext { material_id: &id, ..CONTEXT };
        let record = keys.wrap_secret(&own, &[4; 32]).unwrap();
        assert_eq!(record.len(), 81);
        assert_eq!(keys.unwrap_material(&own, &record).unwrap().expose(), &[4; 32]);
        let longer = keys.wrap_secret(&CONTEXT, &[4; 33]).unwrap();
        let error = keys.unwrap_material(&CONTEXT, &longer).map(|_| ());
        assert_eq!(error, Err(UnwrapError::Format(None)));
    }

    #[test]
    fn a_new_epoch_rewraps() {
        let mut keys = DomainKeys::generate([7; 16]).unwrap();
        let record = keys.wrap_secret(&CONTEXT, &[1; 54]).unwrap();
        assert_eq!(keys.rewrap_secret(&CONTEXT, &record), Ok(None));
        keys.add_epoch().unwrap();
        let again = keys.rewrap_secret(&CONTEXT, &record).unwrap().unwrap();
        assert_eq!((wrapped_epoch(&record), wrapped_epoch(&again)), (Some(1), Some(2)));
        keys.drop_epoch(1).unwrap();
        let gone = keys.unwrap_secret(&CONTEXT, &record).map(|_| ());
        assert_eq!(gone, Err(UnwrapError::UnknownEpoch(1)));
        assert!(keys.unwrap_secret(&CONTEXT, &again).unwrap().ct_eq(&[1; 54]));
    }

    #[test]
    fn tokens_open_only_for_what_they_were_made() {
        let mut keys = DomainKeys::generate([7; 16]).unwrap();
        let import = keys.seal_import_token(b"key", b"content").unwrap();
        let grant = keys.seal_grant_token(b"key", b"content").unwrap();
        keys.add_epoch().unwrap();
        assert_eq!([&import, &grant].map(|token| wrapped_epoch(token)), [Some(1), Some(1)]);
        assert!(keys.open_import_token(b"key", &import).unwrap().ct_eq(b"content"));
        assert_eq!(keys.open_grant_token(b"key", &grant).unwrap(), b"content");

        assert!(keys.open_import_token(b"other", &import).is_err());
        assert!(keys.open_import_token(b"key", &grant).is_err());
        assert!(keys.open_grant_token(b"key", &import).is_err());
        assert!(keys.open_marker(b"key", &import).is_err());
        assert!(keys.open_marker(b"key", &grant).is_err());
        let marker = keys.seal_marker(b"key", b"content").unwrap();
        assert!(keys.open_grant_token(b"key", &marker).is_err());
        for bit in 0..import.len() * 8 {
            let mut changed = import.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(keys.open_import_token(b"key", &changed).is_err(), "bit {bit}");
        }
        for len in 0..import.len() {
            assert!(keys.open_import_token(b"key", &import[..len]).is_err());
        }
        keys.drop_epoch(1).unwrap();
        assert!(keys.open_import_token(b"key", &import).is_err());
    }
}
