//! Access keys: issued with their secret sealed for the identity file, opened when they sign.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keystead_crypto::{
    AccessKeySeal, CryptoError, Secret, UnwrapError, random_access_key_id, random_secret_access_key,
};
use keystead_model::AccountId;

/// A new access key. The secret is nowhere else: whoever has this hands it out, or it is lost.
#[derive(Debug)]
pub struct IssuedAccessKey {
    /// `AKIA…`
    pub id: String,
    /// 40 characters.
    pub secret: Secret,
    /// The secret as the identity file holds it: base64 of the format in `docs/formats.md`.
    pub sealed: String,
}

/// Makes an access key for a principal of `account`.
///
/// # Errors
/// [`CryptoError`] when the library or its random source fails.
pub fn issue_access_key(
    seal: &AccessKeySeal,
    account: AccountId,
) -> Result<IssuedAccessKey, CryptoError> {
    let id = random_access_key_id("AKIA")?;
    let secret = random_secret_access_key()?;
    let sealed = STANDARD.encode(seal.seal(account.as_str().as_bytes(), &id, &secret)?);
    Ok(IssuedAccessKey { id, secret, sealed })
}

/// Opens the sealed secret of an access key.
///
/// # Errors
/// [`UnwrapError`] if the text is none of ours, was changed, or belongs to another access key,
/// account or store.
pub fn open_access_key(
    seal: &AccessKeySeal,
    account: AccountId,
    id: &str,
    sealed: &str,
) -> Result<Secret, UnwrapError> {
    let sealed = STANDARD.decode(sealed).map_err(|_| UnwrapError::Format(None))?;
    seal.open(account.as_str().as_bytes(), id, &sealed)
}

/// A sealed secret that no access key has. It is opened where a request names none that has one, so
/// that such a refusal costs what any other does.
pub(crate) struct Decoy {
    id: String,
    sealed: String,
}

impl Decoy {
    /// Of no account: an access key's has 12 digits.
    const ACCOUNT: &[u8] = b"nobody";

    /// # Errors
    /// [`CryptoError`] when the library or its random source fails.
    pub(crate) fn new(seal: &AccessKeySeal) -> Result<Self, CryptoError> {
        let id = random_access_key_id("AKIA")?;
        let sealed = seal.seal(Self::ACCOUNT, &id, &random_secret_access_key()?)?;
        Ok(Self { id, sealed: STANDARD.encode(sealed) })
    }

    /// The work of [`open_access_key`], for nothing.
    pub(crate) fn open(&self, seal: &AccessKeySeal) {
        let sealed = STANDARD.decode(&self.sealed).unwrap_or_default();
        let _ = std::hint::black_box(seal.open(Self::ACCOUNT, &self.id, &sealed));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use keystead_crypto::RootKey;
    use keystead_store::memory::Memory;
    use keystead_store::{Store, Write};

    use super::*;
    use crate::keyring::{
        Keyring, NewRoot, OpenError, Root, open_access_keys, rewrap_root, rotate_domain_key,
    };
    use crate::paths;

    fn account() -> AccountId {
        AccountId::parse("111122223333").unwrap()
    }

    fn root(byte: u8) -> RootKey {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let line = format!("keystead-root-key-v1:{}\n", hex::encode([byte; 32]));
        std::fs::write(&path, line).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).unwrap();
        RootKey::load_file(&path).unwrap()
    }

    #[tokio::test]
    async fn sealed_secrets_open_after_rotation_and_rewrap() {
        let store = Memory::new();
        let keyring = Keyring::open(&store, Root::Key(root(1)), 0).await.unwrap();
        let issued = issue_access_key(keyring.access_keys(), account()).unwrap();
        assert!(!issued.sealed.contains(std::str::from_utf8(issued.secret.expose()).unwrap()));
        let opens = |seal: &AccessKeySeal| {
            let secret = open_access_key(seal, account(), &issued.id, &issued.sealed).unwrap();
            assert!(secret.ct_eq(issued.secret.expose()));
        };
        opens(keyring.access_keys());
        let rotation = rotate_domain_key(&store, Root::Key(root(1))).await.unwrap();
        assert_eq!((rotation.epoch, rotation.destroyed), (2, 1));
        opens(&open_access_keys(&store, Root::Key(root(1))).await.unwrap());
        rewrap_root(&store, Root::Key(root(1)), NewRoot::Key(root(2))).await.unwrap();
        opens(&open_access_keys(&store, Root::Key(root(2))).await.unwrap());
        opens(Keyring::open(&store, Root::Key(root(2)), 0).await.unwrap().access_keys());
        let error = open_access_keys(&store, Root::Key(root(1))).await.unwrap_err();
        assert!(matches!(error, OpenError::WrongRootKey), "{error}");
    }

    #[tokio::test]
    async fn another_access_key_account_or_store_does_not_open_it() {
        let store = Memory::new();
        let keyring = Keyring::open(&store, Root::Key(root(1)), 0).await.unwrap();
        let seal = keyring.access_keys();
        let issued = issue_access_key(seal, account()).unwrap();
        let other = AccountId::parse("444455556666").unwrap();
        assert!(open_access_key(seal, other, &issued.id, &issued.sealed).is_err());
        assert!(open_access_key(seal, account(), "AKIAOTHER", &issued.sealed).is_err());
        assert!(open_access_key(seal, account(), &issued.id, "no base64!").is_err());
        let elsewhere = Keyring::open(&Memory::new(), Root::Key(root(1)), 0).await.unwrap();
        assert!(
            open_access_key(elsewhere.access_keys(), account(), &issued.id, &issued.sealed)
                .is_err()
        );
    }

    /// A store of before: it has no such key until it is opened.
    #[tokio::test]
    async fn an_older_store_is_given_the_key_when_it_is_opened() {
        let store = Memory::new();
        Keyring::open(&store, Root::Key(root(1)), 0).await.unwrap();
        let delete = Write::Delete(paths::ACCESS_KEYS.to_vec());
        store.commit(Vec::new(), vec![delete]).await.unwrap();
        let error = open_access_keys(&store, Root::Key(root(1))).await.unwrap_err();
        assert!(matches!(error, OpenError::NoAccessKeys), "{error}");
        let keyring = Keyring::open(&store, Root::Key(root(1)), 0).await.unwrap();
        let issued = issue_access_key(keyring.access_keys(), account()).unwrap();
        let again = open_access_keys(&store, Root::Key(root(1))).await.unwrap();
        assert!(open_access_key(&again, account(), &issued.id, &issued.sealed).is_ok());
    }
}
