//! The command line.

use crate::{
    group, idle, journal, lists, model, open, report, room, storm, throughput, uplink::STAMP_LENGTH,
};
use clap::{Parser, Subcommand};
use std::{net::SocketAddr, process::ExitCode};

#[derive(Debug, Parser)]
#[command(
    name = "meridian-load",
    version,
    about = "Puts load on a Meridian server and checks what it promises."
)]
struct Cli {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Where the server is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// The server's address for clients.
    #[arg(long, global = true, default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// The server's admin address; a run makes an app of its own there.
    #[arg(long, global = true, default_value = "127.0.0.1:8081")]
    pub(crate) admin: SocketAddr,
    /// Other cores' addresses for clients: people are spread over all, half of the pairs over two.
    #[arg(long, global = true, value_delimiter = ',')]
    pub(crate) others: Vec<SocketAddr>,
}

impl Target {
    /// How many cores there are.
    pub(crate) fn cores(&self) -> usize {
        1 + self.others.len()
    }

    /// The address of a core, counted round and round.
    pub(crate) fn core(&self, number: usize) -> SocketAddr {
        match number % self.cores() {
            0 => self.listen,
            other => self.others[other - 1],
        }
    }
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Common {
    /// Print one row of a markdown table.
    #[arg(long, global = true)]
    pub(crate) markdown: bool,
    /// With --markdown: print the head of the table first.
    #[arg(long, global = true, requires = "markdown")]
    pub(crate) head: bool,
    /// Threads of the tool. One is enough for most servers and leaves them the other processors.
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) threads: u8,
}

/// What the message workloads have in common.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Run {
    /// Pairs of one sender and one receiver.
    #[arg(long, default_value_t = 100)]
    pub(crate) pairs: usize,
    /// Measured time in seconds.
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Load before that, which is not measured, in seconds.
    #[arg(long, default_value_t = 2)]
    pub(crate) warmup: u64,
    /// Length of a text in bytes.
    #[arg(long, default_value_t = 100, value_parser = text_length)]
    pub(crate) body: usize,
}

pub(crate) fn text_length(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(length) if (STAMP_LENGTH..=4000).contains(&length) => Ok(length),
        _ => Err(format!("a number from {STAMP_LENGTH} to 4000 is needed")),
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Closed loop: durable messages per second.
    Throughput(throughput::Throughput),
    /// Open loop: latency at a fixed rate.
    Open(open::Open),
    /// Memory per idle connection, and the time of many logins.
    Idle(idle::Idle),
    /// Clients that lose their server and all come back.
    Storm(storm::Storm),
    /// Long lists of users and contacts, page by page.
    Lists(lists::Lists),
    /// A group of 10 and a large one: messages, pages of members, coming and going.
    Group(group::Group),
    /// A room of many sockets.
    Room(room::Room),
    /// A room of a million, by arithmetic.
    Model(model::Model),
    /// Send until the server goes away, and write down everything that was acknowledged.
    Journal(journal::Journal),
    /// Check that everything written down is there, once and in order.
    Verify(journal::Verify),
}

/// Runs the command line of this process: 0 when all is well, 1 when a check failed or the run could not be made.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = runtime(cli.common.threads).and_then(|runtime| runtime.block_on(execute(&cli)));
    let problems = outcome.unwrap_or_else(|error| vec![format!("{error:#}")]);
    problems.iter().for_each(|problem| report::complain(problem));
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Gives what is wrong; nothing when all is well.
async fn execute(cli: &Cli) -> anyhow::Result<Vec<String>> {
    let (target, common) = (&cli.target, cli.common);
    match &cli.command {
        Command::Throughput(args) => throughput::run(target, common, args).await,
        Command::Open(args) => open::run(target, common, args).await,
        Command::Idle(args) => idle::run(target, common, args).await,
        Command::Storm(args) => storm::run(target, common, args).await,
        Command::Lists(args) => lists::run(target, common, args).await,
        Command::Group(args) => group::run(target, common, args).await,
        Command::Room(args) => room::run(target, common, args).await,
        Command::Model(args) => Ok(model::run(args)),
        Command::Journal(args) => journal::run(target, args).await,
        Command::Verify(args) => journal::verify(target, args).await,
    }
}

fn runtime(threads: u8) -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(usize::from(threads));
    }
    Ok(builder.enable_all().build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_may_follow_the_command() {
        let line =
            ["meridian-load", "throughput", "--pairs", "7", "--listen", "127.0.0.1:9", "--window", "10"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.target.listen.port(), 9);
    }

    #[test]
    fn cores_are_counted_round_and_round() {
        let line = [
            "meridian-load",
            "open",
            "--rate",
            "1",
            "--listen",
            "127.0.0.1:1",
            "--others",
            "127.0.0.1:2,127.0.0.1:3",
        ];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!([0, 1, 2, 3].map(|n| cli.target.core(n).port()), [1, 2, 3, 1]);
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for wrong in [["--body", "5"], ["--window", "0"], ["--window", "65"], ["--pairs", "x"]] {
            let line = ["meridian-load", "throughput"].into_iter().chain(wrong);
            assert!(Cli::try_parse_from(line).is_err(), "{wrong:?}");
        }
    }
}
