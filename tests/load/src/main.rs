//! The load tool's executable; see the library.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    meridian_load::run()
}
