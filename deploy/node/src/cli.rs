//! The command line.

use crate::{
    Config, builder::NodeBuilder, check::check, config::Overrides, drain, roles::Role, serve, telemetry,
    transfer,
};
use clap::{Parser, Subcommand};
use meridian_types::{AppKey, LogId};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

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
    /// Refuse new sessions on a running node and let its edges move the others to other cores; then it can be stopped.
    Drain {
        /// The node's admin address.
        #[arg(long, default_value = "127.0.0.1:8081")]
        admin: SocketAddr,
        /// Seconds to wait for sessions to move.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=600))]
        within: u64,
    },
    /// Check the stored logs of a stopped server: chains, dense positions, and that replaying them gives the same data.
    Check(Place),
    /// Write an app with all its data (and secrets) to standard output. The server must be stopped.
    Export {
        /// The app, `org#app`.
        #[arg(long, value_parser = |text: &str| AppKey::parse(text))]
        app: AppKey,
        #[command(flatten)]
        place: Place,
    },
    /// Read an exported app from standard input. The server must be stopped.
    Import(Place),
    /// Move a log of a sharded store to another shard. The server may run.
    MoveLog {
        /// The log, as `7.O0.3`.
        #[arg(value_parser = parse_log)]
        log: LogId,
        /// The shard, by its name in the configuration.
        #[arg(long)]
        to: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Where everything is.
#[derive(Debug, Default, clap::Args)]
struct Place {
    /// Configuration file (TOML). Flags beat environment (MERIDIAN_…) beat file.
    #[arg(long, env = "MERIDIAN_CONFIG")]
    config: Option<PathBuf>,
    /// Where everything is kept that no URL puts elsewhere.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// URL of the store. Passwords on the command line can be seen by others: prefer MERIDIAN_STORE or the file.
    #[arg(long)]
    store: Option<String>,
    /// URL of the files.
    #[arg(long)]
    blobs: Option<String>,
    /// URL of the soft state.
    #[arg(long)]
    soft: Option<String>,
    /// URL of the bus.
    #[arg(long)]
    bus: Option<String>,
    /// URL of the directory of cores.
    #[arg(long)]
    directory: Option<String>,
}

#[derive(Debug, Default, clap::Args)]
struct Serve {
    /// Address for REST and WebSocket clients.
    #[arg(long)]
    listen: Option<String>,
    /// Address for metrics and administration; keep it private.
    #[arg(long)]
    admin: Option<String>,
    /// What this process does, edge or core; given twice, both (the default).
    #[arg(long = "role")]
    roles: Vec<Role>,
    #[command(flatten)]
    place: Place,
}

/// Runs the command line of this process.
pub(crate) fn run(builder: NodeBuilder) -> ExitCode {
    let outcome = match Cli::parse().command.unwrap_or(Command::Serve(Serve::default())) {
        Command::Serve(args) => run_serve(builder, args),
        Command::Drain { admin, within } => run_drain(admin, Duration::from_secs(within)),
        Command::Check(place) => {
            with(builder, place, async |registry, config| check(&registry, &config).await)
        }
        Command::Export { app, place } => with(builder, place, async move |registry, config| {
            transfer::export(&registry, &config, &app).await.map(|()| true)
        }),
        Command::Import(place) => with(builder, place, async |registry, config| {
            transfer::import(&registry, &config).await.map(|()| true)
        }),
        Command::MoveLog { log, to, place } => with(builder, place, async move |registry, config| {
            crate::sharded::move_log(&registry, &config, log, &to).await.map(|()| true)
        }),
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

fn load(place: Place, serve: Option<Serve>) -> anyhow::Result<Config> {
    let serve = serve.unwrap_or_default();
    let overrides = Overrides {
        listen: serve.listen,
        admin: serve.admin,
        roles: serve.roles,
        data_dir: place.data_dir,
        store: place.store,
        blobs: place.blobs,
        soft: place.soft,
        bus: place.bus,
        directory: place.directory,
    };
    let config_file = place.config.or_else(|| std::env::var_os("MERIDIAN_CONFIG").map(Into::into));
    Ok(Config::load(config_file.as_deref(), std::env::vars(), overrides)?)
}

fn run_serve(builder: NodeBuilder, args: Serve) -> anyhow::Result<ExitCode> {
    let mut args = args;
    let config = load(std::mem::take(&mut args.place), Some(args))?;
    let registry = builder.registry(&config)?;
    let _logs = telemetry::start_logs(&config.log)?;
    runtime()?.block_on(serve::serve(registry, config))?;
    Ok(ExitCode::SUCCESS)
}

fn run_drain(admin: SocketAddr, within: Duration) -> anyhow::Result<ExitCode> {
    let well = runtime()?.block_on(drain::ask(admin, within))?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a tool; `false` is a bad end without an error.
fn with(
    builder: NodeBuilder,
    place: Place,
    tool: impl AsyncFnOnce(crate::Registry, Config) -> anyhow::Result<bool>,
) -> anyhow::Result<ExitCode> {
    let config = load(place, None)?;
    let registry = builder.registry(&config)?;
    let well = runtime()?.block_on(tool(registry, config))?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn parse_log(text: &str) -> Result<LogId, String> {
    meridian_sharded::parse_log(text).ok_or_else(|| format!("{text:?} is no log; one looks like 7.O0.3"))
}
