//! Commands on the identity file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use keystead_identity::{Directory, Fault};
use keystead_model::AccountId;
use keystead_service::keyring::open_access_keys;
use keystead_service::{IssuedAccessKey, issue_access_key, paths};
use keystead_store::memory::Memory;
use keystead_store::{KeyRange, Store, Write as Record, embedded};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::maintenance::Place;
use crate::root_key;

/// Which file to check.
#[derive(Args, Clone, Debug)]
pub struct Check {
    /// The identity file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// For whom to make an access key, and where its sealed form goes.
#[derive(Args, Clone, Debug)]
pub struct CreateAccessKey {
    /// Account of the access key, 12 digits
    #[arg(long, value_name = "ID", value_parser = account)]
    account: AccountId,
    /// Name of the user it is for
    #[arg(long, value_name = "NAME", required_unless_present = "root", conflicts_with = "root")]
    user: Option<String>,
    /// The access key is for the account's root
    #[arg(long)]
    root: bool,
    /// Identity file to add the access key to; without it the lines to add are printed
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Configuration file that says where the store and its root key are
    #[arg(long, env = "KEYSTEAD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// A new access key, to be printed once.
pub struct CreatedAccessKey {
    id: String,
    text: Zeroizing<String>,
}

impl CreatedAccessKey {
    /// The access key id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What to print: id and secret in the form of the AWS credentials file, then what is left to do.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Checks a file and says what is in it.
///
/// # Errors
/// One line for each fault.
pub fn check(check: &Check) -> anyhow::Result<String> {
    let directory = Directory::load(&check.file)?;
    let (mut accounts, mut users, mut roles) = (0, 0, 0);
    for account in directory.accounts() {
        accounts += 1;
        users += account.users().len();
        roles += account.roles().len();
    }
    let file = check.file.display();
    Ok(format!("{file} is good: {accounts} accounts, {users} users, {roles} roles\n"))
}

/// Makes an access key. The store is only read, so the server may be running; the key works once the
/// server has read the identity file again.
///
/// # Errors
/// When the store's keys cannot be opened, or the identity file has no such account or user, is faulty,
/// or cannot be written. It is as it was then.
pub async fn create_access_key(create: &CreateAccessKey) -> anyhow::Result<CreatedAccessKey> {
    let owner = create.owner()?;
    let before = match &create.file {
        Some(file) => Some((file, create.check_owner(file)?)),
        None => None,
    };
    let config = Config::resolve(create.place.flags().with_config(create.config.clone()))?;
    let issued = issue(&config, create.account).await?;
    let lines = table(&owner, &issued);
    if let Some((file, before)) = before {
        add(file, &before, &lines)?;
    }
    let secret =
        std::str::from_utf8(issued.secret.expose()).context("the new secret is no text")?;
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str("aws_access_key_id = ");
    text.push_str(&issued.id);
    text.push_str("\naws_secret_access_key = ");
    text.push_str(secret);
    text.push_str("\n\n# The secret is shown this once. ");
    match &create.file {
        Some(file) => {
            text.push_str(&format!("Its sealed form has been added to {}.\n", file.display()));
        }
        None => {
            text.push_str("Its sealed form, for the identity file:\n\n");
            text.push_str(&lines);
        }
    }
    Ok(CreatedAccessKey { id: issued.id, text })
}

impl CreateAccessKey {
    /// The dotted key of the owner.
    fn owner(&self) -> anyhow::Result<String> {
        let account = self.account;
        let Some(user) = &self.user else { return Ok(format!("accounts.{account}.root")) };
        let owner = format!("accounts.{account}.users.{}", key(user));
        // The reader of the file knows what a name is.
        let draft = format!("[{owner}]\n");
        match Directory::parse(Path::new(""), &draft) {
            Ok(_) => Ok(owner),
            Err(faults) => {
                let message = faults.first().map_or("not a name", |fault| fault.message.as_str());
                bail!("`{}` cannot be a user: {message}", user.escape_debug())
            }
        }
    }

    /// The text of the file, if it is good and has the owner: adding lines would otherwise make one.
    fn check_owner(&self, file: &Path) -> anyhow::Result<String> {
        let directory = Directory::load(file)?;
        let Some(account) = directory.account(self.account) else {
            bail!("`{}` has no account {}", file.display(), self.account);
        };
        if let Some(user) = &self.user
            && account.user(user).is_none()
        {
            bail!("`{}` has no user `{user}` in account {}", file.display(), self.account);
        }
        fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))
    }
}

/// The lines that give an owner an access key. They can stand anywhere in an identity file.
pub(crate) fn table(owner: &str, issued: &IssuedAccessKey) -> String {
    format!("[{owner}.access_keys.{}]\nsecret = \"{}\"\n", issued.id, issued.sealed)
}

/// A name as part of a dotted key. No name has a character that would have to be escaped.
pub(crate) fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { format!("{name:?}") }
}

/// Makes an access key with the sealing key of a store that may be open elsewhere.
async fn issue(config: &Config, account: AccountId) -> anyhow::Result<IssuedAccessKey> {
    let copy = copy_of_keys(config).await?;
    let folder = config.data_dir.display();
    let root = root_key::load(config)?;
    let seal = open_access_keys(&copy, root)
        .await
        .with_context(|| format!("cannot open the keys in `{folder}`"))?;
    issue_access_key(&seal, account).context("cannot make an access key")
}

/// A copy of the keys of a store that may be open elsewhere.
pub(crate) async fn copy_of_keys(config: &Config) -> anyhow::Result<Memory> {
    root_key::refuse_inside(config)?;
    let folder = config.data_dir.display();
    let records = embedded::peek(&config.data_dir, &KeyRange::prefix(paths::META), META_RECORDS)
        .with_context(|| format!("cannot read the store in `{folder}`"))?;
    let copy = Memory::new();
    for (path, found) in records {
        copy.commit(Vec::new(), vec![Record::Put(path, found.value)])
            .await
            .with_context(|| format!("cannot read the store in `{folder}`"))?;
    }
    Ok(copy)
}

/// Puts lines at the end of an identity file, if it is still good with them.
fn add(file: &Path, before: &str, lines: &str) -> anyhow::Result<()> {
    let gap = if before.is_empty() || before.ends_with("\n\n") {
        ""
    } else if before.ends_with('\n') {
        "\n"
    } else {
        "\n\n"
    };
    let after = format!("{before}{gap}{lines}");
    if let Err(faults) = Directory::parse(file, &after) {
        let faults: Vec<_> = faults.iter().map(Fault::to_string).collect();
        bail!(
            "cannot add the access key to `{}` at its end: {} (no key was made; without --file the lines \
             to add are printed)",
            file.display(),
            faults.join("; ")
        );
    }
    replace(file, after.as_bytes()).with_context(|| format!("cannot write `{}`", file.display()))
}

/// Replaces a file by one with the same owner and mode, whole at every instant.
fn replace(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    // Of a symbolic link the file it leads to.
    let file = fs::canonicalize(file)?;
    let old = fs::metadata(&file)?;
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let name = PathBuf::from(name);
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
    let written = (|| {
        new.write_all(content)?;
        let made = new.metadata()?;
        if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
            fchown(&new, Some(old.uid()), Some(old.gid()))?;
        }
        new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
        new.sync_all()?;
        fs::rename(&name, &file)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&name);
    }
    written?;
    sync_folder(&file)
}

/// Makes the names in a file's directory durable.
pub(crate) fn sync_folder(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    Ok(File::open(folder)?.sync_all()?)
}

pub(crate) fn account(text: &str) -> Result<AccountId, &'static str> {
    AccountId::parse(text).ok_or("an account id has 12 digits")
}

/// More records of its own keys than any store has: header, domain keys, two more.
const META_RECORDS: usize = 10_000;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_toml_needs_it() {
        assert_eq!(key("alice-1_X"), "alice-1_X");
        assert_eq!(key("a.b@c"), "\"a.b@c\"");
        assert_eq!(key(""), "\"\"");
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_links() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("f"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
