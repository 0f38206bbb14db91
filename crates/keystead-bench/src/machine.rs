//! The machine and the circumstances, to stand beside every figure.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::server::{Server, machine_and_own_cpu_seconds};

/// Where and when a run took place.
pub(crate) struct Circumstances {
    date: String,
    cores: usize,
    cpu_model: String,
    kernel: String,
    /// Of this program. The server beside it was built by the same profile.
    profile: &'static str,
    program: String,
}

impl Circumstances {
    /// Describes this machine; what cannot be found out is called unknown.
    pub(crate) fn find(date: Option<String>, program: &Path) -> Self {
        let version = Command::new(program).arg("version").output().ok();
        let version =
            version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self {
            date: date.unwrap_or_else(|| jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()),
            cores: cores(),
            cpu_model: read("/proc/cpuinfo")
                .and_then(|text| cpu_model(&text))
                .unwrap_or_else(unknown),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            program: version.filter(|version| !version.is_empty()).unwrap_or_else(unknown),
        }
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "{program}, {profile} build; {date}\n{cores} cores, {cpu_model}, Linux {kernel}\n",
            program = self.program,
            profile = self.profile,
            date = self.date,
            cores = self.cores,
            cpu_model = self.cpu_model,
            kernel = self.kernel,
        )
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "date": self.date,
            "cores": self.cores,
            "cpu_model": self.cpu_model,
            "kernel": self.kernel,
            "profile": self.profile,
            "program": self.program,
        })
    }
}

/// How many threads can run at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How much of the machine others use while we measure.
pub(crate) struct Neighbours {
    begun: Instant,
    others: f64,
}

impl Neighbours {
    /// # Errors
    /// No `/proc`.
    pub(crate) fn watch(servers: &[&Server]) -> Result<Self> {
        Ok(Self { begun: Instant::now(), others: others(servers)? })
    }

    /// The cores that processes other than this one and `servers` kept busy since [`Neighbours::watch`],
    /// on average; what interrupts and the hypervisor took is among them.
    ///
    /// # Errors
    /// No `/proc`, or a server has ended.
    pub(crate) fn cores(&self, servers: &[&Server]) -> Result<f64> {
        let elapsed = self.begun.elapsed().as_secs_f64().max(1e-9);
        Ok(((others(servers)? - self.others) / elapsed).max(0.0))
    }
}

fn others(servers: &[&Server]) -> Result<f64> {
    let (machine, own) = machine_and_own_cpu_seconds()?;
    let mut ours = own;
    for server in servers {
        ours += server.cpu_seconds().context("a server has ended")?;
    }
    Ok(machine - ours)
}

fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_the_first_core_counts() {
        let text = "processor\t: 0\nmodel name\t: Fast: 3000\n\nmodel name\t: Other\n";
        assert_eq!(cpu_model(text).as_deref(), Some("Fast: 3000"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }
}
