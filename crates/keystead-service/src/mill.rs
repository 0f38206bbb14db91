//! Where slow cryptography is done: generation of keys and pairs, and private-key operations that
//! take long. A bounded number of threads works, a bounded number of requests waits, so that none
//! delays another operation.

use std::sync::Arc;

use keystead_crypto::{
    AsymmetricSpec, DataKeyPair, PairSpec, Secret, generate_pair, generate_private_key,
};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Runs slow work.
pub(crate) struct Mill {
    threads: Arc<Semaphore>,
    /// One permit for each request that is waiting or being served.
    places: Semaphore,
}

impl Mill {
    pub(crate) fn new(threads: usize, queue: usize) -> Self {
        let places = Semaphore::new(threads.saturating_add(queue));
        Self { threads: Arc::new(Semaphore::new(threads)), places }
    }

    /// Runs `work` on one of the threads.
    ///
    /// # Errors
    /// ThrottlingException when too many requests wait; KMSInternalException if the work panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let _place = self.places.try_acquire().map_err(|_| Error::throttled())?;
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(Error::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            // A request that is dropped here leaves the thread at work: its permit stays with it.
            let _thread = thread;
            work()
        });
        done.await.map_err(|_| Error::internal("slow work panicked"))
    }

    /// A new data key pair, consistency-tested, independent of every other.
    ///
    /// # Errors
    /// As [`Mill::run`]; KMSInternalException if generation fails.
    pub(crate) async fn pair(&self, spec: PairSpec) -> Result<DataKeyPair> {
        // These cost less than handing them to another thread and back.
        if matches!(spec, PairSpec::EccNistP256 | PairSpec::EccNistEdwards25519) {
            return Ok(generate_pair(spec)?);
        }
        Ok(self.run(move || generate_pair(spec)).await??)
    }

    /// A new private key for a KMS key, PKCS #8.
    ///
    /// # Errors
    /// As [`Mill::run`]; KMSInternalException if generation fails.
    pub(crate) async fn private_key(&self, spec: AsymmetricSpec) -> Result<Secret> {
        Ok(self.run(move || generate_private_key(spec)).await??)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_throttles_slow_specs_only() {
        let mill = Mill::new(0, 0);
        let refused = mill.pair(PairSpec::Rsa2048).await.unwrap_err();
        assert_eq!(refused.type_name(), "ThrottlingException");
        assert!(mill.pair(PairSpec::EccNistP256).await.is_ok());
    }
}
