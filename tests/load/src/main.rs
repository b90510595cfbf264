//! The load tool's executable; see the library.

fn main() -> std::process::ExitCode {
    meridian_load::run()
}
