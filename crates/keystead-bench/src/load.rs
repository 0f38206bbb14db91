//! Closed-loop load: each connection sends its next request once the last one is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::call::{Call, LENGTH_TOLERANCE, World};
use crate::client::Connection;
use crate::server::Server;
use crate::statistics::Round;

/// One answer in this many is decoded and checked; of every other only status and length.
const CHECK_EVERY: u64 = 256;

/// The latencies a histogram can tell apart: 1 µs to 10 min, in nanoseconds, to three digits.
const LATENCY_RANGE: (u64, u64) = (1_000, 600_000_000_000);

/// What is sent, and how a true answer looks.
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    /// Of a body, in bytes.
    pub(crate) answer_length: usize,
    pub(crate) answerer: Answerer,
}

/// Who answers, hence how a true answer is known.
pub(crate) enum Answerer {
    /// Keystead, this call in this world.
    Keystead(Call, World),
    /// The bare server.
    Bare,
}

impl Exchange {
    /// # Errors
    /// The answer is none.
    fn verify(&self, status: u16, body: &[u8], thoroughly: bool) -> Result<()> {
        ensure!(
            status == 200,
            "status {status}: {}",
            String::from_utf8_lossy(&body[..body.len().min(300)])
        );
        ensure!(
            body.len().abs_diff(self.answer_length) <= LENGTH_TOLERANCE,
            "an answer of {} bytes in place of {}",
            body.len(),
            self.answer_length
        );
        match &self.answerer {
            _ if !thoroughly => {}
            Answerer::Keystead(call, world) => call.check(world, body)?,
            Answerer::Bare => {
                ensure!(body.iter().all(|byte| *byte == b'x'), "not the bare server's answer");
            }
        }
        Ok(())
    }
}

/// Open connections to one server.
pub(crate) struct Load {
    connections: Vec<Connection>,
}

impl Load {
    /// # Errors
    /// The server does not take `count` connections.
    pub(crate) async fn open(server: &Server, count: usize) -> Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Connection::open(server.address).await?);
        }
        Ok(Self { connections })
    }

    /// Sends for `period`, and waits for what is in flight then. The clock and the CPU time of the server
    /// are read while nothing is in flight, before the first request and after the last answer, so every
    /// request is counted whole.
    ///
    /// # Errors
    /// An answer is wrong.
    pub(crate) async fn run(
        &mut self,
        server: &Server,
        exchange: &Arc<Exchange>,
        period: Duration,
    ) -> Result<Round> {
        let mut tasks = JoinSet::new();
        let cpu_before = server.cpu_seconds()?;
        let begun = Instant::now();
        for connection in self.connections.drain(..) {
            tasks.spawn(drive(connection, Arc::clone(exchange), begun + period));
        }
        let mut latencies = histogram()?;
        while let Some(joined) = tasks.join_next().await {
            let (connection, measured) = joined.context("a connection panicked")??;
            latencies.add(measured).context("histograms of one range")?;
            self.connections.push(connection);
        }
        Ok(Round {
            seconds: begun.elapsed().as_secs_f64(),
            cpu_seconds: server.cpu_seconds()? - cpu_before,
            latencies,
        })
    }
}

async fn drive(
    mut connection: Connection,
    exchange: Arc<Exchange>,
    until: Instant,
) -> Result<(Connection, Histogram<u64>)> {
    let mut latencies = histogram()?;
    let mut sent = Instant::now();
    while sent < until {
        let thoroughly = latencies.len() % CHECK_EVERY == 0;
        let response = connection.exchange(&exchange.request).await?;
        let answered = Instant::now();
        let took = u64::try_from((answered - sent).as_nanos()).unwrap_or(u64::MAX);
        latencies.saturating_record(took);
        exchange.verify(response.status, response.body, thoroughly)?;
        sent = if thoroughly { Instant::now() } else { answered };
    }
    Ok((connection, latencies))
}

/// An empty histogram of latencies in nanoseconds.
fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(LATENCY_RANGE.0, LATENCY_RANGE.1, 3).context("histogram bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_do_not_count() {
        let exchange =
            Exchange { request: Vec::new(), answer_length: 100, answerer: Answerer::Bare };
        let good = [b'x'; 100];
        assert!(exchange.verify(200, &good, true).is_ok());
        assert!(exchange.verify(400, &good, false).is_err());
        assert!(exchange.verify(200, &good[..10], false).is_err());
        assert!(exchange.verify(200, &[b'y'; 100], false).is_ok());
        assert!(exchange.verify(200, &[b'y'; 100], true).is_err());
        let answerer = Answerer::Keystead(Call::Encrypt, World::new("a key".to_owned()));
        assert!(Exchange { answerer, ..exchange }.verify(200, &good, true).is_err());
    }
}
