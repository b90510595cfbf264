//! What a run prints: lines for people, or one row of a markdown table.

use crate::{cli::Common, histogram::Histogram, pairs::Outcome};
use std::{io::Write, time::Duration};
use tokio::time::Instant;

/// The time of a run: when it began, and the part that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) origin: Instant,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Span {
    pub(crate) fn starting_now(warm_up: Duration, measured: Duration) -> Self {
        let origin = Instant::now();
        Self { origin, from: origin + warm_up, until: origin + warm_up + measured }
    }

    pub(crate) fn measures(&self, at: Instant) -> bool {
        (self.from..self.until).contains(&at)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.until.duration_since(self.from).as_secs_f64()
    }
}

/// The head of the table for rows of [`messages`].
const HEAD: &str = "\
| workload | acked/s | delivered/s | send→ack ms: p50 / p99 / p99.9 / max | send→delivery ms: p50 / p99 / p99.9 / max | refused |
|---|---:|---:|---|---|---|
";

/// The report of a run that sends messages.
pub(crate) fn messages(title: &str, span: &Span, outcome: &Outcome, common: Common) -> String {
    let rate = |count: u64| grouped((count as f64 / span.seconds()).round() as u64);
    let (acked, delivered) = (rate(outcome.acknowledged), rate(outcome.delivered));
    let (ack, delivery) = (&outcome.ack_latency, &outcome.delivery_latency);
    if common.markdown {
        let head = if common.head { HEAD } else { "" };
        let (ack, delivery, refused) = (cells(ack), cells(delivery), &outcome.refused);
        return format!("{head}| {title} | {acked} | {delivered} | {ack} | {delivery} | {refused} |");
    }
    let mut text = format!(
        "{title}\n  acknowledged   {acked}/s\n  delivered      {delivered}/s\n  send→ack       {}\n  send→delivery  {}\n",
        line(ack),
        line(delivery)
    );
    if outcome.lateness.max() > Duration::from_millis(1) {
        text += &format!("  tool was late  {}\n", line(&outcome.lateness));
    }
    text += &format!("  refused        {}\n", outcome.refused);
    let verdict = &outcome.verdict;
    let checked = match verdict.problems().is_empty() {
        true => "all delivered once and in order".to_owned(),
        false => verdict.problems().join(", "),
    };
    text + &format!("  check          {} acknowledged: {checked}", grouped(verdict.acknowledged))
}

fn line(histogram: &Histogram) -> String {
    let [p50, p99, p999, max] = quantiles(histogram);
    format!("p50 {p50} ms, p99 {p99} ms, p99.9 {p999} ms, max {max} ms")
}

fn cells(histogram: &Histogram) -> String {
    quantiles(histogram).join(" / ")
}

fn quantiles(histogram: &Histogram) -> [String; 4] {
    let of = |share| milliseconds(histogram.quantile(share));
    [of(0.5), of(0.99), of(0.999), milliseconds(histogram.max())]
}

pub(crate) fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    if milliseconds < 100.0 { format!("{milliseconds:.2}") } else { format!("{milliseconds:.0}") }
}

/// 12345 as `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A reader that has gone away is no reason to end: the exit code still tells what was found.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "meridian-load: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(milliseconds(Duration::from_micros(1234)), "1.23");
        assert_eq!(milliseconds(Duration::from_millis(1234)), "1234");
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_has_as_many_cells_as_the_header() {
        let span = Span::starting_now(Duration::from_secs(1), Duration::from_secs(2));
        let mut outcome = Outcome { acknowledged: 25_000, ..Outcome::default() };
        outcome.ack_latency.record(Duration::from_millis(2));
        let common = Common { markdown: true, head: true, threads: 1 };
        let table = messages("window 1", &span, &outcome, common);
        let cells: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
        assert_eq!(cells, [7; 3], "{table}");
        let row = messages("window 1", &span, &outcome, Common { head: false, ..common });
        assert!(row.starts_with("| window 1 | 12,500 | 0 | 2.00 / 2.00 / 2.00 / 2.00 |"), "{row}");
        assert!(
            messages("window 1", &span, &outcome, Common { markdown: false, ..common }).contains("12,500/s")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_warm_up_is_not_measured() {
        let span = Span::starting_now(Duration::from_secs(1), Duration::from_secs(2));
        assert!(!span.measures(span.origin) && span.measures(span.from) && !span.measures(span.until));
        assert_eq!(span.seconds(), 2.0);
    }
}
