//! The REST surface: server REST and client REST over the chat logic.
