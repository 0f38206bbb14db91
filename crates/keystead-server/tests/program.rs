//! The program from outside: configuration, ready line, signals, admin listener, exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use support::{Response, closed, connect, receive, send};

/// `keystead` without the environment of whoever runs the tests.
fn keystead(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystead"));
    command.args(arguments).env_clear();
    command
}

fn output(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// A running `keystead dev`, killed when dropped.
struct Dev {
    child: Child,
    ready: String,
    api: SocketAddr,
    admin: SocketAddr,
}

impl Dev {
    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        if ready.is_empty() {
            let mut errors = String::new();
            child.stderr.as_mut().unwrap().read_to_string(&mut errors).unwrap();
            panic!("not ready: {errors}");
        }
        let mut addresses = ready
            .split("http://")
            .skip(1)
            .map(|rest| rest.split([' ', ')']).next().unwrap().parse::<SocketAddr>().unwrap());
        let (api, admin) = (addresses.next().unwrap(), addresses.next().unwrap());
        Self { child, ready, api, admin }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    fn wait(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Flags that put everything into `folder` and on free ports.
fn dev_in(folder: &Path) -> Command {
    let mut command =
        keystead(&["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(folder.join("data"));
    command
}

async fn request(address: SocketAddr, head: &str, body: &str) -> Response {
    let mut client = connect(address).await;
    let length = body.len();
    send(
        &mut client,
        format!("{head} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"),
    )
    .await;
    receive(&mut client).await
}

/// A signed call as far as `dev` looks.
async fn kms(dev: &Dev, operation: &str, body: &str) -> Response {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: TrentService.{operation}\r\n\
         X-Amz-Date: 20260102T030405Z\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=111122223333/20260102/us-east-1/kms/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = connect(dev.api).await;
    send(&mut client, head).await;
    receive(&mut client).await
}

#[tokio::test]
async fn ready_serving_and_stopped_by_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::spawn(dev_in(folder.path()));
    let data = folder.path().join("data");
    let root: PathBuf = folder.path().join("data.root-key");
    assert!(dev.ready.starts_with("keystead dev ready on http://127.0.0.1:"), "{}", dev.ready);
    assert!(
        dev.ready.contains(data.to_str().unwrap()) && dev.ready.contains(root.to_str().unwrap())
    );
    assert!(data.is_dir() && root.is_file());

    assert_eq!(request(dev.api, "GET /healthz", "").await.status, 200);
    let created = kms(&dev, "CreateKey", "{}").await;
    assert_eq!(created.status, 200, "{created:?}");
    let refused = kms(&dev, "DescribeKey", "{}").await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.starts_with(r#"{"__type":"ValidationException","message":"1 validation"#));

    for (path, status) in
        [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/clock", 200), ("/", 404)]
    {
        assert_eq!(request(dev.admin, &format!("GET {path}"), "").await.status, status, "{path}");
    }
    let metrics = request(dev.admin, "GET /metrics", "").await.body;
    for line in [
        r#"keystead_requests_total{operation="CreateKey",outcome="success"} 1"#,
        r#"keystead_requests_total{operation="DescribeKey",outcome="ValidationException"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
    assert!(metrics.contains("keystead_store_commits_total"));

    dev.signal("-HUP");
    assert_eq!(request(dev.api, "GET /healthz", "").await.status, 200);
    dev.signal("-TERM");
    assert_eq!(dev.wait(), 0);

    let again = Dev::spawn(dev_in(folder.path()));
    let listed = kms(&again, "ListKeys", "{}").await.body;
    assert!(listed.contains("KeyId"), "{listed}");
}

#[tokio::test]
async fn a_passphrase_takes_the_place_of_the_root_key_file() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let passphrase = folder.path().join("passphrase");
    std::fs::write(&passphrase, "correct horse\n").unwrap();
    std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
    let sealed = || {
        let mut command = dev_in(folder.path());
        command.env("KEYSTEAD_ROOT_PASSPHRASE_FILE", &passphrase);
        command
    };
    let dev = Dev::spawn(sealed());
    assert!(dev.ready.contains("sealed by the passphrase"), "{}", dev.ready);
    kms(&dev, "CreateKey", "{}").await;
    drop(dev);
    assert!(!folder.path().join("data.root-key").exists());
    let again = Dev::spawn(sealed());
    assert!(kms(&again, "ListKeys", "{}").await.body.contains("KeyId"));
    drop(again);

    std::fs::write(&passphrase, "wrong horse\n").unwrap();
    let (code, _, errors) = output(sealed());
    assert_eq!(code, 1);
    assert!(
        errors.lines().last().unwrap().starts_with("keystead: cannot open the keys"),
        "{errors}"
    );
    assert!(!errors.contains("wrong horse"));
    // And a plain start does not make a root key for a store that has none of that kind.
    assert_eq!(output(dev_in(folder.path())).0, 1);
    assert!(!folder.path().join("data.root-key").exists());
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_requests() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::spawn(dev_in(folder.path()));
    let mut unfinished = connect(dev.api).await;
    send(
        &mut unfinished,
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    )
    .await;
    // That the server asks for the body shows that the request is in flight.
    assert_eq!(receive(&mut unfinished).await.status, 100);
    dev.signal("-TERM");
    while tokio::net::TcpStream::connect(dev.api).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let ready = request(dev.admin, "GET /readyz", "").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "shutting down\n"));
    assert_eq!(request(dev.admin, "GET /livez", "").await.status, 200);
    dev.signal("-TERM");
    closed(&mut unfinished).await;
    assert_eq!(dev.wait(), 1);
}

#[tokio::test]
async fn the_clock_moves_and_takes_keys_past_their_date_along() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::spawn(dev_in(folder.path()));
    let created = kms(&dev, "CreateKey", "{}").await.body;
    let id = created.split("\"KeyId\":\"").nth(1).unwrap().split('"').next().unwrap();
    let schedule = format!(r#"{{"KeyId":"{id}","PendingWindowInDays":7}}"#);
    assert_eq!(kms(&dev, "ScheduleKeyDeletion", &schedule).await.status, 200);
    let describe = format!(r#"{{"KeyId":"{id}"}}"#);
    assert!(kms(&dev, "DescribeKey", &describe).await.body.contains("PendingDeletion"));

    let moved = request(dev.admin, "POST /clock", r#"{"advance_seconds": 604801}"#).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let gone = kms(&dev, "DescribeKey", &describe).await;
    assert!(gone.body.contains("NotFoundException"), "{gone:?}");

    for refused in [r#"{"advance": 1}"#, "", r#"{"set": -1}"#, r#"{"advance_seconds": 1e15}"#] {
        assert_eq!(request(dev.admin, "POST /clock", refused).await.status, 400, "{refused}");
    }
    let set = request(dev.admin, "POST /clock", r#"{"set": 2000000000}"#).await.body;
    assert!(set.starts_with(r#"{"now": 200000000"#), "{set}");
    let mut client = connect(dev.admin).await;
    send(
        &mut client,
        "POST /clock HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nContent-Length: 10\r\n\r\n{\"set\": 1}",
    )
    .await;
    assert_eq!(receive(&mut client).await.status, 403);
}

#[tokio::test]
async fn flag_before_environment_before_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(
        path("k.toml"),
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = \"of-file\"\n\
         [limits]\nidle_timeout_ms = 100\nheader_timeout_ms = 50\n",
    )
    .unwrap();
    let base = || {
        let mut command = keystead(&["dev"]);
        command.env("KEYSTEAD_CONFIG", path("k.toml"));
        command
    };
    let dev = Dev::spawn(base());
    assert!(dev.ready.contains(&path("of-file")), "{}", dev.ready);
    // A limit of the file is in force.
    let mut client = connect(dev.api).await;
    send(&mut client, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    receive(&mut client).await;
    closed(&mut client).await;

    let mut command = base();
    command.env("KEYSTEAD_DATA_DIR", path("of-environment"));
    assert!(Dev::spawn(command).ready.contains(&path("of-environment")));
    let mut command = base();
    command
        .env("KEYSTEAD_DATA_DIR", path("of-environment-2"))
        .args(["--data-dir", &path("of-flag")]);
    assert!(Dev::spawn(command).ready.contains(&path("of-flag")));
    assert!(!folder.path().join("of-environment-2").exists());
    let mut command = base();
    command.args(["--data-dir", &path("d"), "--root-key-file", &path("elsewhere/key")]);
    assert!(Dev::spawn(command).ready.contains(&path("elsewhere/key")));
    assert!(!folder.path().join("d.root-key").exists());
}

#[test]
fn usage_errors_are_one_line_and_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:0\"\nlisten_admin = \"x\"\n").unwrap();
    for (arguments, complaint) in [
        (vec!["dev", "--listen", "0.0.0.0:0"], "--insecure-allow-remote"),
        (vec!["dev", "--admin-listen", "192.0.2.1:0"], "--admin-listen 192.0.2.1:0"),
        (vec!["dev", "--listen", "nowhere"], "ADDR:PORT"),
        (vec!["dev", "--config", file.to_str().unwrap()], "k.toml:2: unknown field `listen_admin`"),
        (vec!["dev", "--config", "/does/not/exist"], "/does/not/exist"),
        (vec!["dev", "--tls-cert", "x"], "tls_key"),
        (vec!["dev", "--no-such-flag"], "--no-such-flag"),
        (vec!["no-such-command"], "no-such-command"),
    ] {
        let mut command = keystead(&arguments);
        command.env("HOME", folder.path());
        let (code, out, errors) = output(command);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {errors}");
        assert!(errors.starts_with("keystead: ") && errors.lines().count() == 1, "{errors}");
        assert!(errors.contains(complaint), "{errors}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was created");
}

#[test]
fn a_store_without_its_root_key_and_a_key_inside_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Dev::spawn(dev_in(folder.path())));
    let root = folder.path().join("data.root-key");
    std::fs::remove_file(&root).unwrap();
    let (code, _, errors) = output(dev_in(folder.path()));
    assert_eq!(code, 1, "{errors}");
    let last = errors.lines().last().unwrap();
    assert!(last.starts_with("keystead: ") && last.contains("its root key"), "{errors}");
    assert!(!root.exists());

    let fresh = tempfile::tempdir().unwrap();
    let mut command = dev_in(fresh.path());
    command.arg("--root-key-file").arg(fresh.path().join("data/key"));
    let (code, _, errors) = output(command);
    assert_eq!(code, 1);
    assert!(errors.contains("inside the data directory"), "{errors}");
    assert!(!fresh.path().join("data").exists());
}

#[test]
fn a_taken_port_and_a_second_process_are_runtime_errors() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::spawn(dev_in(folder.path()));
    let (code, _, errors) = output(dev_in(folder.path()));
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("cannot open the store"), "{errors}");
    let mut command = keystead(&["dev", "--admin-listen", "127.0.0.1:0"]);
    let other = folder.path().join("other");
    command.arg("--listen").arg(dev.api.to_string()).arg("--data-dir").arg(&other);
    let (code, _, errors) = output(command);
    assert_eq!(code, 1);
    assert!(errors.contains(&format!("cannot listen on {}", dev.api)), "{errors}");
    assert!(!other.exists());
}

#[tokio::test]
async fn a_backup_is_restored_and_opened_with_the_root_key() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::spawn(dev_in(folder.path()));
    kms(&dev, "CreateKey", "{}").await;
    let keys = kms(&dev, "ListKeys", "{}").await.body;
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| output(keystead(arguments));
    let (code, _, errors) = run(&["backup", "--data-dir", &path("data"), "--to", &path("copy")]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let (code, _, errors) = run(&["backup", "--data-dir", &path("data"), "--to", &path("copy")]);
    assert_eq!(code, 1);
    assert!(errors.starts_with("keystead: cannot back up") && errors.lines().count() == 1);
    let (code, _, errors) = run(&["restore", "--from", &path("copy"), "--data-dir", &path("new")]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let (code, _, _) = run(&["restore", "--from", &path("copy"), "--data-dir", &path("new")]);
    assert_eq!(code, 1);

    let mut command =
        keystead(&["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.args(["--data-dir", &path("new"), "--root-key-file", &path("data.root-key")]);
    let restored = Dev::spawn(command);
    assert_eq!(kms(&restored, "ListKeys", "{}").await.body, keys);
}

#[test]
fn json_logs_are_one_object_per_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = dev_in(folder.path());
    command.args(["--log-format", "json"]);
    let mut dev = Dev::spawn(command);
    dev.signal("-INT");
    let mut errors = String::new();
    dev.child.stderr.as_mut().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(dev.wait(), 0, "{errors}");
    let lines: Vec<serde_json::Value> =
        errors.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let said = |text: &str| lines.iter().any(|line| line["message"] == text);
    assert!(said("serving") && said("stopped"), "{errors}");
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()));
}

#[test]
fn version_and_help_are_no_errors() {
    let (code, out, _) = output(keystead(&["version"]));
    assert_eq!((code, out), (0, format!("keystead {}\n", env!("CARGO_PKG_VERSION"))));
    for arguments in [&["--help"][..], &["dev", "--help"], &["--version"]] {
        assert_eq!(output(keystead(arguments)).0, 0, "{arguments:?}");
    }
    assert_eq!(output(keystead(&[])).0, 2);
}

#[test]
fn a_cause_is_told_once() {
    let (code, _, errors) = output(keystead(&["dev", "--config", "/nonexistent"]));
    assert_eq!(code, 2);
    assert_eq!(errors.matches("No such file or directory").count(), 1, "{errors}");
}

#[tokio::test]
async fn idle_connections_leave_files_for_store_and_admin_listener() {
    let home = tempfile::tempdir().unwrap();
    let dev = dev_in(home.path());
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).env_clear();
    limited.arg(dev.get_program()).args(dev.get_args());
    let dev = Dev::spawn(limited);
    let idle: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(dev.api).unwrap()).collect();
    // Less than the ten seconds after which the server gives idle connections up.
    let patience = std::time::Duration::from_secs(5);
    let ready = tokio::time::timeout(patience, request(dev.admin, "GET /readyz", "")).await;
    assert_eq!(ready.unwrap().status, 200);
    drop(idle);
    assert_eq!(kms(&dev, "CreateKey", "{}").await.status, 200);
}
