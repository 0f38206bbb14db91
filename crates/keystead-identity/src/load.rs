//! Files: read within bounds, and never such as everybody may write.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::directory::Directory;
use crate::fault::Fault;

/// The longest identity file, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// The longest policy file, in bytes: a policy of the largest kind with much white space.
const MAX_POLICY_BYTES: u64 = 64 * 1024;
/// The longest JWKS file, in bytes.
const MAX_KEY_SET_BYTES: u64 = 1024 * 1024;
/// All policy files together, in bytes.
const MAX_POLICIES_BYTES: usize = 64 * 1024 * 1024;

/// What an identity file refers to.
pub trait Files {
    /// The content of a policy file.
    ///
    /// # Errors
    /// Why it cannot be used, as a message without the path.
    fn policy(&mut self, path: &Path) -> Result<String, String>;

    /// Whether a file that is read later, such as a JWKS, can be used.
    ///
    /// # Errors
    /// Why not, as a message without the path.
    fn usable(&mut self, path: &Path) -> Result<(), String>;
}

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read, or must not be trusted.
    #[error("cannot use the identity file `{}`: {message}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The file is faulty.
    #[error("{}", list(path, faults))]
    Faulty {
        /// The file.
        path: PathBuf,
        /// All faults, in the order of their places; at least one.
        faults: Vec<Fault>,
    },
}

impl LoadError {
    /// The faults, none if the file could not be read.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Faulty { faults, .. } => faults,
        }
    }
}

/// One line for each fault, in the form of a compiler.
fn list(path: &Path, faults: &[Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(|fault| format!("{}:{fault}", path.display())).collect();
    lines.join("\n")
}

impl Directory {
    /// Reads a file. Blocks.
    ///
    /// # Errors
    /// [`LoadError::Unreadable`] if it is missing, no regular file, longer than
    /// [`MAX_FILE_BYTES`], not UTF-8, or may be written by everybody; [`LoadError::Faulty`] with
    /// every fault that was found.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let text = read_identities(path)?;
        Self::parse(path, &text)
            .map_err(|faults| LoadError::Faulty { path: path.to_owned(), faults })
    }
}

pub(crate) fn read_identities(path: &Path) -> Result<String, LoadError> {
    read(path, MAX_FILE_BYTES)
        .map_err(|message| LoadError::Unreadable { path: path.to_owned(), message })
}

/// The files of this machine. Each is read once.
#[derive(Debug, Default)]
pub struct DiskFiles {
    read: HashMap<PathBuf, Result<String, String>>,
    bytes: usize,
}

impl DiskFiles {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The policy files that were asked for, in the order of their paths, with their content.
    pub(crate) fn into_read(self) -> Vec<(PathBuf, Result<String, String>)> {
        let mut read: Vec<_> = self.read.into_iter().collect();
        read.sort();
        read
    }
}

impl Files for DiskFiles {
    fn policy(&mut self, path: &Path) -> Result<String, String> {
        if let Some(found) = self.read.get(path) {
            return found.clone();
        }
        let found = if self.bytes > MAX_POLICIES_BYTES {
            Err("the policy files are too long in all".to_owned())
        } else {
            read(path, MAX_POLICY_BYTES)
        };
        self.bytes += found.as_ref().map_or(0, String::len);
        self.read.insert(path.to_owned(), found.clone());
        found
    }

    fn usable(&mut self, path: &Path) -> Result<(), String> {
        open(path).map(|_| ())
    }
}

/// Reads the JWKS file of a provider: UTF-8, at most 1 MiB, not writable by everybody. Blocks.
///
/// # Errors
/// Why it cannot be used, as a message without the path.
pub fn read_key_set(path: &Path) -> Result<String, String> {
    read(path, MAX_KEY_SET_BYTES)
}

fn read(path: &Path, longest: u64) -> Result<String, String> {
    let (file, metadata) = open(path)?;
    let too_long = || format!("it is longer than {longest} bytes");
    if metadata.len() > longest {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    // The file may grow while it is read.
    file.take(longest + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > longest {
        return Err(too_long());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

fn open(path: &Path) -> Result<(File, Metadata), String> {
    // Opening a named pipe would wait for a writer.
    let regular = |metadata: &Metadata| {
        if metadata.is_file() { Ok(()) } else { Err("it is not a regular file".to_owned()) }
    };
    let text = |error: io::Error| error.to_string();
    regular(&std::fs::metadata(path).map_err(text)?)?;
    let file = File::open(path).map_err(text)?;
    let metadata = file.metadata().map_err(text)?;
    regular(&metadata)?;
    if metadata.mode() & 0o002 != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(format!("everybody may write it (mode {mode:04o}): use chmod o-w"));
    }
    Ok((file, metadata))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const POLICY: &str = r#"{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}"#;

    #[test]
    fn policy_files_lie_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i.toml");
        let text = "[accounts.111122223333.policies.P]\ndocument = { file = \"p.json\" }\n";
        fs::write(&path, text).unwrap();
        let error = Directory::load(&path).unwrap_err();
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("{}:2:", path.display())), "{shown}");
        assert!(shown.contains("p.json"), "{shown}");

        fs::write(folder.path().join("p.json"), POLICY).unwrap();
        let directory = Directory::load(&path).unwrap();
        let account = directory.accounts().next().unwrap();
        assert!(account.managed_policy("arn:aws:iam::111122223333:policy/P").is_some());
    }

    #[test]
    fn files_that_cannot_be_trusted_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i.toml");
        let complaint = || Directory::load(&path).unwrap_err().to_string();
        assert!(complaint().contains("cannot use the identity file"));
        fs::write(&path, "").unwrap();
        Directory::load(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o646)).unwrap();
        assert!(complaint().contains("everybody may write it (mode 0646)"), "{}", complaint());
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        fs::write(&path, b"# \xff").unwrap();
        assert!(complaint().contains("not UTF-8"));
        fs::write(&path, vec![b'\n'; usize::try_from(MAX_FILE_BYTES).unwrap() + 1]).unwrap();
        assert!(complaint().contains("longer than 16777216 bytes"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(complaint().contains("not a regular file"));
    }

    #[test]
    fn a_policy_file_that_everybody_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("p.json");
        fs::write(&policy, POLICY).unwrap();
        fs::set_permissions(&policy, Permissions::from_mode(0o666)).unwrap();
        let mut files = DiskFiles::new();
        assert!(files.policy(&policy).unwrap_err().contains("mode 0666"));
        assert!(files.usable(&policy).is_err());
        fs::set_permissions(&policy, Permissions::from_mode(0o644)).unwrap();
        assert!(files.policy(&policy).is_err(), "read once");
        assert_eq!(DiskFiles::new().policy(&policy).unwrap(), POLICY);
        fs::write(&policy, vec![b' '; 70_000]).unwrap();
        assert!(DiskFiles::new().policy(&policy).unwrap_err().contains("longer than 65536"));
    }
}
