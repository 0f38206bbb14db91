//! Measures Keystead on one machine in one run: requests per second, requests per second of the server's
//! CPU time, and latencies, beside a bare server of the same HTTP library with bodies of the same sizes
//! and beside the bare calls of Keystead's own crypto library.
//!
//! What it never does: judge. No figure makes it fail; a wrong answer does. docs/performance.md says what
//! each figure means.
//!
//! Where to read next: `operations` for what is measured, `call` for requests and answers, `run` for how, `report` for what is printed.

mod bare;
mod call;
mod client;
mod library;
mod load;
mod machine;
mod operations;
mod report;
mod run;
mod server;
mod statistics;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use serde_json::json;

use crate::machine::{Circumstances, cores};
use crate::report::Row;
use crate::run::Plan;

/// Measures Keystead beside a bare server and its own library
#[derive(Parser)]
#[command(name = "keystead-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Hidden>,
    /// Length of one round on one server, in seconds
    #[arg(long, default_value_t = 2.0, value_name = "N", value_parser = positive)]
    seconds: f64,
    /// Rounds of each operation on each server; the medians are printed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Keep-alive connections; RSA pairs are asked for over one per core
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// Threads of the load generator [default: half of the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    client_threads: Option<u16>,
    /// Measure only the operation of this name, or those whose names contain it
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// The keystead program [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// A fifth of a second on each server, one round, each kind of request and key once: shows that
    /// everything works
    #[arg(long, conflicts_with_all = ["seconds", "rounds"])]
    quick: bool,
    /// Write the figures into a file too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The date to print [default: today]
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
}

#[derive(Subcommand)]
enum Hidden {
    /// Be the bare server
    #[command(hide = true)]
    BareServer,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Hidden::BareServer) => bare::serve(),
        None => measure(arguments),
    }
}

fn measure(arguments: Arguments) -> Result<()> {
    let client_threads = arguments.client_threads.map_or((cores() / 2).max(1), usize::from);
    let plan = Plan {
        program: arguments.server.map_or_else(run::sibling, Ok)?,
        operations: run::select(arguments.only.as_deref(), arguments.quick)?,
        rounds: if arguments.quick { 1 } else { arguments.rounds.into() },
        period: Duration::from_secs_f64(if arguments.quick { 0.2 } else { arguments.seconds }),
        connections: arguments.connections.into(),
    };
    let circumstances = Circumstances::find(arguments.date, &plan.program);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(client_threads)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let findings = runtime.block_on(run::run(&plan, |operation| {
        let _ = writeln!(io::stderr(), "measuring {}", operation.name);
    }))?;

    let method = format!(
        "medians of {rounds} rounds of {seconds} s (RSA longer), servers in turn; {client_threads} client \
         threads on the same machine\n\
         others kept {neighbours:.2} cores busy meanwhile; peak memory keystead {keystead} KiB, bare \
         {bare} KiB\n",
        rounds = plan.rounds,
        seconds = plan.period.as_secs_f64(),
        neighbours = findings.neighbours,
        keystead = findings.keystead_memory_kib,
        bare = findings.bare_memory_kib,
    );
    let text = format!("{}{method}\n{}", circumstances.text(), report::table(&findings.rows));
    io::stdout().lock().write_all(text.as_bytes()).context("cannot print")?;
    if let Some(path) = arguments.json {
        let document = json!({
            "circumstances": circumstances.json(),
            "rounds": plan.rounds,
            "round_seconds": plan.period.as_secs_f64(),
            "client_threads": client_threads,
            "other_busy_cores": findings.neighbours,
            "keystead_peak_memory_kib": findings.keystead_memory_kib,
            "bare_peak_memory_kib": findings.bare_memory_kib,
            "operations": findings.rows.iter().map(Row::json).collect::<Vec<_>>(),
        });
        fs::write(&path, format!("{document:#}\n"))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// A length of time that is worth measuring, in seconds.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number from 0.05 to 3600".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
        assert!(Arguments::try_parse_from(["keystead-bench", "--seconds", "0"]).is_err());
        assert!(Arguments::try_parse_from(["keystead-bench", "--seconds", "NaN"]).is_err());
        assert!(Arguments::try_parse_from(["keystead-bench", "--connections", "0"]).is_err());
        assert!(Arguments::try_parse_from(["keystead-bench", "--quick", "--rounds", "2"]).is_err());
        let given = Arguments::try_parse_from(["keystead-bench", "--only", "Decrypt"]).unwrap();
        assert_eq!(given.only.as_deref(), Some("Decrypt"));
    }
}
