//! What a layer is: something that happens round a call, whichever the contract. Each contract is handed over to layers
//! in one place (`contracts/`), so that a layer is one file and a contract is one file.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use meridian_ports::{BlobStream, Result};
use std::{fmt::Debug, sync::Arc};

/// A backend of contract `C` (`dyn Store`…) with a layer round it.
#[derive(Debug)]
pub struct Layered<C: ?Sized, L> {
    pub(crate) inner: Arc<C>,
    pub(crate) layer: L,
}

impl<C: ?Sized, L> Layered<C, L> {
    #[must_use]
    pub fn new(inner: Arc<C>, layer: L) -> Self {
        Self { inner, layer }
    }
}

/// What a call does to the backend, as far as a layer must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    Read,
    Write,
    /// A write that consumes its input and that leaves nothing behind when it is dropped.
    Upload,
}

/// Which verb is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub contract: &'static str,
    pub verb: &'static str,
    pub effect: Effect,
}

/// Starts the call. Only a layer that [`REPEATS`](Layer::REPEATS) may start it again.
pub type Attempt<'a, T> = &'a mut (dyn FnMut() -> BoxFuture<'a, Result<T>> + Send);

/// Something that happens round every call.
#[async_trait]
pub trait Layer: Debug + Send + Sync + 'static {
    /// Whether an attempt may be started more than once. Input is kept for another attempt only then.
    const REPEATS: bool = false;

    /// Makes the call. An [`Effect::Upload`] is never started twice.
    async fn around<'a, T: Send + 'a>(&'a self, call: Call, attempt: Attempt<'a, T>) -> Result<T>;

    /// Opens a blob. Layers that cover the reading of it too have their own.
    async fn open<'a>(
        &'a self,
        call: Call,
        attempt: Attempt<'a, Option<BlobStream>>,
    ) -> Result<Option<BlobStream>> {
        self.around(call, attempt).await
    }
}
