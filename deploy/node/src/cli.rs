//! The command line.

use crate::{Config, check, config::Overrides, serve, telemetry};
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, Parser)]
#[command(name = "meridian", version, about = "A self-hosted instant-messaging cloud.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default).
    Serve(Serve),
    /// Check the stored logs of a stopped server: chains, dense positions, and that replaying them gives the same data.
    Check {
        /// The data folder.
        #[arg(long, default_value = "./data")]
        data_dir: PathBuf,
    },
}

#[derive(Debug, Default, clap::Args)]
struct Serve {
    /// Configuration file (TOML). Flags beat environment (MERIDIAN_…) beat file.
    #[arg(long, env = "MERIDIAN_CONFIG")]
    config: Option<PathBuf>,
    /// Address for REST and WebSocket clients.
    #[arg(long)]
    listen: Option<String>,
    /// Address for metrics and administration; keep it private.
    #[arg(long)]
    admin: Option<String>,
    /// Where everything is kept.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command.unwrap_or(Command::Serve(Serve::default())) {
        Command::Serve(args) => run_serve(args),
        Command::Check { data_dir } => run_check(&data_dir),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr)] // the command line's own voice
fn complain(error: &anyhow::Error) {
    eprintln!("meridian: {error:#}");
}

fn run_serve(args: Serve) -> anyhow::Result<ExitCode> {
    let overrides = Overrides { listen: args.listen, admin: args.admin, data_dir: args.data_dir };
    let config_file = args.config.or_else(|| std::env::var_os("MERIDIAN_CONFIG").map(Into::into));
    let config = Config::load(config_file.as_deref(), std::env::vars(), overrides)?;
    let _logs = telemetry::start_logs(&config.log)?;
    runtime()?.block_on(serve(config))?;
    Ok(ExitCode::SUCCESS)
}

fn run_check(data_dir: &std::path::Path) -> anyhow::Result<ExitCode> {
    let sound = runtime()?.block_on(check(data_dir))?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
