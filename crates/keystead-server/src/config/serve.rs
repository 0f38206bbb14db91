//! The settings of `keystead serve`, which has stricter defaults than `dev`.

use std::path::PathBuf;

use clap::Args;

use super::{Address, Config, ConfigError, File, Flags, beside, refused};
use crate::logging::{LogFormat, LogLevel};
use crate::trail::Audit;

/// The settings of `keystead serve` as flags and environment variables.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeFlags {
    /// Configuration file (TOML), such as keystead init writes
    #[arg(long, env = "KEYSTEAD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the API [default: 127.0.0.1:4599]; port 0 takes a free port
    #[arg(long, env = "KEYSTEAD_LISTEN", value_name = "ADDR:PORT")]
    listen: Option<Address>,
    /// Address of health and metrics [default: 127.0.0.1:4600]
    #[arg(long, env = "KEYSTEAD_ADMIN_LISTEN", value_name = "ADDR:PORT")]
    admin_listen: Option<Address>,
    /// Directory of the store
    #[arg(long, env = "KEYSTEAD_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// File of the root key, outside the data directory [default: DATA_DIR.root-key]
    #[arg(long, env = "KEYSTEAD_ROOT_KEY_FILE", value_name = "FILE")]
    root_key_file: Option<PathBuf>,
    /// File of a passphrase that seals the root key, in place of a root key file
    #[arg(long, env = "KEYSTEAD_ROOT_PASSPHRASE_FILE", value_name = "FILE")]
    root_passphrase_file: Option<PathBuf>,
    /// File of accounts, users and roles
    #[arg(long, env = "KEYSTEAD_IDENTITIES", value_name = "FILE")]
    identities: Option<PathBuf>,
    /// Directory of the audit log [default: DATA_DIR.audit]
    #[arg(long, env = "KEYSTEAD_AUDIT_DIR", value_name = "DIR")]
    audit_dir: Option<PathBuf>,
    /// TLS certificate chain (PEM)
    #[arg(long, env = "KEYSTEAD_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// TLS private key (PEM)
    #[arg(long, env = "KEYSTEAD_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Serve plain HTTP, on loopback, to a proxy that ends TLS
    #[arg(long, env = "KEYSTEAD_INSECURE_ALLOW_PLAIN_HTTP", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    insecure_allow_plain_http: Option<bool>,
    /// Allow other than loopback addresses for plain HTTP and for the admin listener
    #[arg(long, env = "KEYSTEAD_INSECURE_ALLOW_REMOTE", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    insecure_allow_remote: Option<bool>,
    /// How much to log [default: info]
    #[arg(long, env = "KEYSTEAD_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// What log lines look like [default: text]
    #[arg(long, env = "KEYSTEAD_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl Config {
    /// Resolves the settings of `keystead serve`.
    ///
    /// # Errors
    /// [`ConfigError`]: the file, a missing half of a pair, or no data directory.
    pub fn serve(given: ServeFlags) -> Result<Self, ConfigError> {
        let flags = Flags {
            listen: given.listen,
            admin_listen: given.admin_listen,
            data_dir: given.data_dir,
            config: given.config,
            root_key_file: given.root_key_file,
            root_passphrase_file: given.root_passphrase_file,
            identities: given.identities,
            audit_dir: given.audit_dir,
            tls_cert: given.tls_cert,
            tls_key: given.tls_key,
            insecure_allow_remote: given.insecure_allow_remote,
            log_level: given.log_level,
            log_format: given.log_format,
            ..Flags::default()
        };
        let file = File::of(&flags)?;
        if flags.data_dir.is_none() && file.data_dir.is_none() {
            return refused("serve needs a data directory: --data-dir, or `data_dir` in the file");
        }
        let mut config = Self::combine(flags, file)?;
        // Nothing is served unrecorded.
        if config.audit.is_none() {
            config.audit = Some(Audit::new(beside(&config.data_dir, ".audit")?));
        }
        Ok(Self {
            serve: true,
            movable_clock: false,
            insecure_allow_plain_http: given
                .insecure_allow_plain_http
                .unwrap_or(config.insecure_allow_plain_http),
            ..config
        })
    }

    /// What `serve` asks for besides.
    pub(super) fn check_serve(&self) -> Result<(), ConfigError> {
        if self.identities.is_none() {
            return refused(
                "serve needs an identity file: --identities, or `identities` in the file",
            );
        }
        if self.movable_clock {
            return refused("the clock of serve cannot be moved");
        }
        if self.tls.is_none() && !self.insecure_allow_plain_http {
            return refused(
                "serve needs a certificate: --tls-cert and --tls-key; \
                 --insecure-allow-plain-http permits plain HTTP behind a proxy",
            );
        }
        let local = |address: std::net::SocketAddr| address.ip().to_canonical().is_loopback();
        if self.insecure_allow_remote {
            return Ok(());
        }
        if self.tls.is_none() && !local(self.listen) {
            return refused(format!(
                "--listen {} is not a loopback address: plaintexts would cross the network in the clear; \
                 --insecure-allow-remote permits it",
                self.listen
            ));
        }
        if !local(self.admin_listen) {
            return refused(format!(
                "--admin-listen {} is not a loopback address: anyone who reaches it could read the \
                 metrics; --insecure-allow-remote permits it",
                self.admin_listen
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tls::TlsFiles;

    #[test]
    fn serve_asks_for_identities_tls_and_loopback() {
        let mut config = Config { serve: true, ..Config::for_tests(Path::new("/d")) };
        let refusal = |config: &Config| config.check().unwrap_err().to_string();
        assert!(refusal(&config).contains("identity file"));
        config.identities = Some("i".into());
        assert!(refusal(&config).contains("clock"));
        config.movable_clock = false;
        assert!(refusal(&config).contains("certificate"));

        config.insecure_allow_plain_http = true;
        config.check().unwrap();
        config.listen = "0.0.0.0:1".parse().unwrap();
        assert!(refusal(&config).contains("in the clear"));
        config.tls = Some(TlsFiles { certificate: "c".into(), key: "k".into() });
        config.check().unwrap();
        config.admin_listen = "0.0.0.0:1".parse().unwrap();
        assert!(refusal(&config).contains("--admin-listen"));
        config.insecure_allow_remote = true;
        config.check().unwrap();
        config.regions = Some(Vec::new());
        assert!(refusal(&config).contains("regions"));
    }

    #[test]
    fn serve_has_no_data_directory_of_its_own() {
        let refusal = Config::serve(ServeFlags::default()).unwrap_err().to_string();
        assert!(refusal.contains("--data-dir"), "{refusal}");
        let given = ServeFlags { data_dir: Some("/d".into()), ..ServeFlags::default() };
        let config = Config::serve(given).unwrap();
        assert!(config.serve && !config.movable_clock);
        assert_eq!(config.audit.unwrap().dir, Path::new("/d.audit"));
    }
}
