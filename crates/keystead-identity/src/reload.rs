//! The directory in force, and the file it comes from.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_lc_rs::digest::{Context, SHA256};

use crate::directory::Directory;
use crate::load::{DiskFiles, LoadError, read_identities};

/// An identity file, read again when it changes. A faulty file never takes effect: the last good
/// one stays in force.
#[derive(Debug)]
pub struct Identities {
    path: PathBuf,
    directory: RwLock<Arc<Directory>>,
    last: Mutex<Attempt>,
}

/// What a reading has come to.
#[derive(Debug)]
pub enum Reloaded {
    /// File and policy files have the content of the last attempt, whatever came of that.
    Unchanged,
    /// The file has changed and is in force.
    Changed(Arc<Directory>),
}

/// The content that was last looked at, good or not.
#[derive(Debug)]
struct Attempt {
    content: [u8; 32],
    policies: Vec<PathBuf>,
    error: Option<Arc<LoadError>>,
}

impl Identities {
    /// Reads the file for the first time. Blocks.
    ///
    /// # Errors
    /// [`LoadError`] as from [`Directory::load`].
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let text = read_identities(path)?;
        let (parsed, attempt) = attempt(path, &text);
        Ok(Self {
            path: path.to_owned(),
            directory: RwLock::new(Arc::new(parsed?)),
            last: Mutex::new(attempt),
        })
    }

    /// The directory in force. A request takes it once and keeps it to its end.
    #[must_use]
    pub fn current(&self) -> Arc<Directory> {
        // A poisoned lock only means that a holder panicked: the value is whole.
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the file as it is now is not in force; `None` while it is.
    #[must_use]
    pub fn refusal(&self) -> Option<Arc<LoadError>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).error.clone()
    }

    /// Reads the file again and puts it in force if it has changed and is without fault. Changes
    /// are told by content, that of the policy files included, so it can be called at any interval
    /// or upon a signal. Blocks.
    ///
    /// # Errors
    /// [`LoadError`] once for each faulty content; the directory in force stays.
    pub fn reload(&self) -> Result<Reloaded, Arc<LoadError>> {
        // Held throughout, so that of two calls the one with the later content wins.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match read_identities(&self.path) {
            Ok(text) => text,
            Err(error) => {
                let content = digest(error.to_string().as_bytes(), &[]);
                if content == last.content {
                    return Ok(Reloaded::Unchanged);
                }
                let error = Arc::new(error);
                *last = Attempt { content, policies: Vec::new(), error: Some(Arc::clone(&error)) };
                return Err(error);
            }
        };
        if digest(text.as_bytes(), &read_again(&last.policies)) == last.content {
            return Ok(Reloaded::Unchanged);
        }
        let (parsed, mut attempt) = attempt(&self.path, &text);
        match parsed {
            Ok(directory) => {
                let directory = Arc::new(directory);
                *self.directory.write().unwrap_or_else(PoisonError::into_inner) =
                    Arc::clone(&directory);
                *last = attempt;
                Ok(Reloaded::Changed(directory))
            }
            Err(error) => {
                let error = Arc::new(error);
                attempt.error = Some(Arc::clone(&error));
                *last = attempt;
                Err(error)
            }
        }
    }
}

/// Reads a text, and notes what was looked at.
fn attempt(path: &Path, text: &str) -> (Result<Directory, LoadError>, Attempt) {
    let mut files = DiskFiles::new();
    let parsed = Directory::parse_with(path, text, &mut files)
        .map_err(|faults| LoadError::Faulty { path: path.to_owned(), faults });
    let policies = files.into_read();
    let content = digest(text.as_bytes(), &policies);
    let policies = policies.into_iter().map(|(path, _)| path).collect();
    (parsed, Attempt { content, policies, error: None })
}

fn read_again(policies: &[PathBuf]) -> Vec<(PathBuf, Result<String, String>)> {
    let mut files = DiskFiles::new();
    for path in policies {
        let _ = crate::load::Files::policy(&mut files, path);
    }
    files.into_read()
}

fn digest(text: &[u8], policies: &[(PathBuf, Result<String, String>)]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    part(text);
    for (path, found) in policies {
        part(path.as_os_str().as_encoded_bytes());
        match found {
            Ok(text) => part(text.as_bytes()),
            Err(message) => {
                part(b"unreadable");
                part(message.as_bytes());
            }
        }
    }
    let mut content = [0; 32];
    content.copy_from_slice(context.finish().as_ref());
    content
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fs;

    use super::*;

    const ALICE: &str = "[accounts.111122223333.users.alice]\n";

    fn users(identities: &Identities) -> usize {
        identities.current().accounts().map(|account| account.users().len()).sum()
    }

    #[test]
    fn a_change_takes_effect_and_a_fault_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i.toml");
        fs::write(&path, ALICE).unwrap();
        let identities = Identities::open(&path).unwrap();
        let held = identities.current();
        assert_eq!(users(&identities), 1);
        assert!(matches!(identities.reload(), Ok(Reloaded::Unchanged)));

        fs::write(&path, format!("{ALICE}[accounts.111122223333.users.bob]\n")).unwrap();
        assert!(matches!(identities.reload(), Ok(Reloaded::Changed(_))));
        assert_eq!(users(&identities), 2);
        assert_eq!(held.accounts().next().unwrap().users().len(), 1);

        fs::write(&path, "[accounts.1]\n").unwrap();
        let error = identities.reload().unwrap_err();
        assert_eq!(error.faults().len(), 1);
        assert_eq!(users(&identities), 2);
        assert!(identities.refusal().is_some());
        assert!(matches!(identities.reload(), Ok(Reloaded::Unchanged)), "told once");
        assert!(identities.refusal().is_some());

        fs::remove_file(&path).unwrap();
        assert!(identities.reload().is_err());
        assert!(matches!(identities.reload(), Ok(Reloaded::Unchanged)), "told once");
        assert_eq!(users(&identities), 2);

        fs::write(&path, ALICE).unwrap();
        assert!(matches!(identities.reload(), Ok(Reloaded::Changed(_))));
        assert!(identities.refusal().is_none());
        assert_eq!(users(&identities), 1);
    }

    #[test]
    fn a_changed_policy_file_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i.toml");
        let policy = folder.path().join("p.json");
        let document = |action: &str| {
            format!(r#"{{"Statement":{{"Effect":"Allow","Action":"{action}","Resource":"*"}}}}"#)
        };
        fs::write(&policy, document("kms:Sign")).unwrap();
        let text = "[accounts.111122223333.policies.P]\ndocument = { file = \"p.json\" }\n";
        fs::write(&path, text).unwrap();
        let identities = Identities::open(&path).unwrap();
        fs::write(&policy, document("kms:Verify")).unwrap();
        assert!(matches!(identities.reload(), Ok(Reloaded::Changed(_))));
        fs::write(&policy, "{").unwrap();
        assert!(identities.reload().is_err());
        assert!(matches!(identities.reload(), Ok(Reloaded::Unchanged)));
        fs::remove_file(&policy).unwrap();
        assert!(identities.reload().is_err());
        fs::write(&policy, document("kms:Verify")).unwrap();
        assert!(matches!(identities.reload(), Ok(Reloaded::Changed(_))));
        assert!(matches!(identities.reload(), Ok(Reloaded::Unchanged)));
    }

    #[test]
    fn a_faulty_file_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i.toml");
        assert!(Identities::open(&path).is_err());
        fs::write(&path, "x = 1").unwrap();
        assert_eq!(Identities::open(&path).unwrap_err().faults().len(), 1);
    }
}
