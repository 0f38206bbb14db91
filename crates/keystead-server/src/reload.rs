//! The files that are read again while the server runs: identities and the TLS certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystead_identity::{Identities, Reloaded};
use keystead_service::Service;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::metrics::Sample;
use crate::tls::Certificate;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// The files, and how often they changed.
pub(crate) struct Reloads {
    service: Arc<Service>,
    identities: Option<Arc<Identities>>,
    certificate: Option<Arc<Certificate>>,
    identities_changed: AtomicU64,
    certificate_changed: AtomicU64,
    unusable_keys: AtomicU64,
}

impl Reloads {
    pub(crate) fn new(
        service: Arc<Service>,
        identities: Option<Arc<Identities>>,
        certificate: Option<Arc<Certificate>>,
    ) -> Self {
        let reloads = Self {
            service,
            identities,
            certificate,
            identities_changed: AtomicU64::new(0),
            certificate_changed: AtomicU64::new(0),
            unusable_keys: AtomicU64::new(0),
        };
        reloads.check_access_keys();
        reloads
    }

    /// Reads the files again and puts in force what has changed and is without fault.
    pub(crate) async fn reload(self: &Arc<Self>) {
        let reloads = Arc::clone(self);
        if spawn_blocking(move || reloads.read()).await.is_err() {
            tracing::error!("reading the identities and the certificate again has failed");
        }
    }

    /// Reads the files again every few seconds, for as long as it is not aborted.
    pub(crate) async fn watch(self: Arc<Self>) {
        if self.identities.is_none() && self.certificate.is_none() {
            return;
        }
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.reload().await;
        }
    }

    /// What is not in force as it stands in its file, one line each.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let identities = self.identities.as_ref().and_then(|identities| {
            let error = identities.refusal()?;
            let line = error.to_string().lines().next().unwrap_or_default().to_owned();
            Some(format!("the identity file is not in force: {line}"))
        });
        let certificate = self.certificate.as_ref().and_then(|certificate| certificate.refusal());
        let certificate =
            certificate.map(|error| format!("the certificate is not in force: {error}"));
        identities.into_iter().chain(certificate).collect()
    }

    /// The counters.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        if let Some(identities) = &self.identities {
            samples.extend([
                Sample::Counter(
                    "identities_reloads",
                    "Changes of the identity file that were put in force",
                    self.identities_changed.load(Ordering::Relaxed),
                ),
                Sample::Gauge(
                    "identities_faulty",
                    "1 while the identity file has faults and an earlier content is in force",
                    u64::from(identities.refusal().is_some()),
                ),
                Sample::Gauge(
                    "access_keys_unusable",
                    "Active access keys whose secret this store does not open",
                    self.unusable_keys.load(Ordering::Relaxed),
                ),
            ]);
        }
        if let Some(certificate) = &self.certificate {
            samples.extend([
                Sample::Counter(
                    "tls_certificate_reloads",
                    "Changes of the TLS files that were put in force",
                    self.certificate_changed.load(Ordering::Relaxed),
                ),
                Sample::Gauge(
                    "tls_certificate_faulty",
                    "1 while the TLS files cannot be used and an earlier certificate is in force",
                    u64::from(certificate.refusal().is_some()),
                ),
            ]);
        }
        samples
    }

    fn read(&self) {
        if let Some(identities) = &self.identities {
            match identities.reload() {
                Ok(Reloaded::Unchanged) => {}
                Ok(Reloaded::Changed(_)) => {
                    self.identities_changed.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(file = %identities.path().display(), "identities read again");
                    self.check_access_keys();
                }
                Err(error) => {
                    tracing::error!(%error, "the identity file has faults; what was in force stays");
                }
            }
        }
        if let Some(certificate) = &self.certificate {
            match certificate.reload() {
                Ok(false) => {}
                Ok(true) => {
                    self.certificate_changed.fetch_add(1, Ordering::Relaxed);
                    tracing::info!("TLS certificate read again");
                }
                Err(error) => {
                    tracing::error!(error, "the TLS files cannot be used; what was in force stays");
                }
            }
        }
    }

    fn check_access_keys(&self) {
        let unusable = self.service.unusable_access_keys();
        self.unusable_keys.store(unusable.len() as u64, Ordering::Relaxed);
        if !unusable.is_empty() {
            tracing::warn!(
                access_keys = unusable.join(" "),
                "access keys that were not made for this store and account: nobody can use them"
            );
        }
    }
}
