//! The `keystead` program.

use std::alloc::System;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use keystead_server::explain::{Explain, NoAnswer};
use keystead_server::identity::{Check, CreateAccessKey};
use keystead_server::init::Init;
use keystead_server::maintenance::{NewPlace, Place};
use keystead_server::{Config, ConfigError, Flags, ServeFlags, default_data_dir};
use keystead_store::embedded;
use tokio::signal::unix::{SignalKind, signal};
use zeroizing_alloc::ZeroAlloc;

/// Wipes every block of the heap when it is freed. Keys and private halves live in types that wipe
/// themselves, yet a request passes through buffers that are not ours: hyper's reads, TLS records, JSON,
/// base64, and each block that a growing `Vec` leaves behind. With this allocator none of them leaves
/// plaintext to a core dump, to swap, or to the next owner of the memory.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// A key management service that speaks the AWS KMS API
#[derive(Parser)]
#[command(name = "keystead", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve for development: loopback, any credentials accepted
    Dev(Box<Flags>),
    /// Serve over TLS to those whose signatures are verified against an identity file
    Serve(Box<ServeFlags>),
    /// Set up a directory with a store, one account and its administrator
    Init(Init),
    /// The file of accounts, users and roles
    Identity {
        #[command(subcommand)]
        command: IdentityCommand,
    },
    /// Ask a running server whether a principal would be allowed to do something, and why; ends with 0 if
    /// so and with 1 if not
    Explain(Explain),
    /// Copy a store, which may be in use, into a file; needs no root key, and the copy holds none
    Backup {
        /// Directory of the store [default: that of dev]
        #[arg(long, env = "KEYSTEAD_DATA_DIR", value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// File to create; an existing one is not overwritten
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Make a store from a backup
    Restore {
        /// File that backup wrote
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Directory to restore into; one that holds a store is refused [default: that of dev]
        #[arg(long, env = "KEYSTEAD_DATA_DIR", value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// The key that wraps the key material of all KMS keys
    DomainKey {
        #[command(subcommand)]
        command: DomainKeyCommand,
    },
    /// The key that wraps the domain keys
    RootKey {
        #[command(subcommand)]
        command: RootKeyCommand,
    },
    /// The files of an audit log
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Print the version
    Version,
}

#[derive(Subcommand)]
enum IdentityCommand {
    /// Check an identity file and print every fault of it
    Check(Check),
    /// Make an access key and print it, once, with its sealed form for the identity file; the server may
    /// run
    CreateAccessKey(CreateAccessKey),
}

#[derive(Subcommand)]
enum DomainKeyCommand {
    /// Make a new domain key, wrap all key material under it, destroy the older ones; the server
    /// must be stopped
    Rotate(Place),
}

#[derive(Subcommand)]
enum RootKeyCommand {
    /// Put the store under another root key or passphrase; the server must be stopped
    Rewrap {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        new: NewPlace,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Find every record that was removed, altered, inserted or reordered
    Verify(keystead_server::audit::Verify),
    /// Print the public key that verifies the log of a store; the server may run
    PublicKey(keystead_server::audit::PublicKey),
    /// Write files with a Records array, for tools that read CloudTrail's
    Export(keystead_server::audit::Export),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap tells help, which is no error, by its exit code; of an error its first line says all.
            if error.use_stderr() && !error.to_string().starts_with("error:") {
                let _ = error.print();
                return ExitCode::from(2);
            }
            if error.use_stderr() {
                return usage_error(&error.to_string());
            }
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    let result = match arguments.command {
        Command::Explain(explain) => ask(&explain),
        command => run(command).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "keystead: {}", causes(&error));
            ExitCode::from(if error.is::<ConfigError>() || error.is::<NoAnswer>() { 2 } else { 1 })
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Explain(explain) => ask(&explain).map(drop),
        Command::Dev(flags) => run_server(Config::dev(*flags)?),
        Command::Serve(flags) => run_server(Config::serve(*flags)?),
        Command::Init(init) => {
            print(&block_on(keystead_server::init::run(&init))?);
            Ok(())
        }
        Command::Identity { command: IdentityCommand::Check(check) } => {
            print(&keystead_server::identity::check(&check)?);
            Ok(())
        }
        Command::Identity { command: IdentityCommand::CreateAccessKey(create) } => {
            let created = block_on(keystead_server::identity::create_access_key(&create))?;
            // Unlike other output this must not be lost: there is no second look at it.
            let mut out = io::stdout().lock();
            out.write_all(created.text().as_bytes()).and_then(|()| out.flush()).with_context(|| {
                format!("the secret of {} could not be printed: remove that key", created.id())
            })
        }
        Command::Backup { data_dir, to } => {
            let data_dir = data_dir.unwrap_or_else(default_data_dir);
            embedded::backup(&data_dir, &to)
                .with_context(|| format!("cannot back up the store in `{}`", data_dir.display()))?;
            print(&format!(
                "backup written to {}; the root key is not in it: keep a copy of that elsewhere\n",
                to.display()
            ));
            Ok(())
        }
        Command::Restore { from, data_dir } => {
            let data_dir = data_dir.unwrap_or_else(default_data_dir);
            embedded::restore(&from, &data_dir)
                .with_context(|| format!("cannot restore `{}`", from.display()))?;
            print(&format!("restored into {}; start it with its root key\n", data_dir.display()));
            Ok(())
        }
        Command::DomainKey { command: DomainKeyCommand::Rotate(place) } => {
            let rotation = block_on(keystead_server::maintenance::rotate(&place))?;
            print(&format!(
                "domain key epoch {} made; {} key materials wrapped anew; {} older epochs destroyed\n",
                rotation.epoch, rotation.rewrapped, rotation.destroyed
            ));
            Ok(())
        }
        Command::RootKey { command: RootKeyCommand::Rewrap { place, new } } => {
            block_on(keystead_server::maintenance::rewrap(&place, &new))?;
            print(
                "the store is under the new root key; the old one still opens backups made before\n",
            );
            Ok(())
        }
        Command::Audit { command: AuditCommand::Verify(arguments) } => {
            let (report, intact) = keystead_server::audit::verify(&arguments)?;
            print(&report);
            anyhow::ensure!(intact, "the audit log is not intact");
            Ok(())
        }
        Command::Audit { command: AuditCommand::PublicKey(arguments) } => {
            print(&block_on(keystead_server::audit::public_key(&arguments))?);
            Ok(())
        }
        Command::Audit { command: AuditCommand::Export(arguments) } => {
            print(&keystead_server::audit::export(&arguments)?);
            Ok(())
        }
        Command::Version => {
            print(&format!("keystead {}\n", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
    }
}

/// Its exit code is the decision; whatever keeps it from having one is 2.
fn ask(explain: &Explain) -> anyhow::Result<ExitCode> {
    let answer = block_on(keystead_server::explain::ask(explain))?;
    print(&answer.text);
    Ok(if answer.allowed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn run_server(config: Config) -> anyhow::Result<()> {
    config.check()?;
    keystead_server::install_logging(config.log);
    for failure in keystead_crypto::harden_process().failures {
        tracing::warn!(what = failure.what, error = %failure.source, "process not hardened in full");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(config));
    // Whatever deserved waiting for has been waited for: an RSA key still being made does not.
    runtime.shutdown_background();
    result
}

/// Runs a command that works on a store, in a process as hard as the server's.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // What could not be hardened was told when the server started; a command is short-lived.
    let _ = keystead_crypto::harden_process();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before anything is opened, so that no signal finds its default action half way.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle signals")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot handle signals")?;

    let running = tokio::select! {
        running = keystead_server::start(config.clone()) => running?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    print(&keystead_server::greeting(&config, &running));
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => {
                running.reload().await;
                running.reopen().await;
            }
        }
    }
    tracing::info!("shutting down; a second signal exits at once");
    tokio::select! {
        finished = running.shutdown() => {
            anyhow::ensure!(finished, "requests in flight did not end in time");
            tracing::info!("stopped");
            Ok(())
        }
        _ = interrupt.recv() => anyhow::bail!("stopped by a second signal"),
        _ = terminate.recv() => anyhow::bail!("stopped by a second signal"),
    }
}

/// Prints to standard output; a reader who has gone away is no reason to stop serving.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// An error with its causes in one line, without those that the text before them ends with already.
fn causes(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut line, cause| {
        let cause = cause.to_string();
        if !line.ends_with(&cause) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&cause);
        }
        line
    })
}

/// One line for a usage error, in the form of all others.
fn usage_error(message: &str) -> ExitCode {
    let message = message.trim_start_matches("error: ");
    let first = message.split("\n\n").next().unwrap_or(message);
    let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(io::stderr(), "keystead: {line} (try --help)");
    ExitCode::from(2)
}
