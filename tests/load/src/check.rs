//! The promise that every workload checks: what was acknowledged was delivered once and in order.

use std::collections::{HashMap, HashSet};

/// A message: its number at the sender, and the id that the server gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    pub(crate) server_id: u64,
}

/// What one pair's messages came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Acknowledged to the sender.
    pub(crate) acknowledged: u64,
    /// Acknowledged and never delivered, or under another id.
    pub(crate) missing: u64,
    /// The same item delivered again.
    pub(crate) repeated: u64,
    /// One message under two ids: stored twice.
    pub(crate) doubled: u64,
    /// Delivered after a later one.
    pub(crate) misplaced: u64,
    /// Delivered and not acknowledged: allowed when the server, or the tool, stopped before the answer.
    pub(crate) unacknowledged: u64,
}

impl Verdict {
    pub(crate) fn of(acknowledged: &[Numbered], delivered: &[Numbered]) -> Self {
        let mut verdict = Self { acknowledged: acknowledged.len() as u64, ..Self::default() };
        let (mut ids, mut id_of) = (HashSet::new(), HashMap::new());
        let mut last = Numbered { number: 0, server_id: 0 };
        for &item in delivered {
            if !ids.insert(item.server_id) {
                verdict.repeated += 1;
                continue;
            }
            if id_of.contains_key(&item.number) {
                verdict.doubled += 1;
                continue;
            }
            id_of.insert(item.number, item.server_id);
            if item.number < last.number || item.server_id < last.server_id {
                verdict.misplaced += 1;
            }
            last = item;
        }
        let found =
            acknowledged.iter().filter(|item| id_of.get(&item.number) == Some(&item.server_id)).count();
        verdict.missing = verdict.acknowledged - found as u64;
        let known: HashSet<u64> = acknowledged.iter().map(|item| item.number).collect();
        verdict.unacknowledged = id_of.keys().filter(|number| !known.contains(number)).count() as u64;
        verdict
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.missing += other.missing;
        self.repeated += other.repeated;
        self.doubled += other.doubled;
        self.misplaced += other.misplaced;
        self.unacknowledged += other.unacknowledged;
    }

    /// What is broken, in words; empty when nothing is.
    pub(crate) fn problems(&self) -> Vec<String> {
        [
            (self.missing, "acknowledged messages were not delivered"),
            (self.repeated, "items were delivered again"),
            (self.doubled, "messages were stored twice"),
            (self.misplaced, "messages were delivered out of order"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[(u64, u64)]) -> Vec<Numbered> {
        items.iter().map(|&(number, server_id)| Numbered { number, server_id }).collect()
    }

    fn verdict(acknowledged: &[(u64, u64)], delivered: &[(u64, u64)]) -> Verdict {
        Verdict::of(&list(acknowledged), &list(delivered))
    }

    #[test]
    fn once_and_in_order_is_sound() {
        // Number 2 was refused, 4 was cut off before its answer.
        let sound = verdict(&[(1, 10), (3, 30)], &[(1, 10), (3, 30), (4, 40)]);
        assert_eq!(sound, Verdict { acknowledged: 2, unacknowledged: 1, ..Verdict::default() });
        assert!(sound.problems().is_empty());
    }

    #[test]
    fn each_breach_is_seen() {
        let all = [(1, 10), (2, 20), (3, 30)];
        assert_eq!(verdict(&all, &[(1, 10), (3, 30)]).missing, 1);
        assert_eq!(verdict(&all, &[(1, 10), (2, 21), (3, 30)]).missing, 1);
        assert_eq!(verdict(&all, &[(1, 10), (2, 20), (2, 20), (3, 30)]).repeated, 1);
        assert_eq!(verdict(&all, &[(1, 10), (2, 20), (2, 25), (3, 30)]).doubled, 1);
        assert_eq!(verdict(&all, &[(2, 20), (1, 10), (3, 30)]).misplaced, 1);
        assert_eq!(verdict(&all, &[(1, 30), (2, 20), (3, 10)]).misplaced, 2);
    }

    #[test]
    fn verdicts_add_up_and_speak() {
        let mut sum = verdict(&[(1, 10)], &[]);
        sum.merge(&verdict(&[(1, 10), (2, 20)], &[(1, 10), (1, 10)]));
        assert_eq!((sum.acknowledged, sum.missing, sum.repeated), (3, 2, 1));
        assert_eq!(
            sum.problems(),
            ["2 acknowledged messages were not delivered", "1 items were delivered again"]
        );
    }
}
