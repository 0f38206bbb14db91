//! The server of a test.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use keystead_server::{Config, Running};
use keystead_service::{MovableClock, Service, issue_access_key};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{self, Response, Wire};

/// A server in this process over a store on disk. Dropping it ends the server and removes its data.
pub struct TestServer {
    config: Config,
    /// How far the clock has been moved, milliseconds.
    moved: i64,
    // The order matters: what runs ends before its directory goes.
    running: Option<Running>,
    wire: Wire,
    folder: TempDir,
}

/// An access key of a test.
#[derive(Clone)]
pub struct AccessKey {
    /// `AKIA…`
    pub id: String,
    /// 40 characters.
    pub secret: String,
    /// Its lines in the identity file.
    pub lines: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({})", self.id)
    }
}

impl TestServer {
    /// Starts a server over a new, empty store.
    ///
    /// # Errors
    /// Whatever keeps the server from starting.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(|_| {}).await
    }

    /// Starts a server over a new, empty store, with other settings than a developer's.
    ///
    /// # Errors
    /// Whatever keeps the server from starting.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no temporary directory")?;
        let mut config = Config::for_tests(&folder.path().join("data"));
        change(&mut config);
        Self::over(folder, config).await
    }

    /// Starts a server over a new, empty store that verifies signatures against `identities`, the text
    /// of an identity file; [`access_key`](Self::access_key) adds access keys to it.
    ///
    /// # Errors
    /// Whatever keeps the server from starting.
    pub async fn start_verifying(identities: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no temporary directory")?;
        let path = folder.path().join("identities.toml");
        fs::write(&path, identities)?;
        let mut config = Config::for_tests(&folder.path().join("data"));
        config.identities = Some(path);
        Self::over(folder, config).await
    }

    async fn over(folder: TempDir, config: Config) -> anyhow::Result<Self> {
        let running = Some(keystead_server::start(config.clone()).await?);
        Ok(Self { config, moved: 0, running, wire: Wire::new(), folder })
    }

    /// Shuts the server down and starts it again over the same store and at the same time. The
    /// address changes: clients of before are of no use.
    ///
    /// # Errors
    /// Requests that did not end, or whatever keeps the server from starting.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        let running = keystead_server::start(self.config.clone()).await?;
        clock(&running)?.advance(self.moved);
        self.running = Some(running);
        Ok(())
    }

    /// Shuts the server down; [`restart`](Self::restart) brings it back. The data stay meanwhile.
    ///
    /// # Errors
    /// Requests that did not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(running) = self.running.take() {
            anyhow::ensure!(running.shutdown().await, "requests in flight did not end");
        }
        Ok(())
    }

    /// Moves the clock forward and destroys what is due then.
    ///
    /// # Errors
    /// What the sweep says.
    pub async fn advance(&mut self, by: Duration) -> anyhow::Result<()> {
        self.advance_unswept(by)?;
        self.service()?.sweep().await?;
        Ok(())
    }

    /// Moves the clock forward and leaves what is due then to the server's own next sweep.
    ///
    /// # Errors
    /// The server is stopped.
    pub fn advance_unswept(&mut self, by: Duration) -> anyhow::Result<()> {
        let by = i64::try_from(by.as_millis())?;
        clock(self.running()?)?.advance(by);
        self.moved += by;
        Ok(())
    }

    /// Moves the clock back.
    ///
    /// # Errors
    /// The server is stopped.
    pub fn set_back(&mut self, by: Duration) -> anyhow::Result<()> {
        let by = i64::try_from(by.as_millis())?;
        clock(self.running()?)?.advance(-by);
        self.moved -= by;
        Ok(())
    }

    /// The AWS SDK as `account` in `region`, with connections of its own. It does not retry: what
    /// the server says is what the test sees.
    ///
    #[must_use]
    pub fn client(&self, account: &str, region: &str) -> aws_sdk_kms::Client {
        client::sdk(&self.url(), account, "not checked", region)
    }

    /// The AWS SDK with an access key, for a server that [verifies](Self::start_verifying).
    #[must_use]
    pub fn client_with(&self, key: &AccessKey, region: &str) -> aws_sdk_kms::Client {
        client::sdk(&self.url(), &key.id, &key.secret, region)
    }

    /// Makes an access key for a user, adds it to the identity file and puts that in force.
    ///
    /// # Errors
    /// The server is stopped or does not verify, or the file does not have the user.
    pub async fn access_key(&self, account: &str, user: &str) -> anyhow::Result<AccessKey> {
        let owner = format!("accounts.{account}.users.{user}");
        self.access_key_of(account, &owner).await
    }

    /// The same for the root of an account.
    ///
    /// # Errors
    /// Those of [`access_key`](Self::access_key).
    pub async fn root_access_key(&self, account: &str) -> anyhow::Result<AccessKey> {
        self.access_key_of(account, &format!("accounts.{account}.root")).await
    }

    async fn access_key_of(&self, account: &str, owner: &str) -> anyhow::Result<AccessKey> {
        let seal = self.service()?.keyring().access_keys();
        let issued = issue_access_key(seal, account.parse()?)?;
        let secret = std::str::from_utf8(issued.secret.expose())?.to_owned();
        let lines =
            format!("\n[{owner}.access_keys.{}]\nsecret = \"{}\"\n", issued.id, issued.sealed);
        self.change_identities(|text| text + &lines).await?;
        Ok(AccessKey { id: issued.id, secret, lines })
    }

    /// Changes the identity file and has it read again.
    ///
    /// # Errors
    /// The server is stopped or does not verify, or the file cannot be written. Faults in it are the
    /// server's to tell.
    pub async fn change_identities(
        &self,
        change: impl FnOnce(String) -> String,
    ) -> anyhow::Result<()> {
        let path = self.config.identities.as_ref().context("the server does not verify")?;
        fs::write(path, change(fs::read_to_string(path)?))?;
        self.reload().await
    }

    /// One request as it goes over the wire: `operation` without its `TrentService.` prefix.
    ///
    /// # Errors
    /// Transport failures, and a body that is not JSON.
    pub async fn call(
        &self,
        account: &str,
        region: &str,
        operation: &str,
        body: &Value,
    ) -> anyhow::Result<Response> {
        self.wire.call(&self.url(), account, region, operation, body).await
    }

    /// The service, for what no request can ask.
    ///
    /// # Errors
    /// The server is stopped.
    pub fn service(&self) -> anyhow::Result<&Arc<Service>> {
        Ok(&self.running()?.service)
    }

    /// The directory of the store.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// The file of the root key, which lies outside [`data_dir`](Self::data_dir).
    #[must_use]
    pub fn root_key_file(&self) -> &Path {
        &self.config.root_key_file
    }

    /// A directory for the test's own files, removed with the server.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Reads identities and certificate again, as the server does every few seconds.
    ///
    /// # Errors
    /// The server is stopped.
    pub async fn reload(&self) -> anyhow::Result<()> {
        self.running()?.reload().await;
        Ok(())
    }

    fn running(&self) -> anyhow::Result<&Running> {
        self.running.as_ref().context("the server is stopped")
    }

    fn url(&self) -> String {
        match &self.running {
            Some(running) => format!("http://{}", running.address),
            // The discard port: nothing listens there.
            None => "http://127.0.0.1:9".to_owned(),
        }
    }
}

fn clock(running: &Running) -> anyhow::Result<&MovableClock> {
    running.clock.as_deref().context("the clock cannot be moved")
}
