//! What survives a crash: `journal` writes down every acknowledgement while it sends; `verify` checks, after a
//! restart, that the server still has all of it.

mod file;
mod record;
mod verify;

pub(crate) use record::{Journal, run};
pub(crate) use verify::{Verify, verify};
