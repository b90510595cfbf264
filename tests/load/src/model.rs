//! A room of any size, by arithmetic: what edges and cores have to do, from costs that were measured, and what is the bottleneck.

use crate::report::say;

/// A room too large for one machine to try.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Model {
    #[arg(long, default_value_t = 1_000_000.0)]
    members: f64,
    #[arg(long, default_value_t = 200.0)]
    edges: f64,
    #[arg(long, default_value_t = 20.0)]
    cores: f64,
    /// Messages per second.
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// Bytes of a message as a client gets it.
    #[arg(long, default_value_t = 300.0)]
    bytes: f64,
    /// Everybody comes in within so many seconds.
    #[arg(long, default_value_t = 600.0)]
    join_s: f64,
    /// Processors of an edge, and of a core.
    #[arg(long, default_value_t = 4.0)]
    processors: f64,
    /// Network of an edge in Gbit/s.
    #[arg(long, default_value_t = 10.0)]
    gbits: f64,
    /// Processor time in µs: of an edge, to write a piece to one socket.
    #[arg(long, default_value_t = 9.0)]
    socket_us: f64,
    /// Of an edge, to take a message from the link and make it part of a frame.
    #[arg(long, default_value_t = 15.0)]
    message_us: f64,
    /// Of a core, to tell one member's session of a piece, with the link.
    #[arg(long, default_value_t = 2.0)]
    member_us: f64,
    /// Of the core that writes the room's log, to take a message.
    #[arg(long, default_value_t = 300.0)]
    append_us: f64,
    /// Of that core, to let one person in.
    #[arg(long, default_value_t = 400.0)]
    join_us: f64,
}

/// As the server does it: news wait 25 µs for each member on a core, at most 250 ms.
const PER_MEMBER_S: f64 = 25e-6;
const LONGEST_WAIT_S: f64 = 0.25;
/// Most messages that a piece holds.
const PIECE: f64 = 64.0;

#[derive(Debug, PartialEq)]
struct Load {
    what: &'static str,
    /// Of what there is.
    share: f64,
}

impl Model {
    fn pieces_per_second(&self) -> f64 {
        let wait = (PER_MEMBER_S * self.members / self.cores).min(LONGEST_WAIT_S);
        self.rate.min(1.0 / wait.max(1e-9))
    }

    fn loads(&self) -> Vec<Load> {
        let pieces = self.pieces_per_second();
        let told = self.rate.min(pieces * PIECE);
        let (per_edge, per_core) = (self.members / self.edges, self.members / self.cores);
        let us = 1e-6;
        // Each core has sessions on each edge, and tells it once for all of them.
        let links = self.cores;
        vec![
            Load {
                what: "an edge's processors",
                share: us
                    * (pieces * links * (per_edge / links) * self.socket_us + told * links * self.message_us)
                    / self.processors,
            },
            Load {
                what: "an edge's network",
                share: told * per_edge * self.bytes * 8.0 / (self.gbits * 1e9),
            },
            Load {
                what: "a core's processors",
                share: us * (pieces * per_core * self.member_us + told * self.edges * self.message_us)
                    / self.processors,
            },
            Load {
                what: "the one task of a core that tells rooms",
                share: us * pieces * per_core * self.member_us / 2.0,
            },
            Load {
                what: "the writer of the room's log, with messages",
                share: us * self.rate * self.append_us,
            },
            Load {
                what: "the writer of the room's log, while all come in",
                share: us * (self.members / self.join_s * self.join_us + self.rate * self.append_us),
            },
        ]
    }
}

pub(crate) fn run(model: &Model) -> Vec<String> {
    say(&format!(
        "{} members over {} edges and {} cores, {}/s: {:.1} pieces a second, {:.0} members an edge, {:.0} a core\n",
        model.members,
        model.edges,
        model.cores,
        model.rate,
        model.pieces_per_second(),
        model.members / model.edges,
        model.members / model.cores,
    ));
    say("| what | of what there is |\n|---|---:|");
    let loads = model.loads();
    loads.iter().for_each(|load| say(&format!("| {} | {:.1} % |", load.what, 100.0 * load.share)));
    if let Some(first) = loads.iter().max_by(|one, other| one.share.total_cmp(&other.share)) {
        say(&format!("\nThe bottleneck is {} ({:.1} %).", first.what, 100.0 * first.share));
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        model: Model,
    }

    fn model(args: &[&str]) -> Model {
        Line::parse_from([&["model"], args].concat()).model
    }

    fn share(model: &Model, what: &str) -> f64 {
        model.loads().iter().find(|load| load.what == what).unwrap().share
    }

    #[test]
    fn a_million_are_told_four_times_a_second() {
        assert!((model(&[]).pieces_per_second() - 4.0).abs() < 1e-9);
        let small = model(&["--members", "1000", "--cores", "1"]);
        assert!((small.pieces_per_second() - 40.0).abs() < 1e-9);
    }

    #[test]
    fn an_edge_does_what_its_members_and_links_ask() {
        let model = model(&["--processors", "1", "--message-us", "0", "--socket-us", "10"]);
        // 5,000 members, 4 pieces a second, 10 µs each.
        assert!((share(&model, "an edge's processors") - 0.2).abs() < 1e-9);
        // 50 messages of 300 bytes to 5,000 people, of 10 Gbit/s.
        assert!((share(&model, "an edge's network") - 0.06).abs() < 1e-9);
    }

    #[test]
    fn everybody_coming_in_is_the_writers_work() {
        let one = share(&model(&["--join-s", "100"]), "the writer of the room's log, while all come in");
        let slow = share(&model(&["--join-s", "1000"]), "the writer of the room's log, while all come in");
        assert!(one > 4.0 && slow < 1.0);
    }
}
