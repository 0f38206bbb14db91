//! Where the root key comes from: a file outside the data directory, plain or sealed by a passphrase.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use keystead_crypto::{Argon2Cost, RootKey};
use zeroize::Zeroizing;

use crate::config::Config;

/// What a file with a sealed root key begins with; the slot follows in hexadecimal.
const SEALED: &str = "keystead-root-slot-v1:";

/// More than any file read here holds, in bytes.
const MAX_FILE: u64 = 4096;

/// Loads the root key of an existing store. Creates nothing.
pub(crate) fn load(config: &Config) -> anyhow::Result<RootKey> {
    let path = &config.root_key_file;
    if !path.try_exists().with_context(|| cannot("find", path))? {
        bail!(
            "the store in `{}` exists, but its root key `{}` does not: put the file back, or name it by \
             --root-key-file; without it the keys of the store cannot be used",
            config.data_dir.display(),
            path.display()
        );
    }
    match &config.root_passphrase_file {
        None => RootKey::load_file(path).context("cannot load the root key"),
        Some(passphrase) => unseal(path, &read_passphrase(passphrase)?),
    }
}

/// Loads the root key for a store that is about to be created, creating it when it is missing.
pub(crate) fn load_or_create(config: &Config) -> anyhow::Result<RootKey> {
    let path = &config.root_key_file;
    if path.try_exists().with_context(|| cannot("find", path))? {
        return load(config);
    }
    if let Some(folder) = path.parent() {
        create_private(folder)?;
    }
    match &config.root_passphrase_file {
        None => RootKey::create_file(path).context("cannot create the root key"),
        Some(passphrase) => seal(path, &read_passphrase(passphrase)?),
    }
}

/// Refuses a root key inside the data directory, symbolic links followed: a copy of the directory would
/// carry the key to everything in it.
pub(crate) fn refuse_inside(config: &Config) -> anyhow::Result<()> {
    let folder = resolve(&config.data_dir)?;
    let key = resolve(&config.root_key_file)?;
    if key.starts_with(&folder) {
        bail!(
            "the root key `{}` lies inside the data directory `{}`: whoever copies the directory would \
             have both",
            config.root_key_file.display(),
            config.data_dir.display()
        );
    }
    Ok(())
}

/// Creates a directory, and those above it, for the owner alone.
pub(crate) fn create_private(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| cannot("create the directory", folder))
}

/// The path without symbolic links, as far as it exists.
fn resolve(path: &Path) -> anyhow::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(resolved) => Ok(resolved),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => Ok(resolve(parent)?.join(name)),
                _ => bail!("cannot resolve `{}`: it goes up from nowhere", path.display()),
            }
        }
        Err(error) => Err(error).with_context(|| cannot("resolve", path)),
    }
}

fn seal(path: &Path, passphrase: &[u8]) -> anyhow::Result<RootKey> {
    let failed = || cannot("create the sealed root key", path);
    let root = RootKey::generate().with_context(failed)?;
    let slot =
        root.to_passphrase_slot(passphrase, &Argon2Cost::default()).with_context(failed)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(failed)?;
    file.write_all(format!("{SEALED}{}\n", hex::encode(slot)).as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(failed)?;
    // The name is durable only with its directory.
    if let Some(folder) = path.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(failed)?;
    }
    Ok(root)
}

fn unseal(path: &Path, passphrase: &[u8]) -> anyhow::Result<RootKey> {
    let text = read_private(path)?;
    let slot = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.trim_end().strip_prefix(SEALED))
        .and_then(|slot| hex::decode(slot).ok());
    let Some(slot) = slot else {
        bail!("`{}` holds no root key sealed by a passphrase", path.display());
    };
    RootKey::from_passphrase_slot(passphrase, &slot).with_context(|| cannot("unseal", path))
}

/// The passphrase: the content of its file without one final line break.
fn read_passphrase(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut text = read_private(path)?;
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Reads a small file that nobody but its owner may read.
fn read_private(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path).with_context(|| cannot("read", path))?;
    let metadata = file.metadata().with_context(|| cannot("read", path))?;
    if !metadata.is_file() {
        bail!("`{}` is not a regular file", path.display());
    }
    if metadata.mode() & 0o077 != 0 {
        bail!(
            "`{}` may be read by others (mode {:04o}): use chmod 600",
            path.display(),
            metadata.mode() & 0o7777
        );
    }
    let room = usize::try_from(MAX_FILE).unwrap_or_default();
    let mut text = Zeroizing::new(Vec::with_capacity(room + 1));
    file.take(MAX_FILE + 1).read_to_end(&mut text).with_context(|| cannot("read", path))?;
    if text.len() > room {
        bail!("`{}` is too long", path.display());
    }
    Ok(text)
}

fn cannot(what: &str, path: &Path) -> String {
    format!("cannot {what} `{}`", path.display())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn message<T>(result: anyhow::Result<T>) -> String {
        format!("{:#}", result.err().unwrap())
    }

    #[test]
    fn a_root_key_inside_the_data_directory_is_found_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut config = Config::for_tests(&data);
        refuse_inside(&config).unwrap();
        config.root_key_file = data.join("not/yet/there");
        assert!(message(refuse_inside(&config)).contains("inside the data directory"));

        fs::create_dir(&data).unwrap();
        symlink(&data, folder.path().join("link")).unwrap();
        config.root_key_file = folder.path().join("link/root-key");
        assert!(message(refuse_inside(&config)).contains("inside the data directory"));

        fs::write(data.join("key"), "").unwrap();
        symlink(data.join("key"), folder.path().join("key-link")).unwrap();
        config.root_key_file = folder.path().join("key-link");
        assert!(message(refuse_inside(&config)).contains("inside the data directory"));

        config.root_key_file = data.join("../outside");
        refuse_inside(&config).unwrap();
        // A name that merely begins alike is outside.
        config.root_key_file = folder.path().join("data.root-key");
        refuse_inside(&config).unwrap();
    }

    #[test]
    fn a_missing_key_is_created_for_a_new_store_only() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::for_tests(&folder.path().join("data"));
        assert!(message(load(&config)).contains("exists, but its root key"));
        assert!(!config.root_key_file.exists());
        load_or_create(&config).unwrap();
        assert_eq!(fs::metadata(&config.root_key_file).unwrap().mode() & 0o777, 0o600);
        load(&config).unwrap();
        load_or_create(&config).unwrap();
    }

    #[test]
    fn a_passphrase_opens_what_it_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(&folder.path().join("data"));
        let passphrase = folder.path().join("passphrase");
        fs::write(&passphrase, "correct horse\n").unwrap();
        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o644)).unwrap();
        config.root_passphrase_file = Some(passphrase.clone());
        assert!(message(load_or_create(&config)).contains("may be read by others (mode 0644)"));

        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
        load_or_create(&config).unwrap();
        assert_eq!(fs::metadata(&config.root_key_file).unwrap().mode() & 0o777, 0o600);
        load(&config).unwrap();
        fs::write(&passphrase, "correct horse").unwrap();
        load(&config).unwrap();

        fs::write(&passphrase, "wrong horse\n").unwrap();
        assert!(message(load(&config)).contains("cannot unseal"));
        fs::write(&config.root_key_file, "something else").unwrap();
        assert!(message(load(&config)).contains("holds no root key sealed"));
    }
}
