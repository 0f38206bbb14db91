//! Store, root key and service, opened in the order in which a crash between two steps does no harm.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use keystead_crypto::{RootKey, arena};
use keystead_service::{MovableClock, Service, ServiceSettings};
use keystead_store::embedded::{Embedded, OpenOptions};
use keystead_store::{Store, StoreError};
use tokio::task::spawn_blocking;

use crate::config::Config;
use crate::metrics::{Sample, Samples};
use crate::root_key;

/// How often dates that have passed are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Opens all that a server stands on.
pub(crate) async fn open(
    config: &Config,
    clock: Arc<MovableClock>,
) -> anyhow::Result<(Arc<Service>, Arc<dyn Store>)> {
    // Argon2 and the integrity check of the store take their time.
    let (store, root) = {
        let config = config.clone();
        spawn_blocking(move || open_store(&config)).await.context("cannot start")??
    };
    match arena::prepare() {
        Ok(status) => tracing::info!(%status, "memory for long-lived keys"),
        Err(error) => tracing::warn!(%error, "no memory set apart for long-lived keys"),
    }
    let store: Arc<dyn Store> = Arc::new(store);
    let settings =
        ServiceSettings { sm2_everywhere: config.sm2_everywhere, ..ServiceSettings::default() };
    let service = Service::open(settings, Arc::clone(&store), root, clock)
        .await
        .with_context(|| format!("cannot open the keys in `{}`", config.data_dir.display()))?;
    Ok((service, store))
}

fn open_store(config: &Config) -> anyhow::Result<(Embedded, RootKey)> {
    root_key::refuse_inside(config)?;
    let folder = &config.data_dir;
    let failed = || format!("cannot open the store in `{}`", folder.display());
    match Embedded::open(folder, &OpenOptions::default()) {
        Ok(store) => Ok((store, root_key::load(config)?)),
        Err(StoreError::Missing) => {
            root_key::create_private(folder)?;
            // First the key, then the store: a store without its key would be refused ever after.
            let root = root_key::load_or_create(config)?;
            let options = OpenOptions { create: true, ..OpenOptions::default() };
            Ok((Embedded::open(folder, &options).with_context(failed)?, root))
        }
        Err(error) => Err(error).with_context(failed),
    }
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

/// Reads the counters of store and key memory.
pub(crate) fn samples(store: Arc<dyn Store>) -> Samples {
    Arc::new(move || {
        let counted = store.statistics();
        let memory = arena::status();
        vec![
            Sample::Counter("keystead_store_commits", "Commits that changed something", counted.commits),
            Sample::Counter("keystead_store_groups", "Groups of commits synced together", counted.groups),
            Sample::Counter("keystead_store_conflicts", "Commits refused by a guard", counted.conflicts),
            Sample::Counter("keystead_store_failures", "Commits that failed", counted.failures),
            Sample::Counter("keystead_store_reads", "Records read", counted.reads),
            Sample::Counter("keystead_store_scans", "Ranges read", counted.scans),
            Sample::Gauge(
                "keystead_key_memory_bytes",
                "Memory set apart for long-lived keys, in use",
                (memory.roots.used + memory.keys.used) as u64,
            ),
        ]
    })
}

/// Sweeps every minute, for as long as it is not aborted.
pub(crate) async fn sweep_forever(service: Arc<Service>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        service.sweep().await;
    }
}
