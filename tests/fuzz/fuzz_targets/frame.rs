//! See `meridian_fuzz::frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| meridian_fuzz::frame(bytes));
