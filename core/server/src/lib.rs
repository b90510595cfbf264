//! The core role: serves the link and REST over the chat logic.
