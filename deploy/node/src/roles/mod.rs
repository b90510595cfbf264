//! What a process does: terminate connections, run the chat logic, or both.

pub(crate) mod core;
pub(crate) mod edge;

use serde::{Deserialize, Deserializer, de::Error as _};
use std::str::FromStr;

/// One role; a node has one or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Client connections, REST and WebSocket, forwarded to cores.
    Edge,
    /// The chat logic over the storage.
    Core,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "edge" => Ok(Self::Edge),
            "core" => Ok(Self::Core),
            _ => Err(format!("{text:?} is no role; there are edge and core")),
        }
    }
}

/// A list, or in one text with commas, as environment variables have it.
pub(crate) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::List(list) => list,
        Either::Text(text) => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
    })
}

pub(crate) fn roles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Role>, D::Error> {
    list(deserializer)?.iter().map(|role| role.parse().map_err(D::Error::custom)).collect()
}
