//! Store on SQLite.
