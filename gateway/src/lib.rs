//! The edge: listeners, WebSocket, MSYNC, REST forwarding.
