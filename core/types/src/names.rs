//! Names that people and tenants choose, checked once at the border.

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("name is empty")]
    Empty,
    #[error("name is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("name has a character that is not allowed")]
    Character,
    #[error("an app key is org#app")]
    AppKey,
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Its serde form is for what was checked before: links between cores and stores.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

text!(
    /// `org#app`: the tenant. Organisation and app are 1..=64 bytes of letters, digits, `-`, `_` and `.`.
    AppKey
);

impl AppKey {
    pub const PART_LIMIT: usize = 64;

    pub fn new(org: &str, app: &str) -> Result<Self, NameError> {
        for part in [org, app] {
            check(part, Self::PART_LIMIT)?;
        }
        Ok(Self(format!("{org}#{app}").into()))
    }

    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (org, app) = text.split_once('#').ok_or(NameError::AppKey)?;
        Self::new(org, app)
    }

    #[must_use]
    pub fn org(&self) -> &str {
        self.0.split_once('#').map_or("", |(org, _)| org)
    }

    #[must_use]
    pub fn app(&self) -> &str {
        self.0.split_once('#').map_or("", |(_, app)| app)
    }
}

text!(
    /// A user's name inside a tenant: 1..=64 bytes of `a-z 0-9 _ - .`; upper case is folded to lower.
    UserName
);

impl UserName {
    pub const LIMIT: usize = 64;

    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, Self::LIMIT)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

text!(
    /// A device of a user, as the client names it (`webim_web_1700000000000`): 1..=128 printable ASCII bytes
    /// without `/`.
    Resource
);

impl Resource {
    pub const LIMIT: usize = 128;

    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.len() {
            0 => Err(NameError::Empty),
            n if n > Self::LIMIT => Err(NameError::TooLong { limit: Self::LIMIT }),
            _ if text.bytes().any(|b| !b.is_ascii_graphic() || b == b'/') => Err(NameError::Character),
            _ => Ok(Self(text.into())),
        }
    }
}

text!(
    /// The name of a conversation inside its log: `u/alice/bob` for two people, in sorted order; `g/77`, `t/78`, `r/79` for a
    /// group, thread or room.
    ConversationKey
);

impl ConversationKey {
    /// The conversation of two people; the same whoever asks. Both may be one person.
    #[must_use]
    pub fn pair(a: &UserName, b: &UserName) -> Self {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        Self(format!("u/{low}/{high}").into())
    }

    /// Takes a key read back from a store or a link; it was checked when it was made.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The two people of a 1:1 conversation, in sorted order; `None` for any other kind.
    #[must_use]
    pub fn people(&self) -> Option<(UserName, UserName)> {
        let (low, high) = self.0.strip_prefix("u/")?.split_once('/')?;
        Some((UserName(low.into()), UserName(high.into())))
    }

    /// Whom `user` talks to in this 1:1 conversation (possibly themself).
    #[must_use]
    pub fn peer(&self, user: &UserName) -> Option<UserName> {
        let (low, high) = self.people()?;
        if &low == user {
            Some(high)
        } else if &high == user {
            Some(low)
        } else {
            None
        }
    }
}

fn check(text: &str, limit: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        n if n > limit => Err(NameError::TooLong { limit }),
        _ if text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) => Ok(()),
        _ => Err(NameError::Character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_fold_and_are_checked() {
        assert_eq!(UserName::parse("Alice_1.x-y").unwrap().as_str(), "alice_1.x-y");
        assert_eq!(UserName::parse(""), Err(NameError::Empty));
        assert_eq!(UserName::parse("a b"), Err(NameError::Character));
        assert_eq!(UserName::parse("a/b"), Err(NameError::Character));
        assert_eq!(UserName::parse(&"a".repeat(65)), Err(NameError::TooLong { limit: 64 }));
    }

    #[test]
    fn a_pair_has_one_key() {
        let (alice, bob) = (UserName::parse("alice").unwrap(), UserName::parse("bob").unwrap());
        let key = ConversationKey::pair(&bob, &alice);
        assert_eq!(key, ConversationKey::pair(&alice, &bob));
        assert_eq!(key.peer(&alice), Some(bob));
        assert_eq!(ConversationKey::pair(&alice, &alice).peer(&alice), Some(alice));
    }

    #[test]
    fn app_keys_have_two_parts() {
        let key = AppKey::parse("demo#chat").unwrap();
        assert_eq!((key.org(), key.app()), ("demo", "chat"));
        assert_eq!(AppKey::parse("demo"), Err(NameError::AppKey));
        assert!(AppKey::parse("a#b#c").is_err());
    }
}
