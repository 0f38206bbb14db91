//! `keystead init`: a directory with all that a server needs.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use keystead_crypto::RootKey;
use keystead_identity::Directory;
use keystead_model::AccountId;
use keystead_service::keyring::Keyring;
use keystead_service::{Clock, IssuedAccessKey, Root, SystemClock, issue_access_key};
use keystead_store::Store;
use keystead_store::embedded::{Embedded, OpenOptions as StoreOptions};
use zeroize::Zeroizing;

use crate::identity;
use crate::root_key;

/// What to set up.
#[derive(Args, Clone, Debug)]
pub struct Init {
    /// Directory to set up; made if it is missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Id of the account, 12 digits [default: a random one]
    #[arg(long, value_name = "ID", value_parser = identity::account)]
    account: Option<AccountId>,
    /// Name of the administrator
    #[arg(long, value_name = "NAME", default_value = "administrator")]
    user: String,
}

/// Sets a directory up: root key, store, configuration, an identity file with one account and its
/// administrator, and the administrator's credentials. Answers what to print, which holds no secret.
///
/// # Errors
/// When one of the files is there already or something cannot be made. What was made is removed then.
pub async fn run(init: &Init) -> anyhow::Result<String> {
    let account = match init.account {
        Some(account) => account,
        None => random_account()?,
    };
    let draft = identities(account, &init.user, None);
    if let Err(faults) = Directory::parse(Path::new(""), &draft) {
        let message = faults.first().map_or("not a name", |fault| fault.message.as_str());
        bail!("`{}` cannot be a user: {message}", init.user.escape_debug());
    }

    let folder = &init.directory;
    for name in [CONFIG, IDENTITIES, CREDENTIALS, ROOT_KEY, DATA] {
        let path = folder.join(name);
        match fs::symlink_metadata(&path) {
            Ok(_) => bail!("`{}` exists: nothing is overwritten", path.display()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| cannot("look for", &path)),
        }
    }
    root_key::create_private(folder)?;
    let mut made = Made::default();
    let result = fill(folder, account, &init.user, &mut made).await;
    if result.is_ok() {
        made.paths.clear();
    }
    drop(made);
    result?;
    Ok(report(folder, account, &init.user))
}

async fn fill(
    folder: &Path,
    account: AccountId,
    user: &str,
    made: &mut Made,
) -> anyhow::Result<()> {
    let path = made.note(folder.join(ROOT_KEY));
    let root = RootKey::create_file(&path).context("cannot create the root key")?;
    let data = made.note(folder.join(DATA));
    root_key::create_private(&data)?;
    let options = StoreOptions { create: true, ..StoreOptions::default() };
    let failed = || format!("cannot make the store in `{}`", data.display());
    let store = Embedded::open(&data, &options).with_context(failed)?;
    let keyring =
        Keyring::open(&store, Root::Key(root), SystemClock.now()).await.with_context(failed)?;
    let issued =
        issue_access_key(keyring.access_keys(), account).context("cannot make an access key")?;
    store.close().await.with_context(failed)?;

    let identities = identities(account, user, Some(&issued));
    let path = made.note(folder.join(IDENTITIES));
    write_new(&path, 0o600, identities.as_bytes())?;
    // What was written must be what a server can read.
    Directory::load(&path)?;
    let path = made.note(folder.join(CREDENTIALS));
    write_new(&path, 0o600, &credentials(&issued))?;
    let path = made.note(folder.join(CONFIG));
    write_new(&path, 0o644, CONFIG_TEXT.as_bytes())?;
    identity::sync_folder(&path)
}

/// What this run has made, removed when it fails half way.
#[derive(Default)]
struct Made {
    paths: Vec<PathBuf>,
}

impl Made {
    fn note(&mut self, path: PathBuf) -> PathBuf {
        self.paths.push(path.clone());
        path
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.paths {
            // Nothing but what this run made: each was seen to be missing before.
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

fn write_new(path: &Path, mode: u32, content: &[u8]) -> anyhow::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .with_context(|| cannot("write", path))
}

fn cannot(what: &str, path: &Path) -> String {
    format!("cannot {what} `{}`", path.display())
}

/// A random account id, the first digit of which is not 0.
fn random_account() -> anyhow::Result<AccountId> {
    let random = u64::from_be_bytes(keystead_crypto::random_bytes()?);
    let number = 100_000_000_000 + random % 900_000_000_000;
    AccountId::parse(&number.to_string()).context("no account id could be made")
}

/// The AWS shared credentials file of the administrator.
fn credentials(issued: &IssuedAccessKey) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(256));
    text.extend_from_slice(b"[default]\naws_access_key_id = ");
    text.extend_from_slice(issued.id.as_bytes());
    text.extend_from_slice(b"\naws_secret_access_key = ");
    text.extend_from_slice(issued.secret.expose());
    text.push(b'\n');
    text
}

fn identities(account: AccountId, user: &str, issued: Option<&IssuedAccessKey>) -> String {
    let user = identity::key(user);
    let access_key = issued.map_or_else(String::new, |issued| {
        format!("\n{}", identity::table(&format!("accounts.{account}.users.{user}"), issued))
    });
    format!(
        r#"# Who may use this server. `keystead identity check` tells every fault of this file; the format is
# in docs/identities.md.

[accounts.{account}]

[accounts.{account}.policies.AdministratorAccess]
document = '''
{{
  "Version": "2012-10-17",
  "Statement": [{{ "Effect": "Allow", "Action": "*", "Resource": "*" }}]
}}
'''

[accounts.{account}.groups.Administrators]
policies = ["AdministratorAccess"]

[accounts.{account}.users.{user}]
groups = ["Administrators"]
{access_key}"#
    )
}

fn report(folder: &Path, account: AccountId, user: &str) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    format!(
        "account {account} with the administrator {user} set up in {folder}\n\
         \n\
         {config}  settings\n\
         {identities}  accounts, users, roles and policies\n\
         {credentials}  access key of {user}, in the clear: move it to where it is used\n\
         {root_key}  root key: without it the store cannot be opened; keep a copy elsewhere\n\
         {data}  store\n\
         \n\
         keystead serve --config {config} --tls-cert FILE --tls-key FILE\n",
        folder = folder.display(),
        config = at(CONFIG),
        identities = at(IDENTITIES),
        credentials = at(CREDENTIALS),
        root_key = at(ROOT_KEY),
        data = at(DATA),
    )
}

const CONFIG: &str = "keystead.toml";
const IDENTITIES: &str = "identities.toml";
const CREDENTIALS: &str = "credentials";
const ROOT_KEY: &str = "root-key";
const DATA: &str = "data";

const CONFIG_TEXT: &str = r#"# Settings of keystead; all of them are in docs/configuration.md. Relative paths are meant from this
# file's directory.

listen = "127.0.0.1:4599"
admin_listen = "127.0.0.1:4600"
data_dir = "data"
root_key_file = "root-key"
identities = "identities.toml"

# One record of every request. `keystead audit verify` finds what was altered.
audit = { dir = "audit" }

# Certificate chain and private key, PEM.
# tls_cert = "tls.crt"
# tls_key = "tls.key"
"#;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_random_account_is_an_account() {
        for _ in 0..100 {
            assert!(!random_account().unwrap().as_str().starts_with('0'));
        }
    }

    #[test]
    fn what_a_failed_run_made_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, directory) = (folder.path().join("f"), folder.path().join("d"));
        let mut made = Made::default();
        write_new(&made.note(file.clone()), 0o600, b"x").unwrap();
        assert!(write_new(&file, 0o600, b"y").is_err());
        fs::create_dir(made.note(directory.clone())).unwrap();
        fs::write(directory.join("x"), "").unwrap();
        drop(made);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
