use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Keeps the memory of this process out of core dumps and away from other processes of the same
/// user: `RLIMIT_CORE` 0 (soft and hard), `PR_SET_DUMPABLE` 0. Call it first thing in `main`.
///
/// Best effort: what the system refuses is reported, to be logged. A root user of the host can
/// still read keys.
pub fn harden_process() -> Hardening {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let mut failures = Vec::new();
    if let Err(error) = setrlimit(Resource::Core, none) {
        failures.push(HardeningFailure {
            what: "set the core dump size limit to zero",
            source: error.into(),
        });
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        failures
            .push(HardeningFailure { what: "make the process non-dumpable", source: error.into() });
    }
    Hardening { failures }
}

/// What [`harden_process`] could not do.
#[derive(Debug)]
#[must_use = "the operator wants to know what could not be done"]
pub struct Hardening {
    /// One entry for each measure that the system refused.
    pub failures: Vec<HardeningFailure>,
}

impl Hardening {
    /// Whether every measure took effect.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }
}

/// A measure that the system refused.
#[derive(Debug, thiserror::Error)]
#[error("could not {what}: {source}")]
pub struct HardeningFailure {
    /// The measure, as a verb phrase.
    pub what: &'static str,
    /// The system's reason.
    pub source: io::Error,
}
