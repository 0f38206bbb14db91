//! Time, injected.
//!
//! Nothing in the service asks the operating system for the time: states, dates and schedules all
//! come from one [`Clock`], so that a 30-day deletion window passes in a test in no time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time in milliseconds since the Unix epoch.
pub trait Clock: Send + Sync + 'static {
    /// The present moment, milliseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> i64;
}

/// The clock of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// A clock that runs with the machine's, by an offset that can be moved.
#[derive(Debug, Default)]
pub struct MovableClock {
    offset: AtomicI64,
}

impl MovableClock {
    /// Moves the clock by `milliseconds`, backwards if negative. Saturates at the ends of time.
    pub fn advance(&self, milliseconds: i64) {
        // The closure always answers `Some`, so the update cannot fail.
        let _ = self.offset.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |offset| {
            Some(offset.saturating_add(milliseconds))
        });
    }

    /// Sets the clock to `moment`, milliseconds since the Unix epoch.
    pub fn set(&self, moment: i64) {
        self.offset.store(moment.saturating_sub(SystemClock.now()), Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> i64 {
        SystemClock.now().saturating_add(self.offset.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_clock_is_ahead_by_what_it_was_moved() {
        let clock = MovableClock::default();
        let before = clock.now();
        clock.advance(86_400_000);
        assert!(clock.now() >= before + 86_400_000);
        clock.set(1_000);
        assert!((1_000..60_000).contains(&clock.now()));
        clock.advance(i64::MAX);
        clock.advance(i64::MAX);
        assert!(clock.now() > 0, "time must saturate, not wrap");
    }
}
