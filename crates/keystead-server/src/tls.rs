//! TLS of the main listener: rustls with aws-lc-rs, TLS 1.2 and 1.3, hybrid post-quantum groups first.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context, anyhow, bail};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// The longest certificate or key file, in bytes.
const MAX_FILE: usize = 256 * 1024;

/// Where certificate and key lie, both PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// A certificate with its key, read again when the files change. Connections that are open keep the one
/// they began with; files that cannot be used never take effect.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    in_force: RwLock<Arc<CertifiedKey>>,
    last: Mutex<Attempt>,
}

/// What the files held when they were last looked at, good or not.
struct Attempt {
    found: Found,
    error: Option<String>,
}

/// The content of both files, or why it could not be read.
#[derive(PartialEq)]
struct Found {
    chain: Content,
    key: Content,
}

type Content = Result<Zeroizing<Vec<u8>>, String>;

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("error", &self.error).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads the files for the first time.
    pub(crate) fn open(files: &TlsFiles) -> anyhow::Result<Arc<Self>> {
        let found = read(files);
        let certified = certified(files, &found)?;
        Ok(Arc::new(Self {
            files: files.clone(),
            in_force: RwLock::new(Arc::new(certified)),
            last: Mutex::new(Attempt { found, error: None }),
        }))
    }

    /// Why the files as they are now are not in force; `None` while they are.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).error.clone()
    }

    /// Reads the files again and puts them in force if they have changed and fit together. Answers whether
    /// they did. Blocks.
    ///
    /// # Errors
    /// Once for each faulty content; the certificate in force stays.
    pub(crate) fn reload(&self) -> Result<bool, String> {
        // Held throughout, so that of two calls the one with the later content wins.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let found = read(&self.files);
        if found == last.found {
            return Ok(false);
        }
        last.found = found;
        match certified(&self.files, &last.found) {
            Ok(certified) => {
                last.error = None;
                *self.in_force.write().unwrap_or_else(PoisonError::into_inner) =
                    Arc::new(certified);
                Ok(true)
            }
            Err(error) => {
                let error = format!("{error:#}");
                last.error = Some(error.clone());
                Err(error)
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A poisoned lock only means that a holder panicked: the value is whole.
        Some(Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// ALPN offers HTTP/2 and HTTP/1.1; key exchange prefers X25519MLKEM768.
pub(crate) fn config(certificate: Arc<Certificate>) -> anyhow::Result<Arc<ServerConfig>> {
    // Named, not taken from the process default: another library must not change it.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read(files: &TlsFiles) -> Found {
    let read = |what, path: &Path| {
        let file = File::open(path).and_then(|file| {
            let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
            file.take(MAX_FILE as u64 + 1).read_to_end(&mut content).map(|_| content)
        });
        match file {
            Ok(content) if content.len() > MAX_FILE => {
                Err(format!("{}: it is too long", unusable(what, path)))
            }
            Ok(content) => Ok(content),
            Err(error) => Err(format!("{}: {error}", unusable(what, path))),
        }
    };
    Found { chain: read("certificate", &files.certificate), key: read("private key", &files.key) }
}

fn certified(files: &TlsFiles, found: &Found) -> anyhow::Result<CertifiedKey> {
    let content = |content: &'_ Content| content.clone().map_err(|error| anyhow!("{error}"));
    let chain = CertificateDer::pem_slice_iter(&content(&found.chain)?)
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| unusable("certificate", &files.certificate))?;
    if chain.is_empty() {
        bail!("{}: it holds no certificate", unusable("certificate", &files.certificate));
    }
    let key = PrivateKeyDer::from_pem_slice(&content(&found.key)?)
        .with_context(|| unusable("private key", &files.key))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .context("TLS certificate and private key do not work together")
}

fn unusable(what: &str, path: &Path) -> String {
    format!("cannot read the TLS {what} `{}`", path.display())
}
