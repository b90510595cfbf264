//! Numbers between the model (unsigned) and PostgreSQL (signed 64-bit).

/// Keeps the bits, not the order: for numbers that are only compared for equality, or never reach 2^63.
pub(crate) fn bits(number: u64) -> i64 {
    number as i64
}

pub(crate) fn from_bits(stored: i64) -> u64 {
    stored as u64
}

/// Keeps the order of all 64-bit numbers.
pub(crate) fn ordered(number: u64) -> i64 {
    bits(number ^ (1 << 63))
}

pub(crate) fn from_ordered(stored: i64) -> u64 {
    from_bits(stored) ^ (1 << 63)
}

/// A bound on dense numbers, which never reach 2^63: any above means "past all".
pub(crate) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_numbers_keep_their_order_and_come_back() {
        let numbers = [0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX];
        assert!(numbers.map(ordered).is_sorted());
        assert_eq!(numbers.map(ordered).map(from_ordered), numbers);
        assert_eq!(numbers.map(bits).map(from_bits), numbers);
    }
}
