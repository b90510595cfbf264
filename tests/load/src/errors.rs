//! What went wrong, counted by reason.

use std::{collections::BTreeMap, fmt};

/// Reasons that are told apart; more are counted together, so that a broken server cannot fill memory.
const REASONS: usize = 32;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Errors(BTreeMap<String, u64>);

impl Errors {
    pub(crate) fn add(&mut self, reason: &str, count: u64) {
        if count == 0 {
            return;
        }
        let reason = match self.0.contains_key(reason) || self.0.len() < REASONS {
            true => reason,
            false => "other",
        };
        *self.0.entry(reason.to_owned()).or_default() += count;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(reason, count)| self.add(reason, *count));
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let mut first = true;
        for (reason, count) in &self.0 {
            write!(f, "{}{count} × {reason}", if first { "" } else { ", " })?;
            first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_bounded() {
        let mut errors = Errors::default();
        assert_eq!(errors.to_string(), "none");
        errors.add("server busy", 2);
        errors.add("nothing", 0);
        let mut others = Errors::default();
        others.add("server busy", 1);
        others.add("blocked", 1);
        errors.merge(&others);
        assert_eq!(errors.to_string(), "1 × blocked, 3 × server busy");
        (0..100).for_each(|number| errors.add(&format!("reason {number}"), 1));
        assert_eq!(errors.total(), 104);
        assert_eq!(errors.0.len(), REASONS + 1);
        assert_eq!(errors.0["other"], 70);
    }
}
