//! Where the root key comes from: a file of mode 0600, or a passphrase.
//!
//! A provider yields a [`RootKey`] and nothing else; the rest of the hierarchy does not know which
//! one it was. Moving to another provider rewraps the few domain keys and no key material.

mod file;
mod passphrase;

pub use passphrase::Argon2Cost;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::arena::{Area, ArenaKey, KEY_LEN};
use crate::error::CryptoError;

/// The top of the key hierarchy: 256 random bits in the arena, which wrap the domain keys and
/// nothing else.
pub struct RootKey {
    key: ArenaKey,
}

impl RootKey {
    /// A new random root key that is kept nowhere yet.
    ///
    /// # Errors
    /// [`CryptoError::Random`] or [`CryptoError::SecretMemory`].
    pub fn generate() -> Result<Self, CryptoError> {
        Ok(Self { key: ArenaKey::random(Area::Roots)? })
    }

    /// Makes a new random root key and writes it to a new file at `path`: one line,
    /// `keystead-root-key-v1:` and 64 lower-case hex digits, mode 0600. File and directory are
    /// synced before this returns. An existing file is never touched.
    ///
    /// # Errors
    /// [`RootKeyError::Exists`], [`RootKeyError::Io`] (then no file is left behind),
    /// [`RootKeyError::Crypto`].
    pub fn create_file(path: &Path) -> Result<Self, RootKeyError> {
        let root = Self::generate()?;
        file::create(path, root.expose())?;
        Ok(root)
    }

    /// Reads the root key from the file at `path`. A symbolic link is followed; what counts is the
    /// file it leads to.
    ///
    /// # Errors
    /// [`RootKeyError::Missing`], [`RootKeyError::NotAFile`], [`RootKeyError::Permissions`] when
    /// the group or others may do anything with the file, [`RootKeyError::Malformed`],
    /// [`RootKeyError::Io`]. No error shows the content.
    pub fn load_file(path: &Path) -> Result<Self, RootKeyError> {
        Ok(Self { key: ArenaKey::filled(Area::Roots, |slot| file::load(path, slot))? })
    }

    /// Wraps this root key under `passphrase`: the result is a slot of 89 bytes that is not secret,
    /// may lie in the store or beside it, and opens by
    /// [`from_passphrase_slot`](Self::from_passphrase_slot). Several slots of one root key may
    /// stand side by side; changing the passphrase means making a new slot.
    ///
    /// Slot: format `01`; Argon2id memory in KiB, passes and lanes as be32 each; salt (16); IV
    /// (12); the root key encrypted by AES-256-GCM (32); tag (16). The key is Argon2id (RFC 9106,
    /// version 0x13) of the passphrase; all that precedes the ciphertext is authenticated, with
    /// `keystead/v1/passphrase-slot` before it.
    ///
    /// Takes as long as `cost` says: some hundred milliseconds and 64 MiB by default.
    ///
    /// # Errors
    /// [`RootKeyError::EmptyPassphrase`], [`RootKeyError::Crypto`].
    pub fn to_passphrase_slot(
        &self,
        passphrase: &[u8],
        cost: &Argon2Cost,
    ) -> Result<Vec<u8>, RootKeyError> {
        passphrase::seal(self.expose(), passphrase, cost)
    }

    /// Opens a slot made by [`to_passphrase_slot`](Self::to_passphrase_slot).
    ///
    /// # Errors
    /// [`RootKeyError::EmptyPassphrase`], [`RootKeyError::Slot`], [`RootKeyError::Parameters`],
    /// [`RootKeyError::WrongPassphrase`], [`RootKeyError::Crypto`].
    pub fn from_passphrase_slot(passphrase: &[u8], slot: &[u8]) -> Result<Self, RootKeyError> {
        Ok(Self {
            key: ArenaKey::filled(Area::Roots, |out| passphrase::open(passphrase, slot, out))?,
        })
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        self.key.expose()
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

/// Why there is no root key. The messages are for the operator and never show what a file holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootKeyError {
    /// The file to be created is there already.
    #[error("`{}` exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no such file.
    #[error("there is no root key file `{}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The system refused a step.
    #[error("could not {what} `{}`: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The step, as a verb.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The path leads to a directory, a device or the like.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The path as given.
        path: PathBuf,
    },
    /// Others than the owner may read or change the file.
    #[error("`{}` has mode {mode:04o}: a root key file must be closed to group and others (chmod 600)", path.display())]
    Permissions {
        /// The path as given.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// The file does not hold a root key.
    #[error("`{}` does not hold a root key: expected one line, `keystead-root-key-v1:` and 64 hex digits", path.display())]
    Malformed {
        /// The path as given.
        path: PathBuf,
    },
    /// The slot has a wrong length or an unknown format.
    #[error("the passphrase slot of the root key has an unknown format")]
    Slot,
    /// Argon2id parameters outside the bounds; says which.
    #[error("Argon2id parameters out of bounds: {0}")]
    Parameters(&'static str),
    /// The passphrase is wrong, or the slot was changed: that cannot be told apart.
    #[error("wrong passphrase, or the root key's passphrase slot is damaged")]
    WrongPassphrase,
    /// A passphrase without a single byte.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// A fault of this machine.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}
