//! The `keystead` program: HTTP, TLS, configuration, health and metrics around the service.
//!
//! What it is for: everything between the network and [`keystead_service::Service`]. It alone knows HTTP
//! status codes, files, environment variables and signals. What it never does: look into a request beyond
//! its size and route, or touch a key.
//!
//! [`start`] runs a whole server inside the calling process, which is also how tests get one:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let config = keystead_server::Config::for_tests("/tmp/example".as_ref());
//! let server = keystead_server::start(config).await?;
//! println!("listening on {}", server.address);
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Where to read next: `listener` for the life of a connection, `http` for that of a request, `reply` for
//! the mapping of errors to HTTP, `startup` for store and root key.

mod admin;
pub mod audit;
mod body;
mod config;
pub mod explain;
mod greeting;
mod http;
pub mod identity;
pub mod init;
mod key_sets;
mod limits;
mod listener;
mod logging;
pub mod maintenance;
mod metrics;
mod open_files;
mod pulse;
mod reload;
mod reply;
mod root_key;
mod startup;
mod throttling;
mod tls;
mod trail;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use keystead_service::{Clock, MovableClock, Service, SystemClock};
use keystead_store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::{Admin, DevClock};
use crate::metrics::Metrics;
use crate::reload::Reloads;
use crate::tls::Certificate;

pub use crate::config::{Config, ConfigError, Flags, ServeFlags, default_data_dir};
pub use crate::greeting::greeting;
pub use crate::http::Answerer;
pub use crate::limits::Limits;
pub use crate::logging::{Log, LogFormat, LogLevel, install as install_logging};
pub use crate::tls::TlsFiles;
pub use crate::trail::{Audit, Flushed};

/// A server that runs in this process. Dropping it begins a shutdown without waiting for its end.
pub struct Running {
    /// Where the API is served, with the real port.
    pub address: SocketAddr,
    /// Where health, metrics and the clock are served, with the real port.
    pub admin_address: SocketAddr,
    /// The service itself.
    pub service: Arc<Service>,
    /// The clock it runs by, if it can be moved. Whoever moves it calls [`Service::sweep`] if that is to
    /// have effect at once.
    pub clock: Option<Arc<MovableClock>>,
    reloads: Arc<Reloads>,
    watcher: JoinHandle<()>,
    store: Arc<dyn Store>,
    api: HttpListener,
    admin_stop: watch::Sender<bool>,
    admin: JoinHandle<()>,
    sweeper: JoinHandle<()>,
}

/// Starts a server.
///
/// # Errors
/// A [`ConfigError`] for settings that cannot be used; else whatever keeps store, root key, TLS files or
/// addresses from being opened. Nothing runs then.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    config.check()?;
    let certificate = config.tls.as_ref().map(Certificate::open).transpose()?;
    let tls = certificate.clone().map(tls::config).transpose()?;
    let (access, identities) = startup::access(&config)?;
    // A taken port should be found before anything is created.
    let (listener, address) = bind(config.listen).await?;
    let (admin_listener, admin_address) = bind(config.admin_listen).await?;

    let connections = open_files::fit(config.limits.connections);
    let limits = Limits { connections, ..config.limits.clone() };
    let movable = config.movable_clock.then(|| Arc::new(MovableClock::default()));
    let clock: Arc<dyn Clock> = match &movable {
        Some(clock) => Arc::<MovableClock>::clone(clock),
        None => Arc::new(SystemClock),
    };
    let (service, store) = startup::open(&config, clock, access).await?;
    let reloads = Arc::new(Reloads::new(Arc::clone(&service), identities, certificate));
    let metrics = Arc::new(Metrics::new(startup::samples(
        Arc::clone(&store),
        Arc::clone(&service),
        Arc::clone(&reloads),
    )));
    let api = HttpListener::spawn(
        listener,
        address,
        tls,
        Arc::clone(&service),
        limits,
        Arc::clone(&metrics),
    );

    let (admin_stop, stopped) = watch::channel(false);
    let admin = Admin {
        metrics,
        unhealthy: {
            let (store, service) = (Arc::clone(&store), Arc::clone(&service));
            Box::new(move || {
                startup::unhealthy(store.as_ref()).or_else(|| trail::unhealthy(&service))
            })
        },
        complaints: {
            let reloads = Arc::clone(&reloads);
            Box::new(move || reloads.complaints())
        },
        stopping: api.stop.subscribe(),
        service: Arc::clone(&service),
        clock: movable.clone().map(|clock| DevClock {
            clock,
            sweep: {
                let service = Arc::clone(&service);
                Box::new(move || {
                    let service = Arc::clone(&service);
                    Box::pin(async move { startup::sweep(&service).await })
                })
            },
        }),
    };
    let admin = tokio::spawn(admin::serve(admin_listener, Arc::new(admin), stopped));
    let sweeper = tokio::spawn(startup::sweep_forever(Arc::clone(&service)));
    let watcher = tokio::spawn(Arc::clone(&reloads).watch());
    tracing::info!(%address, %admin_address, tls = config.tls.is_some(), "serving");
    Ok(Running {
        address,
        admin_address,
        service,
        clock: movable,
        reloads,
        watcher,
        store,
        api,
        admin_stop,
        admin,
        sweeper,
    })
}

impl Running {
    /// Reads identities and certificate again, as is done every few seconds anyway. Requests and
    /// connections in flight go on with what they began with; what has faults does not take effect.
    pub async fn reload(&self) {
        self.reloads.reload().await;
    }

    /// What SIGHUP asks for: the file of the audit log is ended and another one begun, so that ended
    /// ones can be moved away.
    pub async fn reopen(&self) {
        match self.service.reopen_audit().await {
            Ok(()) => tracing::info!("the audit log goes on in a new file"),
            Err(error) => tracing::error!(detail = error.detail(), "the audit log is not reopened"),
        }
    }

    /// Stops accepting, waits for the requests in flight, at most as long as
    /// [`Limits::shutdown_timeout_ms`] says, then closes store and admin listener. Returns whether all
    /// requests were finished.
    pub async fn shutdown(self) -> bool {
        let finished = self.api.shutdown().await;
        self.watcher.abort();
        self.sweeper.abort();
        // Aborting is a request: wait until no sweep can be in the middle of a commit.
        let _ = self.sweeper.await;
        startup::settle(&self.service).await;
        startup::close_audit(&self.service).await;
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "cannot close the store");
        }
        let _ = self.admin_stop.send(true);
        let _ = self.admin.await;
        finished
    }
}

/// The main listener by itself, before anything that answers requests. [`start`] puts the service behind
/// it; tests of limits and shutdown put an [`Answerer`] of their own.
pub struct HttpListener {
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    task: JoinHandle<bool>,
}

impl HttpListener {
    /// Listens on `address` and hands requests to `answerer`.
    ///
    /// # Errors
    /// The address cannot be bound, or the TLS files cannot be used.
    pub async fn start<A: Answerer>(
        answerer: Arc<A>,
        address: SocketAddr,
        tls: Option<&TlsFiles>,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        let tls = tls.map(Certificate::open).transpose()?.map(tls::config).transpose()?;
        let (listener, address) = bind(address).await?;
        let metrics = Arc::new(Metrics::new(Arc::new(Vec::new)));
        Ok(Self::spawn(listener, address, tls, answerer, limits, metrics))
    }

    /// The metrics in OpenMetrics text.
    ///
    /// # Errors
    /// The text cannot be written.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        self.metrics.encode()
    }

    /// Stops accepting and waits for the requests in flight, at most as long as
    /// [`Limits::shutdown_timeout_ms`] says. Returns whether all were finished.
    pub async fn shutdown(self) -> bool {
        let _ = self.stop.send(true);
        self.task.await.unwrap_or(false)
    }

    fn spawn<A: Answerer>(
        listener: TcpListener,
        address: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        answerer: Arc<A>,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(listener::serve(
            listener,
            tls,
            answerer,
            limits,
            Arc::clone(&metrics),
            stopped,
        ));
        Self { address, metrics, stop, task }
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let failed = || format!("cannot listen on {address}");
    let listener = TcpListener::bind(address).await.with_context(failed)?;
    let address = listener.local_addr().with_context(failed)?;
    Ok((listener, address))
}
