//! Settings of the gateway.

use crate::{address::Network, pulse::Patience};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Where the certificate and its key are, both PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and what leads from it to a root, in that order.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Settings of one gateway. The defaults suit a node that faces the internet through a load balancer or directly.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections at one time, HTTP and WebSocket together; one more is answered 503 and closed. Leave room below
    /// the process's open-file limit.
    pub max_connections: usize,
    /// With it every connection is TLS. The files are looked at again while the gateway runs.
    pub tls: Option<TlsFiles>,
    /// How often the files of [`GatewayConfig::tls`] are looked at.
    pub tls_reload_interval: Duration,
    /// TLS handshakes at one time. Others wait, as long as a handshake may take.
    pub max_handshakes: usize,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<Network>,
    /// Requests and WebSockets of one HTTP/2 connection at one time.
    pub max_streams: u32,
    /// WebSockets of one HTTP/2 connection. Each counts as a connection in [`GatewayConfig::max_connections`].
    pub max_stream_websockets: usize,
    /// WebSockets that may be opened per second, and at once after a quiet time. 0 per second: no limit.
    pub logins_per_second: u32,
    pub login_burst: u32,
    /// WebSockets that may wait for their turn, and how long. What cannot be is answered 503.
    pub max_waiting_logins: usize,
    pub login_wait: Duration,
    /// Requests of one address per second, opened WebSockets included; twice as many at once. 0: no limit.
    pub requests_per_second: u32,
    /// Within this time the first request head must be there. A TLS handshake has the same time, before that.
    pub header_timeout: Duration,
    /// How long a connection may stay without the next request head. Longer than the idle time of a load balancer in
    /// front, so that it never reuses a connection that is being closed.
    pub keep_alive: Duration,
    /// Request line and headers, in bytes.
    pub max_header_bytes: usize,
    /// How long the core may take for the head of a REST answer, and for that of an upload.
    pub rest_timeout: Duration,
    pub upload_timeout: Duration,
    /// Without progress of a pending write for so long, the connection is closed.
    pub write_timeout: Duration,
    /// A WebSocket must log in within this time.
    pub login_timeout: Duration,
    /// How long the core may take to attach a device.
    pub attach_timeout: Duration,
    /// After this time a send without an answer is answered "server busy". The client gives up, and reconnects,
    /// after 15 s.
    pub answer_timeout: Duration,
    /// How long the core may take to list or pull a queue.
    pub pull_timeout: Duration,
    /// Time before a pull or list that failed is offered again.
    pub retry_delay: Duration,
    /// A client of MSYNC that has not asked for its list, or for what it was told of, within this time gets it unasked:
    /// on a line that loses packets its question may wait in its kernel for long.
    pub push_after: Duration,
    /// Longest interval of WebSocket pings. At first, and where pongs are late, they come more often.
    pub ping_interval: Duration,
    /// A session whose client has answered a ping before, and then sends no byte for so long after one, is closed.
    pub pong_timeout: Duration,
    /// The same for a client that has never answered a ping. Longer than the interval of its own heartbeats.
    pub idle_timeout: Duration,
    /// Largest WebSocket message from a client, in bytes.
    pub max_frame_bytes: usize,
    /// Sends of one session that may wait for their answer, and pulls that may wait for their turn; with more the
    /// socket is not read.
    pub max_in_flight: usize,
    /// Entries and, about, bytes of bodies in one delivered batch.
    pub batch_entries: usize,
    pub batch_bytes: usize,
    /// The app whose demo page is at `/`; `None`: there is no demo page.
    pub demo: Option<String>,
    /// How long connections may take to end once the gateway drains.
    pub drain_timeout: Duration,
}

impl GatewayConfig {
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            ping_interval: self.ping_interval,
            pong_timeout: self.pong_timeout,
            idle_timeout: self.idle_timeout,
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_connections: 15_000,
            tls: None,
            tls_reload_interval: Duration::from_secs(5),
            max_handshakes: 1024,
            trusted_proxies: Vec::new(),
            max_streams: 128,
            max_stream_websockets: 32,
            logins_per_second: 500,
            login_burst: 1000,
            max_waiting_logins: 4096,
            login_wait: Duration::from_secs(5),
            requests_per_second: 1000,
            header_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            max_header_bytes: 16 * 1024,
            rest_timeout: Duration::from_secs(30),
            upload_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(20),
            login_timeout: Duration::from_secs(10),
            attach_timeout: Duration::from_secs(9),
            answer_timeout: Duration::from_secs(14),
            pull_timeout: Duration::from_secs(5),
            retry_delay: Duration::from_secs(2),
            push_after: Duration::from_secs(1),
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_frame_bytes: 64 * 1024,
            max_in_flight: 64,
            batch_entries: 100,
            batch_bytes: 256 * 1024,
            demo: None,
            drain_timeout: Duration::from_secs(10),
        }
    }
}
