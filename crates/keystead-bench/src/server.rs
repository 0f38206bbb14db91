//! The servers under measurement: child processes, and what they use of the CPU.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    /// Kept open: whatever the server prints later must not fail.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// `keystead dev` with a new store inside `folder`, on free ports.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn keystead(program: &Path, folder: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .args(["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--log-level", "warn", "--data-dir"])
            .arg(folder.join("store"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KEYSTEAD_") {
                command.env_remove(name);
            }
        }
        Self::start(command)
    }

    /// This very program as the bare server.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn bare() -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.arg("bare-server");
        Self::start(command)
    }

    fn start(mut command: Command) -> Result<Self> {
        let name = command.get_program().display().to_string();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{name}`"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut server =
            Self { address: ([127, 0, 0, 1], 0).into(), child, _stdout: BufReader::new(stdout) };
        let mut line = String::new();
        while server._stdout.read_line(&mut line).context("cannot read the ready line")? > 0 {
            if let Some(address) = ready_address(&line) {
                server.address = address;
                return Ok(server);
            }
            line.clear();
        }
        let status = server.child.wait().context("cannot wait for the server")?;
        anyhow::bail!("`{name}` ended before it was ready: {status}")
    }

    /// The CPU time of all its threads so far, user and system, in seconds. The kernel counts in ticks,
    /// usually of 10 ms.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Ok(seconds(process_ticks(&text).with_context(|| format!("cannot understand {path}"))?))
    }

    /// The largest amount of memory it held so far, in KiB.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn peak_memory_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number.and_then(|number| number.parse().ok()).context("no VmHWM")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a ready line says its server listens.
fn ready_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("ready on http://")?;
    rest.split([' ', '\n']).next()?.parse().ok()
}

/// utime + stime of `/proc/<pid>/stat` (proc(5)): fields 14 and 15, counted behind the name, which may
/// hold blanks and parentheses itself.
fn process_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The busy time of the whole machine from `/proc/stat`: everything but idle and iowait.
fn machine_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> =
        line.split_ascii_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    (fields.len() == 8).then(|| fields[..3].iter().sum::<u64>() + fields[5..].iter().sum::<u64>())
}

/// CPU seconds of the whole machine since boot, and of this process.
///
/// # Errors
/// No `/proc`.
pub(crate) fn machine_and_own_cpu_seconds() -> Result<(f64, f64)> {
    let machine = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let own = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let machine = machine_ticks(&machine).context("cannot understand /proc/stat")?;
    let own = process_ticks(&own).context("cannot understand /proc/self/stat")?;
    ensure!(machine >= own, "/proc/stat counts less than one process");
    Ok((seconds(machine), seconds(own)))
}

#[allow(clippy::cast_precision_loss, reason = "ticks since boot fit 52 bits")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_lines_name_an_address() {
        let line =
            "keystead dev ready on http://127.0.0.1:39741 (admin http://127.0.0.1:1), data\n";
        assert_eq!(ready_address(line), Some(([127, 0, 0, 1], 39741).into()));
        assert_eq!(
            ready_address("bare server ready on http://127.0.0.1:9\n").map(|a| a.port()),
            Some(9)
        );
        assert_eq!(ready_address("keystead dev ready on https://127.0.0.1:1\n"), None);
        assert_eq!(ready_address("\n"), None);
    }

    #[test]
    fn process_ticks_survive_strange_names() {
        let stat = "7 (a) b (c) S 1 2 3 4 -1 4194560 11 22 33 44 1500 250 0 0 20 0 5 0 99 1 2";
        assert_eq!(process_ticks(stat), Some(1750));
        assert_eq!(process_ticks("7 (a) S 1 2"), None);
        assert_eq!(process_ticks(""), None);
    }

    #[test]
    fn waiting_is_not_busy() {
        let stat = "cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9 9 9 9 9 9 9 9 9\n";
        assert_eq!(machine_ticks(stat), Some(1 + 2 + 4 + 8 + 16 + 32));
        assert_eq!(machine_ticks("cpu  1 2\n"), None);
    }

    #[test]
    fn this_machine_is_understood() {
        assert!(machine_and_own_cpu_seconds().is_ok());
    }
}
