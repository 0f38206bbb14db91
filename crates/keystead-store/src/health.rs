//! What a store says about itself.

use crate::{Revision, StoreError};

/// Whether the store can do its work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Health {
    /// Whether the last attempt to write succeeded (true before the first). After a failure the
    /// embedded store tries again by itself about once a second, so that this recovers unaided.
    pub writable: bool,
    /// Whether the store has been closed.
    pub closed: bool,
    /// The newest revision in the feed.
    pub revision: Revision,
    /// Commits handed over and not yet acknowledged.
    pub queue_depth: usize,
    /// The latest error that was the store's own (not a conflict, not a limit), also when it has
    /// recovered since.
    pub last_error: Option<StoreError>,
}

/// Counters since the store was opened. They only grow.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    /// Commits and erasures acknowledged as durable.
    pub commits: u64,
    /// Transactions of the engine: each makes one or more commits durable with one flush.
    pub groups: u64,
    /// Commits refused because a guard did not hold.
    pub conflicts: u64,
    /// Commits and erasures that failed for the store's own reasons.
    pub failures: u64,
    /// Reads of single records.
    pub reads: u64,
    /// Scans.
    pub scans: u64,
    /// Times that the engine's log was moved into its main file.
    pub checkpoints: u64,
    /// Times that the main file was rewritten as a whole.
    pub rewrites: u64,
}
