//! Settings: flag before environment before file before default.

use std::env;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use keystead_model::Region;
use keystead_service::{Quotas, Rates};
use serde::Deserialize;

pub use serve::ServeFlags;

use crate::limits::Limits;
use crate::logging::{Log, LogFormat, LogLevel};
use crate::throttling::Throttling;
use crate::tls::TlsFiles;
use crate::trail::Audit;

mod serve;

/// Where `dev` listens by default.
const DEV_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4599);

/// Where the admin listener listens by default.
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4600);

/// All settings of a server, resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Where the API is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where health, metrics and the clock are served; port 0 takes a free one.
    pub admin_listen: SocketAddr,
    /// The directory of the store, created when it is missing.
    pub data_dir: PathBuf,
    /// The file of the root key, outside `data_dir`. Not used with a passphrase.
    pub root_key_file: PathBuf,
    /// A file, outside `data_dir`, whose content without a final line break is the passphrase that seals
    /// the root key in the store.
    pub root_passphrase_file: Option<PathBuf>,
    /// The file of accounts, users and roles, against which signatures are verified. Without it any
    /// credentials are accepted.
    pub identities: Option<PathBuf>,
    /// The Regions that are served; `None`: every one.
    pub regions: Option<Vec<Region>>,
    /// How long a new grant is known to its tokens alone, seconds.
    pub grant_delay: u32,
    /// Whether this is `keystead serve`: nothing is created, nobody is accepted unverified, the clock is
    /// the machine's.
    pub serve: bool,
    /// Allows `serve` to serve plain HTTP on loopback, behind a proxy that ends TLS.
    pub insecure_allow_plain_http: bool,
    /// TLS for the API; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// The audit log; none is kept without.
    pub audit: Option<Audit>,
    /// Allows listening on other than loopback addresses although nobody is authenticated, or by plain
    /// HTTP.
    pub insecure_allow_remote: bool,
    /// Allows SM2 in every Region, not in those of China alone.
    pub sm2_everywhere: bool,
    /// Lets the admin listener move the clock.
    pub movable_clock: bool,
    /// What is logged, and how.
    pub log: Log,
    /// Sizes, times and counts.
    pub limits: Limits,
    /// How long a key is seen as Creating or Updating, seconds.
    pub settling_delay: u32,
    /// How long a rotation on demand takes, seconds.
    pub rotation_delay: u32,
    /// How much an account and a key may have.
    pub quotas: Quotas,
    /// How often an account may call.
    pub rates: Rates,
}

/// The longest `settling_delay`, `rotation_delay` and `grant_delay`: a day, seconds.
const MOST_DELAY: u32 = 86_400;

/// The settings of `keystead dev` as flags and environment variables.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Address of the API [default: 127.0.0.1:4599]; port 0 takes a free port
    #[arg(long, env = "KEYSTEAD_LISTEN", value_name = "ADDR:PORT")]
    listen: Option<Address>,
    /// Address of health, metrics and clock [default: 127.0.0.1:4600]
    #[arg(long, env = "KEYSTEAD_ADMIN_LISTEN", value_name = "ADDR:PORT")]
    admin_listen: Option<Address>,
    /// Directory of the store [default: $XDG_DATA_HOME/keystead/dev]
    #[arg(long, env = "KEYSTEAD_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Configuration file (TOML)
    #[arg(long, env = "KEYSTEAD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// File of the root key, outside the data directory [default: DATA_DIR.root-key]
    #[arg(long, env = "KEYSTEAD_ROOT_KEY_FILE", value_name = "FILE")]
    root_key_file: Option<PathBuf>,
    /// File of a passphrase that seals the root key, in place of a root key file
    #[arg(long, env = "KEYSTEAD_ROOT_PASSPHRASE_FILE", value_name = "FILE")]
    root_passphrase_file: Option<PathBuf>,
    /// File of accounts, users and roles: signatures are verified against it [default: any credentials]
    #[arg(long, env = "KEYSTEAD_IDENTITIES", value_name = "FILE")]
    identities: Option<PathBuf>,
    /// TLS certificate chain (PEM)
    #[arg(long, env = "KEYSTEAD_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// TLS private key (PEM)
    #[arg(long, env = "KEYSTEAD_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Keep an audit log in this directory
    #[arg(long, env = "KEYSTEAD_AUDIT_DIR", value_name = "DIR")]
    audit_dir: Option<PathBuf>,
    /// Allow other than loopback addresses, although nobody is authenticated
    #[arg(long, env = "KEYSTEAD_INSECURE_ALLOW_REMOTE", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    insecure_allow_remote: Option<bool>,
    /// Allow SM2 outside the Regions of China
    #[arg(long, env = "KEYSTEAD_SM2_EVERYWHERE", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    sm2_everywhere: Option<bool>,
    /// How long a key is seen as Creating or Updating [default: 0]
    #[arg(long, env = "KEYSTEAD_SETTLING_DELAY", value_name = "SECONDS")]
    settling_delay: Option<u32>,
    /// How long a rotation on demand takes [default: 0]
    #[arg(long, env = "KEYSTEAD_ROTATION_DELAY", value_name = "SECONDS")]
    rotation_delay: Option<u32>,
    /// How long a new grant is known to its tokens alone [default: 0]
    #[arg(long, env = "KEYSTEAD_GRANT_DELAY", value_name = "SECONDS")]
    grant_delay: Option<u32>,
    /// How much to log [default: info]
    #[arg(long, env = "KEYSTEAD_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// What log lines look like [default: text]
    #[arg(long, env = "KEYSTEAD_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl Flags {
    /// Flags that say where a store and its root key are, and nothing else.
    pub(crate) fn of_store(
        data_dir: Option<PathBuf>,
        root_key_file: Option<PathBuf>,
        root_passphrase_file: Option<PathBuf>,
    ) -> Self {
        Self { data_dir, root_key_file, root_passphrase_file, ..Self::default() }
    }

    /// The same flags with a configuration file.
    pub(crate) fn with_config(self, config: Option<PathBuf>) -> Self {
        Self { config, ..self }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or holds a key or value that is not known.
    #[error("{}:{line}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the key.
        message: String,
    },
    /// A setting contradicts another or a rule.
    #[error("{0}")]
    Refused(String),
}

impl Config {
    /// The settings of `keystead dev` with free ports and a data directory, for tests: what a developer
    /// gets, but for the ports.
    #[must_use]
    pub fn for_tests(data_dir: &Path) -> Self {
        let mut root_key_file = data_dir.as_os_str().to_owned();
        root_key_file.push(".root-key");
        let free = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        Self {
            listen: free,
            admin_listen: free,
            data_dir: data_dir.to_owned(),
            root_key_file: root_key_file.into(),
            root_passphrase_file: None,
            identities: None,
            regions: None,
            grant_delay: 0,
            serve: false,
            insecure_allow_plain_http: false,
            tls: None,
            audit: None,
            insecure_allow_remote: false,
            sm2_everywhere: false,
            movable_clock: true,
            log: Log::default(),
            limits: Limits::default(),
            settling_delay: 0,
            rotation_delay: 0,
            quotas: Quotas::default(),
            rates: Rates::default(),
        }
    }

    /// Resolves the settings of `keystead dev`.
    ///
    /// # Errors
    /// [`ConfigError`]: the file, a missing half of a pair, or a data directory without a name.
    pub fn dev(flags: Flags) -> Result<Self, ConfigError> {
        Self::resolve(flags)
    }

    /// Resolves the settings, whatever command they are for.
    pub(crate) fn resolve(flags: Flags) -> Result<Self, ConfigError> {
        let file = File::of(&flags)?;
        Self::combine(flags, file)
    }

    fn combine(flags: Flags, file: File) -> Result<Self, ConfigError> {
        let data_dir = absolute(flags.data_dir.or(file.data_dir).unwrap_or_else(default_data_dir))?;
        let root_key_file = match flags.root_key_file.or(file.root_key_file) {
            Some(path) => absolute(path)?,
            None => beside(&data_dir, ".root-key")?,
        };
        let tls = match (flags.tls_cert.or(file.tls_cert), flags.tls_key.or(file.tls_key)) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => return refused("tls_cert and tls_key belong together: one of them is missing"),
        };
        let audit = match (flags.audit_dir, file.audit) {
            (Some(dir), Some(audit)) => Some(Audit { dir: absolute(dir)?, ..audit }),
            (Some(dir), None) => Some(Audit::new(absolute(dir)?)),
            (None, audit) => audit,
        };
        let remote = flags.insecure_allow_remote.or(file.insecure_allow_remote).unwrap_or(false);
        Ok(Self {
            listen: flags.listen.or(file.listen).map_or(DEV_LISTEN, |address| address.0),
            admin_listen: flags
                .admin_listen
                .or(file.admin_listen)
                .map_or(ADMIN_LISTEN, |address| address.0),
            data_dir,
            root_key_file,
            root_passphrase_file: flags.root_passphrase_file.or(file.root_passphrase_file),
            identities: flags.identities.or(file.identities),
            regions: file.regions.map(|all| all.into_iter().map(|served| served.0).collect()),
            grant_delay: flags.grant_delay.or(file.grant_delay).unwrap_or(0),
            serve: false,
            insecure_allow_plain_http: file.insecure_allow_plain_http.unwrap_or(false),
            tls,
            audit,
            insecure_allow_remote: remote,
            sm2_everywhere: flags.sm2_everywhere.or(file.sm2_everywhere).unwrap_or(false),
            movable_clock: true,
            log: Log {
                level: flags.log_level.unwrap_or(file.log.level),
                format: flags.log_format.unwrap_or(file.log.format),
            },
            limits: file.limits,
            settling_delay: flags.settling_delay.or(file.settling_delay).unwrap_or(0),
            rotation_delay: flags.rotation_delay.or(file.rotation_delay).unwrap_or(0),
            quotas: file.quotas,
            rates: file.throttling.0,
        })
    }

    /// The rules that hold however the settings came about.
    ///
    /// # Errors
    /// [`ConfigError::Refused`]: a remote address without permission, what `serve` asks for, a limit, quota
    /// or delay the server cannot work with.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.serve {
            self.check_serve()?;
        } else {
            self.check_dev()?;
        }
        if self.regions.as_ref().is_some_and(Vec::is_empty) {
            return refused("`regions` names none: without it every Region is served");
        }
        if let Some((name, complaint)) = self.limits.fault() {
            return refused(format!("limits.{name} {complaint}"));
        }
        if let Some((name, complaint)) = self.quotas.fault() {
            return refused(format!("quotas.{name} {complaint}"));
        }
        let delays = [
            ("settling-delay", self.settling_delay),
            ("rotation-delay", self.rotation_delay),
            ("grant-delay", self.grant_delay),
        ];
        match delays.into_iter().find(|(_, seconds)| *seconds > MOST_DELAY) {
            Some((name, _)) => refused(format!("--{name} must be at most {MOST_DELAY} seconds")),
            None => Ok(()),
        }
    }

    fn check_dev(&self) -> Result<(), ConfigError> {
        for (setting, address) in [("listen", self.listen), ("admin-listen", self.admin_listen)] {
            if !self.insecure_allow_remote && !address.ip().to_canonical().is_loopback() {
                return refused(format!(
                    "--{setting} {address} is not a loopback address: anyone who reaches it could use \
                     every key; --insecure-allow-remote permits it"
                ));
            }
        }
        if let Some((name, complaint)) = self.audit.as_ref().and_then(Audit::fault) {
            return refused(format!("audit.{name} {complaint}"));
        }
        Ok(())
    }
}

/// The data directory that `dev` uses when none is named.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    // The XDG base directory specification asks to ignore relative values.
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match (set("XDG_DATA_HOME"), set("HOME")) {
        (Some(data), _) => data.join("keystead/dev"),
        (None, Some(home)) => home.join(".local/share/keystead/dev"),
        (None, None) => PathBuf::from("keystead-data"),
    }
}

fn refused<T>(message: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Refused(message.into()))
}

fn absolute(path: PathBuf) -> Result<PathBuf, ConfigError> {
    std::path::absolute(&path)
        .or_else(|error| refused(format!("cannot use the path `{}`: {error}", path.display())))
}

/// `<data_dir>.root-key`: beside the directory, so that a copy of the directory holds no key.
fn beside(data_dir: &Path, suffix: &str) -> Result<PathBuf, ConfigError> {
    match data_dir.file_name() {
        Some(name) => {
            let mut name = name.to_owned();
            name.push(suffix);
            Ok(data_dir.with_file_name(name))
        }
        None => refused(format!(
            "the data directory `{}` has no name to put `*{suffix}` beside it: name that place by a setting",
            data_dir.display()
        )),
    }
}

/// `ADDR:PORT`, where ADDR is an IP address or `localhost`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        numeric
            .as_deref()
            .unwrap_or(text)
            .parse()
            .map(Self)
            .map_err(|_| format!("`{text}` is not of the form ADDR:PORT, such as 127.0.0.1:4599"))
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    listen: Option<Address>,
    admin_listen: Option<Address>,
    data_dir: Option<PathBuf>,
    root_key_file: Option<PathBuf>,
    root_passphrase_file: Option<PathBuf>,
    identities: Option<PathBuf>,
    regions: Option<Vec<Served>>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    insecure_allow_remote: Option<bool>,
    insecure_allow_plain_http: Option<bool>,
    sm2_everywhere: Option<bool>,
    audit: Option<Audit>,
    settling_delay: Option<u32>,
    rotation_delay: Option<u32>,
    grant_delay: Option<u32>,
    log: Log,
    limits: Limits,
    quotas: Quotas,
    throttling: Throttling,
}

/// A Region by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Served(Region);

impl TryFrom<String> for Served {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("`{text}` is not the name of a Region"))
    }
}

impl File {
    /// The file that the flags name; an empty one if they name none.
    fn of(flags: &Flags) -> Result<Self, ConfigError> {
        flags.config.as_ref().map_or_else(|| Ok(Self::default()), |path| Self::read(path))
    }

    /// Reads a file; relative paths in it are meant from its own directory.
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let mut file = Self::parse(path, &text)?;
        if let Some(folder) = path.parent() {
            for setting in [
                &mut file.data_dir,
                &mut file.root_key_file,
                &mut file.root_passphrase_file,
                &mut file.identities,
                &mut file.tls_cert,
                &mut file.tls_key,
            ] {
                if let Some(given) = setting {
                    *setting = Some(folder.join(given));
                }
            }
            for path in file.audit.iter_mut().flat_map(Audit::paths) {
                *path = folder.join(&path);
            }
        }
        Ok(file)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            let before = text.get(..at).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let source = text.lines().nth(line - 1).unwrap_or_default();
            let mut message = error.message().lines().collect::<Vec<_>>().join("; ");
            // The parser names unknown keys itself, and the key of a bad value not always.
            if let Some((key, _)) = source.split_once('=')
                && !message.contains(key.trim())
            {
                message = format!("`{}`: {message}", key.trim());
            }
            ConfigError::Malformed { path: path.to_owned(), line, message }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use keystead_service::{Group, PerSecond, Rate};

    fn complaint(text: &str) -> String {
        File::parse(Path::new("k.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_full_file_is_understood() {
        let file = File::parse(
            Path::new("k.toml"),
            "listen = \"localhost:0\"\nadmin_listen = \"[::1]:4600\"\ndata_dir = \"d\"\n\
             root_key_file = \"r\"\nroot_passphrase_file = \"p\"\ntls_cert = \"c\"\ntls_key = \"k\"\n\
             insecure_allow_remote = true\nsm2_everywhere = true\n\
             [log]\nlevel = \"debug\"\nformat = \"json\"\n[limits]\nconnections = 7\n",
        )
        .unwrap();
        assert_eq!(file.listen.unwrap().0, "127.0.0.1:0".parse().unwrap());
        assert_eq!(file.admin_listen.unwrap().0, "[::1]:4600".parse().unwrap());
        assert_eq!(file.limits, Limits { connections: 7, ..Limits::default() });
        assert_eq!(file.log, Log { level: LogLevel::Debug, format: LogFormat::Json });
    }

    #[test]
    fn faults_name_file_line_and_key() {
        let unknown = complaint("listen = \"127.0.0.1:1\"\nlisten_admin = \"x\"\n");
        assert!(unknown.starts_with("k.toml:2: unknown field `listen_admin`"), "{unknown}");
        let nested = complaint("[limits]\n\nconections = 1\n");
        assert!(nested.starts_with("k.toml:3: unknown field `conections`"), "{nested}");
        let kind = complaint("\nsm2_everywhere = 1\n");
        assert!(kind.starts_with("k.toml:2: `sm2_everywhere`: "), "{kind}");
        let address = complaint("listen = \"nowhere\"\n");
        assert!(address.starts_with("k.toml:1: ") && address.contains("`listen`"), "{address}");
        let limit = complaint("[limits]\nconnections = -1\n");
        assert!(limit.starts_with("k.toml:2: ") && limit.contains("connections"), "{limit}");
        assert!(complaint("listen = ").starts_with("k.toml:1: "));
    }

    #[test]
    fn quotas_and_rates_are_understood() {
        let file = File::parse(
            Path::new("k.toml"),
            "settling_delay = 5\nrotation_delay = 60\n[quotas]\nkeys = 3\n\
             [throttling]\ndefault = \"aws\"\nCreateKey = 2\nGetParametersForImport = 0.25\n\
             cryptographic_rsa = \"off\"\n",
        )
        .unwrap();
        assert_eq!((file.settling_delay, file.rotation_delay), (Some(5), Some(60)));
        assert_eq!(file.quotas, Quotas { keys: 3, ..Quotas::default() });
        let rates = file.throttling.0;
        assert_eq!(rates.others, Rate::Aws);
        let rate = |name: &str| rates.groups.get(&Group::parse(name).unwrap()).copied();
        let limit = |requests| PerSecond::new(requests).map(Rate::Limit);
        assert_eq!(rate("CreateKey"), limit(2.0));
        assert_eq!(rate("GetParametersForImport"), limit(0.25));
        assert_eq!(rate("cryptographic_rsa"), Some(Rate::Off));
        assert_eq!(rate("ListKeys"), None);
    }

    #[test]
    fn faults_of_quotas_and_rates_name_line_and_key() {
        let group = complaint("[throttling]\ndefault = \"aws\"\nCreateKeys = 5\n");
        assert!(group.starts_with("k.toml:3: unknown group `CreateKeys`"), "{group}");
        let shared = complaint("[throttling]\nGenerateDataKeyPair = 5\n");
        assert!(shared.starts_with("k.toml:2: unknown group `GenerateDataKeyPair`"), "{shared}");
        assert!(shared.contains("data_key_pair_RSA_2048"), "{shared}");
        for value in ["0", "-1", "1000001", "0.0001", "nan", "\"fast\"", "true", "[1]"] {
            let fault = complaint(&format!("[throttling]\n\nListKeys = {value}\n"));
            assert!(fault.starts_with("k.toml:3: ") && fault.contains("`ListKeys`"), "{fault}");
        }
        let twice = complaint("[throttling]\nListKeys = 1\nListKeys = 2\n");
        assert!(twice.starts_with("k.toml:3: "), "{twice}");
        let quota = complaint("[quotas]\nkey = 1\n");
        assert!(quota.starts_with("k.toml:2: unknown field `key`"), "{quota}");
        let negative = complaint("[quotas]\nkeys = -1\n");
        assert!(negative.starts_with("k.toml:2: ") && negative.contains("keys"), "{negative}");
    }

    #[test]
    fn quotas_and_delays_out_of_bounds_are_refused() {
        let mut config = Config::for_tests(Path::new("/d"));
        config.quotas.policy_bytes = 0;
        let refusal = config.check().unwrap_err().to_string();
        assert_eq!(refusal, "quotas.policy_bytes must be from 1 to 131072");
        config.quotas.policy_bytes = 1;
        config.rotation_delay = 86_400;
        config.check().unwrap();
        config.rotation_delay = 86_401;
        let refusal = config.check().unwrap_err().to_string();
        assert_eq!(refusal, "--rotation-delay must be at most 86400 seconds");
    }

    #[test]
    fn remote_addresses_need_permission() {
        let mut config = Config::for_tests(Path::new("/d"));
        config.check().unwrap();
        for address in ["[::1]:0", "127.9.9.9:0", "[::ffff:127.0.0.1]:0"] {
            config.listen = address.parse().unwrap();
            config.check().unwrap();
        }
        config.listen = "0.0.0.0:4599".parse().unwrap();
        let refusal = config.check().unwrap_err().to_string();
        assert!(refusal.contains("--listen 0.0.0.0:4599") && refusal.contains("--insecure"));
        config.insecure_allow_remote = true;
        config.check().unwrap();
        config.insecure_allow_remote = false;
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.admin_listen = "192.0.2.1:0".parse().unwrap();
        assert!(config.check().unwrap_err().to_string().contains("--admin-listen"));
    }

    #[test]
    fn limits_the_server_cannot_live_with_are_refused() {
        let mut config = Config::for_tests(Path::new("/d"));
        config.limits.connections = 0;
        assert_eq!(config.check().unwrap_err().to_string(), "limits.connections must not be 0");
        config.limits.connections = 1;
        config.limits.header_bytes = 100;
        assert!(config.check().unwrap_err().to_string().starts_with("limits.header_bytes"));
    }

    #[test]
    fn the_root_key_lies_beside_the_data_directory() {
        assert_eq!(beside(Path::new("/a/b"), ".root-key").unwrap(), Path::new("/a/b.root-key"));
        assert_eq!(beside(Path::new("/a/b/"), ".root-key").unwrap(), Path::new("/a/b.root-key"));
        assert!(beside(Path::new("/"), ".root-key").is_err());
    }
}
