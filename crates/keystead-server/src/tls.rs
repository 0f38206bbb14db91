//! TLS of the main listener: rustls with aws-lc-rs, TLS 1.2 and 1.3, hybrid post-quantum groups first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Where certificate and key lie, both PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Reads the files. ALPN offers HTTP/2 and HTTP/1.1; key exchange prefers X25519MLKEM768.
pub(crate) fn load(files: &TlsFiles) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| unusable("certificate", &files.certificate))?;
    if chain.is_empty() {
        bail!("{}: it holds no certificate", unusable("certificate", &files.certificate));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| unusable("private key", &files.key))?;
    // Named, not taken from the process default: another library must not change it.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("TLS certificate and private key do not work together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn unusable(what: &str, path: &Path) -> String {
    format!("cannot read the TLS {what} `{}`", path.display())
}
