//! One handle, whether the core is local or remote.

use crate::{Attached, Body, Login, Refusal};
use async_trait::async_trait;
use std::{fmt::Debug, ops::Deref, sync::Arc};

/// A core, as an edge sees it.
#[async_trait]
pub trait Core: Debug + Send + Sync + 'static {
    /// Checks a login and attaches the device. Refusals are final for this attempt.
    async fn attach(&self, login: Login) -> Result<Attached, Refusal>;

    /// Serves one REST request. The bodies stream; the answer always has the documented shape.
    async fn rest(&self, request: http::Request<Body>) -> http::Response<Body>;

    /// Whether this core can serve now.
    fn is_ready(&self) -> bool;
}

/// A shared reference to a core.
#[derive(Clone, Debug)]
pub struct CoreHandle(Arc<dyn Core>);

impl CoreHandle {
    /// A core in this process, or [`crate::Cores`] elsewhere.
    pub fn new(core: impl Core) -> Self {
        Self(Arc::new(core))
    }
}

impl Deref for CoreHandle {
    type Target = dyn Core;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
