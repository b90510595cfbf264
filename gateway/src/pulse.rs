//! Whether a client is still there. On a line that loses packets a connection can be dead in one direction for minutes,
//! because the client's kernel waits longer and longer before it sends again, and most clients do not notice. So the
//! gateway asks often where answers are slow, and gives such a connection up early: a new one is much quicker.

use std::time::Duration;
use tokio::time::Instant;

/// A pong within this time is prompt.
const PROMPT: Duration = Duration::from_millis(500);
/// The interval at first, and after a pong that was late. Every prompt one doubles it.
const SHORTEST: Duration = Duration::from_secs(2);
/// Until the pong comes, pings follow each other at this interval: each carries again the acknowledgements that the
/// line may have lost, without which the client's kernel would wait.
const AGAIN: Duration = Duration::from_secs(1);

/// Limits of silence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Longest interval of pings.
    pub(crate) ping_interval: Duration,
    /// For a client that has answered a ping before.
    pub(crate) pong_timeout: Duration,
    /// For one that has not.
    pub(crate) idle_timeout: Duration,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    Wait,
    Ping,
    Dead,
}

#[derive(Debug)]
pub(crate) struct Pulse {
    /// No silence is counted before this.
    since: Instant,
    next: Instant,
    interval: Duration,
    /// The first ping that has no answer.
    asked: Option<Instant>,
    answers: bool,
    /// The last pong was late.
    slow: bool,
}

impl Pulse {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, next: now, interval: SHORTEST, asked: None, answers: false, slow: false }
    }

    /// When [`Pulse::beat`] has something to do. `heard`: when the last byte came.
    pub(crate) fn deadline(&self, heard: Instant, patience: Patience) -> Instant {
        self.next.min(self.dead_at(heard, patience))
    }

    pub(crate) fn beat(&mut self, now: Instant, heard: Instant, patience: Patience) -> Beat {
        if now >= self.dead_at(heard, patience) {
            return Beat::Dead;
        }
        if now < self.next {
            return Beat::Wait;
        }
        if self.asked.is_some() && !self.answers {
            self.interval = (2 * self.interval).min(patience.ping_interval);
        }
        let again = self.answers || self.asked.is_none();
        self.next = now + if again { AGAIN } else { self.interval }.min(patience.ping_interval);
        self.asked.get_or_insert(now);
        Beat::Ping
    }

    pub(crate) fn pong(&mut self, now: Instant, patience: Patience) {
        self.answers = true;
        let Some(asked) = self.asked.take() else { return };
        self.slow = now - asked >= PROMPT;
        let longer = if self.slow { SHORTEST } else { 2 * self.interval };
        self.interval = longer.min(patience.ping_interval);
        self.next = now + self.interval;
    }

    /// The last pong was late, or the next one is.
    pub(crate) fn is_slow(&self, now: Instant) -> bool {
        self.slow || self.asked.is_some_and(|asked| now - asked >= PROMPT)
    }

    /// The gateway did not read: the silence is not the client's fault.
    pub(crate) fn excuse(&mut self, now: Instant) {
        self.since = now;
    }

    fn dead_at(&self, heard: Instant, patience: Patience) -> Instant {
        let heard = heard.max(self.since);
        match self.asked {
            Some(asked) if self.answers => heard.max(asked) + patience.pong_timeout,
            _ => heard + patience.idle_timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        ping_interval: Duration::from_secs(30),
        pong_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
    };

    struct Line {
        begun: Instant,
        now: Instant,
        heard: Instant,
        pulse: Pulse,
    }

    impl Line {
        fn new() -> Self {
            let now = Instant::now();
            Self { begun: now, now, heard: now, pulse: Pulse::new(now) }
        }

        /// Goes to the next deadline.
        fn next(&mut self) -> (u128, Beat) {
            self.now = self.pulse.deadline(self.heard, PATIENCE).max(self.now);
            (self.at(), self.pulse.beat(self.now, self.heard, PATIENCE))
        }

        fn at(&self) -> u128 {
            (self.now - self.begun).as_millis()
        }

        fn pong_after(&mut self, millis: u64) {
            self.now += Duration::from_millis(millis);
            self.heard = self.now;
            self.pulse.pong(self.now, PATIENCE);
        }
    }

    #[test]
    fn a_prompt_client_is_asked_less_and_less_often() {
        let mut line = Line::new();
        let mut pings = Vec::new();
        for _ in 0..7 {
            let (at, beat) = line.next();
            assert_eq!(beat, Beat::Ping);
            pings.push(at);
            line.pong_after(0);
        }
        assert_eq!(pings, [0, 4000, 12_000, 28_000, 58_000, 88_000, 118_000]);
    }

    #[test]
    fn a_late_pong_brings_the_next_ping_soon() {
        let mut line = Line::new();
        for _ in 0..5 {
            line.next();
            line.pong_after(0);
        }
        line.next();
        let asked = line.at();
        line.pong_after(600);
        assert!(line.pulse.is_slow(line.now));
        assert_eq!(line.next(), (asked + 2600, Beat::Ping));
        line.pong_after(0);
        assert!(!line.pulse.is_slow(line.now));
    }

    #[test]
    fn a_client_that_stops_answering_is_asked_every_second_and_given_up() {
        let mut line = Line::new();
        line.next();
        line.pong_after(0);
        let beats: Vec<_> = (0..11).map(|_| line.next()).collect();
        let pings = (0..10).map(|n| (4000 + 1000 * n, Beat::Ping));
        assert_eq!(beats, pings.chain([(14_000, Beat::Dead)]).collect::<Vec<_>>());
    }

    #[test]
    fn a_byte_is_a_sign_of_life() {
        let mut line = Line::new();
        line.next();
        line.pong_after(0);
        line.next();
        line.heard = line.now + Duration::from_secs(6);
        while line.next().1 != Beat::Dead {}
        assert_eq!(line.at(), 20_000);
    }

    #[test]
    fn a_client_that_never_answered_has_longer_and_is_asked_seldom() {
        let mut line = Line::new();
        let mut pings = 0;
        while line.next().1 != Beat::Dead {
            pings += 1;
        }
        assert_eq!((line.at(), pings), (75_000, 6));
    }

    #[test]
    fn silence_is_not_counted_while_nobody_listens() {
        let mut line = Line::new();
        line.next();
        line.pong_after(0);
        line.next();
        line.pulse.excuse(line.now + Duration::from_secs(9));
        while line.next().1 != Beat::Dead {}
        assert_eq!(line.at(), 23_000);
    }
}
