//! Where to look, as a configuration says it.

use std::{net::SocketAddr, str::FromStr};

/// Longest name of the DNS.
const NAME_LIMIT: usize = 253;

/// One entry of a list of cores.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// `10.0.0.5:7500`
    Address(SocketAddr),
    /// `cores.internal:7500`: every A and AAAA record, with this port.
    Name { name: String, port: u16 },
    /// `srv:_meridian._tcp.example.org`: of the targets of the lowest priority that resolve, all, each with its own port.
    /// Weights mean nothing here: edges choose by load.
    Srv(String),
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no place of cores: {why}")]
pub struct PlaceError {
    text: String,
    why: &'static str,
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let wrong = |why| PlaceError { text: text.chars().take(300).collect(), why };
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        if let Some(name) = text.strip_prefix("srv:") {
            let starts = name.starts_with('_') && name.contains("._");
            return if starts && is_name(name) {
                Ok(Self::Srv(name.to_owned()))
            } else {
                Err(wrong("after srv: comes a name like _meridian._tcp.example.org"))
            };
        }
        let (name, port) = text.rsplit_once(':').ok_or_else(|| wrong("a port is missing"))?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("the port is no port"))?;
        if !is_name(name) {
            return Err(wrong("the name is no host name"));
        }
        Ok(Self::Name { name: name.to_owned(), port })
    }
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= NAME_LIMIT && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let name = |name: &str, port| Ok(Place::Name { name: name.into(), port });
        assert_eq!("10.0.0.5:7500".parse(), Ok(Place::Address(([10, 0, 0, 5], 7500).into())));
        assert!(matches!("[::1]:7500".parse(), Ok(Place::Address(_))));
        assert_eq!("cores.internal:7500".parse(), name("cores.internal", 7500));
        assert_eq!("localhost:1".parse(), name("localhost", 1));
        assert_eq!("srv:_m._tcp.example.org.".parse(), Ok(Place::Srv("_m._tcp.example.org.".into())));
    }

    #[test]
    fn what_is_no_place_says_why() {
        for (text, why) in [
            ("", "port"),
            ("cores", "port"),
            ("cores:", "port"),
            ("cores:0", "port"),
            ("cores:70000", "port"),
            (":7500", "host name"),
            ("a b:1", "host name"),
            ("a..b:1", "host name"),
            ("srv:", "after srv:"),
            ("srv:example.org", "after srv:"),
            ("srv:_a._tcp.x y", "after srv:"),
        ] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
