//! Effects that were worked out beforehand, for state that merges commutatively.

use crate::log::{Command, Draft, LogError};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{Effect, Hlc, Operation};
use serde::{Deserialize, Serialize, de::Error as _};
use std::borrow::Cow;

#[derive(Serialize, Deserialize)]
pub(crate) struct Apply {
    /// The operation's name.
    name: Cow<'static, str>,
    #[serde(serialize_with = "write_effects", deserialize_with = "read_effects")]
    effects: Vec<Effect>,
}

impl Apply {
    /// Effects on objects and relations.
    pub(crate) fn new(name: &'static str, effects: Vec<Effect>) -> Self {
        Self { name: name.into(), effects }
    }
}

#[async_trait]
impl Command for Apply {
    type Output = ();
    type Error = LogError;

    const NAME: &'static str = "apply";

    fn operation(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<(), LogError> {
        self.effects.iter().for_each(|effect| draft.push(effect.clone()));
        Ok(())
    }
}

/// As the log itself writes them.
fn write_effects<S: serde::Serializer>(effects: &[Effect], serializer: S) -> Result<S::Ok, S::Error> {
    let operation = Operation { name: "".into(), at: Hlc::default(), effects: effects.to_vec() };
    operation.encode_detached().serialize(serializer)
}

fn read_effects<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Effect>, D::Error> {
    let bytes = Bytes::deserialize(deserializer)?;
    Operation::decode_detached(&bytes).map(|operation| operation.effects).map_err(D::Error::custom)
}
