//! Store, root key and service, opened in that order: a crash between two steps leaves a store without
//! keys, which the next start completes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use keystead_crypto::arena;
use keystead_identity::Identities;
use keystead_service::keyring::is_initialised;
use keystead_service::{Access, Clock, Service, ServiceSettings};
use keystead_store::embedded::{Embedded, OpenOptions};
use keystead_store::{Store, StoreError};
use tokio::task::spawn_blocking;

use crate::config::Config;
use crate::key_sets;
use crate::metrics::{Sample, Samples};
use crate::reload::Reloads;
use crate::root_key;
use crate::trail::{self, Audit};

/// How often dates that have passed are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Opens all that a server stands on.
pub(crate) async fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
    access: Access,
) -> anyhow::Result<(Arc<Service>, Arc<dyn Store>)> {
    // The integrity check of the store takes its time.
    let store: Arc<dyn Store> = {
        let config = config.clone();
        Arc::new(spawn_blocking(move || open_store(&config)).await.context("cannot start")??)
    };
    let failed = || format!("cannot open the keys in `{}`", config.data_dir.display());
    let root = if is_initialised(store.as_ref()).await.with_context(failed)? {
        root_key::load(config)?
    } else if config.serve {
        bail!(nothing_to_serve(config));
    } else {
        root_key::load_or_create(config)?
    };
    match arena::prepare() {
        Ok(status) => tracing::info!(%status, "memory for long-lived keys"),
        Err(error) => tracing::warn!(%error, "no memory set apart for long-lived keys"),
    }
    let settings = ServiceSettings {
        sm2_everywhere: config.sm2_everywhere,
        audit: config.audit.as_ref().map(Audit::settings).transpose()?,
        settling_delay: i64::from(config.settling_delay) * 1_000,
        rotation_delay: i64::from(config.rotation_delay) * 1_000,
        grant_delay: i64::from(config.grant_delay) * 1_000,
        regions: config.regions.clone(),
        quotas: config.quotas,
        rates: config.rates.clone(),
        key_sets: Arc::new(key_sets::Machine),
        ..ServiceSettings::default()
    };
    let service = Service::open(settings, access, Arc::clone(&store), root, clock)
        .await
        .with_context(failed)?;
    Ok((service, store))
}

fn open_store(config: &Config) -> anyhow::Result<Embedded> {
    root_key::refuse_inside(config)?;
    let folder = &config.data_dir;
    if config.serve {
        check_closed(folder)?;
    }
    let opened = match Embedded::open(folder, &OpenOptions::default()) {
        Err(StoreError::Missing) if config.serve => bail!(nothing_to_serve(config)),
        Err(StoreError::Missing) => {
            root_key::create_private(folder)?;
            Embedded::open(folder, &OpenOptions { create: true, ..OpenOptions::default() })
        }
        opened => opened,
    };
    opened.with_context(|| format!("cannot open the store in `{}`", folder.display()))
}

/// `serve` makes no store: where one was, or was to be, an empty one would look like lost keys.
fn nothing_to_serve(config: &Config) -> String {
    let (folder, key) = (config.data_dir.display(), config.root_key_file.display());
    if config.root_passphrase_file.is_none() && config.root_key_file.exists() {
        format!(
            "there is no store in `{folder}`, but a root key in `{key}`: is the volume mounted, is a \
             backup to be restored?"
        )
    } else {
        format!("there is no store in `{folder}`: keystead init makes one")
    }
}

/// Refuses a data directory that others may look into.
fn check_closed(folder: &Path) -> anyhow::Result<()> {
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.mode() & 0o077 != 0 => bail!(
            "the data directory `{}` is open to others (mode {:04o}): use chmod 700",
            folder.display(),
            metadata.mode() & 0o7777
        ),
        // That it is missing is told with what follows from it.
        _ => Ok(()),
    }
}

/// Whom the server accepts. Blocks.
pub(crate) fn access(config: &Config) -> anyhow::Result<(Access, Option<Arc<Identities>>)> {
    let Some(path) = &config.identities else { return Ok((Access::Open, None)) };
    let identities = Arc::new(Identities::open(path)?);
    Ok((Access::Verified(Arc::clone(&identities)), Some(identities)))
}

/// Why the store cannot do its work, if it cannot.
pub(crate) fn unhealthy(store: &dyn Store) -> Option<String> {
    let health = store.health();
    if health.closed {
        return Some("the store is closed".to_owned());
    }
    if health.writable {
        return None;
    }
    Some(match health.last_error {
        Some(error) => format!("the store cannot be written: {error}"),
        None => "the store cannot be written".to_owned(),
    })
}

/// Reads the counters of store, key memory, audit log and what is read again.
pub(crate) fn samples(
    store: Arc<dyn Store>,
    service: Arc<Service>,
    reloads: Arc<Reloads>,
) -> Samples {
    Arc::new(move || {
        let counted = store.statistics();
        let memory = arena::status();
        let mut samples = vec![
            Sample::Counter("store_commits", "Commits that changed something", counted.commits),
            Sample::Counter("store_groups", "Groups of commits synced together", counted.groups),
            Sample::Counter("store_conflicts", "Commits refused by a guard", counted.conflicts),
            Sample::Counter("store_failures", "Commits that failed", counted.failures),
            Sample::Counter("store_reads", "Records read", counted.reads),
            Sample::Counter("store_scans", "Ranges read", counted.scans),
            Sample::Gauge(
                "key_memory_bytes",
                "Memory set apart for long-lived keys, in use",
                (memory.roots.used + memory.keys.used) as u64,
            ),
        ];
        samples.extend(reloads.samples());
        samples.extend(trail::samples(&service));
        samples
    })
}

/// Destroys what is due. A failure is logged; the next sweep goes on where this one stopped.
pub(crate) async fn sweep(service: &Service) {
    match service.sweep().await {
        Ok(0) => {}
        Ok(destroyed) => tracing::info!(destroyed, "keys past their deletion date destroyed"),
        Err(error) => {
            tracing::error!(error = error.type_name(), detail = error.detail(), "sweep failed");
        }
    }
}

/// Writes what is only in memory so far, at an orderly end.
pub(crate) async fn settle(service: &Service) {
    if let Err(error) = service.write_usage().await {
        let (name, detail) = (error.type_name(), error.detail());
        tracing::error!(error = name, detail, "the last uses of keys cannot be written");
    }
}

/// Ends the audit log in order. After everything that could still have to be recorded.
pub(crate) async fn close_audit(service: &Service) {
    if let Err(error) = service.close_audit().await {
        tracing::error!(detail = error.detail(), "the audit log is not closed in order");
    } else if let Some(health) = service.audit_health() {
        tracing::info!(last_digest = health.head, "the audit log is closed");
    }
}

/// Sweeps every minute, for as long as it is not aborted.
pub(crate) async fn sweep_forever(service: Arc<Service>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        sweep(&service).await;
    }
}
