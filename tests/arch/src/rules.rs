//! What is allowed. Packages are named without their `meridian-`.

/// A room and the rooms that its code may use.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Its folder. A last part of `*` stands for any name.
    pub folder: &'static str,
    pub uses: &'static [&'static str],
    /// What its tests may use beside that and [`TEST_ROOMS`].
    pub tests_use: &'static [&'static str],
}

const fn room(folder: &'static str, uses: &'static [&'static str]) -> Room {
    Room { folder, uses, tests_use: &[] }
}

/// Everything but tests: for the place where all is put together, and for tests of the whole.
const EVERYTHING: &[&str] = &["*"];

/// First match wins.
pub const ROOMS: &[Room] = &[
    room("core/types", &[]),
    room("core/ports", &["types"]),
    room("core/link", &["types"]),
    // That a store fed with the operations becomes equal is tested where the operations are made.
    Room { folder: "core/chat", uses: &["types", "ports"], tests_use: &["replication"] },
    room("core/api", &["types", "ports", "chat"]),
    room("core/server", &["types", "chat", "api", "link"]),
    room("gateway", &["types", "link", "topology"]),
    room("regions/topology", &["types"]),
    // Replication is only shown to work between stores of two kinds.
    Room {
        folder: "regions/replication",
        uses: &["types", "ports", "link", "topology"],
        tests_use: &["sqlite"],
    },
    // Moves what the chat logic makes, between stores of two kinds.
    Room {
        folder: "regions/transfer",
        uses: &["types", "ports", "replication"],
        tests_use: &["chat", "sqlite", "postgres"],
    },
    room("backends/*", &["types", "ports"]),
    room("plugins/sdk", &["types", "ports", "conformance"]),
    room("plugins/examples", &["sdk", "node"]),
    room("plugins/*", &["sdk"]),
    room("deploy/node", EVERYTHING),
    // The model that random histories are compared with is the store in memory.
    room("tests/conformance", &["types", "ports", "memory"]),
    room("tests/arch", &[]),
    room("tests/services", &[]),
    // Speaks to a node from outside, by the public protocol alone.
    room("tests/load", &["types"]),
    room("tests/*", EVERYTHING),
];

/// What tests of any room may use: the kit, real servers, and the smallest backend of each contract.
pub const TEST_ROOMS: &[&str] = &["conformance", "memory", "fs", "services"];

/// Packages that no product code may use, `*` or not, unless named in its row.
pub const NEVER_IN_PRODUCT: &[&str] = &["conformance", "arch", "load", "services", "cluster", "e2e"];

/// A foreign crate and the folders whose product code may use it (`*` as above).
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    pub name: &'static str,
    pub folders: &'static [&'static str],
}

const fn driver(name: &'static str, folders: &'static [&'static str]) -> Driver {
    Driver { name, folders }
}

/// Drivers, servers and heavy crates: who uses one decides what the whole depends on.
pub const DRIVERS: &[Driver] = &[
    driver("sqlx", &["backends/sqlite", "backends/postgres"]),
    driver("rusqlite", &[]),
    driver("libsqlite3-sys", &[]),
    driver("redis", &["backends/redis"]),
    driver("aws-sdk-s3", &["backends/s3"]),
    driver("aws-config", &["backends/s3"]),
    driver("aws-smithy-http-client", &["backends/s3"]),
    driver("aws-sdk-s3", &["backends/s3"]),
    driver("async-nats", &["backends/nats", "plugins/*"]),
    driver("tonic", &["plugins/remote"]),
    driver("redb", &["plugins/examples"]),
    driver("hickory-resolver", &["regions/topology"]),
    driver("hyper", &["gateway", "core/link", "deploy/node", "tests/*", "plugins/*"]),
    driver("hyper-util", &["gateway", "core/link", "deploy/node", "tests/*", "plugins/*"]),
    driver("tokio-tungstenite", &["gateway", "tests/*"]),
    // In the Redis backend only to choose the cryptography for its driver.
    driver("rustls", &["gateway", "core/link", "deploy/node", "backends/redis", "tests/*", "plugins/*"]),
    driver("tokio-rustls", &["gateway", "core/link", "deploy/node", "tests/*", "plugins/*"]),
    driver("tower-http", &["gateway", "deploy/node"]),
    driver("image", &["core/api"]),
    driver("multer", &["core/api"]),
    driver("argon2", &["core/chat"]),
    driver("metrics-exporter-prometheus", &["deploy/node"]),
    driver("tracing-subscriber", &["deploy/node", "tests/*"]),
    driver("clap", &["deploy/node", "tests/*"]),
    driver("anyhow", &["deploy/node", "tests/*"]),
    // No I/O, no async in the model; no runtime in the contracts.
    driver(
        "tokio",
        &[
            "core/link",
            "core/chat",
            "core/api",
            "core/server",
            "gateway",
            "regions/*",
            "backends/*",
            "plugins/*",
            "deploy/node",
            "tests/*",
        ],
    ),
    driver(
        "async-trait",
        &[
            "core/ports",
            "core/link",
            "core/chat",
            "core/api",
            "core/server",
            "gateway",
            "regions/*",
            "backends/*",
            "plugins/*",
            "deploy/node",
            "tests/*",
        ],
    ),
    driver(
        "futures-util",
        &[
            "core/ports",
            "core/link",
            "core/chat",
            "core/api",
            "core/server",
            "gateway",
            "regions/*",
            "backends/*",
            "plugins/*",
            "deploy/node",
            "tests/*",
        ],
    ),
];

/// Whether a folder is the one of a rule.
#[must_use]
pub fn matches(rule: &str, folder: &str) -> bool {
    match rule.strip_suffix("/*") {
        Some(parent) => folder
            .strip_prefix(parent)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|name| !name.contains('/')),
        None => rule == folder,
    }
}
