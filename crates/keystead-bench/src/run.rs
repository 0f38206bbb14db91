//! One whole run: servers, keys, rounds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use keystead_crypto::{AsymmetricSpec, PrivateKey, generate_private_key};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::call::{Call, World, base64, bytes};
use crate::client::{Connection, api_request, bare_request};
use crate::library;
use crate::load::{Answerer, Exchange, Load};
use crate::machine::{Neighbours, cores};
use crate::operations::{Operation, Pace, operations};
use crate::report::Row;
use crate::server::Server;
use crate::statistics::{Figures, Round, median, median_ratio};

/// How to measure.
pub(crate) struct Plan {
    /// The `keystead` program.
    pub(crate) program: PathBuf,
    pub(crate) operations: Vec<Operation>,
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

/// The operation that `only` names, else those of whose names it is a part, or all; in a quick run only those
/// that are meant for one.
///
/// # Errors
/// None is left.
pub(crate) fn select(only: Option<&str>, quick: bool) -> Result<Vec<Operation>> {
    let all = operations();
    let exact = all.iter().any(|operation| only == Some(&operation.name));
    let chosen: Vec<_> = all
        .into_iter()
        .filter(|operation| match only {
            Some(only) if exact => operation.name == only,
            Some(only) => operation.is_named(only),
            None => true,
        })
        .filter(|operation| !quick || operation.quick)
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
        keys: RefCell::default(),
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
    /// The keys made so far, by Region and by the request that made them: RSA keys take their time.
    keys: RefCell<HashMap<(&'static str, String), World>>,
}

impl Bench<'_> {
    /// Rounds on the bare server, on Keystead and in the library take turns, so that whatever else the
    /// machine does meets all three.
    async fn measure(&self, operation: &Operation) -> Result<Row> {
        let Operation { ref name, call, region, pace, quick: _ } = *operation;
        let world = self.prepare(call, region).await?;
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
        let warm_up = WARM_UP.min(self.plan.period);
        bare_load.run(&self.bare, &bare_exchange, warm_up).await?;
        if !slow {
            load.run(&self.keystead, &exchange, warm_up).await?;
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
            operation: name.clone(),
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

    /// A key for this call, and what its request needs.
    async fn prepare(&self, call: Call, region: &'static str) -> Result<World> {
        let created = (region, call.new_key());
        let known = self.keys.borrow().get(&created).cloned();
        let mut world = match known {
            Some(world) => world,
            None => {
                let world = self.create(call, region, &created.1).await?;
                self.keys.borrow_mut().insert(created, world.clone());
                world
            }
        };
        if let Some((maker, member)) = call.maker() {
            // The same encryption context, if there is one: contexts are padded to a length of the body.
            let mut body: Value = serde_json::from_str(&maker.body(&world))?;
            let own: Value = serde_json::from_str(&call.body(&world))?;
            if own["EncryptionContext"].is_object() {
                body["EncryptionContext"] = own["EncryptionContext"].clone();
            }
            let answer = self.call(maker.operation(), region, &body.to_string()).await?;
            maker.check(&world, &answer)?;
            let answer: Value = serde_json::from_slice(&answer)?;
            world.input =
                answer[member].as_str().with_context(|| format!("no {member}"))?.to_owned();
        }
        match call {
            Call::GenerateMac(_) => {
                let answer = self.call(call.operation(), region, &call.body(&world)).await?;
                world.expected = bytes(&serde_json::from_slice(&answer)?, "Mac")?;
            }
            Call::Agree(_) => {
                let peer = world.private()?;
                let secret = peer.agree(&world.public)?.expose().to_vec();
                world.input = base64(&peer.public_spki());
                world.expected = secret;
            }
            _ => {}
        }
        Ok(world)
    }

    async fn create(&self, call: Call, region: &str, body: &str) -> Result<World> {
        let created: Value = serde_json::from_slice(&self.call("CreateKey", region, body).await?)?;
        let key_arn = created["KeyMetadata"]["Arn"].as_str().context("a key without ARN")?;
        let mut world = World::new(key_arn.to_owned());
        if let Some(spec) = call.asymmetric() {
            let body = Call::PublicKey(spec).body(&world);
            let shown = self.call("GetPublicKey", region, &body).await?;
            world.public = bytes(&serde_json::from_slice(&shown)?, "PublicKey")?;
            let own =
                spawn_blocking(move || own_key(spec)).await.context("the library panicked")?;
            world.private = Some(Arc::new(own?));
        }
        Ok(world)
    }

    /// Makes the call once, and decrypts what it sealed: a benchmark of wrong answers would be worthless.
    /// Returns the length of the answer in bytes.
    async fn rehearse(&self, call: Call, region: &str, world: &World) -> Result<usize> {
        let body = call.body(world);
        let answer = self.call(call.operation(), region, &body).await?;
        call.check(world, &answer)?;
        if let Some((body, plaintext)) = call.unsealing(world, &body, &answer)? {
            let decrypted = self.call("Decrypt", region, &body).await?;
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

fn own_key(spec: AsymmetricSpec) -> Result<PrivateKey> {
    let pkcs8 = generate_private_key(spec)?;
    Ok(PrivateKey::from_pkcs8(spec, pkcs8.expose())?)
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
    fn a_quick_run_makes_no_rsa_pairs() {
        let (quick, all) = (select(None, true).unwrap(), select(None, false).unwrap());
        assert!(quick.len() < all.len() / 2);
        assert!(quick.iter().all(|operation| !operation.name.contains("Pair RSA")));
        assert_eq!(all.len(), operations().len());
    }

    #[test]
    fn only_selects_by_part_of_a_name() {
        // A whole name is that one, although it is part of others.
        assert_eq!(select(Some("Encrypt"), false).unwrap().len(), 1);
        assert_eq!(select(Some("encrypt"), false).unwrap().len(), 8);
        assert_eq!(select(Some("GenerateDataKey"), false).unwrap().len(), 1);
        assert_eq!(select(Some("generatedatakey"), false).unwrap().len(), 10);
        assert_eq!(select(Some("pair rsa_"), false).unwrap().len(), 3);
        assert!(select(Some("pair rsa_"), true).is_err());
        assert!(select(Some("no such thing"), false).is_err());
    }
}
