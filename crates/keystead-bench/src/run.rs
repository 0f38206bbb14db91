//! One whole run: servers, keys, rounds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::client::{Connection, api_request, bare_request};
use crate::library;
use crate::load::{Answerer, Exchange, Load};
use crate::machine::{Neighbours, cores};
use crate::operations::{Call, OPERATIONS, Operation, Pace, World, bytes, context_of};
use crate::report::Row;
use crate::server::Server;
use crate::statistics::{Figures, Round, median, median_ratio};

/// How to measure.
pub(crate) struct Plan {
    /// The `keystead` program.
    pub(crate) program: PathBuf,
    pub(crate) operations: Vec<&'static Operation>,
    pub(crate) rounds: usize,
    /// Of one round on one server.
    pub(crate) period: Duration,
    pub(crate) connections: usize,
}

/// Unmeasured load before the first round.
const WARM_UP: Duration = Duration::from_millis(200);

/// How much longer rounds of slow operations last.
const SLOW_FACTOR: u32 = 4;

/// What a run found.
pub(crate) struct Findings {
    pub(crate) rows: Vec<Row>,
    /// Cores that other processes kept busy.
    pub(crate) neighbours: f64,
    /// The largest memory of the two servers, in KiB.
    pub(crate) keystead_memory_kib: u64,
    pub(crate) bare_memory_kib: u64,
}

/// The operation that `only` names, else those of whose names it is a part, or all; without slow ones in
/// a quick run.
///
/// # Errors
/// None is left.
pub(crate) fn select(only: Option<&str>, quick: bool) -> Result<Vec<&'static Operation>> {
    let exact = OPERATIONS.iter().find(|operation| only == Some(operation.name));
    let meant = |operation: &&Operation| match (exact, only) {
        (Some(exact), _) => operation.name == exact.name,
        (None, Some(only)) => operation.is_named(only),
        (None, None) => true,
    };
    let chosen: Vec<_> = OPERATIONS
        .iter()
        .filter(meant)
        .filter(|operation| !quick || operation.pace == Pace::Fast)
        .collect();
    ensure!(!chosen.is_empty(), "no operation to measure");
    Ok(chosen)
}

/// Measures everything of `plan`; calls `progress` before each operation.
///
/// # Errors
/// A server does not start, or answers wrongly.
pub(crate) async fn run(plan: &Plan, mut progress: impl FnMut(&Operation)) -> Result<Findings> {
    let folder = tempfile::tempdir().context("cannot create a folder")?;
    let bench = Bench {
        keystead: Server::keystead(&plan.program, folder.path())?,
        bare: Server::bare()?,
        plan,
    };
    let servers = [&bench.keystead, &bench.bare];
    let neighbours = Neighbours::watch(&servers)?;
    let mut rows = Vec::new();
    for operation in &plan.operations {
        progress(operation);
        let row = bench.measure(operation).await;
        rows.push(row.with_context(|| format!("{} cannot be measured", operation.name))?);
    }
    Ok(Findings {
        rows,
        neighbours: neighbours.cores(&servers)?,
        keystead_memory_kib: bench.keystead.peak_memory_kib()?,
        bare_memory_kib: bench.bare.peak_memory_kib()?,
    })
}

struct Bench<'a> {
    keystead: Server,
    bare: Server,
    plan: &'a Plan,
}

impl Bench<'_> {
    /// Rounds on the bare server, on Keystead and in the library take turns, so that whatever else the
    /// machine does meets all three.
    async fn measure(&self, operation: &Operation) -> Result<Row> {
        let Operation { name, call, region, pace } = *operation;
        let world = self.prepare(region).await?;
        let body = call.body(&world);
        let answer_bytes = self.rehearse(call, region, &world).await?;
        let exchange = Arc::new(Exchange {
            request: api_request(call.operation(), region, &body),
            answer_length: answer_bytes,
            answerer: Answerer::Keystead(call, world.clone()),
        });
        let bare_exchange = Arc::new(Exchange {
            request: bare_request(call.operation(), region, &body, answer_bytes),
            answer_length: answer_bytes,
            answerer: Answerer::Bare,
        });

        let slow = pace == Pace::Slow;
        let connections = if slow { cores() } else { self.plan.connections };
        let period = self.plan.period * if slow { SLOW_FACTOR } else { 1 };
        let mut load = Load::open(&self.keystead, connections).await?;
        let mut bare_load = Load::open(&self.bare, connections).await?;
        bare_load.run(&self.bare, &bare_exchange, WARM_UP).await?;
        if !slow {
            load.run(&self.keystead, &exchange, WARM_UP).await?;
        }
        let (mut ours, mut bare, mut library): (Vec<Round>, Vec<Round>, Vec<f64>) =
            Default::default();
        for _ in 0..self.plan.rounds {
            bare.push(bare_load.run(&self.bare, &bare_exchange, self.plan.period).await?);
            ours.push(load.run(&self.keystead, &exchange, period).await?);
            let world = world.clone();
            library.push(
                spawn_blocking(move || library::calls_per_cpu_second(call, &world, period / 2))
                    .await
                    .context("the library panicked")??,
            );
        }

        let per_cpu = |rounds: &[Round]| -> Vec<Option<f64>> {
            rounds.iter().map(Round::per_cpu_second).collect()
        };
        let per_second = |rounds: &[Round]| -> Vec<Option<f64>> {
            rounds.iter().map(|round| Some(round.per_second())).collect()
        };
        Ok(Row {
            operation: name,
            connections,
            request_bytes: body.len(),
            answer_bytes,
            keystead: Figures::of(&ours).context("no rounds")?,
            bare: Figures::of(&bare).context("no rounds")?,
            per_second_ratio: median_ratio(per_second(&ours), per_second(&bare)),
            per_cpu_second_ratio: median_ratio(per_cpu(&ours), per_cpu(&bare)),
            library_ratio: median_ratio(per_cpu(&ours), library.iter().copied().map(Some)),
            library: median(library),
        })
    }

    /// A new key, and a blob under it.
    async fn prepare(&self, region: &str) -> Result<World> {
        let created = self.call("CreateKey", region, "{}").await?;
        let created: Value = serde_json::from_slice(&created)?;
        let key_arn = created["KeyMetadata"]["Arn"].as_str().context("a key without ARN")?;
        let mut world = World::new(key_arn.to_owned());
        let encrypted = self.call("Encrypt", region, &world.blob_body()?).await?;
        let encrypted: Value = serde_json::from_slice(&encrypted)?;
        world.blob = encrypted["CiphertextBlob"].as_str().context("no blob")?.to_owned();
        Ok(world)
    }

    /// Makes the call once, and decrypts what it sealed: a benchmark of wrong answers would be worthless.
    /// Returns the length of the answer in bytes.
    async fn rehearse(&self, call: Call, region: &str, world: &World) -> Result<usize> {
        let body = call.body(world);
        let answer = self.call(call.operation(), region, &body).await?;
        call.check(world, &answer)?;
        if let Some((blob, plaintext)) = call.sealed(&answer)? {
            let body = json!({
                "CiphertextBlob": blob,
                "EncryptionContext": context_of(&body)?,
            });
            let decrypted = self.call("Decrypt", region, &body.to_string()).await?;
            let decrypted: Value = serde_json::from_slice(&decrypted)?;
            ensure!(bytes(&decrypted, "Plaintext")? == plaintext, "decrypts to something else");
        }
        Ok(answer.len())
    }

    async fn call(&self, operation: &str, region: &str, body: &str) -> Result<Vec<u8>> {
        let mut connection = Connection::open(self.keystead.address).await?;
        let response = connection.exchange(&api_request(operation, region, body)).await?;
        if response.status != 200 {
            bail!("{operation}: {} {}", response.status, String::from_utf8_lossy(response.body));
        }
        Ok(response.body.to_vec())
    }
}

/// The `keystead` program that was built together with this one.
///
/// # Errors
/// There is none.
pub(crate) fn sibling() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let program = own.parent().unwrap_or(Path::new(".")).join("keystead");
    ensure!(
        program.exists(),
        "`{}` is missing: build it by the same profile (-p keystead-server), or name another by --server",
        program.display()
    );
    Ok(program)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_makes_no_rsa() {
        let quick = select(None, true).unwrap();
        assert_eq!(quick.len(), OPERATIONS.len() - 3);
        assert!(quick.iter().all(|operation| !operation.name.contains("RSA")));
        assert_eq!(select(None, false).unwrap().len(), OPERATIONS.len());
    }

    #[test]
    fn only_selects_by_part_of_a_name() {
        assert_eq!(select(Some("encrypt"), false).unwrap().len(), 1);
        // A whole name is that one, although it is part of others.
        assert_eq!(select(Some("GenerateDataKey"), false).unwrap().len(), 1);
        assert_eq!(select(Some("generatedatakey"), false).unwrap().len(), 10);
        assert_eq!(select(Some("rsa_"), false).unwrap().len(), 3);
        assert!(select(Some("rsa_"), true).is_err());
        assert!(select(Some("no such thing"), false).is_err());
    }
}
