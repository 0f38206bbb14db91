//! Where the root key comes from: a file outside the data directory, or a passphrase that opens the slot
//! in the store.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use keystead_crypto::{RootKey, Secret};
use keystead_service::Root;
use zeroize::Zeroizing;

use crate::config::Config;

/// The longest passphrase file, in bytes.
const MAX_FILE: u64 = 4096;

/// Loads the root key of a store that has been given its keys. Creates nothing.
pub(crate) fn load(config: &Config) -> anyhow::Result<Root> {
    if let Some(passphrase) = &config.root_passphrase_file {
        return Ok(Root::Passphrase(Secret::from_slice(&read_passphrase(passphrase)?)));
    }
    let path = &config.root_key_file;
    if !path.try_exists().with_context(|| cannot("find", path))? {
        bail!(
            "the store in `{}` exists, but its root key `{}` does not: put the file back, or name it by \
             --root-key-file; without it the keys of the store cannot be used",
            config.data_dir.display(),
            path.display()
        );
    }
    Ok(Root::Key(RootKey::load_file(path).context("cannot load the root key")?))
}

/// Loads the root key for a store that has no keys yet, creating its file when it is missing.
pub(crate) fn load_or_create(config: &Config) -> anyhow::Result<Root> {
    let path = &config.root_key_file;
    if config.root_passphrase_file.is_some()
        || path.try_exists().with_context(|| cannot("find", path))?
    {
        return load(config);
    }
    if let Some(folder) = path.parent() {
        create_private(folder)?;
    }
    Ok(Root::Key(RootKey::create_file(path).context("cannot create the root key")?))
}

/// Refuses a root key or passphrase inside the data directory, symbolic links followed: a copy of the
/// directory would carry the key to everything in it.
pub(crate) fn refuse_inside(config: &Config) -> anyhow::Result<()> {
    let folder = resolve(&config.data_dir)?;
    let (what, path) = match &config.root_passphrase_file {
        Some(path) => ("passphrase", path),
        None => ("root key", &config.root_key_file),
    };
    if resolve(path)?.starts_with(&folder) {
        bail!(
            "the {what} `{}` lies inside the data directory `{}`: whoever copies the directory would \
             have both",
            path.display(),
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
    fn a_passphrase_is_read_from_a_private_file_outside() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let mut config = Config::for_tests(&data);
        let passphrase = folder.path().join("passphrase");
        fs::write(&passphrase, "correct horse\r\n").unwrap();
        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o640)).unwrap();
        config.root_passphrase_file = Some(passphrase.clone());
        assert!(message(load(&config)).contains("may be read by others (mode 0640)"));

        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
        let Root::Passphrase(secret) = load_or_create(&config).unwrap() else {
            panic!("no passphrase");
        };
        assert_eq!(secret.expose(), b"correct horse");
        assert!(!config.root_key_file.exists());
        refuse_inside(&config).unwrap();

        fs::write(&passphrase, vec![b'x'; 5000]).unwrap();
        assert!(message(load(&config)).contains("too long"));
        config.root_passphrase_file = Some(data.join("passphrase"));
        assert!(message(refuse_inside(&config)).contains("the passphrase"));
    }
}
