//! The door for plugin authors: the same command line, with more backends.

use crate::{
    Config, backends, cli,
    registry::{Registry, RegistryError},
    sharded,
};
use meridian_ports::{Blobs, Bus, Directory, OpenError, OpenRequest, Opened, SoftState, Store};
use std::process::ExitCode;

/// What a node knows beside the in-tree backends.
///
/// ```no_run
/// # use meridian_ports::{OpenError, OpenRequest, Opened, Reach, Store};
/// # async fn open_redb(request: OpenRequest) -> Result<Opened<dyn Store>, OpenError> {
/// #     Err("for show".into())
/// # }
/// fn main() -> std::process::ExitCode {
///     meridian_node::Node::builder().store("redb", open_redb).run()
/// }
/// ```
#[derive(Debug)]
pub struct NodeBuilder {
    registry: Result<Registry, RegistryError>,
}

macro_rules! contract {
    ($(#[$doc:meta])* $name:ident, $contract:ident) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name<F, Fut>(mut self, scheme: &str, factory: F) -> Self
        where
            F: Fn(OpenRequest) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<Opened<dyn $contract>, OpenError>> + Send + 'static,
        {
            self.registry = self.registry.and_then(|mut registry| {
                registry.$name(scheme, factory)?;
                Ok(registry)
            });
            self
        }
    };
}

impl NodeBuilder {
    pub(crate) fn new() -> Self {
        Self { registry: Ok(Registry::empty()) }
    }

    contract!(
        /// A store for `store = "<scheme>:…"`.
        store, Store
    );
    contract!(
        /// A blob store for `blobs = "<scheme>:…"`.
        blobs, Blobs
    );
    contract!(
        /// A soft state for `soft = "<scheme>:…"`.
        soft, SoftState
    );
    contract!(
        /// A bus for `bus = "<scheme>:…"`.
        bus, Bus
    );
    contract!(
        /// A directory for `directory = "<scheme>:…"`.
        directory, Directory
    );

    /// Runs the command line of this process, the same as `meridian`'s.
    #[must_use]
    pub fn run(self) -> ExitCode {
        cli::run(self)
    }

    /// Adds the in-tree backends, as configured. A scheme that is theirs cannot be taken by a plugin.
    pub(crate) fn registry(self, config: &Config) -> Result<Registry, RegistryError> {
        let mut registry = self.registry?;
        backends::register(&mut registry, config)?;
        sharded::register(&mut registry, config)?;
        Ok(registry)
    }
}
