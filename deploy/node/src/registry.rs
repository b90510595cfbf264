//! Which backend a URL's scheme means, per contract. A value: the in-tree backends are put in by `backends.rs`, a plugin
//! author's by [`NodeBuilder`](crate::NodeBuilder).

use futures_util::future::BoxFuture;
use meridian_ports::{Blobs, Bus, Directory, ErrorKind, OpenError, OpenRequest, Opened, SoftState, Store};
use std::{collections::BTreeMap, fmt, sync::Arc};

type Factory<T> =
    Arc<dyn Fn(OpenRequest) -> BoxFuture<'static, Result<Opened<T>, OpenError>> + Send + Sync + 'static>;

/// Factories of every contract, by scheme.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) stores: Factories<dyn Store>,
    pub(crate) blobs: Factories<dyn Blobs>,
    pub(crate) soft: Factories<dyn SoftState>,
    pub(crate) buses: Factories<dyn Bus>,
    pub(crate) directories: Factories<dyn Directory>,
}

/// Factories of one contract.
pub(crate) struct Factories<T: ?Sized> {
    /// The contract, which is also the configuration key that chooses.
    key: &'static str,
    by_scheme: BTreeMap<String, Factory<T>>,
}

/// Why a backend cannot be registered or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    #[error("{key}: the scheme {scheme:?} is registered twice")]
    Twice { key: &'static str, scheme: String },
    #[error("{key}: unknown scheme {scheme:?}; known are {known}")]
    Unknown { key: &'static str, scheme: String, known: String },
    /// With the whole chain of causes, without the URL's secrets.
    #[error("{key}: cannot open {url}: {reason}")]
    Open { key: &'static str, url: String, reason: String },
    /// The same, where the backend said that it does not offer this contract.
    #[error("{key}: cannot open {url}: {reason}")]
    NotOffered { key: &'static str, url: String, reason: String },
}

macro_rules! contract {
    ($(#[$doc:meta])* $register:ident, $field:ident, $contract:ident) => {
        $(#[$doc])*
        pub fn $register<F, Fut>(&mut self, scheme: &str, factory: F) -> Result<(), RegistryError>
        where
            F: Fn(OpenRequest) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<Opened<dyn $contract>, OpenError>> + Send + 'static,
        {
            self.$field.register(scheme, Arc::new(move |request| Box::pin(factory(request))))
        }
    };
}

impl Registry {
    /// A registry that knows nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            stores: Factories::new("store"),
            blobs: Factories::new("blobs"),
            soft: Factories::new("soft"),
            buses: Factories::new("bus"),
            directories: Factories::new("directory"),
        }
    }

    contract!(
        /// Registers a store under a scheme.
        store, stores, Store
    );
    contract!(
        /// Registers a blob store under a scheme.
        blobs, blobs, Blobs
    );
    contract!(
        /// Registers a soft state under a scheme.
        soft, soft, SoftState
    );
    contract!(
        /// Registers a bus under a scheme.
        bus, buses, Bus
    );
    contract!(
        /// Registers a directory under a scheme.
        directory, directories, Directory
    );
}

impl<T: ?Sized> Factories<T> {
    fn new(key: &'static str) -> Self {
        Self { key, by_scheme: BTreeMap::new() }
    }

    fn register(&mut self, scheme: &str, factory: Factory<T>) -> Result<(), RegistryError> {
        match self.by_scheme.entry(scheme.to_owned()) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(factory);
                Ok(())
            }
            std::collections::btree_map::Entry::Occupied(place) => {
                Err(RegistryError::Twice { key: self.key, scheme: place.key().clone() })
            }
        }
    }

    pub(crate) fn knows(&self, scheme: &str) -> bool {
        self.by_scheme.contains_key(scheme)
    }

    pub(crate) async fn open(&self, request: OpenRequest) -> Result<Opened<T>, RegistryError> {
        let url = request.url.clone();
        let Some(factory) = self.by_scheme.get(url.scheme()) else {
            let known = self.by_scheme.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(RegistryError::Unknown { key: self.key, scheme: url.scheme().to_owned(), known });
        };
        factory(request).await.map_err(|error| {
            let (key, reason) = (self.key, url.redact(&chain(&*error)));
            let url = url.to_string();
            match error.downcast_ref::<meridian_ports::Error>() {
                Some(error) if error.kind() == ErrorKind::Unsupported => {
                    RegistryError::NotOffered { key, url, reason }
                }
                _ => RegistryError::Open { key, url, reason },
            }
        })
    }
}

/// An error with its causes. Causes that an error already tells are not told twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

impl<T: ?Sized> Clone for Factories<T> {
    fn clone(&self) -> Self {
        Self { key: self.key, by_scheme: self.by_scheme.clone() }
    }
}

impl<T: ?Sized> fmt::Debug for Factories<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_scheme.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_memory::MemoryStore;
    use meridian_ports::{BackendUrl, Reach};

    async fn memory(_: OpenRequest) -> Result<Opened<dyn Store>, OpenError> {
        Ok(Opened::new(Arc::new(MemoryStore::new()), Reach::Process, false))
    }

    async fn broken(request: OpenRequest) -> Result<Opened<dyn Store>, OpenError> {
        Err(format!("{} does not answer", request.url.expose()).into())
    }

    fn request(url: &str) -> OpenRequest {
        OpenRequest::new(BackendUrl::parse(url).unwrap(), ".")
    }

    #[tokio::test]
    async fn a_scheme_chooses_and_errors_name_the_key_and_what_is_known() {
        let mut registry = Registry::empty();
        registry.store("memory", memory).unwrap();
        registry.store("broken", broken).unwrap();
        let twice = registry.store("memory", memory).unwrap_err();
        assert_eq!(twice.to_string(), "store: the scheme \"memory\" is registered twice");

        assert!(registry.stores.open(request("memory:")).await.is_ok());
        let unknown = registry.stores.open(request("oracle:x")).await.unwrap_err();
        assert_eq!(unknown.to_string(), "store: unknown scheme \"oracle\"; known are broken, memory");
        let failed = registry.stores.open(request("broken://me:hunter2@db")).await.unwrap_err();
        assert_eq!(
            failed.to_string(),
            "store: cannot open broken://me:***@db: broken://me:***@db does not answer"
        );
    }
}
