//! `keystead init` and `keystead identity` from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use keystead_crypto::{RootKey, Secret};
use keystead_identity::{Directory, Owner};
use keystead_model::AccountId;
use keystead_service::keyring::Keyring;
use keystead_service::{Root, open_access_key};
use keystead_store::embedded::{Embedded, OpenOptions};

const ACCOUNT: &str = "111122223333";

/// `keystead` without the environment of whoever runs the tests.
fn keystead(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystead"));
    command.args(arguments).env_clear();
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = keystead(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// A directory that `init` has set up.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Self { folder };
        let (code, out, errors) = run(&["init", &home.at(""), "--account", ACCOUNT]);
        assert_eq!((code, errors.as_str()), (0, ""));
        assert!(out.contains(ACCOUNT) && out.contains("administrator"), "{out}");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("home").join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().trim_end_matches('/').to_owned()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn directory(&self) -> Directory {
        Directory::load(&self.path("identities.toml")).unwrap()
    }

    /// The secret behind an access key of the identity file, as a server would open it.
    async fn open(&self, directory: &Directory, id: &str) -> Secret {
        let store = Embedded::open(&self.path("data"), &OpenOptions::default()).unwrap();
        let root = RootKey::load_file(&self.path("root-key")).unwrap();
        let keyring = Keyring::open(&store, Root::Key(root), 0).await.unwrap();
        let key = directory.access_key(id).unwrap();
        open_access_key(keyring.access_keys(), key.owner.account(), id, key.secret.as_str())
            .unwrap()
    }

    fn create(&self, rest: &[&str]) -> (i32, String, String) {
        let config = self.at("keystead.toml");
        let fixed = ["identity", "create-access-key", "--config", &config, "--account", ACCOUNT];
        run(&[&fixed, rest].concat())
    }
}

fn account() -> AccountId {
    AccountId::parse(ACCOUNT).unwrap()
}

/// Id and secret from lines in the form of the AWS credentials file.
fn credentials(text: &str) -> (String, String) {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches([' ', '=']).to_owned()
    };
    (value("aws_access_key_id"), value("aws_secret_access_key"))
}

/// A server over the store, killed when dropped.
struct Server(Child);

impl Server {
    fn over(home: &Home) -> Self {
        let mut command = keystead(&[
            "dev",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
            &home.at("data"),
            "--root-key-file",
            &home.at("root-key"),
        ]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.contains("ready"), "{ready}");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn init_sets_up_one_account_with_one_administrator() {
    let home = Home::new();
    let mode = |name: &str| fs::metadata(home.path(name)).unwrap().mode() & 0o777;
    for name in ["credentials", "root-key", "identities.toml"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!((mode(""), mode("data")), (0o700, 0o700));

    let directory = home.directory();
    let user = directory.user(account(), "administrator").unwrap();
    assert_eq!(user.arn, "arn:aws:iam::111122223333:user/administrator");
    assert_eq!(user.policies.len(), 1);
    let (id, secret) = credentials(&home.read("credentials"));
    assert!(id.starts_with("AKIA") && id.len() == 20 && secret.len() == 40);
    let key = directory.access_key(&id).unwrap();
    assert!(key.active && directory.owner(key.owner).unwrap().name == "administrator");
    assert!(home.open(&directory, &id).await.ct_eq(secret.as_bytes()));
    assert!(!home.read("identities.toml").contains(&secret));
    assert!(!home.read("keystead.toml").contains(&secret));

    let (code, out, errors) = run(&["identity", "check", &home.at("identities.toml")]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(out.contains("1 accounts, 1 users, 0 roles"), "{out}");
}

#[test]
fn init_overwrites_nothing() {
    let home = Home::new();
    let before = home.read("credentials");
    let (code, _, errors) = run(&["init", &home.at("")]);
    assert_eq!(code, 1);
    assert!(errors.contains("nothing is overwritten") && errors.lines().count() == 1, "{errors}");
    assert_eq!(home.read("credentials"), before);

    let folder = tempfile::tempdir().unwrap();
    for name in ["keystead.toml", "identities.toml", "credentials", "root-key", "data"] {
        let path = folder.path().join(name);
        fs::write(&path, "mine").unwrap();
        let (code, _, errors) = run(&["init", folder.path().to_str().unwrap()]);
        assert_eq!(code, 1, "{name}");
        assert!(errors.contains(name), "{errors}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{name}");
        fs::remove_file(&path).unwrap();
    }
    let (code, _, errors) = run(&["init", folder.path().to_str().unwrap(), "--user", "a b"]);
    assert_eq!(code, 1);
    assert!(errors.contains("`a b` cannot be a user: a name has 1 to 64"), "{errors}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let (code, _, errors) = run(&["init", folder.path().to_str().unwrap(), "--account", "12"]);
    assert_eq!(code, 2, "{errors}");
}

#[tokio::test]
async fn an_access_key_is_made_while_the_server_runs() {
    let home = Home::new();
    let file = home.path("identities.toml");
    let kept =
        format!("{}\n[accounts.{ACCOUNT}.users.\"a.b\"]\n# a remark", home.read("identities.toml"));
    fs::write(&file, &kept).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();

    let server = Server::over(&home);
    let (code, out, errors) =
        home.create(&["--user", "a.b", "--file", &home.at("identities.toml")]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let (id, secret) = credentials(&out);
    let (code, printed, errors) = home.create(&["--root"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    drop(server);

    let text = home.read("identities.toml");
    assert!(text.starts_with(&kept), "what was there is there still");
    assert!(!text.contains(&secret));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    let directory = home.directory();
    assert_eq!(directory.owner(directory.access_key(&id).unwrap().owner).unwrap().name, "a.b");
    assert!(home.open(&directory, &id).await.ct_eq(secret.as_bytes()));

    // What was printed for the root can be pasted anywhere.
    let (root_id, root_secret) = credentials(&printed);
    let lines = &printed[printed.find('[').unwrap()..];
    fs::write(&file, format!("{lines}\n{text}")).unwrap();
    let directory = home.directory();
    assert_eq!(directory.access_key(&root_id).unwrap().owner, Owner::Root(account()));
    assert!(home.open(&directory, &root_id).await.ct_eq(root_secret.as_bytes()));
}

#[tokio::test]
async fn access_keys_outlive_rotation_and_rewrap() {
    let home = Home::new();
    let (id, secret) = credentials(&home.read("credentials"));
    let place = ["--data-dir", &home.at("data"), "--root-key-file", &home.at("root-key")];
    let (code, _, errors) = run(&[&["domain-key", "rotate"], place.as_slice()].concat());
    assert_eq!(code, 0, "{errors}");
    let new = home.at("root-key-2");
    let rewrap = ["root-key", "rewrap", "--new-root-key-file", &new];
    let (code, _, errors) = run(&[&rewrap, place.as_slice()].concat());
    assert_eq!(code, 0, "{errors}");
    let (code, _, errors) = home.create(&["--root"]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("cannot open the keys"), "{errors}");
    fs::rename(home.path("root-key-2"), home.path("root-key")).unwrap();
    assert!(home.open(&home.directory(), &id).await.ct_eq(secret.as_bytes()));
}

#[test]
fn a_refused_creation_changes_nothing() {
    let home = Home::new();
    let before = home.read("identities.toml");
    let file = home.at("identities.toml");
    let refused = |arguments: &[&str], complaint: &str| {
        let (code, out, errors) = home.create(arguments);
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}");
        assert!(errors.contains(complaint), "{errors}");
        assert!(errors.starts_with("keystead: "), "{errors}");
    };
    refused(&["--user", "nobody", "--file", &file], "has no user `nobody`");
    refused(&["--user", "a/b"], "`a/b` cannot be a user");
    refused(&["--root", "--file", "/does/not/exist"], "/does/not/exist");
    refused(&["--root", "--data-dir", "/does/not/exist"], "cannot read the store");
    // A third key is one too many.
    let (code, _, errors) = home.create(&["--user", "administrator", "--file", &file]);
    assert_eq!(code, 0, "{errors}");
    let two = home.read("identities.toml");
    refused(&["--user", "administrator", "--file", &file], "3 access keys, more than 2");
    assert_eq!(home.read("identities.toml"), two);
    assert!(two.starts_with(&before));
    // Tables that cannot be extended from the end of the file.
    let inline = format!("accounts.{ACCOUNT}.users = {{ x = {{}} }}\n");
    fs::write(&file, &inline).unwrap();
    refused(&["--user", "x", "--file", &file], "cannot add the access key");
    assert_eq!(home.read("identities.toml"), inline);

    for (arguments, complaint) in
        [(vec!["--user", "x", "--root"], "cannot be used with"), (vec![], "required")]
    {
        let (code, _, errors) = home.create(&arguments);
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains(complaint), "{errors}");
    }
}

#[test]
fn check_prints_every_fault_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("i.toml");
    fs::write(
        &file,
        "[accounts.111122223333.users.alice]\ngroups = [\"Gone\"]\npaht = \"/\"\n[accounts.12]\n",
    )
    .unwrap();
    let name = file.to_str().unwrap();
    let (code, out, errors) = run(&["identity", "check", name]);
    assert_eq!((code, out.as_str()), (1, ""));
    let field = |name: &str| format!("accounts.111122223333.users.alice.{name}");
    assert_eq!(errors.lines().count(), 3, "{errors}");
    assert!(errors.contains(&format!("{name}:2:11: {}: ", field("groups[0]"))), "{errors}");
    assert!(errors.contains(&format!("{name}:3:1: {}: unknown field", field("paht"))), "{errors}");
    assert!(errors.contains(&format!("{name}:4:11: accounts.12: ")), "{errors}");
    let (code, _, errors) = run(&["identity", "check", "/does/not/exist"]);
    assert_eq!(code, 1);
    assert!(errors.contains("/does/not/exist") && errors.lines().count() == 1, "{errors}");
}

/// The whole way is in `tests/e2e/test_serve.py`.
#[test]
fn serve_and_dev_take_what_init_wrote() {
    for (command, rest) in [("serve", &["--insecure-allow-plain-http"][..]), ("dev", &[])] {
        let home = Home::new();
        let config = home.at("keystead.toml");
        let addresses = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let arguments = [&[command, "--config", &config][..], &addresses, rest].concat();
        let mut child = keystead(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let server = Server(child);
        let ready = lines.next().unwrap().unwrap();
        assert!(ready.starts_with(&format!("keystead {command} ready on http://")), "{ready}");
        let verified = lines.next().unwrap().unwrap();
        assert!(verified.contains("verified against") && verified.contains("identities.toml"));
        drop(server);
    }
}
