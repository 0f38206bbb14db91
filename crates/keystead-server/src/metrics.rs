//! Counters of the process in OpenMetrics form. Labels are names from fixed sets, never request content.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The outcome label of a request that was answered.
pub(crate) const SUCCESS: &str = "success";

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OperationLabel {
    operation: &'static str,
}

/// A value that another room keeps and that is read at each scrape.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sample {
    /// Only grows.
    Counter(&'static str, &'static str, u64),
    /// Moves both ways.
    Gauge(&'static str, &'static str, u64),
}

/// Reads the samples of another room.
pub(crate) type Samples = Arc<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// The metrics of the process.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latency: Family<OperationLabel, Histogram>,
    /// Requests that an operation is working on.
    in_flight: Gauge,
    /// Open connections of the main listener.
    pub(crate) connections: Gauge,
    /// Connections accepted since the start.
    pub(crate) accepted: Counter,
    /// How often accepting paused because all connections were taken.
    pub(crate) accept_pauses: Counter,
    /// Connections ended because the client was too slow, or idle for too long.
    pub(crate) timeouts: Counter,
    /// TLS handshakes that failed or took too long.
    pub(crate) handshake_failures: Counter,
    /// Panics caught in an operation.
    pub(crate) panics: Counter,
}

impl Metrics {
    pub(crate) fn new(samples: Samples) -> Self {
        let mut registry = Registry::with_prefix("keystead");
        let requests = Family::default();
        registry.register("requests", "Requests by operation and outcome", requests.clone());
        // 50 microseconds to 13 seconds.
        let latency = Family::new_with_constructor(
            (|| Histogram::new(exponential_buckets(0.000_05, 2.0, 19))) as fn() -> Histogram,
        );
        registry.register(
            "request_duration_seconds",
            "Time from the end of the request body to the answer",
            latency.clone(),
        );
        let mut gauge = |name, help| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let in_flight = gauge("requests_in_flight", "Requests that an operation is working on");
        let connections = gauge("connections", "Open connections of the main listener");
        let mut counter = |name, help| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let accepted = counter("connections_accepted", "Connections accepted");
        let accept_pauses = counter(
            "connections_limited",
            "Times accepting paused because the connection limit was reached",
        );
        let timeouts = counter(
            "connections_timed_out",
            "Connections ended because the client was too slow or idle for too long",
        );
        let handshake_failures = counter("tls_handshake_failures", "TLS handshakes that failed");
        let panics = counter("panics", "Panics caught in operations");
        registry.register(
            "build",
            "What is running",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register_collector(Box::new(Elsewhere(samples)));
        Self {
            registry,
            requests,
            latency,
            in_flight,
            connections,
            accepted,
            accept_pauses,
            timeouts,
            handshake_failures,
            panics,
        }
    }

    /// Counts a request. Both names come from fixed sets.
    pub(crate) fn count(&self, operation: &'static str, outcome: &'static str) {
        self.requests.get_or_create(&RequestLabels { operation, outcome }).inc();
    }

    /// Records how long an operation took.
    pub(crate) fn time(&self, operation: &'static str, took: Duration) {
        self.latency.get_or_create(&OperationLabel { operation }).observe(took.as_secs_f64());
    }

    /// All metrics as OpenMetrics text.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

struct Elsewhere(Samples);

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elsewhere")
    }
}

impl Collector for Elsewhere {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for sample in (self.0)() {
            match sample {
                Sample::Counter(name, help, value) => {
                    let counter = ConstCounter::new(value);
                    let metric =
                        encoder.encode_descriptor(name, help, None, counter.metric_type())?;
                    counter.encode(metric)?;
                }
                Sample::Gauge(name, help, value) => {
                    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
                    let metric =
                        encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
                    gauge.encode(metric)?;
                }
            }
        }
        Ok(())
    }
}

/// A request that counts as in flight until this is dropped.
pub(crate) struct OneInFlight(Gauge);

impl Metrics {
    /// Counts one request more until the answer is dropped.
    pub(crate) fn one_in_flight(&self) -> OneInFlight {
        self.in_flight.inc();
        OneInFlight(self.in_flight.clone())
    }
}

impl Drop for OneInFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn everything_is_named_in_the_text() {
        let metrics =
            Metrics::new(Arc::new(|| vec![Sample::Counter("store_commits", "Commits", 5)]));
        metrics.count("Encrypt", SUCCESS);
        metrics.time("Encrypt", Duration::from_millis(3));
        let text = metrics.encode().unwrap();
        for line in [
            r#"keystead_requests_total{operation="Encrypt",outcome="success"} 1"#,
            r#"keystead_request_duration_seconds_count{operation="Encrypt"} 1"#,
            "keystead_panics_total 0",
            "keystead_connections 0",
            "keystead_store_commits_total 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
        assert!(text.contains("keystead_build_info{version="));
        assert!(text.ends_with("# EOF\n"));
    }
}
