//! Where the cores of a region are: fixed addresses, names with A and AAAA records, and SRV records, asked again when
//! their time to live ends.

#![forbid(unsafe_code)]

mod finder;
mod place;

pub use finder::{Finder, FinderError, Options};
pub use place::{Place, PlaceError};
