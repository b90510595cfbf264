//! Feed, applier and checks of logs.
