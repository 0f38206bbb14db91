//! Where data key pairs are made: cheap specs on the spot, the others on a bounded number of
//! threads, so that no pair delays another operation.

use std::sync::Arc;

use keystead_crypto::{DataKeyPair, PairSpec, generate_pair};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Generates data key pairs.
pub(crate) struct PairMill {
    threads: Arc<Semaphore>,
    /// One permit for each request that is waiting or being served.
    places: Semaphore,
}

impl PairMill {
    pub(crate) fn new(threads: usize, queue: usize) -> Self {
        let places = Semaphore::new(threads.saturating_add(queue));
        Self { threads: Arc::new(Semaphore::new(threads)), places }
    }

    /// A new pair, consistency-tested, independent of every other.
    ///
    /// # Errors
    /// ThrottlingException when too many requests wait; KMSInternalException if generation fails.
    pub(crate) async fn generate(&self, spec: PairSpec) -> Result<DataKeyPair> {
        if is_quick(spec) {
            return Ok(generate_pair(spec)?);
        }
        let _place = self.places.try_acquire().map_err(|_| Error::throttled())?;
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(Error::internal)?;
        let pair = tokio::task::spawn_blocking(move || {
            // A request that is dropped here leaves the thread at work: its permit stays with it.
            let _thread = thread;
            generate_pair(spec)
        });
        Ok(pair.await.map_err(|_| Error::internal("pair generation panicked"))??)
    }
}

/// Specs whose generation costs less than handing it to another thread and back.
fn is_quick(spec: PairSpec) -> bool {
    matches!(spec, PairSpec::EccNistP256 | PairSpec::EccNistEdwards25519)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_throttles_slow_specs_only() {
        let mill = PairMill::new(0, 0);
        let refused = mill.generate(PairSpec::Rsa2048).await.unwrap_err();
        assert_eq!(refused.type_name(), "ThrottlingException");
        assert!(mill.generate(PairSpec::EccNistP256).await.is_ok());
    }
}
