//! Commands that change the keys of a store: run while no server has it open.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use keystead_service::NewRoot;
use keystead_service::keyring::{Rotation, rewrap_root, rotate_domain_key};
use keystead_store::Store;
use keystead_store::embedded::{Embedded, OpenOptions};

use crate::config::{Config, Flags};
use crate::root_key;

/// Which store, and what opens its keys.
#[derive(Args, Clone, Debug, Default)]
pub struct Place {
    /// Directory of the store [default: that of dev]
    #[arg(long, env = "KEYSTEAD_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// File of the root key, outside the data directory [default: DATA_DIR.root-key]
    #[arg(long, env = "KEYSTEAD_ROOT_KEY_FILE", value_name = "FILE")]
    root_key_file: Option<PathBuf>,
    /// File of the passphrase that seals the root key, in place of a root key file
    #[arg(long, env = "KEYSTEAD_ROOT_PASSPHRASE_FILE", value_name = "FILE")]
    root_passphrase_file: Option<PathBuf>,
}

/// What is to protect the store from now on.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct NewPlace {
    /// File of the new root key; created if it does not exist
    #[arg(long, value_name = "FILE")]
    new_root_key_file: Option<PathBuf>,
    /// File of the passphrase that is to seal a new root key in the store
    #[arg(long, value_name = "FILE")]
    new_root_passphrase_file: Option<PathBuf>,
}

impl Place {
    fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::dev(self.flags())?)
    }

    /// The place as flags.
    pub(crate) fn flags(&self) -> Flags {
        Flags::of_store(
            self.data_dir.clone(),
            self.root_key_file.clone(),
            self.root_passphrase_file.clone(),
        )
    }
}

/// Makes a new domain key, wraps all key material under it and destroys the older ones.
///
/// # Errors
/// When the store is in use, or its keys cannot be opened. Run again, it completes.
pub async fn rotate(place: &Place) -> anyhow::Result<Rotation> {
    let config = place.config()?;
    let store = open(&config)?;
    let failed = || format!("cannot rotate the domain key of `{}`", config.data_dir.display());
    let root = root_key::load(&config)?;
    let rotation = rotate_domain_key(store.as_ref(), root).await.with_context(failed)?;
    // The material as the older epochs wrapped it goes from the file, too.
    store.compact().await.with_context(failed)?;
    store.close().await.with_context(failed)?;
    Ok(rotation)
}

/// Puts a store under another root key. The old one opens nothing of it afterwards.
///
/// # Errors
/// When the store is in use, its keys cannot be opened, or the new place cannot be used; the old
/// root key stays valid then.
pub async fn rewrap(place: &Place, new: &NewPlace) -> anyhow::Result<()> {
    let config = place.config()?;
    let target = Config {
        root_key_file: new.new_root_key_file.clone().unwrap_or(config.root_key_file.clone()),
        root_passphrase_file: new.new_root_passphrase_file.clone(),
        ..config.clone()
    };
    root_key::refuse_inside(&target)?;
    if new.new_root_key_file.is_some()
        && config.root_passphrase_file.is_none()
        && target.root_key_file == config.root_key_file
    {
        bail!("the new root key file is the present one");
    }
    let store = open(&config)?;
    let failed = || format!("cannot rewrap the keys of `{}`", config.data_dir.display());
    let old = root_key::load(&config)?;
    let new = match root_key::load_or_create(&target)? {
        keystead_service::Root::Key(root) => NewRoot::Key(root),
        keystead_service::Root::Passphrase(passphrase) => NewRoot::Passphrase(passphrase),
    };
    rewrap_root(store.as_ref(), old, new).await.with_context(failed)?;
    // What the old root key could open goes from the file, too.
    store.compact().await.with_context(failed)?;
    store.close().await.with_context(failed)?;
    Ok(())
}

fn open(config: &Config) -> anyhow::Result<Arc<Embedded>> {
    root_key::refuse_inside(config)?;
    let store = Embedded::open(&config.data_dir, &OpenOptions::default())
        .with_context(|| format!("cannot open the store in `{}`", config.data_dir.display()))?;
    Ok(Arc::new(store))
}
